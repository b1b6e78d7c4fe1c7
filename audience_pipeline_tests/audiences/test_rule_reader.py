from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audience_pipeline.audiences.activity import EVENTS, PROPERTIES
from audience_pipeline.audiences.criteria import compile_where
from audience_pipeline.audiences.definition import (
    Definition,
    DefinitionErrors,
    Definitions,
    load_files,
    read_definitions,
)
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.rules import AllOf, AnyOf, Did, In, InList, InSegment, Not, Where

HEAD = "name: {name}\ndescription: Somebody.\nplatforms: [meta]\n"
LISTS = ("vip", "staff")
SEGMENTS = ("Loyal big spenders", "New", "vip")


def audience(rule: str = "{where: orders > 1}", name: str = "some") -> str:
    return HEAD.format(name=name) + f"include: {rule}\n"


def read(*rules: str, suppression: str = "", **known: Any) -> Definitions:
    texts = [*(audience(rule) for rule in rules), audience(name="buyers")]
    files = {f"{number}.yaml": text.encode() for number, text in enumerate(texts)}
    if suppression:
        files["_suppression.yaml"] = suppression.encode()
    return read_definitions(files, **({"lists": LISTS, "segments": SEGMENTS} | known))


def only(rule: str, **known: Any) -> Definition:
    return read(rule, **known)["some"]


def mistakes(rule: str, **known: Any) -> list[str]:
    with pytest.raises(DefinitionErrors) as caught:
        read(rule, **known)
    return [problem.message for problem in caught.value.problems]


def test_what_was_done_is_asked_for_with_count_window_and_properties():
    rule = "{did: {event: product_view, at_least: 2, at_most: 5, within_days: 14, where: \"category = 'a'\"}}"

    found = only(rule).include

    assert found == Did("product_view", 2, 5, 14, compile_where("category = 'a'", PROPERTIES))


def test_once_ever_is_meant_where_nothing_more_is_said():
    assert only("{did: {event: order}}").include == Did("order", 1, None, None, None)


def test_what_was_not_done_is_everybody_but_those_who_did():
    assert only("{did_not: {event: order, at_least: 3, within_days: 7}}").include == Not(
        Did("order", 3, None, 7)
    )


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_can_be_asked_for(event: str):
    assert only(f"{{did: {{event: {event}}}}}").include == Did(event)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("order", "what was done is expected here, as {event: product_view, within_days: 30}"),
        ("[order]", "what was done is expected here"),
        ("{at_least: 2}", "event is missing"),
        ("{event: ordr}", "unknown event 'ordr' (did you mean order?); the events are page_view, "),
        ("{event: web:product_view}", "unknown event 'web:product_view' (did you mean product_view?)"),
        ("{event: [order]}", "text is expected here"),
        ("{event: order, at_least: 0}", "at_least is a whole number from 1 to 10,000"),
        ("{event: order, at_least: 1.5}", "at_least is a whole number from 1 to 10,000"),
        ("{event: order, at_least: 10001}", "at_least is a whole number from 1 to 10,000"),
        ("{event: order, at_least: -1}", "at_least is a whole number from 1 to 10,000"),
        ("{event: order, at_least: two}", "at_least is a whole number from 1 to 10,000"),
        ("{event: order, at_least: \u0662}", "at_least is a whole number from 1 to 10,000"),
        ("{event: order, at_most: 0}", "at_most is a whole number from 1 to 10,000"),
        ("{event: order, at_least: 3, at_most: 2}", "at_most is 2, less than at_least (3)"),
        ("{event: order, within_days: 0}", "within_days is a whole number from 1 to 3,650"),
        ("{event: order, within_days: 3651}", "within_days is a whole number from 1 to 3,650"),
        ("{event: order, within_days: {}}", "text is expected here"),
        ("{event: order, whithin_days: 3}", "unknown key 'whithin_days' (did you mean within_days?)"),
        ("{event: order, where: categry = 'a'}", "unknown property 'categry' (did you mean category?)"),
        ("{event: order, where: orders > 1}", "unknown property 'orders'; there are category, device, "),
        ("{event: order, where: weekday = 'sunday'}", "weekday is never 'sunday'; it is one of mon, tue"),
        ("{event: order, where: }", "where has no value"),
        ("{event: order, where: 1 = 1; drop table x}", "';', 'drop', 'table'"),
    ],
)
def test_mistakes_in_what_was_done_are_told_with_the_remedy(body: str, message: str):
    assert message in "\n".join(mistakes(f"{{did: {body}}}"))
    assert message in "\n".join(mistakes(f"{{did_not: {body}}}"))


def test_all_mistakes_of_one_did_are_told_at_once():
    rule = "{did: {event: ordr, at_least: 0, within_days: x, where: nothing, colour: red}}"

    assert len(mistakes(rule)) == 5


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("buyers", In("buyers")),
        ("staff", InList("staff")),
        ("{audience: buyers}", In("buyers")),
        ("{list: vip}", InList("vip")),
        ("{segment: Loyal big spenders}", InSegment("Loyal big spenders")),
        ("{segment: vip}", InSegment("vip")),
    ],
)
def test_a_group_is_an_audience_a_list_or_a_segment(group: str, expected: In | InList | InSegment):
    assert only(f"{{in: {group}}}").include == expected
    assert only(f"{{not_in: {group}}}").include == Not(expected)


def test_a_name_that_is_an_audience_and_a_list_must_say_which():
    lists = (*LISTS, "buyers")

    assert mistakes("{in: buyers}", lists=lists) == [
        "buyers is an audience and an uploaded list: write {audience: buyers} or {list: buyers}"
    ]
    assert only("{in: {audience: buyers}}", lists=lists).include == In("buyers")
    assert only("{in: {list: buyers}}", lists=lists).include == InList("buyers")


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("vipp", "there is no audience or uploaded list vipp (did you mean vip?)"),
        ("{audience: vip}", "there is no audience vip"),
        (
            "{list: staf}",
            "there is no uploaded list staf (did you mean staff?); upload it: audience-pipeline ",
        ),
        (
            "{segment: loyal big spender}",
            "there is no segment 'loyal big spender' (did you mean Loyal big spenders?); there are ",
        ),
        ("{segment: L\u043eyal big spenders}", "it contains U+043E"),
        ("{segment: }", "segment has no value"),
        ("{segment: [a]}", "text is expected here"),
        (f"{{segment: {'x' * 201}}}", "the name of a segment has at most 200 characters"),
        ("{audience: buyers, list: vip}", "a name is expected here, or one of {audience: NAME}"),
        ("{audiences: buyers}", "unknown key 'audiences' (did you mean audience?)"),
        ("[buyers, vip]", "a name is expected here, or one of {audience: NAME}"),
        ("{}", "a name is expected here, or one of {audience: NAME}"),
        ("Loyal big spenders", "'Loyal big spenders' is not a name: "),
    ],
)
def test_a_group_that_is_not_there_is_told_with_the_nearest(group: str, message: str):
    assert message in "\n".join(mistakes(f"{{in: {group}}}"))


def test_a_segment_written_like_an_audience_is_told_how_to_write():
    (told,) = mistakes("{in: newbies}", segments=("newbies",))

    assert told == "there is no audience or uploaded list newbies; write {segment: newbies}"


def test_segments_may_be_unknown_while_definitions_are_written():
    assert only("{in: {segment: Whoever}}", segments=None).include == InSegment("Whoever")


def test_rules_nest_as_deep_as_anybody_needs():
    rule = "{where: orders > 1}"
    for word in ("not", "all", "any") * 3:
        rule = f"{{{word}: {rule}}}" if word == "not" else f"{{{word}: [{rule}, {{did: {{event: order}}}}]}}"

    found = only(rule).include

    assert isinstance(found, AnyOf)
    assert isinstance(found.rules[0], AllOf)
    assert isinstance(found.rules[0].rules[0], Not)


def test_a_definition_says_what_it_needs_besides_the_profile():
    text = """{all: [{in: staff}, {not_in: {segment: New}}, {did: {event: order}}, {where: orders > 1}]}
exclude: {any: [{in: {list: vip}}, {in: buyers}, {where: returns > 1}]}"""

    found = only(text)

    assert (found.lists, found.segments, found.references) == ({"staff", "vip"}, {"New"}, {"buyers"})
    assert found.fields == {"orders", "returns"}


def test_a_composition_fits_in_one_line():
    assert only("{in: buyers}").include == In("buyers")


def test_suppression_rules_may_ask_for_events_lists_and_segments_but_not_for_audiences():
    rules = """
rules:
  - name: watchers
    description: They watch us.
    include: {any: [{in: staff}, {in: {segment: New}}, {did_not: {event: order, within_days: 365}}]}
"""
    definitions = read("{where: orders > 1}", suppression=rules)

    assert definitions.suppressions[0].include == AnyOf(
        (InList("staff"), InSegment("New"), Not(Did("order", within_days=365)))
    )
    assert definitions.lists == {"staff"}
    assert mistakes("{in: buyers}", suppression=rules.replace("in: staff", "in: {audience: buyers}")) == [
        "an audience cannot be named here: write the conditions of buyers instead"
    ]


def test_a_list_of_the_name_of_an_audience_is_meant_in_a_suppression_rule():
    rules = "rules:\n  - {name: x, description: x, include: {in: buyers}}\n"

    found = read("{where: orders > 1}", suppression=rules, lists=("buyers",))

    assert found.suppressions[0].include == InList("buyers")


WAITING = "rules:\n  - {name: staff, description: x, include: {in: {list: %s}}}\n"


def test_a_list_that_a_suppression_rule_names_may_come_later():
    found = read("{where: orders > 1}", suppression=WAITING % "employees").suppressions[0]

    assert found.waits_for == {"employees"}
    assert found.include == Where(compile_where("false", FIELDS))


def test_a_list_that_is_nearly_there_is_a_mistake_in_a_suppression_rule_too():
    (told,) = mistakes("{in: buyers}", suppression=WAITING % "staf")

    assert told.startswith("there is no uploaded list staf (did you mean staff?); upload it: ")


def test_a_suppression_rule_can_wait_to_be_named():
    rules = """
rules:
  - {name: always, description: x, include: {where: orders > 1}, applies: everywhere}
  - {name: asked, description: x, include: {where: orders > 2}, applies: when_named}
"""
    files = {
        "_suppression.yaml": rules.encode(),
        "a.yaml": audience(name="a").encode(),
        "b.yaml": (audience(name="b") + "suppress: [asked]\n").encode(),
    }
    definitions = read_definitions(files)

    applied = {one.name: [rule.name for rule in definitions.suppressions_of(one)] for one in definitions}

    assert applied == {"a": ["always"], "b": ["asked"]}
    assert mistakes("{in: buyers}", suppression=rules.replace("when_named", "sometimes")) == [
        "applies is one of everywhere, when_named"
    ]


def test_a_suppression_rule_of_one_name_stands_in_one_file():
    rules = b"rules:\n  - {name: x, description: x, include: {where: orders > 1}}\n"

    with pytest.raises(DefinitionErrors, match=r"_b\.yaml:2: the suppression rule x occurs twice"):
        read_definitions({"_a.yaml": rules, "_b.yaml": rules})


def test_a_field_that_has_gone_is_named_with_the_nearest_that_is_left():
    kept = {**FIELDS, "crm_tier": Field("crm_tier", "text", "", "tier", "crm", "gold")}
    rule = "{where: crm_tiers = 'gold'}"

    assert only(rule.replace("tiers", "tier"), fields=kept).include == Where(
        compile_where("crm_tier = 'gold'", kept)
    )
    assert mistakes(rule, fields=kept) == ["unknown field 'crm_tiers' (did you mean crm_tier?)"]
    assert mistakes(rule.replace("tiers", "tier")) == ["unknown field 'crm_tier'"]


def test_one_file_is_read_with_those_beside_it(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(audience("{not_in: buyers}", "a"))
    (tmp_path / "buyers.yaml").write_text(audience(name="buyers"))
    (tmp_path / "broken.yaml").write_text("name: broken\n")

    assert load_files([tmp_path / "a.yaml"]).names == ("a", "buyers")


def test_a_draft_that_lies_elsewhere_is_read_as_if_it_lay_in_the_workspace(tmp_path: Path):
    folder, draft = tmp_path / "workspace", tmp_path / "draft.yaml"
    folder.mkdir()
    (folder / "buyers.yaml").write_text(audience(name="buyers"))
    (folder / "older.yaml").write_text(audience("{where: ordrs > 1}", "a"))
    (folder / "_suppression.yaml").write_text(
        "rules:\n  - {name: lost, description: Gone., include: {where: orders = 0}}\n"
    )
    draft.write_text(audience("{not_in: buyers}", "a"))

    found = load_files([draft], folder=folder)

    assert found.names == ("a", "buyers")
    assert found["a"].file == str(draft)
    assert [rule.name for rule in found.suppressions] == ["lost"]
    with pytest.raises(DefinitionErrors, match="there is no audience or uploaded list buyers"):
        load_files([draft])


def test_a_file_that_refers_to_one_with_mistakes_tells_them(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(audience("{not_in: b}", "a"))
    (tmp_path / "b.yaml").write_text(audience("{in: c}", "b"))
    (tmp_path / "c.yaml").write_text(audience("{where: ordrs > 1}", "c"))

    with pytest.raises(DefinitionErrors, match=r"c\.yaml:4: unknown field 'ordrs'"):
        load_files([tmp_path / "a.yaml"])


def test_mistakes_in_the_suppression_rules_beside_a_file_are_told(tmp_path: Path):
    (tmp_path / "a.yaml").write_text(audience(name="a"))
    (tmp_path / "_suppression.yaml").write_text("rules: none\n")

    with pytest.raises(DefinitionErrors, match=r"_suppression\.yaml:1: a list is expected"):
        load_files([tmp_path / "a.yaml"])


def test_a_name_that_another_file_has_is_told_of_the_file_asked_for(tmp_path: Path):
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).write_text(audience(name="twice"))

    with pytest.raises(DefinitionErrors, match=r"a\.yaml:1: the name twice is already used in .*b\.yaml"):
        load_files([tmp_path / "a.yaml"])


def test_the_names_of_segments_are_told_in_full_to_be_copied():
    long = "Loyal, long-standing customers, who often look at many categories"

    (told,) = mistakes("{in: {segment: Nobody}}", segments=(long,))

    assert told == f"there is no segment 'Nobody'; there are '{long}'"
