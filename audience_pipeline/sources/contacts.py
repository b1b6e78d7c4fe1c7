"""What must not be written is taken out here, in memory: addresses, numbers and names become hashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import polars as pl

from audience_pipeline.identifiers import (
    RULES_VERSION,
    contact_hashes,
    country_code,
    customer_id_expr,
    people,
)
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ShopFacts
from audience_pipeline.sources.plan import CONTACT, RAW_CONTACT


class Depersonaliser:
    """Turns staged batches into ones that may be written.

    Attributes:
        unusable: how many values were given and could not be used, by column.
        given: how many values were given, by column.
        removed: how many values of free text were e-mail addresses or phone numbers and were left out, by
            column.
    """

    def __init__(self, kind: Kind, facts: ShopFacts) -> None:
        self._kind, self._facts = kind, facts
        self.given: Counter[str] = Counter()
        self.unusable: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()

    def __call__(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The batch without personal values; columns of ``LANDED`` first, then what is staged besides."""
        if self._kind is Kind.CRM:
            batch = self._crm(batch)
        elif self._kind is Kind.CONSENT:
            batch = self._consent(batch)
        found = [name for name in batch.columns if name.startswith(CONTACT)]
        for name in found:
            self.removed[name.removeprefix(CONTACT)] += int(batch[name].sum())
        batch = batch.drop(found).with_columns(customer_id_expr("customer_id"))
        landed = LANDED[self._kind]
        return batch.select(*(pl.col(name).cast(dtype) for name, dtype in landed.items()), pl.exclude(landed))

    def _hashed(self, batch: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        hashes = contact_hashes(batch.select("customer_id", *columns), self._facts.default_region)
        for raw, hashed in (("email", "meta_email"), ("phone", "meta_phone")):
            given = batch[raw].is_not_null()
            self.given[raw] += int(given.sum())
            self.unusable[raw] += int((given & hashes[hashed].is_null()).sum())
        return hashes.drop("customer_id")

    def _crm(self, batch: pl.DataFrame) -> pl.DataFrame:
        hashes = self._hashed(batch, ("email", "phone", "first_name", "last_name", "country"))
        country = _by_value(batch["country"], country_code)
        given = batch["country"].is_not_null()
        self.given["country"] += int(given.sum())
        self.unusable["country"] += int((given & country.is_null()).sum())
        competitor = _is_competitor(batch["email"], self._facts.competitor_domains)
        gender = _by_value(batch["gender"], people.gender)
        return batch.drop(RAW_CONTACT).with_columns(
            *hashes.get_columns(),
            country.alias("country"),
            gender.alias("gender"),
            competitor.alias("is_competitor"),
            pl.lit(RULES_VERSION, pl.Int32).alias("identifier_rules"),
        )

    def _consent(self, batch: pl.DataFrame) -> pl.DataFrame:
        hashes = self._hashed(batch, ("email", "phone")).select("meta_email", "meta_phone")
        nobody = (
            pl.all_horizontal(pl.col("customer_id", "meta_email", "meta_phone").is_null())
            & (pl.col("fault_customer_id") == 0)
            & (pl.col("fault_record") == 0)
        )
        fault = pl.when(nobody).then(pl.lit(Fault.UNUSABLE_CONTACT, pl.UInt8)).otherwise("fault_customer_id")
        return (
            batch.drop("email", "phone")
            .with_columns(*hashes.get_columns())
            .with_columns(fault.alias("fault_customer_id"))
        )


def _by_value(column: pl.Series, rule: Callable[[str], str | None]) -> pl.Series:
    values = column.drop_nulls().unique().to_list()
    return column.replace_strict(
        values, [rule(value) for value in values], default=None, return_dtype=pl.String
    )


def _is_competitor(emails: pl.Series, domains: Sequence[str]) -> pl.Series:
    domain = emails.str.strip_chars().str.to_lowercase().str.extract("@([^@]+)$")
    hit = pl.repeat(value=False, n=pl.len(), dtype=pl.Boolean)
    for competitor in (name.lower().lstrip("@.") for name in domains):
        hit |= (pl.col("domain") == competitor) | pl.col("domain").str.ends_with(f".{competitor}")
    return (
        pl.DataFrame({"domain": domain})
        .select(hit.fill_null(value=False).alias("hit"))["hit"]
        .fill_null(value=False)
    )
