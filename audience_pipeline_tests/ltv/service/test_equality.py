"""The same customers in a file and over HTTP, to the last digit."""

from __future__ import annotations

import csv
import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from audience_pipeline.customers.orders import orders
from audience_pipeline.features.customer_features import customer_features
from audience_pipeline.ltv.model import LtvModel
from audience_pipeline.ltv.reasons import reasons_table
from audience_pipeline.ltv.scoring import PREDICTIONS_SCHEMA, score
from audience_pipeline.ltv.service.limits import Limits
from audience_pipeline.ltv.service.requests import FIELDS, Customer, parse
from audience_pipeline.ltv.service.scoring import predictions
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.single import read_transactions

TODAY = date(2025, 4, 2)
AS_OF = date(2025, 3, 31)
CATEGORIES = ("books", "toys", " toys ", "", "ann@example.com", "15551234567", "für Kinder")
Line = dict[str, str]


def made_up_shop(customers: int, seed: int = 5) -> dict[str, list[Line]]:
    """Customers with everything that a file can hold: returns, zeros, odd amounts, dates after ``AS_OF``."""
    rng = random.Random(seed)
    shop = {}
    for number in range(customers):
        lines: list[Line] = []
        first = date(2023, 1, 1) + timedelta(days=rng.randrange(800))
        for _ in range(rng.randrange(1, 9)):
            day = first + timedelta(days=int(rng.expovariate(1 / 60)) * rng.randrange(2))
            day = min(day, TODAY)
            order, hour = f"{number}-{rng.randrange(6)}", rng.randrange(24)
            lines += [
                {
                    "transaction_date": rng.choice(
                        (str(day), f"{day} {hour:02}:15", f"{day}T{hour:02}:15+0300")
                    ),
                    "transaction_amount": rng.choice(
                        (
                            f"{rng.lognormvariate(3, 1):.2f}",
                            f"{rng.lognormvariate(3, 1):.3f}",
                            f"{rng.uniform(0, 9):.5f}",
                            f" {rng.randrange(1, 300)} ",
                            "0.00",
                            f"-{rng.uniform(0, 40):.2f}",
                            "1e1",
                        )
                    ),
                    "product_category": rng.choice(CATEGORIES),
                    "order_id": rng.choice((order, order, "", "20250101")),
                    "quantity": rng.choice(("1", "2", "0.5", "x", "")),
                    "channel": rng.choice(("web", "", "paid_search")),
                    "discount": rng.choice(("", "0", "1.005", "-2", "x", "30")),
                }
                for _ in range(rng.choice((1, 1, 2, 4)))
            ]
        if number % 4 == 0:
            early = str(first - timedelta(days=9))
            lines.insert(
                0, dict.fromkeys(lines[0], "") | {"transaction_date": early, "transaction_amount": "-7.77"}
            )
        shop[rng.choice((f"C{number}", f"{number}.0", f"c{number}@example.com"))] = lines
    return shop


def features_of_file(shop: dict[str, list[Line]], folder: Path, observe_days: int | None) -> pl.DataFrame:
    """As ``ltv score`` reads them."""
    path = folder / "shop.csv"
    names = ["customer_id", *next(iter(shop.values()))[0]]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows({"customer_id": name, **line} for name, lines in shop.items() for line in lines)
    landed, report = read_transactions(path, ReadOptions(), ShopFacts(today=TODAY), folder)
    assert (report.quarantined, report.repeated) == (0, 0)
    table = orders(landed)
    seen: Any = AS_OF
    if observe_days is not None:
        first = (
            table.filter(pl.col("kind") == "order").group_by("customer_id").agg(pl.col("order_date").min())
        )
        until = (pl.col("order_date") + pl.duration(days=observe_days)).alias("as_of")
        seen = first.select("customer_id", until)
    return customer_features(table, seen).collect(engine="streaming")


def from_file(
    shop: dict[str, list[Line]], model: LtvModel, folder: Path, observe_days: int | None
) -> pl.DataFrame:
    """As ``ltv score`` does it, but for the quintile, which is that of the cut points."""
    features = features_of_file(shop, folder, observe_days)
    scored = score(model, features, prediction_date=AS_OF, model_version="v", quintile_by="cut_points")
    days = features.select("customer_id", pl.col("as_of").alias("prediction_date"))
    return scored.drop("prediction_date").join(days, on="customer_id").select(PREDICTIONS_SCHEMA.names())


def asked(shop: dict[str, list[Line]], observe_days: int | None, *, numbers: bool = False) -> list[Customer]:
    def amount(text: str) -> Any:
        return float(text) if numbers else text

    document: dict[str, Any] = {
        "customers": [
            {
                "customer_id": name,
                "transactions": [
                    line | {"transaction_amount": amount(line["transaction_amount"])} for line in lines
                ],
            }
            for name, lines in shop.items()
        ],
        **({"as_of": str(AS_OF)} if observe_days is None else {"observe_days": observe_days}),
    }
    return parse(json.dumps(document).encode(), Limits(customers=10_000, transactions=10**6), TODAY)


def table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Through the text of the answer, as a client reads it."""
    frame = pl.DataFrame(json.loads(json.dumps(rows)), infer_schema_length=None)
    return frame.with_columns(pl.col("prediction_date").str.to_date()).select(
        pl.col(name).cast(dtype) for name, dtype in PREDICTIONS_SCHEMA.items()
    )


@pytest.mark.parametrize("observe_days", [None, 0, 45])
def test_a_customer_has_the_same_numbers_in_a_file_in_a_batch_and_alone(
    model: LtvModel, tmp_path: Path, observe_days: int | None
) -> None:
    shop = made_up_shop(120)
    expected = from_file(shop, model, tmp_path, observe_days).sort("customer_id")
    customers = [customer for customer in asked(shop, observe_days) if customer.problem is None]

    together = table(predictions(model, "v", customers))
    assert_frame_equal(together.sort("customer_id"), expected, check_exact=True)

    alone = table([row for customer in customers[:40] for row in predictions(model, "v", [customer])])
    assert_frame_equal(alone, together.head(40), check_exact=True)
    assert expected.height > 90
    assert expected["ltv_quintile"].n_unique() == 5


def test_amounts_as_numbers_are_the_amounts_as_text(model: LtvModel) -> None:
    shop = made_up_shop(60, seed=6)

    texts, numbers = (
        [customer.lines for customer in asked(shop, None, numbers=numbers)] for numbers in (False, True)
    )

    assert texts == numbers


def test_what_is_dated_after_the_day_changes_nothing(model: LtvModel) -> None:
    shop = made_up_shop(60, seed=7)
    until = str(AS_OF)
    past = {
        name: [line for line in lines if line["transaction_date"][:10] <= until]
        for name, lines in shop.items()
    }
    later = sum(len(lines) for lines in shop.values()) - sum(len(lines) for lines in past.values())
    before, after = (
        predictions(model, "v", [customer for customer in asked(some, None) if customer.problem is None])
        for some in (past, shop)
    )

    assert later > 0
    assert before == after


def test_everything_that_a_file_can_hold_is_in_the_made_up_shop() -> None:
    (lines,) = made_up_shop(1).values()

    assert set(lines[0]) | {"currency"} == set(FIELDS)


def test_reasons_are_those_of_a_file_and_only_for_who_asks(model: LtvModel, tmp_path: Path) -> None:
    shop = made_up_shop(60)
    customers = [customer for customer in asked(shop, None) if customer.problem is None]
    for customer in customers[::2]:
        customer.reasons = True

    answers = predictions(model, "v", customers)

    expected = reasons_table(model, features_of_file(shop, tmp_path, None))
    for customer, answer in zip(customers, answers, strict=True):
        own = expected.filter(pl.col("customer_id") == customer.customer_id)["reason"].to_list()
        assert answer.get("reasons") == (own if customer.reasons else None)
        assert predictions(model, "v", [customer]) == [answer]
