"""Whom a statement of consent is about, and from when it counts."""

from __future__ import annotations

from datetime import date

import polars as pl

from audience_pipeline.identifiers.source_ids import (
    ANONYMOUS,
    EMAIL,
    LOYALTY,
    PHONE,
    PREFIXES,
    SHOP,
    hashed_id,
    prefixed,
)

GRANTED, DENIED, ERASE = "granted", "denied", "erase"
STATEMENTS: dict[str, pl.DataType] = {
    "source_id": pl.String(),
    "at": pl.Datetime("us"),
    "event_at": pl.Datetime("us"),
    "status": pl.String(),
    "platform": pl.String(),
    "about_advertising": pl.Boolean(),
    "about_personalisation": pl.Boolean(),
    "kind": pl.String(),
    "source": pl.String(),
    "legal_basis": pl.String(),
}
_OPTIONAL = {
    **dict.fromkeys(("purpose", "platform", "source", "legal_basis", "signal"), pl.String()),
    "landed_at": pl.Datetime("us"),
}
_BY_HASH = {"meta_email": EMAIL, "meta_phone": PHONE}
_PAIRS = {"source_id": pl.String(), "name": pl.String()}


def holders(table: pl.LazyFrame) -> pl.LazyFrame:
    """Who ever had which address, number or card: ``source_id, name``, each pair once.

    Args:
        table: ``customer_id`` and any of ``meta_email, meta_phone, loyalty_id``, of any date.

    Returns:
        ``name`` is the address, number or card as a source id is made of one (``email:...``, ``phone:...``,
        ``loyalty:...``).
    """
    there = table.collect_schema().names()
    named = {column: hashed_id(prefix, column) for column, prefix in _BY_HASH.items()}
    named["loyalty_id"] = prefixed(LOYALTY, "loyalty_id")
    pairs = [
        table.filter(pl.col("customer_id").is_not_null() & pl.col(column).is_not_null()).select(
            pl.col("customer_id").alias("source_id"), name.alias("name")
        )
        for column, name in named.items()
        if column in there
    ]
    return pl.concat([pl.LazyFrame(schema=_PAIRS), *pairs]).unique()


def statements(events: pl.LazyFrame, had: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """What was stated up to a date, a row for each source id that it is about.

    A statement without an id is about everybody who ever had its address or number. One with an id is about
    that id; if it denies something, about everybody with the address or number that it names as well. Who
    had which address is told by statements, too: those that name it with an id.

    A day without a time (midnight to the microsecond) counts as its beginning for a grant and as its end
    for a denial: of a day's contradicting statements the denial wins. A privacy signal is a denial of
    everything, whatever its row says besides, and so is a request for erasure. A grant counts from its
    landing at the latest: one whose clock is ahead, or whose time zone was misread, must not outlive a
    later opt-out.

    Args:
        events: the landed ``consent_events``, maybe with ``landed_at`` in the time of the shop.
        had: :func:`holders` of whatever else has landed.
        as_of: the day up to which statements are seen.

    Returns:
        Columns ``STATEMENTS``; ``at`` is when a statement counts from, ``event_at`` what it said itself,
        ``kind`` is ``statement`` or ``signal``. A statement may reach a source id more than once.
    """
    there = events.collect_schema().names()
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in _OPTIONAL.items() if name not in there]
    seen = events.with_columns(absent).filter(pl.col("event_at").dt.date() <= as_of)
    is_signal = pl.col("signal").is_not_null() & (pl.col("status") != ERASE)
    total = is_signal | (pl.col("status") == ERASE)
    stated = seen.select(
        "customer_id",
        *(hashed_id(prefix, column).alias(column) for column, prefix in _BY_HASH.items()),
        "event_at",
        pl.when(is_signal).then(pl.lit(DENIED)).otherwise("status").alias("status"),
        pl.when(~total).then("platform").alias("platform"),
        (total | (pl.col("purpose").fill_null("advertising") == "advertising")).alias("about_advertising"),
        (total | (pl.col("purpose") == "personalisation").fill_null(value=False)).alias(
            "about_personalisation"
        ),
        pl.when(is_signal).then(pl.lit("signal")).otherwise(pl.lit("statement")).alias("kind"),
        "source",
        "legal_basis",
        "landed_at",
    ).with_columns(_counts_from())
    agreed = holders(seen.filter((pl.col("status") == GRANTED) & ~is_signal))
    # Who denies with an address has it, too; but a denial must never make a later grant reach further.
    reached = _reached(stated, pl.concat([had, agreed]).unique(), pl.concat([had, holders(seen)]).unique())
    return reached.select(pl.col(name).cast(dtype) for name, dtype in STATEMENTS.items())


def speaks_for_its_customer(column: str) -> pl.Expr:
    """Whether a source id cannot state anything by itself: a browser, a loyalty card.

    What they signal counts as said by the customer whom they belong to, so that a later statement of that
    customer is the latest one.
    """
    return pl.col(column).str.starts_with(ANONYMOUS) | pl.col(column).str.starts_with(LOYALTY)


def _counts_from() -> pl.Expr:
    at = pl.col("event_at")
    is_day = at == at.dt.truncate("1d")
    end = at + pl.duration(days=1) - pl.duration(microseconds=1)
    granted = pl.min_horizontal(at, "landed_at")
    return pl.when(pl.col("status") == GRANTED).then(granted).when(is_day).then(end).otherwise(at).alias("at")


def _reached(stated: pl.LazyFrame, granting: pl.LazyFrame, denying: pl.LazyFrame) -> pl.LazyFrame:
    """The statements with ``source_id``: by id, by the name of the address itself, by who ever had it.

    ``granting`` and ``denying`` say who had which, as far as grants and denials are concerned.
    """
    denies = pl.col("status") != GRANTED
    named = stated.filter(pl.col("customer_id").is_not_null())
    clash = pl.any_horizontal(pl.col("customer_id").str.starts_with(SHOP + prefix) for prefix in PREFIXES)
    # Somebody who is known by an address alone is listed by us under that name, and may be named so.
    plain = named.filter(denies & clash).with_columns(
        pl.col("customer_id").str.strip_prefix(SHOP).alias("name")
    )
    by_hash = pl.concat(
        [
            *(
                stated.filter(pl.col(column).is_not_null()).with_columns(pl.col(column).alias("name"))
                for column in _BY_HASH
            ),
            plain,
        ]
    )
    parts = [
        named.with_columns(pl.col("customer_id").alias("source_id")),
        by_hash.with_columns(pl.col("name").alias("source_id")),
        by_hash.filter(denies).join(denying, on="name", how="inner"),
        by_hash.filter(~denies & pl.col("customer_id").is_null()).join(granting, on="name", how="inner"),
    ]
    return pl.concat([part.select(list(STATEMENTS)) for part in parts])
