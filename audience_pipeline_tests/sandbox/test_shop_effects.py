from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from audience_pipeline.sandbox.shop import ShopFiles, ShopParameters, make_shop
from audience_pipeline.sandbox.shop.frames import TRANSACTIONS

CUSTOMERS = 2_000


def text(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def shop_with(tmp_path: Path, **effects: Any) -> tuple[ShopFiles, pl.DataFrame]:
    shop = make_shop(tmp_path / "shop", ShopParameters(**{"customers": CUSTOMERS, **effects}))
    return shop, pl.read_parquet(shop.customers)


def explained(groups: pl.Series, values: pl.Series) -> float:
    """Share of the variance of values between groups, beyond what chance alone explains."""
    frame = pl.DataFrame({"group": groups, "value": values})
    means = frame.group_by("group").agg(pl.col("value").mean().alias("mean"), pl.len())
    between = ((means["mean"] - frame["value"].mean()) ** 2 * means["len"]).sum() / len(frame)
    return between / frame["value"].var() - (len(means) - 1) / len(frame)


def future_spend(truth: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """First orders with the logarithm of what came after them in the first year."""
    joined = first.join(truth, on="customer_id")
    return joined.with_columns(later=(pl.col("ltv_12m_minor") - pl.col("cents")).clip(lower_bound=0).log1p())


def first_orders(shop: ShopFiles) -> pl.DataFrame:
    lines = text(shop.transactions).filter(pl.col("order_id").str.ends_with("-1"))
    lines = lines.with_columns(cents=pl.col("transaction_amount").cast(pl.Float64, strict=False) * 100)
    lines = lines.filter(pl.col("cents").is_finite(), pl.col("cents") > 0).drop_nulls("customer_id")
    return lines.group_by("customer_id", maintain_order=True).agg(
        pl.col("cents").sum(),
        pl.len().alias("lines"),
        category=pl.col("product_category").first(),
        hour=pl.col("transaction_date").first().str.slice(11, 2).cast(pl.Int32) // 6,
        channel=pl.col("channel").first(),
    )  # fmt: skip


@pytest.mark.parametrize("sign", ["category", "channel", "hour"])
def test_signs_tell_of_later_value_only_where_the_signal_is_on(sign: str, tmp_path: Path) -> None:
    loud, loud_truth = shop_with(tmp_path / "loud", signal_strength=2.0)
    silent, silent_truth = shop_with(tmp_path / "silent", signal_strength=0.0)

    heard = future_spend(loud_truth, first_orders(loud))
    missing = future_spend(silent_truth, first_orders(silent))

    assert explained(heard[sign], heard["later"]) > 0.01
    assert abs(explained(missing[sign], missing["later"])) < 0.006


def test_a_single_signal_is_switched_off_alone(tmp_path: Path) -> None:
    shop, truth = shop_with(tmp_path, category_signal=0.0, signal_strength=2.0)
    seen = future_spend(truth, first_orders(shop))

    assert abs(explained(seen["category"], seen["loyalty"])) < 0.006
    assert explained(seen["channel"], seen["loyalty"]) > 0.05


def test_an_effect_that_is_switched_off_leaves_the_orders_alone(tmp_path: Path) -> None:
    clean = {"customers": 300, "without_customer": 0.0, "bad_dates": 0.0, "bad_amounts": 0.0}
    off = dict.fromkeys(("channel_signal", "web_signal", "messiness", "return_share"), 0.0)
    keys = ("customer_id", "order_id", "transaction_date", "transaction_amount")

    one, other = (
        text(shop_with(tmp_path / str(len(effects)), **clean, **effects)[0].transactions).select(keys)
        for effects in ({}, off)
    )

    sold = ~pl.col("transaction_amount").str.starts_with("-")
    assert one.filter(sold).sort(keys).equals(other.filter(sold).sort(keys))


def test_visits_stop_with_the_customer_and_go_on_for_ever_where_nothing_lapses(tmp_path: Path) -> None:
    def after_dropping_out(shop: ShopFiles, truth: pl.DataFrame) -> int:
        web = text(shop.web_events).drop_nulls("customer_id").join(truth, on="customer_id")
        return web.filter(pl.col("event_at").str.slice(0, 10).str.to_date() > pl.col("dropped_out")).height

    fading, never = shop_with(tmp_path / "1", lapse=1.0), shop_with(tmp_path / "0", signal_strength=0.0)

    assert after_dropping_out(*fading) == 0
    assert after_dropping_out(*never) > 1_000


def test_opens_show_who_is_still_there_only_where_the_signal_is_on(tmp_path: Path) -> None:
    def open_rates(shop: ShopFiles, truth: pl.DataFrame) -> tuple[float, float]:
        mails = text(shop.engagement_events).join(truth, on="customer_id")
        day = pl.col("event_at").str.slice(0, 10).str.to_date()
        gone, opened = mails.filter(day > pl.col("dropped_out")), pl.col("event") == "email_open"
        there = mails.filter(pl.col("dropped_out").is_null() | (day <= pl.col("dropped_out")))
        sent = pl.col("event") == "email_sent"
        rates = [part.filter(opened).height / part.filter(sent).height for part in (there, gone)]
        return rates[0], rates[1]

    there, gone = open_rates(*shop_with(tmp_path / "on"))
    still, no_less = open_rates(*shop_with(tmp_path / "off", signal_strength=0.0))

    assert gone < 0.3 * there
    assert abs(still - no_less) < 0.02


def test_zero_switches_off_differences_between_customers(tmp_path: Path) -> None:
    _, truth = shop_with(
        tmp_path,
        customers=300,
        rate_spread=0.0,
        drop_out=0.0,
        regularity=0.0,
        personal_season_share=0.0,
        order_value_between=0.0,
        business_share=0.0,
        households=0.0,
    )

    assert truth["orders_per_year"].n_unique() == 1
    assert truth["dropped_out"].null_count() == 300
    assert (truth["gap_shape"] == 1.0).all()
    assert (truth["season_month"] == 0).all()
    assert truth["median_order"].n_unique() == 1
    assert not truth["is_business"].any()
    assert truth["household"].null_count() == 300
    assert truth["email"].is_unique().all()


def test_zero_switches_off_dirt_returns_and_behaviour(tmp_path: Path) -> None:
    nothing = dict.fromkeys(
        ("without_customer", "bad_dates", "bad_amounts", "unseen_returns", "return_share", "visits_per_year",
         "research_visits", "tracked_orders", "strangers_visits", "newsletter_share", "sms_share",
         "strangers", "readers", "readers_before"),
        0.0,
    )  # fmt: skip
    shop, _ = shop_with(tmp_path, customers=300, repeat_a_day=False, **nothing)
    lines = text(shop.transactions)

    assert shop.faults == dict.fromkeys(shop.faults, 0)
    assert lines.select(TRANSACTIONS).null_count().sum_horizontal().item() == 0
    assert (lines["transaction_amount"].cast(pl.Float64) > 0).all()
    assert text(shop.web_events).is_empty()
    assert text(shop.engagement_events).is_empty()
    assert pl.read_parquet(shop.population).height <= 300


def test_zero_switches_off_the_mess_of_contacts(tmp_path: Path) -> None:
    tidy = dict.fromkeys(
        ("messiness", "invalid", "placeholders", "missing_email", "missing_phone", "crm_updates",
         "readers", "readers_before", "second_accounts"),
        0.0,
    )  # fmt: skip
    shop, truth = shop_with(tmp_path, customers=300, in_crm=1.0, **tidy)
    crm = text(shop.crm).sort("customer_id")

    assert crm["customer_id"].to_list() == truth["customer_id"].to_list()
    assert crm["email"].to_list() == truth["email"].to_list()
    assert crm["phone"].to_list() == truth["phone"].to_list()


def test_more_regular_customers_have_more_even_gaps(tmp_path: Path) -> None:
    def unevenness(regularity: float) -> float:
        effects = {
            "rate_spread": 0.0,
            "drop_out": 0.0,
            "weekday": 0.0,
            "order_peak": 0.0,
            "yearly_season": 0.0,
        }
        shop, _ = shop_with(
            tmp_path / str(regularity),
            regularity=regularity,
            personal_season_share=0.0,
            orders_per_year=12.0,
            customers=300,
            **effects,
        )
        orders = text(shop.transactions).filter(~pl.col("transaction_date").str.contains("-02-31"))
        orders = orders.filter(~pl.col("transaction_amount").str.starts_with("-")).drop_nulls("customer_id")
        days = orders.group_by("customer_id", "order_id").agg(
            pl.col("transaction_date").min().str.slice(0, 10).str.to_date()
        )
        gaps = days.sort("customer_id", "transaction_date").select(
            pl.col("transaction_date").diff().dt.total_days().over("customer_id")
        )["transaction_date"]
        return float(gaps.std() / gaps.mean())

    assert unevenness(0.0) == pytest.approx(1.0, abs=0.1)
    assert unevenness(5.0) < 0.75


def test_the_season_is_in_the_orders_and_can_be_switched_off(tmp_path: Path) -> None:
    def share_of_the_peak(**effects: float) -> float:
        shop, _ = shop_with(tmp_path / str(len(effects)), growth=0.0, drop_out=0.0, **effects)
        month = text(shop.transactions)["transaction_date"].filter(
            text(shop.transactions)["transaction_date"].str.starts_with("2025")
        ).str.slice(5, 2)  # fmt: skip
        return float(month.is_in(["11", "12"]).mean())

    flat = dict.fromkeys(("order_peak", "acquisition_peak", "yearly_season", "personal_season"), 0.0)

    assert share_of_the_peak() > 1.15 * share_of_the_peak(**flat)


def test_business_buyers_order_ten_to_a_hundred_times_as_much(tmp_path: Path) -> None:
    _, truth = shop_with(tmp_path, business_share=0.05)
    private, business = truth.filter(~pl.col("is_business")), truth.filter("is_business")

    ratio = np.log10(business["median_order"].median() / private["median_order"].median())
    assert 1.2 < ratio < 1.8
