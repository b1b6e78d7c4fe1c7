"""Text that means harm, in every place of a definition where text may stand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from audience_pipeline.audiences.definition import DefinitionErrors, Definitions, read_definitions
from audience_pipeline.audiences.rules import Did, Where, leaves

HOSTILE = [
    "'; drop table profile; --",
    "1=1; attach 'x.db'",
    "orders = 1 union select * from read_csv('/etc/passwd')",
    "exists (select 1)",
    "\u043erders > 1",
    "orders\u200b > 1",
    "\uff4frders > 1",
    "orders > 1 -- \u202e",
    "../../etc/passwd",
    "{{7*7}}",
    "$(id)",
    "%s%s%n",
    "<script>alert(1)</script>",
    "max.mustermann@example.com",
    "\U0001f600",
    "a" * 5_000,
]
VALUES = [text for text in HOSTILE if len(text) < 1_000 and "\u202e" not in text]
PLACES = {
    "name": {"name": "X"},
    "include": {"include": "X"},
    "where": {"include": {"where": "X"}},
    "a quoted field": {"include": {"where": '"X" > 1'}},
    "in": {"include": {"in": "X"}},
    "an audience": {"include": {"in": {"audience": "X"}}},
    "a list": {"include": {"not_in": {"list": "X"}}},
    "a segment": {"include": {"in": {"segment": "X"}}},
    "an event": {"include": {"did": {"event": "X"}}},
    "a number": {"include": {"did": {"event": "order", "at_least": "X"}}},
    "a window": {"include": {"did": {"event": "order", "within_days": "X"}}},
    "a property": {"include": {"did": {"event": "order", "where": "X"}}},
    "deep": {"exclude": {"any": [{"all": [{"not": {"where": "X"}}]}]}},
    "suppress": {"suppress": ["X"]},
    "platforms": {"platforms": ["X"]},
    "refresh": {"refresh": "X"},
    "holdout_percent": {"holdout_percent": "X"},
    "a key": {"X": "x"},
    "a key of a rule": {"include": {"X": "orders > 1"}},
    "a key of did": {"include": {"did": {"event": "order", "X": 1}}},
}
GOOD = {"name": "some", "description": "x", "include": {"where": "orders > 1"}, "platforms": ["meta"]}


def put(value: object, text: str) -> object:
    if isinstance(value, dict):
        return {str(put(key, text)): put(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [put(inner, text) for inner in value]
    return value.replace("X", text.replace('"', "")) if isinstance(value, str) and "X" in value else value


def read(**changes: object) -> Definitions:
    text = yaml.safe_dump({**GOOD, **changes}, allow_unicode=True)
    return read_definitions({"a.yaml": text.encode()}, segments=("Loyal",))


def conditions(definitions: Definitions) -> Iterator[str]:
    for audience in definitions:
        for rule in audience.rules:
            for leaf in leaves(rule):
                if isinstance(leaf, Where):
                    yield leaf.criterion.sql
                elif isinstance(leaf, Did) and leaf.where:
                    yield leaf.where.sql


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_text_that_means_harm_is_refused_wherever_it_stands(place: dict[str, object], text: str):
    changes = put(place, text)
    assert isinstance(changes, dict)

    with pytest.raises(DefinitionErrors) as caught:
        read(**changes)

    told = str(caught.value)
    assert told.isascii()
    assert len(told) < 3_000
    assert "mustermann" not in told
    assert "\x1b" not in told


@pytest.mark.parametrize("text", VALUES, ids=lambda text: ascii(text[:20]))
def test_as_a_value_or_a_description_it_is_only_text(text: str):
    quoted = text.replace("'", "''")

    definitions = read(
        description=text,
        include={"where": f"segment = '{quoted}'"},
        exclude={"did": {"event": "order", "where": f"campaign = '{quoted}'"}},
    )

    assert definitions["some"].description == text.strip()
    assert list(conditions(definitions)) == [f"(\"segment\" = '{quoted}')", f"(\"campaign\" = '{quoted}')"]


def test_many_mistakes_are_all_told():
    rules = [{"where": f"ordrs{n} > 1"} for n in range(500)]

    with pytest.raises(DefinitionErrors) as caught:
        read(include={"any": rules})

    assert len(caught.value.problems) == 500


def test_a_thousand_files_with_the_same_name_are_a_thousand_mistakes_but_one():
    text = yaml.safe_dump(GOOD).encode()

    with pytest.raises(DefinitionErrors) as caught:
        read_definitions({f"{n:04}.yaml": text for n in range(1_000)})

    assert len(caught.value.problems) == 999
    assert all("already used in 0000.yaml" in problem.message for problem in caught.value.problems)


def test_a_long_chain_of_audiences_is_read_in_order():
    files = {
        f"{n}.yaml": yaml.safe_dump(
            {**GOOD, "name": f"a{n}", "include": {"in": f"a{n + 1}"} if n < 999 else GOOD["include"]}
        ).encode()
        for n in range(1_000)
    }

    assert [audience.name for audience in read_definitions(files)] == [
        f"a{n}" for n in reversed(range(1_000))
    ]
