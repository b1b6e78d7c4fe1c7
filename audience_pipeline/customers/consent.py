"""Who may be advertised to, as of a date: the latest statement wins, silence is a setting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import reduce
from operator import and_, or_

import polars as pl

from audience_pipeline.customers.consent_latest import EVERYWHERE, SAID, latest, with_reasons
from audience_pipeline.customers.consent_policy import (
    CONSENT_NEEDED,
    EEA,
    ConsentPolicy,
    hears_signals,
    needs_consent,
)
from audience_pipeline.customers.consent_signals import signals
from audience_pipeline.customers.consent_statements import holders, statements
from audience_pipeline.customers.identity import known
from audience_pipeline.platforms.contract import CAPABILITIES, Platform

__all__ = ["CONSENT_NEEDED", "EEA", "ConsentPolicy", "consent"]

_NOBODY = {"source_id": pl.String(), "customer_id": pl.String()}


def consent(
    events: pl.LazyFrame,
    contacts: pl.LazyFrame,
    as_of: date,
    *,
    customers: pl.LazyFrame,
    identities: pl.LazyFrame | None = None,
    web: pl.LazyFrame | None = None,
    named_by: Sequence[pl.LazyFrame] = (),
    landings: Sequence[str] = (),
    policy: ConsentPolicy = ConsentPolicy(),  # noqa: B008 (frozen)
) -> pl.LazyFrame:
    """Whether each customer may be advertised to, overall and on each platform, and who says so.

    Decided per source id: the latest statement wins; of statements of the same instant a denial wins. A
    statement for one platform counts on that platform alone. A denial for everything stands until a grant
    for everything: a grant for one platform does not lift it. An erasure is never lifted. Then per
    customer: a denial of any source id of a person wins, whatever the others said later, because a merge
    may be wrong and an opt-out may not be lost.

    Where a platform takes people only as consenting to personalised ads, ``advertising_<platform>`` asks
    for personalisation too: not denied, and granted where silence means no.

    Args:
        events: the landed ``consent_events``, maybe with ``landed_at``; those after ``as_of`` are not read.
        contacts: the landed ``crm_contacts`` (then every address a customer ever had links a statement to
            it), or the ``identifiers`` of a date.
        as_of: the day up to which statements are seen.
        customers: ``customer_id`` of everybody who should have a row; customers of ``contacts`` and of
            ``identities`` have one too.
        identities: ``source_id, customer_id``; without it, every source id is a customer.
        web: the landed ``web_events``, for the Global Privacy Control of browsers.
        named_by: other tables up to ``as_of`` that say whose an address, a number or a loyalty card is:
            ``customer_id`` and any of ``meta_email, meta_phone, loyalty_id``.
        landings: landing ids of ``contacts`` in the order in which they landed.
        policy: what silence and signals mean.

    Returns:
        ``customer_id, advertising, advertising_<platform>..., personalisation,
        personalisation_<platform>..., opted_out, opted_out_<platform>..., erased, decided_by ('statement' |
        'signal' | 'default'), statement_at, source, legal_basis``, sorted by ``customer_id``. ``opted_out``
        is an explicit denial of advertising everywhere, ``opted_out_<platform>`` a denial of anything that
        the platform needs. The last four columns are about ``advertising``; ``statement_at`` is as stated.
    """
    dated = "updated_at" in contacts.collect_schema().names()
    seen = known(contacts, as_of) if dated else contacts
    same = pl.LazyFrame(schema=_NOBODY) if identities is None else identities.select(*_NOBODY)
    places = _mapped(_countries(seen, landings if dated else (), dated=dated), same).select(
        "customer_id", "country"
    )
    rules = (
        places.group_by("customer_id")
        .agg(needs_consent(policy).any().alias("_needed"), hears_signals(policy).any().alias("_heard"))
        .collect(engine="streaming")
        .lazy()
    )
    had = pl.concat([holders(table) for table in (seen, *named_by)])
    said = [_mapped(statements(events, had, as_of), same)]
    if web is not None:
        heard = _mapped(signals(web, as_of), same).join(rules, on="customer_id", how="left")
        said.append(
            heard.filter(pl.col("_heard").fill_null(value=policy.unknown_country_signals)).drop(
                "_needed", "_heard"
            )
        )
    # What is read twice is collected, so that it is worked out once.
    stated = pl.concat(said).collect(engine="streaming").lazy()
    people = [frame.select(pl.col("customer_id").alias("source_id")) for frame in (customers, seen)]
    everybody = pl.concat(
        [_mapped(pl.concat(people).unique(), same).select("customer_id"), same.select("customer_id")]
    )
    decided = (
        everybody.drop_nulls()
        .unique()
        .join(rules.select("customer_id", "_needed"), on="customer_id", how="left")
        .join(latest(stated), on="customer_id", how="left")
        .with_columns(
            pl.col("_needed").fill_null(value=policy.unknown_country_needs_consent),
            *(pl.col(name).fill_null(value=False) for name in SAID),
        )
        .select(*_decisions(policy), "_status", "_at")
        .collect(engine="streaming")
        .lazy()
    )
    return with_reasons(decided, stated).sort("customer_id")


def _decisions(policy: ConsentPolicy) -> list[pl.Expr]:
    """Columns of the answer, from the ``_yes_`` and ``_no_`` of :func:`latest` and ``_needed``."""
    silent = ~pl.col("_needed")

    def denied(purpose: str, place: str) -> pl.Expr:
        return pl.col("_erased") | pl.col(f"_no_{purpose}_{EVERYWHERE}") | pl.col(f"_no_{purpose}_{place}")

    def allowed(purpose: str, place: str) -> pl.Expr:
        agreed = pl.col(f"_yes_{purpose}_{place}")
        if purpose == "personalisation" and policy.advertising_covers_personalisation:
            agreed |= pl.col(f"_yes_advertising_{place}")
        return ~denied(purpose, place) & (agreed | silent)

    def needed(platform: Platform) -> tuple[str, ...]:
        return CAPABILITIES[platform].purposes

    return [
        pl.col("customer_id"),
        allowed("advertising", EVERYWHERE).alias("advertising"),
        *(
            reduce(and_, (allowed(purpose, platform.value) for purpose in needed(platform))).alias(
                f"advertising_{platform.value}"
            )
            for platform in Platform
        ),
        allowed("personalisation", EVERYWHERE).alias("personalisation"),
        *(
            allowed("personalisation", platform.value).alias(f"personalisation_{platform.value}")
            for platform in Platform
        ),
        denied("advertising", EVERYWHERE).alias("opted_out"),
        *(
            reduce(or_, (denied(purpose, platform.value) for purpose in needed(platform))).alias(
                f"opted_out_{platform.value}"
            )
            for platform in Platform
        ),
        pl.col("_erased").alias("erased"),
    ]


def _countries(contacts: pl.LazyFrame, landings: Sequence[str], *, dated: bool) -> pl.LazyFrame:
    """``source_id, country``: the latest country of each source id; several where one instant says so."""
    told = contacts.filter(pl.col("country").is_not_null() & pl.col("customer_id").is_not_null())
    told = told.rename({"customer_id": "source_id"})
    if not dated:
        return told.select("source_id", "country").unique()
    order = dict(zip(landings, range(1, len(landings) + 1), strict=True))
    landing = (
        pl.col("landing_id").replace_strict(order, default=0, return_dtype=pl.Int64) if order else pl.lit(0)
    )
    always = pl.lit(datetime.min).cast(pl.Datetime("us"))
    latest_moment = told.select(
        "source_id", "country", pl.col("updated_at").fill_null(always), landing.alias("_landing")
    ).filter(pl.col("updated_at") == pl.col("updated_at").max().over("source_id"))
    return (
        latest_moment.filter(pl.col("_landing") == pl.col("_landing").max().over("source_id"))
        .select("source_id", "country")
        .unique()
    )


def _mapped(table: pl.LazyFrame, same: pl.LazyFrame) -> pl.LazyFrame:
    """The table with the ``customer_id`` that each ``source_id`` belongs to."""
    return table.join(same, on="source_id", how="left").with_columns(
        pl.coalesce("customer_id", "source_id").alias("customer_id")
    )
