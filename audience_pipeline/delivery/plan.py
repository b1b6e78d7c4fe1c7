"""From the people who are wanted and those who were delivered to what has to be sent: pure and columnar.

A person counts as possibly on the platform from the moment before they are first sent until their removal is
confirmed. So whatever a killed run left behind, comparing the two sets says what is to be done.

A frame of MEMBERS has PEOPLE, ``state: String`` (a ``MemberState``), ``in_flight: Boolean`` and
``delivered_at: Datetime("us", "UTC")``: everybody who may be on the platform, a customer once for each
variant of identifiers.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from audience_pipeline.delivery.brake import CAUTION, Caution, Change, Standing, reason_to_hold
from audience_pipeline.delivery.planned import Counts, Plan
from audience_pipeline.delivery.recipients import PEOPLE
from audience_pipeline.delivery.sharing import Sent, Sharing
from audience_pipeline.ledger.records import MemberState
from audience_pipeline.platforms.contract import Capabilities

__all__ = ["REFRESH_SPREAD", "Counts", "Plan", "Sent", "decide", "without_consent"]

REFRESH_SPREAD = 0.1
"""Share of a membership's life over which people are sent again: not everybody on one day."""
_SENT = ("new", "changed", "refreshed", "resent")


def decide(
    capabilities: Capabilities,
    wanted: pl.DataFrame,
    members: pl.DataFrame,
    standing: Standing,
    sent: Sent,
    *,
    remote_name: str,
    as_of: date,
    now: datetime,
    refused: pl.DataFrame | None = None,
    consent_lost: Set[str] = frozenset(),
    lost: pl.Series | None = None,
    blocked: pl.Series | None = None,
    confirmed: bool = False,
    caution: Caution = CAUTION,
) -> Plan:
    """Compare who is wanted with who may be there.

    Args:
        capabilities: limits and habits of the platform.
        wanted: RECIPIENTS whom the audience should hold; those of ``consent_lost`` among them are left out.
        members: MEMBERS, from the ledger.
        standing: the audience on the platform.
        sent: looks up identifiers of people in ``members``.
        remote_name: its name there.
        as_of: the day of ``wanted``.
        now: decides who is near expiry.
        refused: PEOPLE whom the platform refuses as they are.
        consent_lost: customers whose removal nothing may hold up.
        lost: those of them among ``members``, where they were looked up already.
        blocked: keys of people who are being removed from every audience, besides those in flight here.
        confirmed: a person has looked at the change: the brake is off.
        caution: what is a large change, and when people are sent again.
    """
    old = _Age(capabilities, now, caution)
    if lost is None:
        lost = without_consent(members, consent_lost)
    if not lost.len() and _nothing_to_do(wanted, members, standing, old):
        held = _hold(standing, Change(wanted.height, wanted.height, 0, 0, 0), remote_name, as_of, caution)
        return Plan(
            remote_name,
            Counts(wanted=wanted.height, unchanged=wanted.height),
            renames=_renames(standing, remote_name),
            held="" if confirmed else held,
        )
    if lost.len():
        wanted = wanted.filter(~pl.col("customer_id").is_in(lost.implode()))
    split = _Split.of(wanted, members, lost, old)
    nobody = wanted.select(*PEOPLE, *capabilities.identifiers).clear()
    sharing = Sharing.of(capabilities, members, split.leaving, lost, sent, nobody, blocked)
    adds, counts = _additions(split, sharing, capabilities, refused, consent_lost)
    removals, urgent, waiting = _removals(split.leaving, sharing)

    gone = split.leaving.join(wanted, on="customer_id", how="anti")["customer_id"].unique()
    counts = replace(
        counts, waiting=counts.waiting + waiting, leaving=gone.len(), without_consent=_common(gone, lost)
    )
    held = ""
    if not confirmed:
        change = _change(counts.wanted, split, gone, lost, counts.new)
        held = _hold(standing, change, remote_name, as_of, caution)
    if not counts.wanted and not held and _deletes_when_empty(capabilities, standing):
        everybody = sharing.with_identifiers(split.leaving)
        return Plan(
            remote_name,
            replace(counts, waiting=0),
            to_remove=counts.leaving,
            deletes=True,
            removals=_without_consent_first(everybody),
        )
    if held:
        removals = removals.filter("lost")
        adds = pl.concat([adds.filter(why="resent"), _taken_along(split, sharing).select(adds.columns)])
        counts = replace(counts, resent=adds.height)
    if standing.foreign and held:
        removals, urgent, adds = removals.clear(), urgent.clear(), adds.clear()
    removals, urgent = sharing.every_variant(removals, urgent)
    return Plan(
        remote_name,
        counts,
        to_add=adds.height,
        to_remove=removals["customer_id"].n_unique(),
        creates=adds.height > 0 and (standing.remote_id is None or standing.foreign),
        renames=_renames(standing, remote_name),
        replaces=standing.foreign and not held and counts.wanted > 0,
        held=held,
        removals=_without_consent_first(removals),
        urgent=urgent,
        doubtful=sharing.doubtful(removals, urgent, members, wanted, split.staying),
        adds=adds,
    )


def without_consent(members: pl.DataFrame, consent_lost: Set[str]) -> pl.Series:
    """Customers among ``members`` who are in ``consent_lost``, each once."""
    if not consent_lost:
        return pl.Series("customer_id", [], dtype=pl.String)
    here = {customer for customer in members["customer_id"].to_list() if customer in consent_lost}
    return pl.Series("customer_id", sorted(here), dtype=pl.String)


@dataclass(frozen=True, slots=True)
class _Age:
    """After how long people are sent again."""

    capabilities: Capabilities
    now: datetime
    caution: Caution

    def due(self) -> pl.Expr:
        """Whether somebody must be sent again."""
        life = self.capabilities.membership_days
        if life is None:
            return pl.lit(value=False)
        # The fingerprint is as good as random: everybody has a day of their own.
        place = (pl.col("fingerprint") % 1_000).cast(pl.Float64) / 1_000
        days = life * (self.caution.refresh_after - REFRESH_SPREAD * place)
        return pl.lit(self.now) - pl.col("delivered_at") >= pl.duration(microseconds=days * 86_400e6)

    def nobody(self, members: pl.DataFrame) -> bool:
        """Nobody can be due yet."""
        life, oldest = self.capabilities.membership_days, members["delivered_at"].min()
        if life is None or not isinstance(oldest, datetime):
            return True
        return self.now - oldest < timedelta(days=life * (self.caution.refresh_after - REFRESH_SPREAD))


@dataclass(frozen=True, slots=True, repr=False)
class _Split:
    """Those who are there, by whether they are wanted as they were sent."""

    wanted: pl.DataFrame
    members: pl.DataFrame
    leaving: pl.DataFrame
    """MEMBERS and ``lost``."""
    staying: pl.DataFrame
    """MEMBERS, at most one row for a customer."""
    open: pl.DataFrame
    """RECIPIENTS who are not simply there; ``state`` and ``in_flight`` of those who are somehow there."""

    @classmethod
    def of(cls, wanted: pl.DataFrame, members: pl.DataFrame, lost: pl.Series, age: _Age) -> _Split:
        now = wanted.select("customer_id", _now="fingerprint")
        moved = members.join(now, on="customer_id", how="left", maintain_order="left")
        current = (pl.col("_now") == pl.col("fingerprint")).fill_null(value=False)
        leaving = moved.filter(~current).drop("_now").with_columns(lost=_is_in("customer_id", lost))
        staying = moved.filter(current).drop("_now")
        there = (pl.col("state") == MemberState.ADDED.value) & ~pl.col("in_flight") & ~age.due()
        settled = staying.filter(there).select("customer_id")
        rest = staying.filter(~there).select("customer_id", "state", "in_flight")
        opened = wanted.join(settled, on="customer_id", how="anti", maintain_order="left").join(
            rest, on="customer_id", how="left", maintain_order="left"
        )
        return cls(wanted, members, leaving, staying, opened)


def _removals(leaving: pl.DataFrame, sharing: Sharing) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """To remove now; to remove now and again later; and how many rows wait."""
    known = sharing.with_identifiers(leaving)
    waits = leaving["in_flight"] | sharing.is_blocked(known)
    early = waits & leaving["lost"] & (leaving["state"] != MemberState.REMOVING.value)
    return known.filter(~waits), known.filter(early), int((waits & ~early).sum())


def _additions(
    split: _Split,
    sharing: Sharing,
    capabilities: Capabilities,
    refused: pl.DataFrame | None,
    consent_lost: Set[str],
) -> tuple[pl.DataFrame, Counts]:
    """RECIPIENTS to add with ``why``, and the counts of those who are wanted."""
    opened = split.open
    never = without_consent(opened, consent_lost)
    if never.len():
        opened = opened.filter(~pl.col("customer_id").is_in(never.implode()))
    known = _is_in("customer_id", split.leaving["customer_id"])
    adding = pl.col("state") == MemberState.ADDING.value
    why = (
        pl.when(pl.col("state").is_null())
        .then(pl.when(known).then(pl.lit("changed")).otherwise(pl.lit("new")))
        .when("in_flight")
        .then(pl.when(adding).then(pl.lit("unchanged")).otherwise(pl.lit("waiting")))
        .when(pl.col("state") != MemberState.ADDED.value)
        .then(pl.lit("resent"))
        .otherwise(pl.lit("refreshed"))
    )
    opened = opened.with_columns(why=why)
    if refused is not None and refused.height:
        opened = _said(opened, opened.join(refused, on=PEOPLE, how="semi"), "refused")
    if sharing.closed.len():
        blocked = opened.filter(sharing.is_blocked(opened, to_add=True))
        opened = _said(opened, blocked.filter(pl.col("why").is_in(_SENT)), "waiting")
    number = dict(opened.group_by("why").len().iter_rows())
    wanted = split.wanted.height - never.len()
    number["unchanged"] = number.get("unchanged", 0) + wanted - opened.height
    adds = opened.filter(pl.col("why").is_in(_SENT)).select(*PEOPLE, *capabilities.identifiers, "why")
    return adds, Counts(wanted=wanted, **number)


def _taken_along(split: _Split, sharing: Sharing) -> pl.DataFrame:
    """Who stays because the plan is held, and may have been taken along by a removal: as they were sent."""
    doubtful = (pl.col("state") == MemberState.DOUBTFUL.value) & ~pl.col("in_flight") & ~pl.col("lost")
    known = sharing.with_identifiers(
        split.leaving.filter(doubtful).join(split.staying, on="customer_id", how="anti")
    )
    return known.filter(~sharing.is_blocked(known, to_add=True)).with_columns(why=pl.lit("resent"))


def _nothing_to_do(wanted: pl.DataFrame, members: pl.DataFrame, standing: Standing, age: _Age) -> bool:
    """Exactly the wanted people are there and stay there: what is found on most days."""
    return (
        wanted.height > 0
        and wanted.height == members.height
        and standing.remote_id is not None
        and not standing.foreign
        and not members["in_flight"].any()
        and bool((members["state"] == MemberState.ADDED.value).all())
        and bool((members["fingerprint"] == wanted["fingerprint"]).all())
        and bool((members["customer_id"] == wanted["customer_id"]).all())
        and age.nobody(members)
    )


def _change(wanted: int, split: _Split, gone: pl.Series, lost: pl.Series, new: int) -> Change:
    """What the brake judges. Whoever is being removed already was judged by an earlier run."""
    there = split.members.filter(pl.col("state") != MemberState.REMOVING.value)["customer_id"].unique()
    leaving = there.filter(there.is_in(gone.implode()))
    return Change(wanted, there.len(), leaving.len(), _common(leaving, lost), new)


def _hold(standing: Standing, change: Change, remote_name: str, as_of: date, caution: Caution) -> str:
    return reason_to_hold(standing, change, remote_name=remote_name, as_of=as_of, caution=caution)


def _renames(standing: Standing, remote_name: str) -> str:
    shown = standing.shown_name
    return shown if standing.remote_id is not None and not standing.foreign and shown != remote_name else ""


def _deletes_when_empty(capabilities: Capabilities, standing: Standing) -> bool:
    """Where an audience needs people to be created or changed, its last people leave with it."""
    keeps_empty = capabilities.creates_empty and not capabilities.minimum_after_change
    return standing.remote_id is not None and not standing.foreign and not keeps_empty


def _without_consent_first(removals: pl.DataFrame) -> pl.DataFrame:
    return removals.sort(~pl.col("lost"), *PEOPLE)


def _common(some: pl.Series, others: pl.Series) -> int:
    return int(some.is_in(others.implode()).sum()) if others.len() else 0


def _is_in(column: str, values: pl.Series) -> pl.Expr:
    return pl.col(column).is_in(values.unique().implode()) if values.len() else pl.lit(value=False)


def _said(opened: pl.DataFrame, some: pl.DataFrame, why: str) -> pl.DataFrame:
    return opened.with_columns(
        why=pl.when(_is_in("customer_id", some["customer_id"])).then(pl.lit(why)).otherwise("why")
    )
