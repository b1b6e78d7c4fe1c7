"""The column version: contacts in, per-platform hashes out, no raw value left."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from audience_pipeline.identifiers import emails, people, phones
from audience_pipeline.identifiers.countries import country_code
from audience_pipeline.identifiers.customer_ids import customer_id_expr
from audience_pipeline.identifiers.text import digest

HASH_COLUMNS = (
    "meta_email",
    "google_email",
    "tiktok_email",
    "meta_phone",
    "google_phone",
    "meta_first_name",
    "meta_last_name",
    "google_given_name",
    "google_family_name",
)
"""Binary columns, 32 bytes each: the SHA-256 of the normalised text, null where it is refused."""

_RAW = ("email", "phone", "first_name", "last_name", "country")


def contact_hashes(contacts: pl.DataFrame, default_region: str | None) -> pl.DataFrame:
    """Hash the identifiers of contacts as each platform wants them.

    Args:
        contacts: ``customer_id`` and any of ``email``, ``phone``, ``first_name``, ``last_name`` and
            ``country`` (the region of a phone number without country code), all String, as the source has
            them.
        default_region: ISO2 region of such a number where the row has no country that can be read.

    Returns:
        One row per row of ``contacts``, in the same order: ``customer_id`` (pseudonymised where it looks
        personal), :data:`HASH_COLUMNS` and ``email_domain_kind`` (``free``, ``business``, ``disposable`` or
        null).

    Raises:
        ValueError: there is no column ``customer_id``.
    """
    if "customer_id" not in contacts.columns:
        raise ValueError("contacts have no column 'customer_id': name the column of the customers' ids so")
    missing = [pl.lit(None, pl.String).alias(name) for name in _RAW if name not in contacts.columns]
    raw = contacts.with_columns(missing).select(pl.col("customer_id", *_RAW).cast(pl.String))
    frame = raw.with_columns(_regions(raw["country"], default_region))
    for table in (
        _emails(raw["email"]),
        _phones(frame),
        _names(raw["first_name"], "meta_first_name", "google_given_name"),
        _names(raw["last_name"], "meta_last_name", "google_family_name"),
    ):
        keys = [name for name in table.columns if name in (*_RAW, "region")]
        frame = frame.join(table, on=keys, how="left", maintain_order="left")
    return frame.select(customer_id_expr("customer_id"), *HASH_COLUMNS, "email_domain_kind")


def _distinct(column: pl.Series) -> list[str]:
    return column.drop_nulls().unique().to_list()


def _hashed(texts: Sequence[str | None]) -> pl.Series:
    return pl.Series([None if text is None else digest(text) for text in texts], dtype=pl.Binary)


def _emails(column: pl.Series) -> pl.DataFrame:
    raw = _distinct(column)
    parsed = [emails.parse(value) for value in raw]
    meta = [email.meta if email else None for email in parsed]
    return pl.DataFrame(
        {
            "email": pl.Series(raw, dtype=pl.String),
            "meta_email": _hashed(meta),
            "google_email": _hashed([email.google if email else None for email in parsed]),
            "tiktok_email": _hashed([email.tiktok if email else None for email in parsed]),
            "email_domain_kind": pl.Series([e.domain_kind if e else None for e in parsed], dtype=pl.String),
        }
    )


def _regions(countries: pl.Series, default_region: str | None) -> pl.Series:
    """The region of each row's phone number: its own country, else the default; empty where there is none."""
    raw = _distinct(countries)
    codes = {value: country_code(value) for value in raw}
    known = {value: code for value, code in codes.items() if code in phones.REGIONS}
    own = countries.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.String)
    return own.fill_null((default_region or "").upper()).alias("region")


def _phones(contacts: pl.DataFrame) -> pl.DataFrame:
    pairs = contacts.select("phone", "region").drop_nulls().unique()
    numbers = [phones.e164(phone, region or None) for phone, region in pairs.iter_rows()]
    return pairs.with_columns(
        _hashed([number[1:] if number else None for number in numbers]).alias("meta_phone"),
        _hashed(numbers).alias("google_phone"),
    )


def _names(column: pl.Series, meta_name: str, google_name: str) -> pl.DataFrame:
    raw = _distinct(column)
    return pl.DataFrame(
        {
            column.name: pl.Series(raw, dtype=pl.String),
            meta_name: _hashed([people.meta_name(name) for name in raw]),
            google_name: _hashed([people.google_name(name) for name in raw]),
        }
    )
