"""Customers whom an uploaded list names, by any of their identifiers."""

from __future__ import annotations

import duckdb
import polars as pl

from audience_pipeline.identifiers import source_ids


def listed(
    entries: pl.DataFrame,
    identifiers: pl.DataFrame,
    identities: pl.DataFrame | None = None,
    *,
    customers: pl.Series | None = None,
    addresses: pl.LazyFrame | None = None,
) -> pl.Series:
    """The customers of a list, each once, in alphabetical order.

    A customer is meant by an id (with ``identities`` by every id that became theirs), by the hash of an
    e-mail address or phone number, or by a device id. Whoever moved to another address is still meant by the
    one before: an employee does not become a customer by it.

    Args:
        entries: ``kind`` and ``value`` (``sources.list_entries.ENTRIES_SCHEMA``).
        identifiers: ``customer_id`` and, where known, ``meta_email``, ``meta_phone`` (Binary) and
            ``device_id`` (String).
        identities: ``source_id`` and ``customer_id``.
        customers: ids of customers who may have no identifiers.
        addresses: every address and number that was ever given (``customers.identity.addresses``):
            ``customer_id`` (a source id), ``meta_email``, ``meta_phone``.

    Returns:
        Column ``customer_id``, String.
    """
    own = [identifiers["customer_id"], *([] if customers is None else [customers])]
    names = pl.concat(
        [
            *(pl.DataFrame({"name": ids, "customer_id": ids}) for ids in own),
            *(
                []
                if identities is None
                else [identities.select(pl.col("source_id").alias("name"), "customer_id")]
            ),
        ]
    ).unique()
    found = [
        names.join(_names_of_hashes(entries), on="name", how="semi"),
        _by_digest(names, _of_kind(entries, "customer_id")),
        *(
            identifiers.join(_of_kind(entries, kind), left_on=column, right_on="value", how="semi")
            for kind, column in (("email", "meta_email"), ("phone", "meta_phone"))
            if column in identifiers.columns
        ),
    ]
    if "device_id" in identifiers.columns:
        devices = identifiers.select(pl.col("device_id").alias("name"), "customer_id")
        found.append(_by_digest(devices, _of_kind(entries, "device_id")))
    if addresses is not None:
        found.append(_by_address(addresses, entries, names))
    return pl.concat([frame.select("customer_id") for frame in found])["customer_id"].unique().sort()


def _by_address(addresses: pl.LazyFrame, entries: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """Customers by what they were ever known by: the hashes are found first, for there are few of them."""
    given = pl.concat(
        [
            addresses.join(
                _of_kind(entries, kind).lazy(), left_on=column, right_on="value", how="semi"
            ).select(pl.col("customer_id").alias("name"))
            for kind, column in (("email", "meta_email"), ("phone", "meta_phone"))
        ]
    )
    return given.unique().collect(engine="streaming").join(names, on="name", how="inner")


def _of_kind(entries: pl.DataFrame, kind: str) -> pl.DataFrame:
    return entries.filter(pl.col("kind") == kind).select("value")


def _names_of_hashes(entries: pl.DataFrame) -> pl.DataFrame:
    """What a person is called who is known by the hash alone, or whose id is their e-mail address."""
    emails, phones = _of_kind(entries, "email"), _of_kind(entries, "phone")
    return pl.concat(
        [
            emails.select(source_ids.hashed_id(source_ids.EMAIL, "value").alias("name")),
            emails.select((pl.lit("h_") + pl.col("value").bin.encode("hex")).alias("name")),
            phones.select(source_ids.hashed_id(source_ids.PHONE, "value").alias("name")),
        ]
    )


def _by_digest(names: pl.DataFrame, digests: pl.DataFrame) -> pl.DataFrame:
    """The rows of ``names`` whose ``name`` has one of the SHA-256 in ``digests``."""
    there = names.drop_nulls()
    if there.is_empty() or digests.is_empty():
        return there.clear()
    with duckdb.connect(":memory:") as connection:
        connection.register("names", there.to_arrow())
        connection.register("digests", digests.to_arrow())
        found = connection.sql(
            "select distinct customer_id from names where unhex(sha256(name)) in (select value from digests)"
        ).to_arrow_table()
    return pl.DataFrame(found)
