"""What ties the records of a person of the synthetic shop together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pytest

from audience_pipeline.commands.demo_input import COUPONS
from audience_pipeline.sandbox.shop import ShopFiles, ShopParameters, make_shop
from audience_pipeline.sandbox.shop import links as linked
from audience_pipeline.sandbox.shop.frames import LINKED, TRANSACTIONS
from audience_pipeline.sandbox.shop.readers import SIGN_UP

FIRST_VERSION = "13fd9b12f68710594882926181bb86e890e331a9c95266798f69f4535d5c1798"
"""SHA-256 of the transactions of 300 customers."""

WITHOUT = dict.fromkeys(
    ("readers", "readers_before", "loyalty_cards", "coupons", "form_browsers", "browser_signals",
     "second_accounts"),
    0.0,
)  # fmt: skip


def text(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ShopFiles:
    return make_shop(tmp_path_factory.mktemp("shop"), ShopParameters(customers=2_000))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> ShopFiles:
    """The same shop with nothing that ties records together."""
    return make_shop(tmp_path_factory.mktemp("bare"), ShopParameters(customers=2_000, **WITHOUT))


@pytest.fixture(scope="module")
def truth(shop: ShopFiles) -> pl.DataFrame:
    return pl.read_parquet(shop.customers)


def test_what_ties_records_together_leaves_everything_else_as_it_was(
    shop: ShopFiles, bare: ShopFiles
) -> None:
    sold, visits = text(shop.transactions), text(shop.web_events)
    crm = text(shop.crm).filter(
        pl.col("customer_id").is_not_null(), ~pl.col("customer_id").str.ends_with("-2")
    )
    mailed = text(shop.engagement_events).drop_nulls("customer_id")
    said = text(shop.consent).filter(pl.col("source") != SIGN_UP)

    assert sold.drop(LINKED["transactions"]).equals(text(bare.transactions).drop(LINKED["transactions"]))
    assert visits.drop("gpc").equals(text(bare.web_events).drop("gpc"))
    assert crm.drop(LINKED["crm"]).equals(text(bare.crm).drop(LINKED["crm"]))
    assert mailed.equals(text(bare.engagement_events))
    assert said.equals(text(bare.consent))
    assert shop.customers.read_bytes() == bare.customers.read_bytes()
    for name, columns in LINKED.items():
        empty = text(getattr(bare, name)).select(columns)
        assert empty.null_count().row(0) == (empty.height,) * len(columns), name


def test_transactions_are_those_of_the_first_version(tmp_path: Path) -> None:
    """Figures that were measured on them hold."""
    made = make_shop(tmp_path, ShopParameters(customers=300))
    written = text(made.transactions).select(TRANSACTIONS).write_csv().encode()

    assert hashlib.sha256(written).hexdigest() == FIRST_VERSION


def test_readers_are_known_by_an_address_of_their_own_alone(shop: ShopFiles, truth: pl.DataFrame) -> None:
    crm, mailed = text(shop.crm), text(shop.engagement_events)
    readers = crm.filter(pl.col("customer_id").is_null())

    assert readers["email"].is_unique().all()
    assert readers["email"].null_count() == 0
    assert readers.select("phone", "last_name").null_count().row(0) == (readers.height,) * 2
    assert mailed.filter(pl.col("customer_id").is_null())["email"].is_in(readers["email"].implode()).all()
    assert mailed.drop_nulls("customer_id")["email"].null_count() == mailed["customer_id"].count()
    customers = readers["email"].is_in(truth["email"].implode())
    assert 0.03 < customers.sum() / truth.height < 0.08
    assert 0.05 < (~customers).sum() / truth.height < 0.11


def test_readers_who_order_later_are_mailed_as_nobody_until_then(
    shop: ShopFiles, truth: pl.DataFrame
) -> None:
    sent = text(shop.engagement_events).filter(
        pl.col("customer_id").is_null(), pl.col("event") == "email_sent"
    )
    before = sent.join(truth.select("email", "first_order"), on="email")

    assert before.height > 100
    assert (before["event_at"].str.slice(0, 10).str.to_date() < before["first_order"]).all()


def test_platforms_know_readers_and_some_of_them_agreed(shop: ShopFiles, truth: pl.DataFrame) -> None:
    readers = text(shop.crm).filter(
        pl.col("customer_id").is_null(), ~pl.col("email").is_in(truth["email"].implode())
    )
    known = pl.read_parquet(shop.population).filter(pl.col("email").is_in(readers["email"].implode()))
    said = text(shop.consent).filter(pl.col("source") == SIGN_UP, pl.col("purpose") == "advertising")

    assert known.height == readers.height
    assert 0.5 < known["on_meta"].mean() < 0.9
    assert said["email"].is_in(readers["email"].implode()).all()
    assert 0.6 < (said["status"] == "granted").sum() / readers.height < 0.9


def test_a_card_is_one_customers_and_is_shown_for_some_orders(shop: ShopFiles) -> None:
    sold, crm = text(shop.transactions).drop_nulls("loyalty_id"), text(shop.crm).drop_nulls("loyalty_id")
    both = pl.concat([sold.select("customer_id", "loyalty_id"), crm.select("customer_id", "loyalty_id")])

    assert sold["customer_id"].null_count() == 0
    assert both.unique().select("loyalty_id").is_unique().all()
    assert both.unique().select("customer_id").is_unique().all()
    assert 0.1 < sold.height / shop.rows["transactions"] < 0.3
    assert 0.2 < crm["customer_id"].n_unique() / 2_000 < 0.4


def test_coupons_are_used_in_discounted_orders_and_are_one_of_an_order(shop: ShopFiles) -> None:
    sold = text(shop.transactions)
    used = sold.drop_nulls("coupon")
    bought = used.filter(~pl.col("transaction_amount").str.starts_with("-"))
    codes = {code for codes in linked.COUPONS.values() for code in codes}

    assert set(used["coupon"]) == codes
    assert set(COUPONS) < codes
    assert (bought["discount"] != "0.00").mean() > 0.99
    assert used.select("order_id", "coupon").unique()["order_id"].is_unique().all()
    assert 0.03 < used.height / sold.height < 0.2


def test_the_browser_of_a_form_is_one_in_which_the_customer_was_logged_in(shop: ShopFiles) -> None:
    filled = text(shop.crm).drop_nulls("anonymous_id").select("customer_id", "anonymous_id")
    logged_in = text(shop.web_events).select("customer_id", "anonymous_id").drop_nulls().unique()

    assert filled.height > 150
    assert filled["customer_id"].is_unique().all()
    assert filled.join(logged_in, on=["customer_id", "anonymous_id"], how="anti").is_empty()


def test_browsers_of_some_americans_who_did_not_agree_send_their_signal(
    shop: ShopFiles, truth: pl.DataFrame
) -> None:
    visits = text(shop.web_events)
    sending = visits.filter(pl.col("gpc") == "true").drop_nulls("customer_id")
    who = truth.filter(pl.col("customer_id").is_in(sending["customer_id"].implode()))

    assert set(visits["gpc"].drop_nulls()) == {"true"}
    assert set(who["country"]) == {"US"}
    assert "granted" not in set(who["advertising"])
    assert 0.05 < who.height / (truth["country"] == "US").sum() < 0.3
    others = visits.filter(pl.col("customer_id").is_in(who["customer_id"].implode()), pl.col("gpc").is_null())
    assert (others["device"] == "app").all()


def test_a_second_account_has_the_address_of_the_first_is_later_and_never_used(shop: ShopFiles) -> None:
    crm = text(shop.crm)
    second = crm.filter(pl.col("customer_id").str.ends_with("-2")).with_columns(
        first=pl.col("customer_id").str.strip_suffix("-2")
    )
    first = crm.group_by("customer_id").last()
    pairs = second.join(first, left_on="first", right_on="customer_id", suffix="_first")

    assert 5 < second.height == pairs.height < 40
    assert (pairs["email"].str.strip_chars() == pairs["email_first"].str.strip_chars()).all()
    assert (pairs["last_name"] == pairs["last_name_first"]).all()
    assert (pairs["updated_at"] > pairs["updated_at_first"]).all()
    assert not text(shop.transactions)["customer_id"].str.ends_with("-2").any()
