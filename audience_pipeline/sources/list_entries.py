"""Values of an uploaded list turned into hashes, each by the kind of identifier that it is."""

from __future__ import annotations

import polars as pl

from audience_pipeline.identifiers import contact_hashes, customer_id_expr, device_id_expr, source_ids
from audience_pipeline.identifiers.text import BLANKS, INVISIBLE, digest

ENTRIES_SCHEMA = pl.Schema({"kind": pl.String, "value": pl.Binary})
"""``kind``: customer_id, email, phone or device_id. ``value``: a SHA-256 of 32 bytes: of the e-mail address
and phone number as Meta wants them, of a source id, of a device id in lower case."""
LONGEST = 320
"""Characters of the longest e-mail address."""

REASONS = {
    "email": "no e-mail address that can be used",
    "phone": "no phone number that can be used; a national one needs shop.default_region in the settings",
    "device_id": "no device id that can be used",
    "hashed": "hashed already: only a column called email_sha256 or phone_sha256 holds hashes",
    "sha256": "no SHA-256 in hex",
    "other": "neither an e-mail address, a phone number nor an id, which has a digit and no blanks",
    "long": f"longer than {LONGEST} characters",
}
_AT = "@|\uff20|%(?:25)*40"
_DEVICE = "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
_HASH = "^[0-9a-fA-F]{64}$"
_DIGITS = "^[0-9]{10,15}$"
_DIALLED = r"^[+\uff0b(0-9][0-9\s().\-/\u2010-\u2015\u2212]{5,30}$"
_SIGNS = r"[+\uff0b\s().\-/\u2010-\u2015\u2212]"
_DAY = r"^(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4})$"


def entries(cells: pl.DataFrame, default_region: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read each value as what its column says, or as what it looks like.

    A value whose column says nothing is an e-mail address where it has an ``@``, a device id where it has the
    form of one, a phone number where it is written like one that is dialled and is valid, and a customer id
    otherwise, if it has a digit and no blanks. Ten to fifteen digits alone may be either: they stand for an
    id, and for the phone number too where it is valid.

    Args:
        cells: ``as`` (one of ``list_cells.KINDS``, or null), ``text``, ``times``, ``line`` (the first one).
        default_region: ISO2 region of phone numbers without country code.

    Returns:
        The entries (``ENTRIES_SCHEMA``, unique) and what cannot be used: ``reason`` (key of ``REASONS``),
        ``times``, ``line``.
    """
    text = pl.col("text").str.replace_all(f"[{INVISIBLE}]", "").str.strip_chars(BLANKS)
    cleaned = cells.with_columns(text.str.replace(r"^([0-9]+)\.0$", "$1").alias("text"))
    decided = cleaned.with_columns(_kind().alias("kind"))
    contact = pl.DataFrame(
        {
            "customer_id": decided["text"],
            "email": _where(decided, "email"),
            "phone": _where(decided, "phone", "either"),
        }
    )
    hashes = contact_hashes(contact, default_region)
    read = decided.with_columns(
        hashes["meta_email"].alias("email"),
        hashes["meta_phone"].alias("phone"),
        _digests(_device_ids(decided)).alias("device_id"),
        _digests(_own_ids(decided, hashes["meta_phone"])).alias("customer_id"),
        pl.when(pl.col("kind").str.ends_with("_sha256"))
        .then(pl.col("text").str.to_lowercase().str.decode("hex", strict=False))
        .alias("given"),
    )
    given = pl.when(pl.col("given").bin.size() == 32).then("given")
    read = read.with_columns(
        pl.coalesce("email", pl.when(pl.col("kind") == "email_sha256").then(given)).alias("email"),
        pl.coalesce("phone", pl.when(pl.col("kind") == "phone_sha256").then(given)).alias("phone"),
    )
    kinds = ("customer_id", "email", "phone", "device_id")
    found = (
        pl.concat([read.select(pl.lit(kind).alias("kind"), pl.col(kind).alias("value")) for kind in kinds])
        .drop_nulls()
        .unique()
    )
    unusable = read.filter(pl.all_horizontal(pl.col(kinds).is_null())).select(
        pl.when(pl.col("kind").str.ends_with("_sha256"))
        .then(pl.lit("sha256"))
        .otherwise("kind")
        .alias("reason"),
        "times",
        "line",
    )
    return found, unusable


def _kind() -> pl.Expr:
    """What a value is to be read as: a kind, ``either`` (phone number or id), or a key of ``REASONS``."""
    text, said = pl.col("text"), pl.col("as")
    digits = text.str.replace_all(_SIGNS, "").str.len_chars()
    return (
        pl.when(text.str.len_chars() > LONGEST)
        .then(pl.lit("long"))
        .when((said == "customer_id") & text.str.contains(_AT))
        .then(pl.lit("email"))
        .when(said.is_not_null())
        .then(said)
        .when(text.str.contains(_AT))
        .then(pl.lit("email"))
        .when(text.str.contains(_DEVICE))
        .then(pl.lit("device_id"))
        .when(text.str.contains(_HASH))
        .then(pl.lit("hashed"))
        .when(text.str.contains(_DAY))
        .then(pl.lit("other"))
        .when(text.str.contains(_DIGITS))
        .then(pl.lit("either"))
        .when(text.str.contains(_DIALLED) & text.str.contains(_SIGNS) & (digits >= 7))
        .then(pl.lit("phone"))
        .when(text.str.contains("[0-9]") & ~text.str.contains(f"[{BLANKS}\ufffd]"))
        .then(pl.lit("customer_id"))
        .otherwise(pl.lit("other"))
    )


def _where(frame: pl.DataFrame, *kinds: str) -> pl.Series:
    return frame.select(pl.when(pl.col("kind").is_in(kinds)).then("text")).to_series()


def _device_ids(frame: pl.DataFrame) -> pl.Series:
    return frame.select(_where(frame, "device_id").alias("text")).select(device_id_expr("text")).to_series()


def _own_ids(frame: pl.DataFrame, phones: pl.Series) -> pl.Series:
    """Source ids. An id that is written like a phone number without being one is an id like any other."""
    said, kind = pl.col("as"), pl.col("kind")
    is_id = kind.is_in(["customer_id", "either", "loyalty_id"]) | (said == "customer_id")
    dialled = (kind == "phone") & said.is_null() & phones.is_null() & ~pl.col("text").str.contains(r"[\s(]")
    ids = (
        frame.select(pl.when(is_id | dialled).then("text").alias("id"), "kind")
        .with_columns(customer_id_expr("id"))
        .with_columns(
            pl.when(pl.col("kind") == "loyalty_id")
            .then(source_ids.prefixed(source_ids.LOYALTY, "id"))
            .otherwise(source_ids.own_id("id"))
            .alias("id")
        )
    )
    return ids["id"]


def _digests(texts: pl.Series) -> pl.Series:
    return pl.Series([None if text is None else digest(text) for text in texts.to_list()], dtype=pl.Binary)
