from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.audiences import activity_counts, profile_table
from audience_pipeline.audiences.activity_table import STORED_PROPERTIES, Activity
from audience_pipeline.audiences.criteria import Criterion, compile_where
from audience_pipeline.audiences.definition import Definition, Definitions, Suppression
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.evaluation import Evaluator, evaluator
from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.membership import NotEvaluated, attempts, selections
from audience_pipeline.audiences.rules import AllOf, AnyOf, Did, In, InList, InSegment, Not, Rule, Where
from audience_pipeline.platforms.contract import Platform

AS_OF = date(2026, 3, 31)
PEOPLE = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "orders": [1, 5, None, 9],
        "segment": ["it's", "loyal", None, "loyal"],
        "predicted_ltv": [1.0, float("nan"), None, 2.0],
    }
)


def where(text: str) -> Where:
    return Where(compile_where(text, FIELDS))


def names(asked: Evaluator, rule: Rule) -> str:
    return "".join(PEOPLE["customer_id"].filter(pl.Series(asked.mask(rule, {}))))


def answered(rule: Rule, **more: Any) -> str:
    with evaluator(PEOPLE, [rule], **more) as asked:
        return names(asked, rule)


def activity() -> Activity:
    table = pl.LazyFrame(
        {
            "customer_id": ["a", "b"],
            "activity_date": [AS_OF] * 2,
            "activity": ["web:search"] * 2,
            "events": [1, 2],
        }
    ).with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in STORED_PROPERTIES)
    return Activity.of(table, PEOPLE["customer_id"], AS_OF)


def audience(name: str, include: Rule, exclude: Rule | None = None) -> Definition:
    return Definition(
        name, "Somebody.", include, exclude, None, (Platform.META,), "daily", 0.0, f"{name}.yaml"
    )


def test_unknown_is_not_true_and_not_is_everybody_else():
    assert answered(where("orders > 2")) == "bd"
    assert answered(where("not orders > 2")) == "a"
    assert answered(Not(where("orders > 2"))) == "ac"
    assert answered(Not(where("not orders > 2"))) == "bcd"
    assert answered(where("predicted_ltv > 0")) == "ad"


def test_a_segment_is_meant_by_its_name_as_it_is():
    assert answered(InSegment("loyal")) == "bd"
    assert answered(InSegment("it's")) == "a"
    assert answered(Not(InSegment("loyal"))) == "ac"


@pytest.mark.parametrize("name", ["' or true --", "renamed"])
def test_a_segment_without_anybody_is_no_answer_because_leaving_it_out_would_let_everybody_in(name: str):
    with pytest.raises(EvaluationError, match="nobody is in a segment"):
        answered(Not(InSegment(name)))


def test_a_list_means_those_of_it_who_are_in_the_profile():
    lists = {"friends": pl.Series(["d", "a", "elsewhere"]), "nobody": pl.Series([], dtype=pl.String)}

    assert answered(InList("friends"), lists=lists) == "ad"
    assert answered(InList("nobody"), lists=lists) == ""
    with pytest.raises(EvaluationError, match="there is no list gone"):
        answered(InList("gone"), lists=lists)


def test_conditions_of_all_kinds_compose():
    rule = AnyOf((AllOf((InSegment("loyal"), Not(where("orders > 6")))), Did("search", at_most=1)))

    assert answered(rule, activity=activity()) == "ab"


def test_events_cannot_be_asked_for_without_activity():
    with pytest.raises(EvaluationError, match="activity was not loaded"):
        answered(Did("search"))


def test_activity_of_another_profile_is_refused():
    with (
        pytest.raises(EvaluationError, match="another profile"),
        evaluator(PEOPLE.head(2), [Did("search")], activity=activity()),
    ):
        pass


def test_a_file_answers_as_the_table_in_it(tmp_path: Any):
    path = tmp_path / "profile.parquet"
    PEOPLE.write_parquet(path, row_group_size=2)
    rule = AnyOf((where("orders > 6 or predicted_ltv > 0"), InList("some")))

    with evaluator(path, [rule], lists={"some": pl.Series(["c"])}) as asked:
        assert names(asked, rule) == answered(rule, lists={"some": pl.Series(["c"])}) == "acd"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The conditions that reach the database."""
    reached: list[str] = []
    plain = profile_table.asked

    def noted(connection: Any, query: str, criterion: Criterion, values: Any = ()) -> Any:
        reached.append(criterion.sql)
        return plain(connection, query, criterion, values)

    with monkeypatch.context() as patched:
        patched.setattr(profile_table, "asked", noted)
        patched.setattr(activity_counts, "asked", noted)
        yield reached


def test_a_condition_that_audiences_share_is_computed_once(monkeypatch: pytest.MonkeyPatch):
    shared = where("orders > 2")
    audiences = Definitions(
        tuple(audience(f"a{n}", AllOf((shared, where(f"orders < {n % 3}"))), Not(shared)) for n in range(12)),
        (Suppression("some", "They are suppressed.", where("orders > 2")),),
    )

    with counted(monkeypatch) as reached:
        found = list(selections(PEOPLE, audiences))

    assert len(found) == 12
    assert len(reached) == len(set(reached)) == 4


def test_windows_of_an_event_share_one_look_at_its_properties(monkeypatch: pytest.MonkeyPatch):
    from audience_pipeline.audiences.activity import PROPERTIES

    shoes = compile_where("category is null", PROPERTIES)
    dids = [Did("search", times, None, days, shoes) for times in (1, 2) for days in (7, 30, None)]

    with counted(monkeypatch) as reached, evaluator(PEOPLE, dids, activity=activity()) as asked:
        found = [names(asked, did) for did in dids]

    assert found == ["ab"] * 3 + ["b"] * 3
    assert len(reached) == 1


def test_a_rule_altered_by_hand_is_answered_too():
    with evaluator(PEOPLE, [where("orders > 6")], activity=activity()) as asked:
        assert names(asked, where("orders > 0")) == "abd"
        assert names(asked, Did("search", at_least=2)) == "b"
        assert asked.computed == 2


def test_what_cannot_be_answered_fails_for_every_audience_that_asks_and_for_no_other():
    audiences = Definitions(
        (
            audience("first", where("carts_90d > 1")),
            audience("second", AnyOf((where("orders > 2"), where("carts_90d > 1")))),
            audience("third", where("orders > 2")),
            audience("fourth", AllOf((In("third"), Not(In("first"))))),
        )
    )

    found = {one.audience.name: one for one in attempts(PEOPLE, audiences)}

    assert [name for name, one in found.items() if isinstance(one, NotEvaluated)] == [
        "first",
        "second",
        "fourth",
    ]
    assert "the profile has no field carts_90d" in getattr(found["second"], "reason", "")
    with pytest.raises(EvaluationError, match="the audience first cannot be evaluated"):
        list(selections(PEOPLE, audiences))


def test_a_suppression_rule_that_cannot_be_answered_fails_where_it_applies():
    rules = (Suppression("rivals", "They watch us.", where("is_competitor")),)
    free = Definition("free", "x", where("orders > 2"), None, (), (Platform.META,), "daily", 0.0, "free.yaml")

    found = {
        one.audience.name: one
        for one in attempts(PEOPLE, Definitions((audience("bound", where("orders > 2")), free), rules))
    }

    assert isinstance(found["bound"], NotEvaluated)
    assert not isinstance(found["free"], NotEvaluated)
    assert np.count_nonzero(found["free"].members) == 2


@pytest.mark.parametrize("few", [0, 2, 1_000])
def test_texts_are_compared_as_texts_however_they_are_kept(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, few: int
):
    """Kept as numbers of their values, they must not be compared by those numbers."""
    monkeypatch.setattr(profile_table, "FEW_VALUES", few)
    texts = ["zoe", "Ada", None, "it's ö", "adam", "", "b" * 40, "zoe"]
    people = pl.DataFrame({"customer_id": list("abcdefgh"), "country": texts})
    people.write_parquet(tmp_path / "profile.parquet")
    asked = [
        "country >= 'adam'", "country < 'b'", "country in ('zoe', 'nobody', 'Ada')", "country <> 'zoe'",
        "country is null", "lower(country) = 'ada'", "country like 'ad%'", "country = ''",
        "country between 'a' and 'c'", "not country = 'zoe'", "length(country) > 5",
        "coalesce(country, 'none') = 'none'", "country = 'it''s ö'",
    ]  # fmt: skip
    rules = [where(text) for text in asked]

    with evaluator(tmp_path / "profile.parquet", rules) as stored, evaluator(people, rules) as plain:
        found = [stored.mask(rule, {}).tolist() for rule in rules]
        assert found == [plain.mask(rule, {}).tolist() for rule in rules]

    assert found[0] == [bool(text and text >= "adam") for text in texts]
    assert found[2] == [text in ("zoe", "Ada") for text in texts]
