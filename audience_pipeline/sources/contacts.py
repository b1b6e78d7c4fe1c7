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
from audience_pipeline.sources.plan import RAW_CONTACT

_IDS = ("customer_id", "anonymous_id")
_EMAIL = r"[^\s@]@[^\s@]"


class Depersonaliser:
    """Turns staged batches into ones that may be written.

    Attributes:
        unusable: how many values were given and could not be used, by column.
        given: how many values were given, by column.
        removed: how many values of other text columns were e-mail addresses and were left out, by column.
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
        ids = [name for name in _IDS if name in batch.columns]
        batch = self._without_addresses(batch.with_columns(customer_id_expr(name) for name in ids))
        landed = LANDED[self._kind]
        return batch.select(*(pl.col(name).cast(dtype) for name, dtype in landed.items()), pl.exclude(landed))

    def _without_addresses(self, batch: pl.DataFrame) -> pl.DataFrame:
        text = [
            name
            for name, dtype in batch.schema.items()
            if dtype == pl.String and name not in _IDS and name in LANDED[self._kind]
        ]
        if not text:
            return batch
        found = batch.select(pl.col(text).str.contains("@", literal=True).any()).row(0)
        for name in (name for name, hit in zip(text, found, strict=True) if hit):
            is_address = pl.col(name).str.contains(_EMAIL).fill_null(value=False)
            self.removed[name] += int(batch.select(is_address.sum()).item())
            batch = batch.with_columns(pl.when(~is_address).then(name).alias(name))
        return batch

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
