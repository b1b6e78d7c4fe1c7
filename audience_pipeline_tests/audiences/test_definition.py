from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences.activity import EVENTS
from audience_pipeline.audiences.definition import (
    DefinitionErrors,
    Definitions,
    load_definitions,
    load_files,
    read_definitions,
)
from audience_pipeline.audiences.keys import DID_KEYS, SUPPRESSION_KEYS
from audience_pipeline.audiences.rules import AllOf, AnyOf, Did, In, Not, Where, leaves
from audience_pipeline.platforms.contract import Platform

SHIPPED = Path(__file__).parents[2] / "audiences"
NAME_RULE = "a name has 1 to 63 of a-z, 0-9 and _ and begins with a letter"
AUDIENCE_KEYS = "name, description, include, exclude, suppress, platforms, refresh, holdout_percent"
HEAD = "name: {name}\ndescription: Somebody.\nplatforms: [meta]\n"


def audience(body: str = "include: {where: orders > 1}\n", name: str = "some") -> str:
    return HEAD.format(name=name) + body


def read(*texts: str, suppression: str = "") -> Definitions:
    files = {f"audiences/{number}.yaml": text.encode() for number, text in enumerate(texts)}
    if suppression:
        files["audiences/_suppression.yaml"] = suppression.encode()
    return read_definitions(files)


def problems(*texts: str, suppression: str = "") -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        read(*texts, suppression=suppression)
    return [str(problem) for problem in caught.value.problems]


def test_a_definition_says_who_is_in_and_out_and_where_it_goes():
    text = """
name: quiet_ones
description: Top customers who have gone quiet.
include:
  all:
    - where: ltv_quintile = 1
    - any:
        - where: days_since_last_order > 60
        - not:
            in: buyers
exclude:
  any:
    - not_in: buyers
    - where: churn_risk = 'lost'
suppress: []
platforms: [tiktok, meta]
refresh: daily
holdout_percent: 2.5
"""

    definitions = read(text, audience(name="buyers"))
    found = definitions["quiet_ones"]

    assert isinstance(found.include, AllOf)
    assert isinstance(found.include.rules[0], Where)
    assert isinstance(found.include.rules[1], AnyOf)
    assert found.include.rules[1].rules[1] == Not(In("buyers"))
    assert isinstance(found.exclude, AnyOf)
    assert found.exclude.rules[0] == Not(In("buyers"))
    assert (found.platforms, found.suppress, found.refresh, found.holdout_percent) == (
        (Platform.META, Platform.TIKTOK), (), "daily", 2.5,
    )  # fmt: skip
    assert [one.name for one in definitions] == ["buyers", "quiet_ones"]
    assert definitions.names == ("buyers", "quiet_ones")


def test_what_is_not_said_has_a_sensible_default():
    found = read(audience())["some"]

    assert (found.exclude, found.suppress, found.refresh, found.holdout_percent) == (None, None, "daily", 0.0)


def test_every_mistake_of_every_file_is_told_with_file_line_and_remedy():
    first = """name: Übung
description:
include:
  all:
    - where: ltv_quintil = 1
    - did: {event: produkt_view, at_leat: 2, within_days: 0}
    - {where: orders > 1, in: x}
platforms: [meta, googel]
holdout: 5
holdout_percent: 99
refresh: hourly
"""
    second = "name: other\ninclude:\n  any: []\n"

    told = problems(first, second)

    assert [one.removeprefix("audiences/") for one in told] == [
        f"0.yaml:1: '\\xdcbung' is not a name; it contains U+00DC: {NAME_RULE}",
        "0.yaml:2: description has no value",
        "0.yaml:5: unknown field 'ltv_quintil' (did you mean ltv_quintile?)",
        "0.yaml:6: unknown event 'produkt_view' (did you mean product_view?); the events are "
        + ", ".join(EVENTS),
        f"0.yaml:6: unknown key 'at_leat' (did you mean at_least?); allowed here are {', '.join(DID_KEYS)}",
        "0.yaml:6: within_days is a whole number from 1 to 3,650",
        "0.yaml:7: a rule has exactly one key: put several rules as a list under all: or any:",
        "0.yaml:8: unknown platform 'googel' (did you mean google?); there are meta, google, tiktok",
        f"0.yaml:9: unknown key 'holdout' (did you mean holdout_percent?); allowed here are {AUDIENCE_KEYS}",
        "0.yaml:10: holdout_percent is a number from 0 to 50",
        "0.yaml:11: refresh is one of daily",
        "1.yaml:1: description is missing",
        "1.yaml:1: platforms is missing",
        "1.yaml:3: any is an empty list: it needs at least one rule",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: &n some\n", "anchors (&name) are not allowed"),
        ("name: *n\n", "aliases (*name) are not allowed"),
        ("name: !!python/object/apply:os.system ['id']\n", "tags (!name) are not allowed"),
        ("name: !x some\n", "tags (!name) are not allowed"),
        ("a: &a [x, x]\nb: [*a, *a]\n", "anchors"),
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- a\n- b\n", "the file must consist of keys and values"),
        ("name: some\nname: other\n", "the key 'name' occurs twice"),
        ("name: some\n---\nname: other\n", "a second document begins"),
        ("name: [a\n", "cannot be read as YAML"),
        ("name:\n\t- a\n", "cannot be read as YAML"),
        ("? [a, b]\n: c\n", "a key must be plain text"),
        ("[" * 5_000, "nested more than 40 deep"),
        ("a: " + "{a: " * 100 + "x" + "}" * 100, "nested more than 40 deep"),
        ("include: [" + "a, " * 20_000 + "]", "more than 10,000 values"),
        ("# " + "x" * 600_000, "more than 524,288"),
        ("name: \x07\n", "characters that YAML does not allow"),
    ],
)
def test_only_plain_yaml_is_read(text: str, message: str):
    assert message in "\n".join(problems(text))


def test_a_file_that_is_not_utf8_says_so():
    with pytest.raises(DefinitionErrors, match="not UTF-8"):
        read_definitions({"a.yaml": "name: ü".encode("latin-1")})


@pytest.mark.parametrize(
    "name",
    [
        "High",
        "1st",
        "_x",
        "a-b",
        "a b",
        "x" * 64,
        "h\u0456gh",
        "high\u200b",
        "\uff48igh",
        "a;drop",
        "a\n",
        "../x",
    ],
)
def test_a_name_is_plain_small_letters_digits_and_underscores(name: str):
    text = audience().replace("name: some", f'name: "{name}"' if "\n" not in name else 'name: "a\\n"')

    assert "a name has 1 to 63 of a-z, 0-9 and _" in problems(text)[0]


def test_a_name_that_yaml_would_take_for_a_yes_is_a_name():
    assert read(audience(name="yes")).names == ("yes",)


def test_a_name_is_used_once_across_all_files():
    assert problems(audience(), audience()) == [
        "audiences/1.yaml:1: the name some is already used in audiences/0.yaml"
    ]


def test_a_reference_to_an_audience_that_does_not_exist_names_the_nearest():
    told = problems(audience("include:\n  all:\n    - in: byers\n", name="a"), audience(name="buyers"))

    assert len(told) == 1
    assert told[0].startswith("audiences/0.yaml:6: there is no audience or uploaded list byers")
    assert told[0].endswith("(did you mean buyers?)")


def test_a_reference_to_an_audience_with_a_mistake_of_its_own_is_no_second_mistake():
    told = problems(
        audience("include: {in: buyers}\n", name="a"), audience("include: {where: ordrs > 1}\n", "buyers")
    )

    assert len(told) == 1
    assert "ordrs" in told[0]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_circle_is_an_error_that_shows_the_circle(size: int):
    texts = [audience(f"include: {{in: a{(n + 1) % size}}}\n", f"a{n}") for n in range(size)]

    (told,) = problems(*texts)

    assert "a circle: " in told
    assert told.count(" is made of ") == size


def test_two_circles_are_two_errors():
    texts = [audience(f"include: {{in: {other}}}\n", one) for one, other in ("ab", "ba", "cd", "dc")]

    assert len(problems(*texts)) == 2


def test_suppression_rules_apply_to_all_unless_an_audience_names_fewer():
    rules = """
rules:
  - name: competitors
    description: They watch us.
    include: {where: is_competitor}
  - name: lost
    description: Gone.
    include: {where: churn_risk = 'lost'}
"""
    definitions = read(
        audience(name="all_rules"),
        audience("include: {where: orders > 1}\nsuppress: [lost]\n", "one_rule"),
        audience("include: {where: orders > 1}\nsuppress: []\n", "no_rule"),
        suppression=rules,
    )

    applied = {one.name: [rule.name for rule in definitions.suppressions_of(one)] for one in definitions}

    assert applied == {"all_rules": ["competitors", "lost"], "one_rule": ["lost"], "no_rule": []}


def test_mistakes_in_suppression_rules_are_told():
    rules = """rules:
  - name: a
    description: x
    include: {in: some}
  - nothing
  - {name: b, rule: x, description: x, include: {where: has_email}}
"""
    body = "include: {where: orders > 1}\nsuppress: [competitor, a]\n"

    told = [one.removeprefix("audiences/") for one in problems(audience(body), suppression=rules)]

    assert told == [
        "0.yaml:5: there is no suppression rule competitor; the rules are a, b",
        "_suppression.yaml:4: there is no uploaded list some; an audience cannot be named here",
        "_suppression.yaml:5: a suppression rule has the keys name, description, include, applies",
        f"_suppression.yaml:6: unknown key 'rule'; allowed here are {', '.join(SUPPRESSION_KEYS)}",
    ]


def test_the_audiences_that_ship_are_valid_and_described():
    definitions = load_definitions(SHIPPED)

    assert definitions.names == (
        "at_risk_high_value",
        "cart_abandoners",
        "engaged_newsletter_readers",
        "high_predicted_ltv",
        "new_customers",
        "recent_converters",
    )
    assert all(len(one.description) > 40 for one in definitions)
    assert all(one.platforms == tuple(Platform) for one in definitions)
    assert {
        one.name for one in definitions if any(isinstance(leaf, Did) for leaf in leaves(one.include))
    } == {
        "cart_abandoners",
        "engaged_newsletter_readers",
    }
    assert "recent_converters" in definitions["at_risk_high_value"].references


def test_the_suppression_rules_that_ship_apply_where_nobody_is_surprised():
    definitions = load_definitions(SHIPPED)

    applied = {one.name: [rule.name for rule in definitions.suppressions_of(one)] for one in definitions}

    assert applied.pop("recent_converters") == [], "a list of people to leave out must be complete"
    assert set(map(tuple, applied.values())) == {("competitors", "employees")}
    assert [rule.name for rule in definitions.suppressions] == [
        "churned",
        "competitors",
        "converters",
        "employees",
    ]


def test_the_example_of_the_guide_is_valid_beside_those_that_ship():
    example = b"""
name: high_value_at_risk
description: Top-quintile customers who have gone quiet but still look around.
include:
  all:
    - where: ltv_quintile = 1 and days_since_last_order between 60 and 180
    - any:
        - did: {event: product_view, at_least: 2, within_days: 14, where: "category = 'shoes'"}
        - did: {event: email_open, at_least: 1, within_days: 30}
exclude:
  any:
    - in: recent_converters
    - where: churn_risk = 'lost'
suppress: [competitors, employees]   # absent: every rule of the workspace; a list: only these
platforms: [meta, google, tiktok]
refresh: daily
holdout_percent: 5
"""
    files = {path.name: path.read_bytes() for path in SHIPPED.glob("*.yaml")}

    found = read_definitions({**files, "example.yaml": example})["high_value_at_risk"]

    assert found.references == {"recent_converters"}
    assert found.fields == {"ltv_quintile", "days_since_last_order", "churn_risk"}


def test_a_folder_that_is_not_there_and_a_file_that_is_not_there_are_named(tmp_path: Path):
    with pytest.raises(DefinitionErrors, match="there is no such folder"):
        load_definitions(tmp_path / "none")
    with pytest.raises(DefinitionErrors, match="cannot be read"):
        load_files([tmp_path / "none.yaml"])


def test_files_are_read_from_a_folder_with_their_names_in_errors(tmp_path: Path):
    (tmp_path / "good.yaml").write_text(audience())
    (tmp_path / "bad.yml").write_text("name: x\n")
    (tmp_path / "notes.txt").write_text("not read")

    with pytest.raises(DefinitionErrors, match=r"bad\.yml:1: include is missing"):
        load_definitions(tmp_path)


def test_an_unknown_audience_is_asked_for_with_the_nearest_name():
    with pytest.raises(KeyError, match="did you mean some"):
        read(audience())["sme"]


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_whatever_a_file_holds_the_answer_is_a_list_of_problems(text: str):
    with pytest.raises(DefinitionErrors) as caught:
        read_definitions({"a.yaml": text.encode("utf-8", "surrogatepass")})

    assert caught.value.problems


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["name", "description", "include", "exclude", "suppress", "platforms", "holdout_percent"]
    ),
    st.recursive(
        st.sampled_from(["x", "''", "null", "1", "where", "orders > 1"]),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
            | st.tuples(st.sampled_from(["all", "any", "not", "where", "in", "odd"]), inner).map(
                lambda pair: f"{{{pair[0]}: {pair[1]}}}"
            )
        ),
        max_leaves=6,
    ),
)
def test_a_value_of_any_shape_is_read_or_refused(key: str, value: str):
    lines = [line for line in audience().splitlines() if not line.startswith(key)]

    try:
        definitions = read("\n".join([*lines, f"{key}: {value}"]))
    except DefinitionErrors as error:
        assert str(error)  # noqa: PT017 -- either outcome is right
    else:
        assert len(definitions) == 1
