from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import phonenumbers
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_pipeline.sandbox.shop import ShopFiles, ShopParameters, make_shop
from audience_pipeline.sandbox.shop import frames as columns
from audience_pipeline.sandbox.shop.contacts import EMAIL_STYLES, PHONE_STYLES, PLACEHOLDER_EMAILS
from audience_pipeline.sandbox.shop.lines import _split
from audience_pipeline.sandbox.shop.readers import SIGN_UP
from audience_pipeline.sandbox.shop.seasons import PHASES, calendar
from audience_pipeline.sources.contract import CONTRACTS, Kind

YEAR = timedelta(days=365)


def text(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def lines_of(shop: ShopFiles) -> pl.DataFrame:
    """The readable lines of the file, the repeated day once, and those of the future."""
    past = text(shop.transactions).with_columns(
        at=pl.col("transaction_date").str.to_datetime(columns.MOMENT, strict=False),
        cents=(pl.col("transaction_amount").cast(pl.Float64, strict=False) * 100).round(),
    )
    past = past.filter(
        pl.col("at").is_not_null(), pl.col("cents").is_finite(), pl.col("customer_id").is_not_null()
    )
    twice = pl.col("at").dt.date() == shop.repeated_day
    past = pl.concat([past.filter(~twice), past.filter(twice)[: past.filter(twice).height // 2]])
    future = pl.read_parquet(shop.future_transactions).with_columns(
        at="transaction_date", cents=(pl.col("transaction_amount") * 100).round()
    )
    keys = ("customer_id", "at", "cents", "product_category", "order_id")
    return pl.concat([past.select(keys), future.select(keys)]).with_columns(
        pl.col("cents").cast(pl.Int64), day=pl.col("at").dt.date()
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ShopFiles:
    return make_shop(tmp_path_factory.mktemp("shop"), ShopParameters(customers=2_000))


@pytest.fixture(scope="module")
def truth(shop: ShopFiles) -> pl.DataFrame:
    return pl.read_parquet(shop.customers)


@pytest.fixture(scope="module")
def lines(shop: ShopFiles) -> pl.DataFrame:
    return lines_of(shop)


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    parameters = ShopParameters(customers=2_050)

    one = make_shop(tmp_path / "one", parameters, workers=1)
    three = make_shop(tmp_path / "three", parameters, workers=3)

    for name in (*one.rows, "summary"):
        assert getattr(one, name).read_bytes() == getattr(three, name).read_bytes(), name


def test_another_seed_gives_another_shop(shop: ShopFiles, tmp_path: Path) -> None:
    other = make_shop(tmp_path, ShopParameters(customers=2_000, seed=8))

    assert other.transactions.read_bytes() != shop.transactions.read_bytes()


def test_a_customer_is_the_same_in_a_larger_shop(tmp_path: Path) -> None:
    small = make_shop(tmp_path / "small", ShopParameters(customers=300))
    large = make_shop(tmp_path / "large", ShopParameters(customers=2_300))
    few = pl.read_parquet(small.customers)["customer_id"]

    assert (
        pl.read_parquet(large.customers)
        .filter(pl.col("customer_id").is_in(few.implode()))
        .equals(pl.read_parquet(small.customers))
    )
    for name in ("transactions", "crm", "web_events", "engagement_events", "consent"):
        mine = pl.col("customer_id").is_in(few.implode())
        assert text(getattr(large, name)).filter(mine).equals(text(getattr(small, name)).filter(mine)), name


def test_every_file_has_the_columns_that_ingestion_reads(shop: ShopFiles) -> None:
    linked = columns.LINKED
    sold = (*columns.TRANSACTIONS, *linked["transactions"])
    assert tuple(text(shop.transactions).columns) == sold
    assert tuple(text(shop.crm).columns) == (*columns.CRM, *linked["crm"])
    assert tuple(text(shop.web_events).columns) == (*columns.WEB, *linked["web_events"])
    assert tuple(text(shop.engagement_events).columns) == (*columns.ENGAGEMENT, *linked["engagement_events"])
    assert tuple(text(shop.consent).columns) == columns.CONSENT
    assert tuple(pl.read_parquet(shop.future_transactions).columns) == sold
    for path in (shop.transactions, shop.crm, shop.web_events, shop.engagement_events, shop.consent):
        kind = {"crm": "crm", "web_events": "web", "engagement_events": "engagement"}.get(
            path.stem, path.stem
        )
        assert set(text(path).columns) <= set(CONTRACTS[Kind(kind)].names)
    assert {name: text(path).height for name, path in _texts(shop).items()} == {
        name: shop.rows[name] for name in _texts(shop)
    }


def _texts(shop: ShopFiles) -> dict[str, Path]:
    names = ("transactions", "crm", "web_events", "engagement_events", "consent")
    return {name: getattr(shop, name) for name in names}


def test_the_figures_of_the_shop_are_those_of_a_real_one(truth: pl.DataFrame, lines: pl.DataFrame) -> None:
    orders = (
        lines.filter(pl.col("cents") > 0)
        .group_by("customer_id", "order_id")
        .agg(pl.col("cents").sum(), pl.col("day").min())
    )
    orders = orders.join(truth.select("customer_id", "first_order"), on="customer_id")
    first_year = orders.filter(pl.col("day") < pl.col("first_order") + YEAR)
    never_back = (first_year.group_by("customer_id").len()["len"] == 1).mean()
    top_fifth = truth["ltv_12m_minor"].top_k(400).sum() / truth["ltv_12m_minor"].sum()

    assert orders["customer_id"].n_unique() == 2_000
    assert 0.43 <= never_back <= 0.55
    assert 43_00 <= orders["cents"].median() <= 57_00
    assert 60_00 <= orders["cents"].mean() <= 85_00
    assert 0.5 <= top_fifth <= 0.75
    assert 7 <= lines.filter(pl.col("day") <= date(2026, 10, 31)).height / 2_000 <= 13
    assert 0.25 <= truth.filter(pl.col("dropped_out") <= date(2026, 10, 31)).height / 2_000 <= 0.6


def test_the_truth_about_value_is_what_the_files_add_up_to(truth: pl.DataFrame, lines: pl.DataFrame) -> None:
    known = lines.join(truth.select("customer_id", "first_order"), on="customer_id")
    known = known.filter(pl.col("day") >= pl.col("first_order"))
    last_day = date(2026, 10, 31)
    sums = known.group_by("customer_id").agg(
        first_order=pl.col("day").filter(pl.col("cents") > 0).min(),
        observed_minor=pl.col("cents").filter(pl.col("day") <= last_day).sum(),
        ltv_12m_minor=pl.col("cents").filter(pl.col("day") < pl.col("first_order") + YEAR).sum(),
        next_12m_minor=pl.col("cents").filter(pl.col("day") > last_day).sum(),
    )  # fmt: skip

    assert sums.sort("customer_id").equals(truth.select(sums.columns).sort("customer_id"))
    assert lines["day"].max() <= last_day + YEAR


def test_lines_before_a_first_order_are_returns_and_counted(
    shop: ShopFiles, truth: pl.DataFrame, lines: pl.DataFrame
) -> None:
    early = lines.join(truth.select("customer_id", "first_order"), on="customer_id").filter(
        pl.col("day") < pl.col("first_order")
    )

    assert early.height == shop.faults["unseen_returns"] > 0
    assert (early["cents"] < 0).all()


def test_a_return_comes_after_its_order_and_is_never_larger(lines: pl.DataFrame) -> None:
    totals = lines.filter(~pl.col("order_id").str.ends_with("-0")).group_by("order_id").agg(
        sold=pl.col("cents").filter(pl.col("cents") > 0).sum(),
        returned=-pl.col("cents").filter(pl.col("cents") < 0).sum(),
        sold_on=pl.col("day").filter(pl.col("cents") > 0).max(),
        returned_on=pl.col("day").filter(pl.col("cents") < 0).min(),
    )  # fmt: skip

    assert (totals["returned"] <= totals["sold"]).all()
    back = totals.drop_nulls("returned_on")
    assert back.height > 100
    assert (back["returned_on"] > back["sold_on"]).all()


def test_one_day_is_in_the_file_twice_and_the_dirt_is_counted(shop: ShopFiles) -> None:
    raw = text(shop.transactions)
    day = raw.filter(pl.col("transaction_date").str.starts_with(str(shop.repeated_day)))
    unreadable = raw["transaction_amount"].cast(pl.Float64, strict=False)

    assert day.height == 2 * shop.faults["repeated_lines"] > 0
    assert (day.group_by(day.columns).len()["len"] % 2 == 0).all()
    assert raw["customer_id"].null_count() == shop.faults["without_customer"] > 0
    assert raw["transaction_date"].str.contains("-02-31").sum() == shop.faults["bad_dates"] > 0
    assert (unreadable.is_null() | unreadable.is_nan()).sum() == shop.faults["bad_amounts"] > 0


def test_contacts_are_as_messy_as_people_type_them(shop: ShopFiles, truth: pl.DataFrame) -> None:
    crm = text(shop.crm)

    assert set(truth["email_typed"].unique()) == set(EMAIL_STYLES)
    assert set(truth["phone_typed"].unique()) == set(PHONE_STYLES)
    assert crm["email"].is_in(PLACEHOLDER_EMAILS).any()
    for pattern in (r"[A-Z].*@", r"^\s|\s$", r"\+\w+@gmail", r"@@|,"):
        assert crm["email"].str.contains(pattern).any(), pattern
    for pattern in (r"^0\d", r"^00\d", r"\(0\)", r"[ /-]", r"^\+"):
        assert crm["phone"].str.contains(pattern).any(), pattern
    assert 0.02 < crm["email"].null_count() / crm.height < 0.1
    assert crm["customer_id"].is_duplicated().any()
    assert {"DE", "FR", "US"} <= set(crm["country"].drop_nulls())


def test_true_phone_numbers_are_valid_and_typed_ones_lead_to_them(
    shop: ShopFiles, truth: pl.DataFrame
) -> None:
    latest = text(shop.crm).group_by("customer_id").last().select("customer_id", typed="phone")
    people = (
        truth.join(latest, on="customer_id")
        .filter(~pl.col("phone_typed").is_in(["invalid", "placeholder", "missing"]))
        .head(400)
    )

    for true, typed, country in people.select("phone", "typed", "country").iter_rows():
        assert phonenumbers.is_valid_number(phonenumbers.parse(true)), country
        parsed = phonenumbers.parse(typed, country)
        assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == true, country


def test_numbers_typed_wrong_are_no_numbers(shop: ShopFiles, truth: pl.DataFrame) -> None:
    latest = text(shop.crm).group_by("customer_id").last().select("customer_id", typed="phone")
    wrong = truth.join(latest, on="customer_id").filter(
        pl.col("phone_typed").is_in(["invalid", "placeholder"])
    )

    def is_valid(typed: str, country: str) -> bool:
        try:
            return phonenumbers.is_valid_number(phonenumbers.parse(typed, country))
        except phonenumbers.NumberParseException:
            return False

    assert wrong.height > 20
    assert not [
        typed for typed, country in wrong.select("typed", "country").iter_rows() if is_valid(typed, country)
    ]


def test_households_share_addresses_and_often_phone_and_email(truth: pl.DataFrame) -> None:
    homes = truth.drop_nulls("household").sort("customer_id").group_by("household", maintain_order=True)
    pairs = homes.agg(pl.len(), pl.col("postal_code", "email", "phone").n_unique())

    assert (pairs["len"] == 2).all()
    assert (pairs["postal_code"] == 1).all()
    assert 0.1 < (pairs["email"] == 1).mean() < 0.5
    assert 0.2 < (pairs["phone"] == 1).mean() < 0.7
    alone = truth.filter(pl.col("household").is_null())
    assert alone["email"].is_unique().all()
    assert alone["phone"].is_unique().all()


def test_consent_is_asked_in_europe_and_the_last_word_is_the_true_one(
    shop: ShopFiles, truth: pl.DataFrame
) -> None:
    said = text(shop.consent).filter(
        pl.col("purpose") == "advertising", pl.col("platform").is_null(), pl.col("source") != SIGN_UP
    )
    last = said.drop_nulls("customer_id").group_by("customer_id").last().select("customer_id", last="status")
    people = truth.join(last, on="customer_id", how="left").with_columns(pl.col("last").fill_null("silent"))
    by_other_ways = said.filter(pl.col("customer_id").is_null()).height
    europe, america = people.filter(pl.col("country") != "US"), people.filter(pl.col("country") == "US")

    assert (people["last"] != people["advertising"]).sum() <= by_other_ways
    assert 0 < by_other_ways < 40
    assert 0.65 < (europe["advertising"] == "granted").mean() < 0.78
    assert (america["advertising"] == "silent").mean() > 0.7
    assert set(text(shop.consent)["status"].unique()) == {"granted", "denied"}


def test_nothing_in_the_files_comes_after_the_last_day(shop: ShopFiles) -> None:
    for name, column in (
        ("transactions", "transaction_date"),
        ("web_events", "event_at"),
        ("engagement_events", "event_at"),
        ("consent", "event_at"),
        ("crm", "updated_at"),
    ):
        written = text(getattr(shop, name))[column]
        assert "2023-11-01" <= written.min() <= written.max() < "2026-11-01", name


def test_platforms_know_their_share_of_customers_and_strangers(shop: ShopFiles, truth: pl.DataFrame) -> None:
    known = pl.read_parquet(shop.population)

    assert abs(known["on_meta"].mean() - 0.7) < 0.05
    assert abs(known["on_google"].mean() - 0.75) < 0.05
    assert abs(known["on_tiktok"].mean() - 0.45) < 0.05
    assert known["email"].drop_nulls().is_unique().all()
    assert known["phone"].drop_nulls().is_unique().all()
    assert all(
        phonenumbers.is_valid_number(phonenumbers.parse(phone))
        for phone in known["phone"].drop_nulls()[-300:]
    )
    customers = known["email"].drop_nulls().is_in(truth["email"].implode()).sum()
    assert 0.6 < customers / known.height < 0.7


def test_orders_of_recorded_visits_are_orders_of_the_shop(shop: ShopFiles, lines: pl.DataFrame) -> None:
    web = text(shop.web_events)
    bought = web.drop_nulls("order_id")

    assert (bought["event"] == "purchase").all()
    assert bought["order_id"].is_in(lines["order_id"].implode()).all()
    assert bought["event_at"].is_in(text(shop.transactions)["transaction_date"].implode()).all()
    assert (web["customer_id"].is_not_null() | web["anonymous_id"].is_not_null()).all()
    assert 0.3 < web["customer_id"].null_count() / web.height < 0.6


def test_parquet_and_gzip_hold_the_text_of_the_csv(tmp_path: Path) -> None:
    plain = make_shop(tmp_path / "csv", ShopParameters(customers=2_010))
    parquet = make_shop(tmp_path / "parquet", ShopParameters(customers=2_010, file_format="parquet"))
    zipped = make_shop(tmp_path / "gz", ShopParameters(customers=2_010, file_format="csv.gz"))

    for name in ("transactions", "web_events", "engagement_events"):
        expected = text(getattr(plain, name))
        as_text = pl.read_parquet(getattr(parquet, name)).cast(pl.String)
        assert as_text.with_columns(pl.all().replace("", None)).equals(
            expected.with_columns(pl.all().replace("", None))
        )
        assert text(getattr(zipped, name)).equals(expected)


def test_progress_reaches_the_end_and_a_broken_run_leaves_no_summary(tmp_path: Path) -> None:
    seen: list[float] = []
    make_shop(tmp_path, ShopParameters(customers=300), lambda _, share: seen.append(share))
    assert seen == [1.0]

    def interrupt(_: str, __: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_shop(tmp_path, ShopParameters(customers=300), interrupt)
    assert not (tmp_path / "truth" / "shop.json").exists()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"lapse": 1.2}, "lapse"),
        ({"customers": 0}, "customers"),
        ({"taste": -1.0}, "taste"),
        ({"grant": 0.95}, "deny"),
    ],
)
def test_a_shop_that_cannot_be_is_refused_by_the_name_of_the_parameter(
    wrong: dict[str, float], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        ShopParameters(**wrong)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10**7)), min_size=1, max_size=30),
    st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_lines_add_up_to_their_order_and_none_is_for_free(orders: list[tuple[int, int]], seed: int) -> None:
    count = np.array([lines for lines, _ in orders])
    cents = np.array([spare for _, spare in orders]) + count
    order = np.repeat(np.arange(len(count)), count)

    amounts = _split(cents, count, order, np.random.default_rng(seed).standard_gamma(2.0, len(order)))

    assert (np.bincount(order, weights=amounts).astype(np.int64) == cents).all()
    assert (amounts >= 1).all()


@given(st.integers(0, PHASES - 1), st.floats(0.0, 1_400.0))
@settings(max_examples=60, deadline=None)
def test_the_clock_read_backwards_gives_the_time(phase: int, time: float) -> None:
    days = calendar(ShopParameters())
    phases, times = np.array([phase]), np.array([time])

    assert days.when(phases, days.elapsed(phases, times))[0] == pytest.approx(time, abs=1e-6)
