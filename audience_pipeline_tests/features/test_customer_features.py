from __future__ import annotations

import statistics
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.customers.orders import ORDERS_SCHEMA
from audience_pipeline.features.activity import activity_features
from audience_pipeline.features.catalogue import ACTIVITY_FEATURES, FEATURES, FEATURES_SCHEMA
from audience_pipeline.features.customer_features import customer_features

FIRST = date(2025, 1, 1)
AS_OF = date(2025, 12, 31)
KEYS = ["customer_id", "as_of"]
ACTIVITY_SCHEMA = {
    "customer_id": pl.String,
    "activity_date": pl.Date,
    "activity": pl.String,
    "events": pl.Int64,
}


def row(day: int, amount: int, **fields: Any) -> dict[str, Any]:
    return {
        "customer_id": "a",
        "order_id": f"o{day}",
        "order_date": FIRST + timedelta(days=day),
        "kind": "order" if amount > 0 else "return",
        "amount_minor": amount,
        "lines": 1,
        "categories": [],
    } | fields


def table(*rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.DataFrame(list(rows), schema=ORDERS_SCHEMA).lazy()


def activity(*rows: tuple[int, str, int]) -> pl.LazyFrame:
    return pl.DataFrame(
        [("a", FIRST + timedelta(days=day), kind, events) for day, kind, events in rows],
        schema=ACTIVITY_SCHEMA,
        orient="row",
    ).lazy()


def features_at(day: int, *rows: dict[str, Any], **options: Any) -> dict[str, Any]:
    (found,) = (
        customer_features(table(*rows), FIRST + timedelta(days=day), **options)
        .filter(pl.col("customer_id") == "a")
        .collect()
        .to_dicts()
    )
    return found


def shop(customers: int, seed: int = 3) -> pl.DataFrame:
    """Orders like a shop's: skewed values and rhythms, returns, several categories, odd columns empty."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day = int(rng.integers(0, 200))
        for order in range(1 + rng.poisson(rng.gamma(1.0, 4.0))):
            value = int(np.exp(rng.normal(8, 1.2))) + 1
            chosen = sorted(rng.choice(["bags", "home", "shoes", "toys"], rng.integers(0, 4), replace=False))
            rows.append(
                row(day, value, customer_id=f"c{number}", order_id=f"{number}-{order}", categories=chosen)
                | {
                    "top_category": chosen[0] if chosen else None,
                    "lines": int(rng.integers(1, 9)),
                    "hour": int(rng.integers(0, 24)) if number % 3 else None,
                    "channel": [None, "web", "shop"][number % 3],
                    "units_milli": int(rng.integers(1, 9)) * 500 if number % 5 else None,
                    "discount_minor": max(0, int(rng.normal(0, 900))) if number % 4 else None,
                }
            )
            if rng.random() < 0.2:
                gone = day + int(rng.integers(0, 20))
                rows.append(row(gone, -value // 2, customer_id=f"c{number}", order_id=f"{number}-{order}"))
            day += int(rng.integers(0, 60))
    return pl.DataFrame(rows, schema=ORDERS_SCHEMA)


def shop_activity(customers: int) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    kinds = ["web:page_view", "web:product_view", "web:add_to_cart", "engagement:email_open"]
    size = customers * 6
    return pl.DataFrame(
        {
            "customer_id": [f"c{number}" for number in rng.integers(0, customers, size)],
            "activity_date": [FIRST + timedelta(days=int(day)) for day in rng.integers(0, 420, size)],
            "activity": rng.choice(kinds, size).tolist(),
            "events": rng.integers(1, 5, size).tolist(),
        },
        schema=ACTIVITY_SCHEMA,
    )


def test_the_catalogue_describes_every_column_in_its_order() -> None:
    found = customer_features(table(row(0, 100)), AS_OF).collect()

    assert found.schema == FEATURES_SCHEMA
    assert found.columns[2:] == [feature.name for feature in FEATURES]
    assert all(feature.description for feature in FEATURES)


def test_money_and_counts_of_a_customer() -> None:
    found = features_at(
        100,
        row(0, 1000, lines=3, categories=["home", "toys"], top_category="toys", hour=9, channel="web"),
        row(0, 400, order_id="second", categories=["home"], top_category="home", hour=8),
        row(40, 600, categories=["toys"], top_category="toys"),
        row(50, -250, order_id="r"),
        row(90, 800, categories=["toys"], top_category="toys"),
    )

    assert found["first_order"] == FIRST
    assert found["age_days"] == 100
    assert found["recency_days"] == 10
    assert (found["orders"], found["returns"]) == (4, 1)
    assert (found["observed_minor"], found["sales_minor"], found["returns_minor"]) == (2550, 2800, -250)
    assert found["return_share"] == pytest.approx(250 / 2800)
    assert (found["first_order_minor"], found["first_order_lines"]) == (1400, 4)
    assert (found["first_order_categories"], found["first_category"]) == (2, "toys")
    assert (found["channel"], found["first_order_hour"]) == ("web", 8)
    assert found["order_value_mean_minor"] == 700
    assert found["order_value_std_minor"] == pytest.approx(statistics.stdev([1000, 400, 600, 800]))
    assert (found["order_value_max_minor"], found["order_value_last_minor"]) == (1000, 800)
    assert found["days_between_orders_mean"] == 45
    assert found["days_between_orders_std"] == pytest.approx(statistics.stdev([40, 50]))
    assert found["recency_ratio"] == pytest.approx(10 / 45)
    assert (found["orders_30d"], found["orders_90d"], found["orders_180d"]) == (1, 2, 4)
    assert (found["net_30d_minor"], found["net_60d_minor"]) == (800, 550)
    assert (found["categories"], found["top_category_share"]) == (2, pytest.approx(3 / 5))
    assert (found["last_category"], found["top_category"]) == ("toys", "toys")
    assert found["purchase_days"] == 3


def test_rhythm_beyond_its_mean() -> None:
    found = features_at(100, row(0, 100), row(0, 100, order_id="again"), row(10, 100), row(70, 100))
    once = features_at(100, row(0, 100), row(20, -50))

    assert (found["days_to_second_order"], found["longest_gap_days"]) == (10, 60)
    assert found["gap_variation"] == pytest.approx(statistics.stdev([10, 60]) / 35)
    assert found["recency_to_longest_gap"] == pytest.approx(30 / 60)
    assert found["favourite_weekday_share"] == pytest.approx(2 / 3)  # day 70 is a multiple of a week
    assert found["days_since_return"] is None
    assert once["days_since_return"] == 80
    for name in ("days_to_second_order", "longest_gap_days", "gap_variation", "recency_to_longest_gap"):
        assert once[name] is None


def test_the_later_half_of_the_time_against_all_of_it() -> None:
    rows = (row(0, 100), row(50, 300), row(51, 600))

    found, first_day = features_at(100, *rows), features_at(0, *rows)

    assert (found["late_orders_share"], found["late_sales_share"]) == (pytest.approx(1 / 3), 0.6)
    assert (first_day["late_orders_share"], first_day["late_sales_share"]) == (None, None)


def test_baskets_are_counted_in_lines_and_pieces() -> None:
    found = features_at(9, row(0, 100, lines=3, units_milli=2500), row(5, 100, lines=2), row(6, 100))

    assert found["lines_mean"] == 2
    assert found["units_mean"] == 2.5
    assert features_at(9, row(0, 100))["units_mean"] is None


def test_discounts_are_shares_of_the_price_without_them() -> None:
    found = features_at(
        9, row(0, 900, discount_minor=100), row(5, 300, discount_minor=700), row(6, 1000, discount_minor=0)
    )
    unknown = features_at(9, row(0, 900))

    assert found["first_order_discount_share"] == pytest.approx(0.1)
    assert found["discount_share"] == pytest.approx(800 / 3000)
    assert found["discounted_share"] == pytest.approx(2 / 3)
    for name in ("first_order_discount_share", "discount_share", "discounted_share"):
        assert unknown[name] is None


def test_seasons_are_points_on_a_circle() -> None:
    found = features_at(31 + 28 + 31 + 2, row(0, 100))

    assert found["first_order_quarter_sin"] == pytest.approx(1)
    assert found["as_of_quarter_cos"] == pytest.approx(-1)
    assert found["as_of_month_sin"] == pytest.approx(np.sin(2 * np.pi * 4 / 12))
    assert found["first_order_month_cos"] == pytest.approx(np.cos(2 * np.pi / 12))
    assert found["first_order_weekday_sin"] == pytest.approx(np.sin(2 * np.pi * 3 / 7))


def test_the_category_of_the_latest_day_and_the_one_in_most_orders() -> None:
    rows = (
        row(0, 100, categories=["home", "toys"], top_category="toys"),
        row(5, 100, categories=["home"], top_category="home"),
        row(9, 300, categories=["bags"], top_category="bags"),
        row(9, 300, order_id="b", categories=["art"], top_category="art"),
    )

    assert features_at(4, *rows)["top_category"] == "home"
    assert features_at(9, *rows)["top_category"] == "home"
    assert features_at(9, *rows)["last_category"] == "art"
    assert features_at(9, row(0, 5))["top_category"] is None
    assert features_at(9, *rows, row(9, 900, order_id="c"))["last_category"] == "art"


def test_the_spread_of_giant_orders_is_exact() -> None:
    amounts = [10**14, 3 * 10**14 + 1, 7]

    found = features_at(9, *(row(day, amount) for day, amount in enumerate(amounts)))

    assert found["order_value_std_minor"] == pytest.approx(statistics.stdev(amounts), rel=1e-15)


def test_orders_without_the_latest_columns_of_the_table_have_features_too() -> None:
    older = table(row(0, 100)).drop("units_milli", "discount_minor")

    assert (
        customer_features(older, AS_OF)
        .collect()
        .equals(customer_features(table(row(0, 100)), AS_OF).collect())
    )


def test_a_window_ends_with_the_day_itself() -> None:
    rows = (row(0, 100), row(10, 200), row(39, 400))

    assert features_at(39, *rows)["net_30d_minor"] == 600
    assert features_at(40, *rows)["net_30d_minor"] == 400


def test_an_order_over_two_days_is_one_order_and_grows_on_the_second() -> None:
    rows = (row(0, 100), row(5, 300, order_id="long"), row(6, 500, order_id="long"))

    before, after = features_at(5, *rows), features_at(6, *rows)

    assert (before["orders"], before["order_value_max_minor"]) == (2, 300)
    assert (after["orders"], after["order_value_max_minor"]) == (2, 800)


def test_the_first_year_ends_after_365_days() -> None:
    rows = (row(0, 100), row(364, 200), row(365, 400))

    assert features_at(500, *rows)["first_year_minor"] == 300


def test_one_order_has_no_rhythm() -> None:
    found = features_at(30, row(0, 100))

    assert found["order_value_std_minor"] is None
    assert found["days_between_orders_mean"] is None
    assert found["days_between_orders_std"] is None
    assert found["recency_ratio"] is None


def test_customers_appear_with_their_first_order() -> None:
    rows = table(row(10, 100))

    assert customer_features(rows, FIRST + timedelta(days=9)).collect().is_empty()
    assert customer_features(rows, FIRST + timedelta(days=10)).collect()["age_days"].to_list() == [0]


def test_a_customer_may_be_looked_at_on_several_days() -> None:
    days = pl.DataFrame(
        {"customer_id": ["a", "a", "a", "b"], "as_of": [FIRST + timedelta(days=d) for d in (0, 9, 99, 5)]}
    )

    found = customer_features(table(row(5, 100), row(50, 200)), days.lazy()).collect().sort(KEYS)

    assert found["age_days"].to_list() == [4, 94]
    assert found["observed_minor"].to_list() == [100, 300]


def test_activity_counts_in_windows() -> None:
    events = activity(
        (5, "web:product_view", 2),
        (95, "web:page_view", 3),
        (99, "web:add_to_cart", 1),
        (99, "engagement:email_open", 4),
        (101, "web:page_view", 9),
    )

    found = features_at(100, row(0, 100), activity=events)

    assert [found[f"web_events_{days}d"] for days in (7, 30, 90)] == [4, 4, 4]
    assert (found["product_views_90d"], found["carts_90d"]) == (0, 1)
    assert (found["email_opens_90d"], found["email_clicks_90d"]) == (4, 0)
    assert found["days_since_visit"] == 1


def test_without_activity_its_columns_are_unknown_and_without_events_they_are_zero() -> None:
    unknown = features_at(5, row(0, 100))
    none = features_at(5, row(0, 100), activity=activity())

    assert all(unknown[feature.name] is None for feature in ACTIVITY_FEATURES)
    assert none["web_events_90d"] == 0
    assert none["days_since_visit"] is None


def test_properties_of_events_and_what_was_bought_change_no_feature() -> None:
    rows, events = shop(40), shop_activity(40)
    by_device = pl.concat([events.with_columns(device=pl.lit(name)) for name in ("mobile", "desktop")])
    sold = events.select(
        pl.all().exclude("activity"),
        activity=pl.lit("shop:item_bought"),
        device=pl.lit(None, dtype=pl.String),
    )
    twice = events.with_columns(pl.col("events") * 2)

    expected = customer_features(rows.lazy(), AS_OF, twice.lazy()).collect().sort(KEYS)
    mart = pl.concat([by_device, sold.select(by_device.columns)])

    assert customer_features(rows.lazy(), AS_OF, mart.lazy()).collect().sort(KEYS).equals(expected)
    nobody = activity_features(sold.lazy(), AS_OF).collect()
    assert nobody.is_empty()


def test_future_rows_move_nothing() -> None:
    rows, events = shop(60), shop_activity(60)
    past = rows.filter(pl.col("order_date") <= AS_OF)
    later = past.with_columns(
        pl.lit(AS_OF + timedelta(days=1)).alias("order_date"), pl.col("amount_minor") * 1000
    )
    planted = pl.concat([past, later])
    busier = pl.concat(
        [events, events.with_columns(pl.lit(AS_OF + timedelta(days=1)).alias("activity_date"))]
    )

    expected = customer_features(past.lazy(), AS_OF, events.lazy()).collect().sort(KEYS)
    found = customer_features(planted.lazy(), AS_OF, busier.lazy()).collect().sort(KEYS)

    assert found.equals(expected)


def test_snapshots_equal_the_features_of_their_day() -> None:
    rows, events = shop(40), shop_activity(40)
    days = [FIRST + timedelta(days=day) for day in (50, 150, 300)]
    asked = pl.DataFrame({"customer_id": rows["customer_id"].unique()}).join(
        pl.DataFrame({"as_of": days}), how="cross"
    )

    together = customer_features(rows.lazy(), asked.lazy(), events.lazy()).collect().sort(KEYS)
    apart = pl.concat(customer_features(rows.lazy(), day, events.lazy()).collect() for day in days)

    assert together.equals(apart.sort(KEYS))


def test_every_way_of_cutting_the_work_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, events = shop(150), shop_activity(150)
    whole = customer_features(rows.lazy(), AS_OF, events.lazy()).collect().sort(KEYS)
    monkeypatch.setattr("audience_pipeline.features.customer_features.ROWS_AT_ONCE", 200)
    monkeypatch.setattr("audience_pipeline.customers.arrays._FEW", 10)
    in_parts = customer_features(rows.lazy(), AS_OF, events.lazy()).collect()
    monkeypatch.undo()

    reversed_rows = customer_features(rows.reverse().lazy(), AS_OF, events.reverse().lazy()).collect()
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1).lazy()
    streamed = customer_features(shuffled, AS_OF, events.lazy()).collect(engine="streaming")
    alone = pl.concat(
        customer_features(part.lazy(), AS_OF, events.lazy()).collect()
        for part in rows.partition_by("customer_id")
    )

    for other in (reversed_rows, streamed, alone, in_parts):
        assert other.sort(KEYS).equals(whole)


ROWS = st.lists(
    st.builds(
        row,
        day=st.integers(0, 420),
        amount=st.integers(-(10**9), 10**9).filter(bool),
        customer_id=st.sampled_from(["a", "b", "c"]),
        order_id=st.sampled_from(["1", "2", "3"]),
        categories=st.sampled_from([[], ["home"], ["home", "toys"]]),
        top_category=st.sampled_from([None, "home", "toys"]),
        channel=st.sampled_from([None, "web"]),
        hour=st.sampled_from([None, 0, 23]),
        units_milli=st.sampled_from([None, 500, 10**12]),
        discount_minor=st.sampled_from([None, 0, 99]),
    ),
    max_size=25,
    unique_by=lambda r: (r["customer_id"], r["order_id"], r["order_date"], r["kind"]),
)


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, mixed=st.randoms(use_true_random=False))
def test_neither_order_nor_engine_nor_company_matters(rows: list[dict[str, Any]], mixed: Any) -> None:
    whole = customer_features(table(*rows), AS_OF).collect().sort(KEYS)
    mixed.shuffle(rows)

    streamed = customer_features(table(*rows), AS_OF).collect(engine="streaming").sort(KEYS)
    alone = customer_features(table(*rows).filter(pl.col("customer_id") == "a"), AS_OF).collect()

    assert streamed.equals(whole)
    assert alone.equals(whole.filter(pl.col("customer_id") == "a"))
