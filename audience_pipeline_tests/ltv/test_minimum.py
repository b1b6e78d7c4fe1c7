from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from audience_pipeline.ltv.minimum import MIN_CUSTOMERS, MIN_DAYS, TooLittleHistory, check_history

BEGIN = date(2024, 1, 1)


def joined(customers: int, days: int) -> pl.DataFrame:
    """Customers who come evenly, the first on the first day and the last on the last one."""
    at = [(days - 1) * number // max(customers - 1, 1) for number in range(customers)]
    return pl.DataFrame(
        {
            "customer_id": [f"c{number:05d}" for number in range(customers)],
            "first_order": [BEGIN + timedelta(days=day) for day in at],
        },
        schema={"customer_id": pl.String, "first_order": pl.Date},
    )


def last(days: int) -> date:
    return BEGIN + timedelta(days=days - 1)


def refused(customers: int, days: int) -> TooLittleHistory:
    with pytest.raises(TooLittleHistory) as found:
        check_history(joined(customers, days), last(days))
    return found.value


@pytest.mark.parametrize(
    ("customers", "days", "missing"),
    [
        (499, 800, ["499 customers have bought and 500 are needed"]),
        (5000, 150, ["orders cover 150 days and 183 are needed"]),
        (1, 1, ["1 customer has bought", "orders cover 1 day and", "0 customers have been observed"]),
        (120, 100, ["120 customers", "orders cover 100 days", "have been observed for 90 days"]),
    ],
)
def test_a_refusal_says_what_is_missing_and_when_it_suffices(
    customers: int, days: int, missing: list[str]
) -> None:
    found = refused(customers, days)

    for part in missing:
        assert part in str(found)
    assert found.suffices_on is not None
    assert found.suffices_on > last(days)
    assert str(found.suffices_on) in str(found)
    assert (found.customers, found.days) == (customers, days)


def test_nothing_else_is_said_to_be_missing() -> None:
    assert "days and" not in str(refused(499, 800))
    assert "customers have bought" not in str(refused(5000, 150))


@pytest.mark.parametrize(("customers", "days"), [(499, 800), (300, 400), (5000, 150), (700, 120)])
def test_on_the_promised_day_the_history_suffices_if_customers_come_as_before(
    customers: int, days: int
) -> None:
    found = refused(customers, days).suffices_on
    assert found is not None

    later = (found - BEGIN).days + 1
    grown = joined(-(-customers * later // days), later)

    assert check_history(grown, found).days >= 90


def test_the_least_history_is_enough() -> None:
    horizon = check_history(joined(MIN_CUSTOMERS, MIN_DAYS), last(MIN_DAYS))

    assert 90 <= horizon.days < 365


def test_customers_who_all_came_lately_have_not_been_observed_for_long_enough() -> None:
    first = joined(2000, 20).with_columns(
        pl.when(pl.col("customer_id") == "c00000").then("first_order").otherwise(
            pl.col("first_order") + pl.duration(days=230)
        ).alias("first_order")
    )  # fmt: skip

    with pytest.raises(TooLittleHistory, match="1 customer has been observed for 90 days") as found:
        check_history(first, last(250))

    assert found.value.complete == 1
    assert found.value.suffices_on is not None
    assert check_history(first, found.value.suffices_on).days == 90


def test_no_order_at_all_is_refused_without_a_promise() -> None:
    with pytest.raises(TooLittleHistory, match="no order up to 2024-01-01") as found:
        check_history(joined(0, 1), BEGIN)

    assert found.value.suffices_on is None
