"""The column version: contacts in, per-platform hashes out, no raw value left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256

import polars as pl

from audience_pipeline.identifiers import email_columns, people, phone_columns, phones
from audience_pipeline.identifiers.countries import country_code
from audience_pipeline.identifiers.customer_ids import customer_id_expr
from audience_pipeline.identifiers.text import BLANKS

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

_OF_NOTHING = sha256(b"").hexdigest()
"""The hash of an empty value: it would match whoever else sent one."""
_RAW = ("email", "phone", "first_name", "last_name", "country")


def contact_hashes(
    contacts: pl.DataFrame, default_region: str | None, hashed: Mapping[str, Collection[str]] | None = None
) -> pl.DataFrame:
    """Hash the identifiers of contacts as each platform wants them.

    Args:
        contacts: ``customer_id`` and any of ``email``, ``phone``, ``first_name``, ``last_name`` and
            ``country`` (the region of a phone number without country code), all String, as the source has
            them.
        default_region: ISO2 region of such a number where the row has no country that can be read.
        hashed: which of ``email`` and ``phone`` hold SHA-256 in hex instead, and for which platforms: what is
            something else there is null, as are the hashes of other platforms and the kind of the domain.

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
    made = hashed or {}
    for table in (
        _given(raw["email"], made["email"]) if "email" in made else _emails(raw["email"]),
        _given(raw["phone"], made["phone"]) if "phone" in made else _phones(frame),
        _names(raw["first_name"], "meta_first_name", "google_given_name"),
        _names(raw["last_name"], "meta_last_name", "google_family_name"),
    ):
        keys = [name for name in table.columns if name in (*_RAW, "region")]
        frame = frame.join(table, on=keys, how="left", maintain_order="left")
    if "email_domain_kind" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias("email_domain_kind"))
    return frame.select(customer_id_expr("customer_id"), *HASH_COLUMNS, "email_domain_kind")


def _distinct(column: pl.Series) -> list[str]:
    return column.drop_nulls().unique().to_list()


def _digests(texts: pl.Series) -> pl.Series:
    """SHA-256 of each text (32 bytes); null stays null."""
    hashes = [None if text is None else sha256(text.encode()).digest() for text in texts.to_list()]
    return pl.Series(hashes, dtype=pl.Binary)


def _differing(texts: pl.Series, others: pl.Series, hashes: pl.Series) -> pl.Series:
    """SHA-256 of each text, where ``hashes`` are those of ``others``: most are the same."""
    same = texts == others
    if same.all(ignore_nulls=False):
        return hashes
    own = _digests(pl.select(pl.when(~same.fill_null(value=False)).then(texts)).to_series())
    return pl.select(pl.when(same).then(hashes).otherwise(own)).to_series()


def _emails(column: pl.Series) -> pl.DataFrame:
    spelled = email_columns.spelled(column)
    meta = _digests(spelled["meta"])
    return pl.DataFrame(
        {
            "email": spelled["raw"],
            "meta_email": meta,
            "google_email": _differing(spelled["google"], spelled["meta"], meta),
            "tiktok_email": _differing(spelled["tiktok"], spelled["meta"], meta),
            "email_domain_kind": spelled["domain_kind"],
        }
    )


def _given(column: pl.Series, platforms: Collection[str]) -> pl.DataFrame:
    """Hashes that were made elsewhere, as columns ``<platform>_<name>``."""
    raw = column.drop_nulls().unique()
    text = raw.str.strip_chars(BLANKS).str.to_lowercase()
    usable = text.str.contains("^[0-9a-f]{64}$") & (text != _OF_NOTHING)
    hashes = pl.select(pl.when(usable).then(text)).to_series().str.decode("hex")
    names = [name for name in HASH_COLUMNS if name.endswith(f"_{column.name}")]
    none = pl.Series([None] * raw.len(), dtype=pl.Binary)
    made = {name: hashes if name.partition("_")[0] in platforms else none for name in names}
    return pl.DataFrame({column.name: raw, **made})


def _regions(countries: pl.Series, default_region: str | None) -> pl.Series:
    """The region of each row's phone number: its own country, else the default; empty where there is none."""
    raw = _distinct(countries)
    codes = {value: country_code(value) for value in raw}
    known = {value: code for value, code in codes.items() if code in phones.REGIONS}
    own = countries.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.String)
    return own.fill_null((default_region or "").upper()).alias("region")


def _phones(contacts: pl.DataFrame) -> pl.DataFrame:
    numbers = phone_columns.e164(contacts)
    return numbers.select(
        "phone",
        "region",
        _digests(numbers["e164"].str.slice(1)).alias("meta_phone"),
        _digests(numbers["e164"]).alias("google_phone"),
    )


def _names(column: pl.Series, meta_name: str, google_name: str) -> pl.DataFrame:
    raw = _distinct(column)
    return pl.DataFrame(
        {
            column.name: pl.Series(raw, dtype=pl.String),
            meta_name: _digests(_texts(people.meta_name(name) for name in raw)),
            google_name: _digests(_texts(people.google_name(name) for name in raw)),
        }
    )


def _texts(values: Iterable[str | None]) -> pl.Series:
    return pl.Series(list(values), dtype=pl.String)
