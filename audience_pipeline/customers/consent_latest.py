"""The latest word of each customer, for every purpose and place, without sorting a row."""

from __future__ import annotations

from itertools import product

import polars as pl

from audience_pipeline.customers.consent_statements import (
    DENIED,
    ERASE,
    GRANTED,
    speaks_for_its_customer,
)
from audience_pipeline.platforms.contract import Platform

EVERYWHERE = "everywhere"
PURPOSES = ("advertising", "personalisation")
PLACES = (EVERYWHERE, *(platform.value for platform in Platform))
_CELLS = tuple(product(PURPOSES, PLACES))
SAID = ("_erased", *(f"_{word}_{purpose}_{place}" for word in ("yes", "no") for purpose, place in _CELLS))
"""Boolean columns of :func:`latest`."""


def latest(stated: pl.LazyFrame) -> pl.LazyFrame:
    """What the latest statements of each customer say.

    Only the newest grant and the newest denial are looked for, so that neither the order of rows nor how
    often one is repeated can matter.

    Args:
        stated: statements with ``source_id`` and ``customer_id``.

    Returns:
        One row per customer: ``_erased``; ``_yes_<purpose>_<place>``: the last word of one of its source
        ids, for that place or everywhere, was a grant; ``_no_...``: of one of them it was a denial;
        ``_status`` and ``_at``: what decides about advertising everywhere, null where nothing was said.
    """
    speaker = pl.when(speaks_for_its_customer("source_id")).then("customer_id").otherwise("source_id")
    moments = stated.select(
        "customer_id",
        speaker.alias("source_id"),
        pl.when(pl.col("status") == ERASE).then("at").alias("_erase"),
        *(
            pl.when(_is(status, purpose, place)).then("at").alias(f"_{status}_{purpose}_{place}")
            for status in (GRANTED, DENIED)
            for purpose, place in _CELLS
        ),
    )
    newest = moments.group_by("customer_id", "source_id").agg(pl.all().max())
    words = newest.select(
        "customer_id",
        pl.col("_erase"),
        *(expression for purpose, place in _CELLS for expression in _words(purpose, place)),
        _newest(DENIED, "advertising", EVERYWHERE).alias("_no_at"),
        _newest(GRANTED, "advertising", EVERYWHERE).alias("_yes_at"),
    )
    decisive = pl.col(f"_no_advertising_{EVERYWHERE}")
    return (
        words.group_by("customer_id")
        .agg(
            pl.col("_erase").max(),
            *(pl.col(name).any() for name in SAID[1:]),
            pl.col("_no_at").filter(decisive).max(),
            pl.col("_yes_at").max(),
        )
        .select(
            "customer_id",
            pl.col("_erase").is_not_null().alias("_erased"),
            *SAID[1:],
            pl.when(pl.col("_erase").is_not_null())
            .then(pl.lit(ERASE))
            .when(pl.col("_no_at").is_not_null())
            .then(pl.lit(DENIED))
            .when(pl.col("_yes_at").is_not_null())
            .then(pl.lit(GRANTED))
            .alias("_status"),
            pl.coalesce("_erase", "_no_at", "_yes_at").alias("_at"),
        )
    )


def with_reasons(decided: pl.LazyFrame, stated: pl.LazyFrame) -> pl.LazyFrame:
    """Say of each decision which statement made it.

    Args:
        decided: one row per customer, with ``_status`` and ``_at`` of :func:`latest`.
        stated: the statements.

    Returns:
        ``decided`` with ``decided_by, statement_at, source, legal_basis`` instead of these two.
    """
    keys = ["customer_id", "_status", "_at"]
    told = ["kind", "event_at", "source", "legal_basis"]
    everywhere = stated.filter(pl.col("about_advertising") & pl.col("platform").is_null())
    made_it = (
        everywhere.rename({"status": "_status", "at": "_at"})
        .join(decided.select(keys).drop_nulls(), on=keys, how="semi")
        .select(*keys, *told)
        # Of several statements of one instant the first by its words, so that no order of rows decides.
        .sort("customer_id", *told, nulls_last=True)
        .unique("customer_id", keep="first", maintain_order=True)
    )
    return (
        decided.join(made_it.drop("_status", "_at"), on="customer_id", how="left")
        .with_columns(pl.col("kind").fill_null("default"))
        .rename({"kind": "decided_by", "event_at": "statement_at"})
        .drop("_status", "_at")
    )


def _is(status: str, purpose: str, place: str) -> pl.Expr:
    here = pl.col("platform").is_null() if place == EVERYWHERE else pl.col("platform") == place
    # An erasure denies, too: its moment is needed where several source ids are compared.
    said = pl.col("status").is_in([DENIED, ERASE]) if status == DENIED else pl.col("status") == status
    return said & pl.col(f"about_{purpose}") & here.fill_null(value=False)


def _newest(status: str, purpose: str, place: str) -> pl.Expr:
    """The newest statement that counts in a place: one for it, or one for everything."""
    names = {f"_{status}_{purpose}_{EVERYWHERE}", f"_{status}_{purpose}_{place}"}
    return pl.max_horizontal(*sorted(names))


def _words(purpose: str, place: str) -> tuple[pl.Expr, pl.Expr]:
    yes, no = _newest(GRANTED, purpose, place), _newest(DENIED, purpose, place)
    denied = (no >= yes).fill_null(no.is_not_null())
    granted = (yes > no).fill_null(yes.is_not_null())
    return granted.alias(f"_yes_{purpose}_{place}"), denied.alias(f"_no_{purpose}_{place}")
