from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from audience_pipeline.audiences.activity import EVENTS, PROPERTIES
from audience_pipeline.audiences.definition import DefinitionErrors, read_definitions
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.json_schema import audience_schema, suppression_schema, written
from audience_pipeline.audiences.keys import AUDIENCE_KEYS, DID_KEYS, RULE_KEYS

SHIPPED = Path(__file__).parents[2] / "audiences"
AUDIENCE = Draft202012Validator(audience_schema())
SUPPRESSION = Draft202012Validator(suppression_schema())
KNOWN: dict[str, Any] = {"lists": ("vip",), "segments": ("Loyal",)}
OTHER = b"name: other\ndescription: x\nplatforms: [meta]\ninclude: {where: orders > 1}\n"
GOOD = {"name": "some", "description": "Somebody.", "include": {"where": "orders > 1"}, "platforms": ["meta"]}

MEANING = re.compile(
    "unknown (field|property) |the condition |there is no (audience|uploaded list|segment|suppression rule) |"
    "cannot be used in a condition|cannot be compared|cannot be named here|less than at_least|needs a |"
    "a circle|is already used in"
)
"""What no schema of one file can know."""


class Plain(yaml.SafeDumper):
    """Writes a value that occurs twice two times, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def problems(document: object, name: str = "some.yaml") -> list[str]:
    files = {name: yaml.dump(document, Dumper=Plain, allow_unicode=True).encode(), "other.yaml": OTHER}
    try:
        read_definitions(files, **KNOWN)
    except DefinitionErrors as error:
        return [problem.message for problem in error.problems]
    return []


def with_(**changes: object) -> dict[str, object]:
    return {**GOOD, **changes}


def rule(value: object) -> dict[str, object]:
    return with_(include=value)


def did(**values: object) -> dict[str, object]:
    return rule({"did": {"event": "order", **values}})


def suppressing(**changes: object) -> dict[str, object]:
    one = {"name": "some", "description": "x", "include": {"where": "orders > 1"}, **changes}
    return {"rules": [one]}


@pytest.mark.parametrize("validator", [AUDIENCE, SUPPRESSION], ids=["audience", "suppression"])
def test_it_is_a_json_schema(validator: Draft202012Validator):
    Draft202012Validator.check_schema(validator.schema)
    assert validator.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_files_that_ship_are_those_that_are_made():
    for made, file in ((AUDIENCE.schema, "audience"), (SUPPRESSION.schema, "suppression")):
        shipped = (SHIPPED / f"{file}.schema.json").read_text(encoding="utf-8")
        assert shipped == written(made), f"audience-pipeline audiences schema > audiences/{file}.schema.json"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_that_ships_is_valid_and_names_its_schema(path: Path):
    validator = SUPPRESSION if path.name.startswith("_") else AUDIENCE
    text = path.read_text(encoding="utf-8")

    validator.validate(yaml.safe_load(text))
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert named is not None
    assert json.loads((SHIPPED / named[1]).read_text(encoding="utf-8")) == validator.schema


def test_every_key_every_event_and_every_field_is_described():
    schema = AUDIENCE.schema
    rules, done = schema["$defs"]["rule"]["properties"], schema["$defs"]["did"]["properties"]

    assert list(schema["properties"]) == list(AUDIENCE_KEYS)
    assert list(rules) == list(RULE_KEYS)
    assert list(done) == list(DID_KEYS)
    assert done["event"]["enum"] == list(EVENTS)
    for properties in (schema["properties"], rules, done):
        assert all(len(value["description"]) > 10 for value in properties.values())
    for field in FIELDS.values():
        assert f"- {field.name} ({field.type}" in schema["$defs"]["where"]["description"]
    for field in PROPERTIES.values():
        assert f"- {field.name} (text): {field.meaning}" in done["where"]["description"]


def test_fields_of_a_workspace_are_described_too():
    fields = {"crm_tier": Field("crm_tier", "text", "", "tier of the CRM", "crm_contacts", "gold")}

    described = audience_schema(fields)["$defs"]["where"]["description"]

    assert "- crm_tier (text): tier of the CRM; such as gold" in described


STRUCTURE = {
    "a list": [GOOD],
    "a text": "some",
    "nothing": {},
    "no name": {key: value for key, value in GOOD.items() if key != "name"},
    "no include": {key: value for key, value in GOOD.items() if key != "include"},
    "unknown key": with_(holdout=5),
    "capital name": with_(name="Some"),
    "long name": with_(name="x" * 64),
    "look-alike name": with_(name="s\u043eme"),
    "invisible name": with_(name="some\u200b"),
    "name with a break": with_(name="some\n"),
    "path as name": with_(name="../some"),
    "name of nothing": with_(name=None),
    "name as a list": with_(name=["some"]),
    "empty description": with_(description="  "),
    "description as a list": with_(description=["x"]),
    "no platforms": with_(platforms=[]),
    "one platform": with_(platforms="meta"),
    "odd platform": with_(platforms=["meta", "myspace"]),
    "odd refresh": with_(refresh="hourly"),
    "much held out": with_(holdout_percent=51),
    "less than nothing": with_(holdout_percent=-1),
    "held out in words": with_(holdout_percent="five"),
    "suppress as text": with_(suppress="competitors"),
    "suppress an object": with_(suppress=[{"a": 1}]),
    "rule as text": rule("orders > 1"),
    "rule as a list": rule([{"where": "orders > 1"}]),
    "two keys": rule({"where": "orders > 1", "in": "other"}),
    "no key": rule({}),
    "odd key": rule({"were": "orders > 1"}),
    "all of one": rule({"all": {"where": "orders > 1"}}),
    "all of none": rule({"all": []}),
    "any of texts": rule({"any": ["orders > 1"]}),
    "not a list": rule({"not": [{"where": "orders > 1"}]}),
    "not of two keys, deep": rule({"any": [{"all": [{"not": {"where": "orders > 1", "in": "other"}}]}]}),
    "where as a list": rule({"where": ["orders > 1"]}),
    "where of nothing": rule({"where": None}),
    "empty where": rule({"where": " "}),
    "in a list of names": rule({"in": ["other"]}),
    "in two groups": rule({"in": {"audience": "other", "list": "vip"}}),
    "in no group": rule({"in": {}}),
    "in an odd group": rule({"in": {"audiences": "other"}}),
    "in an odd name": rule({"in": "Other One"}),
    "in an empty segment": rule({"in": {"segment": ""}}),
    "in a long segment": rule({"in": {"segment": "x" * 201}}),
    "did as text": rule({"did": "order"}),
    "did nothing": rule({"did": {}}),
    "did without event": rule({"did": {"at_least": 2}}),
    "odd event": did(event="ordr"),
    "odd key of did": did(within=3),
    "never": did(at_least=0),
    "too often": did(at_least=10_001),
    "half": did(at_least=1.5),
    "at most never": did(at_most=0),
    "in words": did(at_least="two"),
    "no days": did(within_days=0),
    "too many days": did(within_days=3_651),
    "empty where of did": did(where=""),
}
SUPPRESSION_STRUCTURE = {
    "no rules": {},
    "rules as text": {"rules": "none"},
    "a rule as text": {"rules": ["competitors"]},
    "no include": {"rules": [{"name": "a", "description": "x"}]},
    "odd key": suppressing(suppress=[]),
    "odd name": suppressing(name="A"),
    "in an audience": suppressing(include={"not_in": {"audience": "other"}}),
    "applies somewhere": suppressing(applies="always"),
}


@pytest.mark.parametrize("document", STRUCTURE.values(), ids=STRUCTURE)
def test_what_the_reader_refuses_for_its_form_the_schema_refuses(document: object):
    assert problems(document)
    assert not AUDIENCE.is_valid(document)


@pytest.mark.parametrize("document", SUPPRESSION_STRUCTURE.values(), ids=SUPPRESSION_STRUCTURE)
def test_the_same_holds_for_suppression_rules(document: object):
    assert problems(document, "_suppression.yaml")
    assert not SUPPRESSION.is_valid(document)


NAMES = st.sampled_from(["some", "other", "vip", "x1", "Big", "", "a b"])
SIMPLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 11_000),
    st.floats(0, 60, allow_nan=False),
    NAMES,
    st.sampled_from(["meta", "daily", "order", "orders > 1", "category = 'a'", "Loyal", "null", "~", "5"]),
    st.text(max_size=5),
)
CONDITIONS = st.sampled_from(
    ["orders > 1", "ordrs > 1", "true", True, False, "category = 'a'", "1", ";", None]
)
GROUPS = st.one_of(
    NAMES,
    st.dictionaries(
        st.sampled_from(["audience", "list", "segment", "x"]), NAMES | st.just("Loyal"), max_size=2
    ),
)
DIDS = st.fixed_dictionaries(
    {"event": st.sampled_from([*EVENTS, "ordr"])},
    optional={
        "at_least": st.integers(0, 10_001) | SIMPLE,
        "at_most": st.integers(1, 10) | SIMPLE,
        "within_days": st.integers(1, 3_651) | SIMPLE,
        "where": CONDITIONS,
        "x": SIMPLE,
    },
)
RULES = st.recursive(
    st.one_of(
        CONDITIONS.map(lambda value: {"where": value}),
        st.builds(lambda key, value: {key: value}, st.sampled_from(["in", "not_in"]), GROUPS),
        st.builds(lambda key, value: {key: value}, st.sampled_from(["did", "did_not"]), DIDS | SIMPLE),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda key, value: {key: value}, st.sampled_from(["all", "any"]), st.lists(inner, max_size=3)
        ),
        inner.map(lambda value: {"not": value}),
        st.dictionaries(st.sampled_from([*RULE_KEYS, "x"]), inner, max_size=2),
        SIMPLE,
    ),
    max_leaves=5,
)
DOCUMENTS = st.fixed_dictionaries(
    {"include": RULES},
    optional={
        "exclude": RULES,
        "suppress": st.lists(NAMES, max_size=2) | SIMPLE,
        "platforms": st.lists(st.sampled_from(["meta", "google", "x"]), max_size=3) | SIMPLE,
        "refresh": st.just("daily") | SIMPLE,
        "holdout_percent": st.floats(0, 60, allow_nan=False) | st.integers(0, 60) | SIMPLE,
        "description": SIMPLE,
        "x": SIMPLE,
    },
).map(lambda given: {**GOOD, **given})


@settings(max_examples=300)
@given(DOCUMENTS)
def test_what_the_schema_accepts_the_reader_reads_or_refuses_for_its_meaning(document: dict[str, Any]):
    told = problems(document)

    if AUDIENCE.is_valid(document):
        assert [message for message in told if not MEANING.search(message)] == []


@settings(max_examples=100)
@given(RULES)
def test_the_same_holds_for_the_rules_of_suppression(given: Any):
    document = suppressing(include=given)

    told = problems(document, "_suppression.yaml")

    if SUPPRESSION.is_valid(document):
        assert [message for message in told if not MEANING.search(message)] == []


GOOD_RULES = st.recursive(
    st.sampled_from(
        [
            {"where": "orders > 1"},
            {"where": True},
            {"in": "other"},
            {"not_in": {"list": "vip"}},
            {"in": {"segment": "Loyal"}},
            {"did": {"event": "order", "at_least": 2, "at_most": 3, "within_days": 30}},
            {"did_not": {"event": "product_view", "where": "category = 'shoes'"}},
        ]
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda key, value: {key: value},
            st.sampled_from(["all", "any"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        inner.map(lambda value: {"not": value}),
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(GOOD_RULES)
def test_what_the_reader_reads_the_schema_accepts(given: dict[str, Any]):
    assert problems(rule(given)) == []
    assert AUDIENCE.is_valid(rule(given))
