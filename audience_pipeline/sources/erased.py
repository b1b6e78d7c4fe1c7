"""Which landed rows are those of erased people, and what of theirs stands in the rows of others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce
from operator import or_

import polars as pl

from audience_pipeline.identifiers.marks import Named
from audience_pipeline.identifiers.source_ids import ANONYMOUS, LOYALTY
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.faults import Fault
from audience_pipeline.sources.tombstones import Found, Tombstones

ADDRESSES: Mapping[Named, tuple[str, ...]] = {
    Named.EMAIL: ("meta_email", "google_email", "tiktok_email"),
    Named.PHONE: ("meta_phone", "google_phone"),
}
"""Landed columns with hashes by each of which alone a person is known."""
_PREFIXED = {"loyalty_id": LOYALTY, "anonymous_id": ANONYMOUS}
"""Landed columns that hold a source id without its prefix."""
_FAULT = "fault_customer_id"


def looked_up(kind: Kind, batch: pl.DataFrame, tombstones: Tombstones) -> Found:
    """What of erased people is in some landed or staged rows."""
    there = [name for name in LANDED[kind] if name in batch.columns]
    return tombstones.found(
        {
            Named.ID: [
                *([batch["customer_id"]] if "customer_id" in there else []),
                *(prefix + batch[name] for name, prefix in _PREFIXED.items() if name in there),
            ],
            Named.DEVICE: [batch["device_id"]] if "device_id" in there else [],
            **{
                named: [batch[name] for name in columns if name in there]
                for named, columns in ADDRESSES.items()
            },
        }
    )


def of_erased(kind: Kind, found: Found) -> pl.Expr:
    """Whether a landed row is that of an erased person: by its id, or by an address that is theirs alone."""
    there = LANDED[kind]
    ids = _among(pl.col("customer_id"), found.values.get(Named.ID, ()))
    if kind is Kind.WEB:
        unnamed = pl.col("customer_id").is_null()
        browser = pl.lit(ANONYMOUS) + pl.col("anonymous_id")
        ids |= unnamed & _among(browser, found.values.get(Named.ID, ()))
    addresses = [
        _among(pl.col(name), found.values.get(named, ()))
        for named, columns in ADDRESSES.items()
        for name in columns
        if name in there
    ]
    return reduce(or_, addresses, ids)


def without_theirs(kind: Kind, found: Found) -> list[pl.Expr]:
    """The columns of others' rows without a card, a browser or a device of an erased person."""
    there, ids = LANDED[kind], found.values.get(Named.ID, ())
    cleaned = [
        _unless(name, _among(pl.lit(prefix) + pl.col(name), ids))
        for name, prefix in _PREFIXED.items()
        if name in there
    ]
    if "device_id" in there:
        cleaned.append(_unless("device_id", _among(pl.col("device_id"), found.values.get(Named.DEVICE, ()))))
    return cleaned


def marked(kind: Kind, batch: pl.DataFrame, tombstones: Tombstones) -> pl.DataFrame:
    """A staged batch in which rows of erased people are at fault, and others hold nothing of theirs."""
    found = looked_up(kind, batch, tombstones)
    if not found:
        return batch
    fault = pl.when(of_erased(kind, found)).then(pl.lit(Fault.ERASED, pl.UInt8)).otherwise(_FAULT)
    return batch.with_columns(fault.alias(_FAULT), *without_theirs(kind, found))


def _among(column: pl.Expr, values: Collection[bytes | str]) -> pl.Expr:
    if not values:
        return pl.lit(value=False)
    return column.is_in(list(values)).fill_null(value=False)


def _unless(name: str, hit: pl.Expr) -> pl.Expr:
    return pl.when(~hit).then(pl.col(name)).alias(name)
