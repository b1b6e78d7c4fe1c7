"""What must hold of landed data, and what usually holds: two checks per dataset, one blocks, one warns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl

from audience_pipeline.defs.expectations import (
    CONTACTS,
    ENOUGH_DAYS,
    TRANSACTION_DAYS,
    USUAL_CONTACTS,
    USUAL_DAYS,
    Expectation,
)
from audience_pipeline.defs.lake import dataset
from audience_pipeline.defs.quality import validate
from audience_pipeline.sources.contract import Kind


@dataclass(frozen=True, slots=True)
class Suites:
    """A small table made of a dataset, and what is expected of it."""

    table: Callable[[pl.LazyFrame], pl.LazyFrame]
    sound: Sequence[Expectation]
    usual: Sequence[Expectation]
    enough_rows: int = 1
    """Rows of the table below which nothing is said of what is usual."""


def _transaction_days(transactions: pl.LazyFrame) -> pl.LazyFrame:
    sales = pl.when(pl.col("amount_minor") > 0).then(pl.col("amount_minor")).otherwise(0).sum()
    return (
        transactions.group_by("transaction_date")
        .agg(
            pl.col("customer_id").n_unique().alias("customers"),
            pl.col("amount_minor").sum().alias("net_minor"),
            sales.alias("sales_minor"),
        )
        .with_columns(
            (pl.col("sales_minor") / pl.col("sales_minor").median())
            .fill_nan(None)
            .alias("times_median_sales")
        )
        .sort("transaction_date")
    )


def _contacts(contacts: pl.LazyFrame) -> pl.LazyFrame:
    return contacts.select(
        "customer_id",
        pl.any_horizontal(pl.col("meta_email", "meta_phone").is_not_null()).alias("has_identifier"),
        "country",
    )


SUITES: Mapping[Kind, Suites] = {
    Kind.TRANSACTIONS: Suites(_transaction_days, TRANSACTION_DAYS, USUAL_DAYS, ENOUGH_DAYS),
    Kind.CRM: Suites(_contacts, CONTACTS, USUAL_CONTACTS),
}


def check_specs(kind: Kind) -> list[dg.AssetCheckSpec]:
    """The checks of a dataset, where it has any."""
    if kind not in SUITES:
        return []
    thresholds = "Great Expectations: thresholds in audience_pipeline/defs/expectations.py."
    return [
        dg.AssetCheckSpec(
            f"{kind.dataset}_are_sound", asset=kind.dataset, blocking=True, description=thresholds
        ),
        dg.AssetCheckSpec(f"{kind.dataset}_look_usual", asset=kind.dataset, description=thresholds),
    ]


def check_results(lake: Path, kind: Kind) -> list[dg.AssetCheckResult]:
    """What the checks of a dataset find now."""
    if kind not in SUITES:
        return []
    suites = SUITES[kind]
    sound, usual = f"{kind.dataset}_are_sound", f"{kind.dataset}_look_usual"
    frame = suites.table(dataset(lake, kind)).collect(engine="streaming")
    if frame.is_empty():
        said = "nothing has landed yet"
        return [
            dg.AssetCheckResult(check_name=name, passed=True, description=said) for name in (sound, usual)
        ]
    if frame.height < suites.enough_rows:
        too_few = f"{frame.height} rows are too few to say what is usual"
        guess = dg.AssetCheckResult(check_name=usual, passed=True, description=too_few)
    else:
        guess = validate(frame, suites.usual, check_name=usual, severity=dg.AssetCheckSeverity.WARN)
    return [validate(frame, suites.sound, check_name=sound), guess]
