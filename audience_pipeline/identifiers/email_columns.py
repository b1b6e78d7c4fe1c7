"""Columns of e-mail addresses: three spellings by expressions, and by ``emails`` where these do not read."""

from __future__ import annotations

import polars as pl

from audience_pipeline.identifiers import emails
from audience_pipeline.identifiers.text import BLANKS

_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?"
_PLAIN = rf"^[a-zA-Z0-9!#$%&'*+/=?^_`{{|}}~.\-]+@{_LABEL}(?:\.{_LABEL})+$"
"""ASCII alone, one @, no quotes: what ``emails.parse`` takes too, unless it is a placeholder."""
SPELLINGS = ("meta", "google", "tiktok")


def spelled(column: pl.Series) -> pl.DataFrame:
    """How each platform spells e-mail addresses.

    Args:
        column: raw values (String).

    Returns:
        ``raw``, the distinct values that are not null; ``meta, google, tiktok`` (String, null where refused)
        and ``domain_kind`` as in :class:`audience_pipeline.identifiers.emails.Email`.
    """
    frame = pl.DataFrame({"raw": column.drop_nulls().unique()}).with_columns(
        pl.col("raw").str.strip_chars(BLANKS).str.to_lowercase().alias("meta")
    )
    plain = frame["meta"].str.contains(_PLAIN) & frame["raw"].str.contains(r"^[\x00-\x7f]*$")
    return pl.concat([_plain(frame.filter(plain)), _parsed(frame.filter(~plain)["raw"])])


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    meta, local, base, domain = (pl.col(name) for name in ("meta", "local", "base", "domain"))
    words, whole = sorted(emails.PLACEHOLDER_WORDS), sorted(emails.PLACEHOLDER_LOCALS)
    placeholder = base.is_in(whole) | (base.is_in(words) & (domain.str.extract(r"^([^.]*)") == base))
    usable = ~placeholder & local.str.contains("[^.]")
    short = base.str.replace_all(".", "", literal=True)
    return (
        frame.with_columns(meta.str.splitn("@", 2).struct.rename_fields(["local", "domain"]).struct.unnest())
        .with_columns(local.str.splitn("+", 2).struct.field("field_0").alias("base"))
        .with_columns(
            pl.when(domain.is_in(sorted(emails.GMAIL)))
            .then(pl.when(short != "").then(short + "@" + domain))
            .otherwise(meta)
            .alias("google"),
            pl.when(base != "").then(base + "@" + domain).alias("tiktok"),
            domain.replace_strict(emails.known_domains(), default="business").alias("domain_kind"),
        )
        .select("raw", *(pl.when(usable).then(name).alias(name) for name in (*SPELLINGS, "domain_kind")))
    )


def _parsed(raw: pl.Series) -> pl.DataFrame:
    addresses = [emails.parse(value) for value in raw]
    return pl.DataFrame(
        {"raw": raw}
        | {
            name: pl.Series([getattr(each, name) if each else None for each in addresses], dtype=pl.String)
            for name in (*SPELLINGS, "domain_kind")
        }
    )
