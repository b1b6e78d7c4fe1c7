"""Who is meant by a request for erasure: every id and every address of a person. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from audience_pipeline.customers.consent_statements import ERASE, statements
from audience_pipeline.customers.identity import ADDRESSES
from audience_pipeline.identifiers.marks import Named
from audience_pipeline.identifiers.source_ids import EMAIL, HASH_CHARACTERS, PHONE, hashed_id

HELD = pl.Schema({"customer_id": pl.String, "named": pl.String, "hash": pl.Binary})
"""Who has which address: ``named`` is ``email``, ``phone`` or ``device`` (then ``hash`` is the id itself)."""
_COLUMNS = {
    **{column: Named.EMAIL if column.endswith("email") else Named.PHONE for column in ADDRESSES},
    "device_id": Named.DEVICE,
}
_STAND_INS = {Named.EMAIL.value: EMAIL, Named.PHONE.value: PHONE}
_MOST_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Concerned:
    """Everything that erased people are known by."""

    ids: pl.Series = field(repr=False)
    """Source ids, each once, sorted."""
    customers: int
    """How many customers of the identities they are; none where nothing is known of them."""
    addresses: pl.DataFrame = field(repr=False)
    """``named, hash, shared``: each of their addresses once; ``shared`` where somebody else has it, too."""

    def own(self, named: Named) -> list[bytes]:
        """Hashes of addresses that are theirs alone."""
        return self._of(named, shared=False)

    def shared(self, named: Named) -> list[bytes]:
        """Hashes of addresses that others have as well."""
        return self._of(named, shared=True)

    def _of(self, named: Named, *, shared: bool) -> list[bytes]:
        rows = self.addresses.filter((pl.col("named") == named.value) & (pl.col("shared") == shared))
        return sorted(rows["hash"].to_list())


def reached(events: pl.LazyFrame, had: pl.LazyFrame) -> pl.Series:
    """The source ids that requests for erasure name, or that ever had an address which one names.

    Args:
        events: statements of consent; those that are no erasure are not read.
        had: ``consent_statements.holders`` of everything else.
    """
    asked = statements(events.filter(pl.col("status") == ERASE), had, date.max)
    return asked.select("source_id").unique().collect(engine="streaming")["source_id"].drop_nulls().sort()


def held(*tables: pl.LazyFrame) -> pl.LazyFrame:
    """Who ever had which address, ``HELD``; pairs may repeat.

    Args:
        tables: ``customer_id`` and any of ``identity.ADDRESSES`` and ``device_id``.
    """
    pairs = [
        table.filter(pl.col("customer_id").is_not_null() & pl.col(column).is_not_null()).select(
            "customer_id",
            pl.lit(named.value).alias("named"),
            pl.col(column).cast(pl.Binary).alias("hash"),
        )
        for table in tables
        for column, named in _COLUMNS.items()
        if column in table.collect_schema().names()
    ]
    return pl.concat([pl.LazyFrame(schema=HELD), *pairs])


def concerned(
    named: pl.Series, asked: pl.DataFrame, identities: pl.DataFrame, addresses: pl.LazyFrame
) -> Concerned:
    """Everything that the people are known by whom requests name.

    An address that only they have is theirs, and so is a record that is known by that address alone. One that
    somebody else has as well (a household's number, info@ of a firm) leads to nobody.

    Args:
        named: :func:`reached`.
        asked: ``named, hash``: addresses that the requests name themselves.
        identities: ``source_id, customer_id``.
        addresses: :func:`held`; read several times, a few rows of it are kept.
    """
    ids = named.alias("source_id").to_frame()
    theirs = asked.with_columns(shared=pl.lit(value=False))
    for _ in range(_MOST_ROUNDS):
        known = ids.height
        ids = _with_the_same_customer(ids, identities)
        theirs = _addresses(ids, asked, addresses)
        alone = theirs.filter(~pl.col("shared"))
        ids = pl.concat([ids, _records_of(alone)]).unique().sort("source_id")
        if ids.height == known:
            break
    there = identities.join(ids, on="source_id", how="semi")["customer_id"]
    return Concerned(ids["source_id"], there.n_unique(), theirs)


def _with_the_same_customer(ids: pl.DataFrame, identities: pl.DataFrame) -> pl.DataFrame:
    pairs = identities.select("source_id", "customer_id")
    customers = pl.concat(
        [
            pairs.join(ids, on="source_id", how="semi").select("customer_id"),
            pairs.join(ids, left_on="customer_id", right_on="source_id", how="semi").select("customer_id"),
        ]
    ).unique()
    same = pairs.join(customers, on="customer_id", how="semi")
    return pl.concat([ids, same.select("source_id"), customers.rename({"customer_id": "source_id"})]).unique()


def _addresses(ids: pl.DataFrame, asked: pl.DataFrame, addresses: pl.LazyFrame) -> pl.DataFrame:
    """``named, hash, shared`` of everything that the ids have or had."""
    keys = ["named", "hash"]
    own = addresses.filter(pl.col("customer_id").is_in(ids["source_id"].implode())).select(keys)
    mine = pl.concat([own.collect(engine="streaming"), asked.select(keys)]).unique()
    holders = (
        addresses.filter(pl.col("hash").is_in(mine["hash"].implode())).unique().collect(engine="streaming")
    )
    others = (
        holders.join(ids, left_on="customer_id", right_on="source_id", how="anti")
        .filter(~_is_the_address_itself())
        .select(keys)
        .unique()
        .with_columns(shared=pl.lit(value=True))
    )
    return mine.join(others, on=keys, how="left").with_columns(pl.col("shared").fill_null(value=False))


def _is_the_address_itself() -> pl.Expr:
    """Whether a holder is a record that is known by this very address alone."""
    stand_in = pl.col("named").replace_strict(_STAND_INS, default="-") + (
        pl.col("hash").bin.encode("hex").str.slice(0, HASH_CHARACTERS)
    )
    return pl.col("customer_id") == stand_in


def _records_of(addresses: pl.DataFrame) -> pl.DataFrame:
    """The source ids of records that are known by an address alone."""
    return pl.concat(
        [
            addresses.filter(pl.col("named") == named).select(hashed_id(prefix, "hash").alias("source_id"))
            for named, prefix in _STAND_INS.items()
        ]
    )
