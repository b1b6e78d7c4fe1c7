"""What must not be written is taken out here, in memory: addresses, numbers and names become hashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from audience_pipeline.identifiers import (
    RULES_VERSION,
    contact_hashes,
    country_code,
    customer_id_expr,
    device_id_expr,
    people,
    source_ids,
)
from audience_pipeline.sources.contract import CONTRACTS, LANDED, Kind
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.options import ShopFacts
from audience_pipeline.sources.plan import CONTACT, RAW_CONTACT

_STAND_INS: Mapping[str, pl.Expr] = {
    "loyalty_id": source_ids.prefixed(source_ids.LOYALTY, "loyalty_id"),
    "email": source_ids.hashed_id(source_ids.EMAIL, "meta_email"),
    "phone": source_ids.hashed_id(source_ids.PHONE, "meta_phone"),
}
"""What names a person who has no customer_id."""


class Depersonaliser:
    """Turns staged batches into ones that may be written.

    Attributes:
        unusable: how many values were given and could not be used, by column.
        hash_like: how many of these have the form of a SHA-256, by column.
        given: how many values were given, by column.
        removed: how many values of free text were e-mail addresses or phone numbers and were left out, by
            column.
    """

    def __init__(
        self, kind: Kind, facts: ShopFacts, hashed: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """``hashed``: columns that hold hashes, to the platforms by whose rule they were made."""
        self._kind, self._facts, self._given_hashes = kind, facts, hashed or {}
        self.given: Counter[str] = Counter()
        self.unusable: Counter[str] = Counter()
        self.hash_like: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()

    def __call__(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The batch without personal values; columns of ``LANDED`` first, then what is staged besides."""
        match self._kind:
            case Kind.CRM:
                batch = self._crm(batch)
            case Kind.CONSENT:
                batch = self._only_hashes(batch, ("email", "phone"), ("meta_email", "meta_phone"))
            case Kind.ENGAGEMENT:
                batch = self._only_hashes(batch, ("email",), ("meta_email",))
        if "device_id" in batch.columns:
            batch = self._devices(batch)
        found = [name for name in batch.columns if name.startswith(CONTACT)]
        for name in found:
            self.removed[name.removeprefix(CONTACT)] += int(batch[name].sum())
        ids = [
            name
            for name in ("customer_id", "loyalty_id")
            if name in batch.columns and batch[name].null_count() < batch.height
        ]
        batch = batch.drop(found).with_columns(map(customer_id_expr, ids))
        batch = self._named(batch.with_columns(source_ids.own_id("customer_id")))
        landed = LANDED[self._kind]
        return batch.select(*(pl.col(name).cast(dtype) for name, dtype in landed.items()), pl.exclude(landed))

    def _hashed(self, batch: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        contacts = batch.select("customer_id", *columns)
        hashes = contact_hashes(contacts, self._facts.default_region, self._given_hashes)
        for raw in ("email", "phone"):
            if raw in columns:
                self._count(raw, batch[raw], hashes.select(pl.coalesce(f"^.*_{raw}$")).to_series())
        return hashes.drop("customer_id")

    def _count(self, column: str, given: pl.Series, usable: pl.Series) -> None:
        self.given[column] += given.len() - given.null_count()
        unusable = given.filter(given.is_not_null() & usable.is_null())
        self.unusable[column] += unusable.len()
        self.hash_like[column] += int(unusable.str.contains("^[0-9a-fA-F]{64}$").sum())

    def _crm(self, batch: pl.DataFrame) -> pl.DataFrame:
        hashes = self._hashed(batch, ("email", "phone", "first_name", "last_name", "country"))
        country = _by_value(batch["country"], country_code)
        self._count("country", batch["country"], country)
        competitor = _is_competitor(batch["email"], self._facts.competitor_domains)
        gender = _by_value(batch["gender"], people.gender)
        return batch.drop(RAW_CONTACT).with_columns(
            *hashes.get_columns(),
            country.alias("country"),
            gender.alias("gender"),
            competitor.alias("is_competitor"),
            pl.lit(RULES_VERSION, pl.Int32).alias("identifier_rules"),
        )

    def _only_hashes(self, batch: pl.DataFrame, raw: Sequence[str], kept: Sequence[str]) -> pl.DataFrame:
        hashes = self._hashed(batch, raw).select(kept)
        return batch.drop(raw).with_columns(*hashes.get_columns())

    def _devices(self, batch: pl.DataFrame) -> pl.DataFrame:
        clean = batch.with_columns(device_id_expr("device_id"))
        self._count("device_id", batch["device_id"], clean["device_id"])
        return clean

    def _named(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Source ids where there is no id of the shop; a fault where what is given names nobody."""
        contract = CONTRACTS[self._kind]
        if self._kind is Kind.WEB or not batch["customer_id"].null_count():
            return batch
        if self._kind is Kind.CONSENT:
            nobody = pl.all_horizontal(pl.col("customer_id", "meta_email", "meta_phone").is_null())
        else:
            batch = batch.with_columns(
                pl.coalesce("customer_id", *(_STAND_INS[name] for name in contract.instead))
            )
            nobody = pl.col("customer_id").is_null()
        unseen = (pl.col("fault_customer_id") == 0) & (pl.col("fault_record") == 0)
        fault = pl.when(nobody & unseen).then(pl.lit(Fault.UNUSABLE_CONTACT, pl.UInt8))
        return batch.with_columns(fault.otherwise("fault_customer_id").alias("fault_customer_id"))


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
