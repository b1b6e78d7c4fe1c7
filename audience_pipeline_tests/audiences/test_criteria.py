from __future__ import annotations

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.audiences import gathered
from audience_pipeline.audiences.criteria import CriterionError, compile_where
from audience_pipeline.audiences.evaluation import EvaluationError, profile_table
from audience_pipeline.audiences.fields import DTYPES, FIELDS

PEOPLE = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "orders": [1, 5, 10, None],
        "segment": ["Loyal", "it's new", None, "100%"],
        "has_email": [True, False, True, True],
        "first_order": [pl.date(2026, 1, 1), pl.date(2026, 2, 1), None, pl.date(2026, 3, 1)],
        "predicted_ltv": [10.0, 0.1, float("nan"), 300.0],
        "churn_risk": ["new", "active", "lost", None],
        "ltv_quintile": [1, 2, 5, None],
    },
    strict=False,
).with_columns(pl.Series("first_order", ["2026-01-01", "2026-02-01", None, "2026-03-01"]).str.to_date())


def matching(text: str) -> str:
    criterion = compile_where(text, FIELDS)
    with profile_table(PEOPLE, criterion.fields) as table:
        return "".join(PEOPLE["customer_id"].filter(pl.Series(table.matches(criterion))))


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(CriterionError) as caught:
        compile_where(text, FIELDS)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders > 1", "bc"),
        ("ORDERS >= 5 and not has_email", "b"),
        ("orders between 1 and 5", "ab"),
        ("orders not between 1 and 5", "c"),
        ("orders in (1, 10)", "ac"),
        ("orders not in (1, 10)", "b"),
        ("orders is null", "d"),
        ("orders is not null and has_email is true", "ac"),
        ("coalesce(orders, 0) = 0", "d"),
        ("orders * 2 - 1 > 9 or orders / 2 < 1", "ac"),
        ("orders > -1.5e0", "abc"),
        ("segment = 'it''s new'", "b"),
        ("segment like 'L%'", "a"),
        ("segment not ilike 'l%'", "bd"),
        ("lower(segment) = 'loyal' or contains(segment, '%')", "ad"),
        ("starts_with(segment, 'it') or ends_with(segment, 'al')", "ab"),
        ("length(segment) = 4", "d"),
        ("first_order >= '2026-02-01'", "bd"),
        ("first_order between date '2026-01-01' and '2026-01-31'", "a"),
        ("predicted_ltv > 5", "ad"),
        ("churn_risk in ('new', 'lost')", "ac"),
        ("ltv_quintile = 1", "a"),
        ("has_email = false", "b"),
        ('"orders" = 1 -- a remark', "a"),
        ("true", "abcd"),
        ("orders = 1 or (orders = 5 and (has_email or segment is not null))", "ab"),
    ],
)
def test_a_condition_selects_whom_it_says(text: str, expected: str):
    assert matching(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ltv_quintil = 1", "unknown field 'ltv_quintil' (did you mean ltv_quintile?)"),
        ("return_share > 30", "return_share lies between 0 and 1: write 0.3 for 30 %"),
        (
            "repeat_probability between 0.5 and 90",
            "repeat_probability lies between 0 and 1: write 0.9 for 90 %",
        ),
        ("country = DE", "unknown field 'DE'; a text stands in single quotes: 'shoes'"),
        ('country = "DE"', "unknown field 'DE'; a text stands in single quotes: 'shoes'"),
        ("ltv_quintile = 6", "ltv_quintile is never '6'; it is one of 1, 2, 3, 4, 5"),
        ("churn_risk = 'gone'", "churn_risk is never 'gone'; it is one of new, active, at_risk, lost"),
        ("orders = '1'", "orders is a number and cannot be compared with a text"),
        ("segment = 1", "segment is a text and cannot be compared with a number"),
        ("segment in ('a', 2)", "segment is a text and cannot be compared with a number"),
        ("first_order > 'yesterday'", "'yesterday' is not a day: write '2026-01-31'"),
        ("first_order = '2026-02-30'", "'2026-02-30' is not a day: write '2026-01-31'"),
        ("orders = null", "nothing equals null: write orders is null"),
        ("has_email > false", "a yes-or-no value cannot be compared by >: use = or <>"),
        ("orders", "the condition is a number, not a yes or no: compare it with something"),
        ("orders and has_email", "and needs a yes or no, and orders is a number"),
        ("not orders", "not needs a yes or no, and orders is a number"),
        ("orders / 0 = 1", "a condition can divide only by a number other than 0"),
        ("orders = 1e999", "'1e999' is not a number between -1e15 and 1e15"),
        ("orders like 'x'", "like needs a text, and orders is a number"),
        ("segment like '%a%b%c%d%e%'", "a pattern of like may have 5 % at most"),
        ("", "the condition is empty"),
        ("orders in ()", "in needs a list of values: in ('a', 'b')"),
        ("orders between symmetric 2 and 1", "this form of between is not supported (symmetric)"),
    ],
)
def test_a_mistake_is_explained(text: str, message: str):
    assert message in problems(text)


def test_every_mistake_of_a_condition_is_told():
    assert len(problems("ordrs = 1 or churn_risk = 'x' or ltv_quintile = 7 or segment = 3")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "1=1; drop table profile",
        "exists (select 1)",
        "orders = (select max(orders) from profile)",
        "orders in (select 1)",
        "read_csv('/etc/passwd')",
        "getenv('HOME') = 'x'",
        "segment = read_text('/etc/passwd')",
        "sum(orders) > 1",
        "row_number() over () = 1",
        "profile.orders = 1",
        "information_schema.tables = 1",
        "orders::varchar = '1'",
        "cast(segment as integer) = 1",
        "try_cast(segment as date) = '2026-01-01'",
        "case when true then true end",
        "orders = ?",
        "orders = $1",
        "segment = E'\\x41'",
        "segment = $$x$$",
        "customer_id = 'a'",
        "orders = 1 union select 1",
        "segment similar to 'x'",
        "regexp_matches(segment, '(a+)+$')",
        "repeat(segment, 1000000) = 'x'",
        "list_transform([1], x -> x) = [1]",
        "{'a': 1}.a = 1",
        "columns(*) = 1",
        "* = 1",
        "orders = 1 as x",
        "segment = 'a\x00b'",
        "_row = 1",
        "'abc",
        "(orders = 1",
        "orders = 1)",
        "\\",
        "orders = 1 /* never closed",
    ],
)
def test_nothing_but_a_plain_condition_is_accepted(text: str):
    assert problems(text)


def test_text_cannot_leave_its_quotes():
    for hostile in ("'; drop table profile; --", "' or true --", "\\' or true --", "x' or '1'='1"):
        quoted = hostile.replace("'", "''")

        assert matching(f"segment = '{quoted}'") == ""


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40).filter(lambda text: "\x00" not in text))
def test_any_text_is_compared_as_it_is(text: str):
    people = pl.DataFrame({"customer_id": ["a", "b"], "segment": [text, text + "x"]})
    criterion = compile_where("segment = '" + text.replace("'", "''") + "'", FIELDS)

    with profile_table(people, criterion.fields) as table:
        assert table.matches(criterion).tolist() == [True, False]


WORDS = (
    "orders", "segment", "has_email", "first_order", "'x'", "1", "(", ")", "and", "or", "not", "in",
    "between", "is", "null", "like", "=", "<", "-", "*", "/", ",", "true", "date", "coalesce(", "lower(", ";",
    "select", "--", "x y", "'2026-01-01'",
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_what_is_accepted_can_be_computed(words: list[str]):
    try:
        criterion = compile_where(" ".join(words), FIELDS)
    except CriterionError:
        return
    with profile_table(PEOPLE, criterion.fields) as table:
        assert len(table.matches(criterion)) == PEOPLE.height


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(f"orders > {n}" for n in range(10_000)),
        " and ".join(f"(orders <> {n} or returns > {n})" for n in range(5_000)),
        " or ".join(["orders = 1"] * 40_000),
        "(" * 500 + "orders = 1" + ")" * 500,
        "not " * 500 + "has_email",
        "- " * 500 + "orders = 1",
        "orders = 1" + " = true" * 3_000,
        "orders + " * 3_000 + "1 = 3",
        "segment like " * 3_000 + "'x'",
        "orders is " * 3_000 + "null",
        "lower(" * 300 + "segment" + ")" * 300 + " = 'x'",
        "orders in (" + ", ".join(map(str, range(30_000))) + ")",
        "segment = '" + "x" * 5_000 + "'",
        "x" * 200_000,
    ],
)
def test_a_huge_condition_is_refused_with_a_reason(text: str):
    (message, *_) = problems(text)

    assert len(message) < 400


def test_a_large_but_sensible_condition_is_answered():
    assert matching(" or ".join(f"orders = {n}" for n in range(5, 1_000))) == "bc"
    assert matching(f"orders in ({', '.join(map(str, range(5, 9_000)))})") == "bc"


def test_ten_thousand_values_joined_by_or_are_one_term():
    assert matching(" or ".join(f"orders = {n}" for n in range(5, 10_005))) == "bc"
    assert matching(" and ".join(f"orders <> {n}" for n in range(5, 10_005))) == "a"
    assert matching(" or ".join(f"segment = 'it''s {n}'" for n in range(10_000)) + " or orders = 1") == "a"


def test_a_mistake_among_ten_thousand_values_is_told_once():
    values = " or ".join(f"churn_risk = '{risk}'" for risk in ["new"] * 5_000 + ["gone"] * 5_000)

    assert problems(values) == ("churn_risk is never 'gone'; it is one of new, active, at_risk, lost",)


TERMS = st.sampled_from(
    [
        *(
            f"{field} {sign} {n}"
            for field in ("orders", "ltv_quintile")
            for sign in ("=", "<>")
            for n in (1, 5)
        ),
        *(f"segment {sign} '{text}'" for sign in ("=", "<>") for text in ("Loyal", "100%", "it''s new")),
        "first_order = '2026-01-01'",
        '"orders" = 5',
        "ORDERS = 10",
        "orders is null",
        "has_email = true",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(TERMS, min_size=1, max_size=10), st.sampled_from([" or ", " and "]), st.booleans())
def test_gathering_values_changes_nobody(terms: list[str], word: str, negated: bool):
    text = f"{'not ' if negated else ''}({word.join(terms)})"
    as_written = matching(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathered, "MANY", 1)
        assert matching(text) == as_written


def test_letters_that_only_look_latin_are_pointed_out():
    assert problems("\u043erders = 1") == (
        "unknown field '\\u043erders'; it contains U+043E (did you mean orders?)",
    )
    assert "U+200B" in problems("orders\u200b = 1")[0]


def test_a_message_never_repeats_what_looks_like_an_identifier():
    hostile = "max.mustermann@example.com"
    for text in (
        f"churn_risk = '{hostile}'",
        f"segment = 3 and '{hostile}",
        "churn_risk = '+49 170 1234567'",
        f"first_order = '{hostile}'",
        f'"{hostile}" = 1',
    ):
        said = " ".join(problems(text))
        assert "mustermann" not in said
        assert "1234567" not in said


def test_every_field_can_be_asked_for_being_empty():
    for name, field in FIELDS.items():
        people = pl.DataFrame({"customer_id": ["a"], name: pl.Series([None], dtype=DTYPES[field.type])})
        criterion = compile_where(f"{name} is null", FIELDS)
        with profile_table(people, criterion.fields) as table:
            assert table.matches(criterion).tolist() == [True]


def test_a_field_that_the_profile_lacks_is_named():
    criterion = compile_where("carts_90d > 0 or carts_90d <= 0", FIELDS)

    with profile_table(PEOPLE, criterion.fields) as table, pytest.raises(EvaluationError, match="carts_90d"):
        table.matches(criterion)


def test_the_database_is_locked():
    criterion = compile_where("orders = 1", FIELDS)
    with profile_table(PEOPLE, criterion.fields) as table:
        for statement in (
            "select * from read_csv('/etc/passwd')",
            "copy profile to '/tmp/stolen.csv'",
            "set enable_external_access = true",
            "install httpfs",
            "attach '/tmp/other.db'",
        ):
            with pytest.raises(duckdb.Error):
                table.connection.execute(statement)


def test_a_condition_that_fails_is_named_without_its_values():
    from audience_pipeline.audiences.criteria import Criterion

    broken = Criterion("cast('max@example.com' as integer) = 1", frozenset({"orders"}))

    with profile_table(PEOPLE, ["orders"]) as table, pytest.raises(EvaluationError, match="orders") as caught:
        table.matches(broken)
    assert "max@" not in str(caught.value)
