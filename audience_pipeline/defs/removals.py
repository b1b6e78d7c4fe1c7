"""Receipts of what people asked for: owed when a request lands, settled by deliveries and the ledger."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from audience_pipeline.customers.consent_statements import DENIED, ERASE, holders, statements
from audience_pipeline.defs.lake import consent_sent, dataset, write_json
from audience_pipeline.ledger import consent_log, deliveries, erasures, landings
from audience_pipeline.ledger import removals as receipts
from audience_pipeline.ledger.consent_log import ERASURE, SIGNALS, Head
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.erasures import Erasure
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey
from audience_pipeline.ledger.removals import Removal, RemovalState, RequestKind
from audience_pipeline.platforms.contract import CAPABILITIES, Platform
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

if TYPE_CHECKING:
    from audience_pipeline.delivery.removals import ConsentRemoval

DONE = frozenset({RemovalState.CONFIRMED, RemovalState.VERIFIED, RemovalState.NOT_CONFIGURED})
"""States in which nothing more is asked of a platform."""
NEVER_SENT = "nothing was ever delivered to this account"
NOT_THERE = "no audience of this account held any of them"
NOTHING_SET_UP = "nothing of this workspace was ever sent there: no account is set up"
GONE_ACCOUNT = (
    "people were delivered to this account, which is not among those that are set up: set it up again, so "
    "that they can be removed"
)
_WITH_CARDS = (Kind.TRANSACTIONS, Kind.WEB)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom some requests are about."""

    ids: frozenset[str]
    """Every id under which they may have been delivered."""
    customers: int


def owe(settings: Settings, ledger: Ledger) -> int:
    """Write down what is owed for every request that is in the log and has no receipt yet.

    Returns:
        How many requests are new.
    """
    note = settings.lake / ".work" / "removals_owed.json"
    seen = int(json.loads(note.read_text(encoding="utf-8"))) if note.is_file() else 0
    heads = [one for one in consent_log.heads(ledger) if one.sequence > seen]
    if not heads:
        return 0
    with ledger.reading() as connection:
        known = {one.request_id for one in receipts.removals(connection)}
    landed = {landing.landing_id: landing.landed_at for landing in landings.committed(ledger)}
    new = 0
    for head in heads:
        request_id = _landing(head)
        if head.entries and head.origin != ERASURE and request_id not in known:
            new += _owe(settings, ledger, head, request_id, landed.get(request_id, head.appended_at))
    write_json(note, heads[-1].sequence)
    return new


def note_removals(settings: Settings, ledger: Ledger, removed: Sequence[ConsentRemoval]) -> None:
    """Bring the receipts up to what a delivery has done, and to what the ledger says by now.

    Args:
        settings: the workspace.
        ledger: holds the receipts.
        removed: what a delivery did for want of consent; empty where nobody had to go.
    """
    from audience_pipeline.delivery.removals import EVERYWHERE, still_there

    owe(settings, ledger)
    with ledger.reading() as connection:
        every = receipts.removals(connection)
    open_ones = [one for one in every if one.state not in DONE]
    if not open_ones:
        return
    followed = consent_sent(settings.lake)
    sequences = {landing.landing_id: landing.sequence for landing in landings.committed(ledger)}
    concerned = {(one.request_id, one.platform) for one in open_ones}
    people = {each: asked(settings, ledger, [each[0]], each[1]).ids for each in concerned}
    store = MemberStore(ledger, settings.delivered)
    for platform, account in sorted({(one.platform, one.account) for one in open_ones}):
        here = [one for one in open_ones if (one.platform, one.account) == (platform, account)]
        everybody = frozenset().union(*(people[one.request_id, platform] for one in here))
        there = still_there(store, platform, account, everybody)
        called = frozenset(store.members(AudienceKey(platform, account, EVERYWHERE))["customer_id"])
        configured = account in accounts_of(settings, platform)
        said = [one for one in removed if (one.platform, one.account) == (platform, account)]
        for one in here:
            theirs = people[one.request_id, platform]
            known = _with_what_was_done(store, one, theirs, said)
            has_followed = followed.get(platform.value, 0) >= sequences.get(one.request_id, 0)
            still = theirs & there.open
            if has_followed and configured and one.kind is RequestKind.OPT_OUT:
                # Nobody without consent is in an audience any more: they have agreed again since.
                still &= called
            now = _settled(
                known,
                still=len(still),
                processing=len(theirs & there.processing),
                followed=has_followed,
                configured=configured,
            )
            if now != one:
                with ledger.begin() as connection:
                    receipts.put(connection, now)


def note_verified(
    ledger: Ledger, platform: Platform, account: str, checked_at: datetime, gaps: Sequence[str]
) -> int:
    """Note that what the platform shows agrees with the ledger, removals that were confirmed before included.

    Args:
        ledger: holds the receipts.
        platform: which was looked at.
        account: which was looked at.
        checked_at: when.
        gaps: what did not agree in this account; with any, nothing is verified.

    Returns:
        How many receipts are verified by it.
    """
    if gaps:
        return 0
    with ledger.begin() as connection:
        seen = [
            one
            for one in receipts.removals(connection)
            if (one.platform, one.account, one.state) == (platform, account, RemovalState.CONFIRMED)
            and one.confirmed_at is not None
            and one.confirmed_at <= checked_at
        ]
        for one in seen:
            receipts.put(connection, replace(one, state=RemovalState.VERIFIED, verified_at=checked_at))
    return len(seen)


def accounts_of(settings: Settings, platform: Platform) -> tuple[str, ...]:
    """The ad accounts that are set up for a platform."""
    found: tuple[str, ...] = getattr(settings.config.platforms, platform.value).ids
    return found


def asked(
    settings: Settings, ledger: Ledger, requests: Collection[str], platform: Platform | None = None
) -> Asked:
    """Whom requests are about, by what has landed and the newest stored identities.

    Args:
        settings: the workspace.
        ledger: its log of consent.
        requests: ids of requests.
        platform: count only those who are to leave this platform; one file may hold statements about several.
    """
    heads = [one for one in consent_log.heads(ledger) if _landing(one) in requests and one.entries]
    folder = settings.lake / consent_log.FOLDER
    names = ["event_at", "customer_id", "meta_email", "meta_phone", "status", "platform", "purpose", "signal"]
    rows = [pl.read_parquet(folder / one.segment, columns=names) for one in heads]
    if not rows:
        return Asked(frozenset(), 0)
    if platform is not None:
        rows = [said.filter(_concerns(platform, head)) for said, head in zip(rows, heads, strict=True)]
    said = pl.concat(rows).filter(pl.col("status").is_in([DENIED, ERASE]))
    return _reached(settings, said)


def _reached(settings: Settings, said: pl.DataFrame) -> Asked:
    had = pl.LazyFrame(schema={"source_id": pl.String, "name": pl.String})
    if said.select(pl.any_horizontal(pl.col("meta_email", "meta_phone").is_not_null()).any()).item():
        tables = [dataset(settings.lake, kind) for kind in (Kind.CRM, Kind.ENGAGEMENT, Kind.CONSENT)]
        cards = [dataset(settings.lake, kind).select("customer_id", "loyalty_id") for kind in _WITH_CARDS]
        had = pl.concat([holders(table) for table in (*tables, *cards)])
    reached = (
        statements(said.lazy(), had, datetime.max.date())
        .select("source_id")
        .unique()
        .collect(engine="streaming")
    )
    stored = sorted((settings.lake / "identities").glob("????-??-??.parquet"))
    if not stored:
        ids = frozenset(reached["source_id"].drop_nulls())
        return Asked(ids, len(ids))
    same = pl.scan_parquet(stored[-1]).select("source_id", "customer_id")
    theirs = same.join(reached.lazy(), on="source_id", how="semi").select("customer_id").unique().collect()
    every = same.join(theirs.lazy(), on="customer_id", how="semi").collect()
    unknown = reached.join(every, on="source_id", how="anti")
    ids = frozenset(pl.concat([reached["source_id"], *every.get_columns()]).drop_nulls())
    return Asked(ids, theirs.height + (unknown.height if not theirs.height else 0))


def _owe(settings: Settings, ledger: Ledger, head: Head, request_id: str, landed_at: datetime) -> int:
    path = settings.lake / consent_log.FOLDER / head.segment
    if not path.is_file():
        return 0
    rows = pl.read_parquet(path)
    said = rows.filter(pl.col("status").is_in([DENIED, ERASE]))
    if said.is_empty():
        return 0
    erases = bool((said["status"] == ERASE).any())
    kind = RequestKind.ERASE if erases else RequestKind.OPT_OUT
    by_platform = {platform: said.filter(_concerns(platform, head)) for platform in Platform}
    owed = [
        one
        for platform, theirs in by_platform.items()
        if theirs.height
        for one in _owed(
            settings,
            ledger,
            platform,
            Removal(
                request_id,
                kind,
                platform,
                "",
                RemovalState.OWED,
                landed_at,
                people=_reached(settings, theirs).customers,
            ),
        )
    ]
    with ledger.begin() as connection:
        for one in owed:
            receipts.put(connection, one)
        if erases and not erasures.erasures(connection, request_id):
            erasures.put(connection, Erasure(request_id, landed_at))
    return 1


def _concerns(platform: Platform, head: Head) -> pl.Expr:
    """Whether a statement asks for removal from a platform."""
    about = pl.col("purpose").fill_null("advertising").is_in(list(CAPABILITIES[platform].purposes))
    here = pl.col("platform").is_null() | (pl.col("platform") == platform.value)
    total = (pl.col("status") == ERASE) | pl.col("signal").is_not_null()
    return total | (about & here) if head.origin != SIGNALS else pl.lit(value=True)


def _owed(settings: Settings, ledger: Ledger, platform: Platform, one: Removal) -> Iterable[Removal]:
    with ledger.reading() as connection:
        delivered = {audience.key.account for audience in deliveries.audiences(connection, platform)}
    accounts = {*accounts_of(settings, platform), *delivered}
    if not accounts:
        yield replace(one, state=RemovalState.NOT_CONFIGURED, how=NOTHING_SET_UP)
    for account in sorted(accounts):
        if account in delivered:
            yield replace(one, account=account)
        else:
            yield replace(
                one,
                account=account,
                state=RemovalState.CONFIRMED,
                how=NEVER_SENT,
                confirmed_at=datetime.now(UTC),
            )


def _with_what_was_done(
    store: MemberStore, one: Removal, theirs: frozenset[str], said: Sequence[ConsentRemoval]
) -> Removal:
    def sent_of(customers: frozenset[str]) -> int:
        names = pl.Series("customer_id", sorted(customers), dtype=pl.String)
        return store.variants(one.platform).every(names).height

    # A delivery removes people of many requests; a receipt tells of its own.
    concerned = [
        removal.only(theirs, sent_of(removal.customers & theirs))
        for removal in said
        if removal.customers & theirs
    ]
    if not concerned:
        return one
    return replace(
        one,
        variants=max(one.variants, sent_of(theirs)),
        audiences=max(one.audiences, len({name for removal in concerned for name in removal.audiences})),
        request_ids=tuple(
            dict.fromkeys(
                [*one.request_ids, *(name for removal in concerned for name in removal.request_ids)]
            )
        ),
        sent_at=one.sent_at or datetime.now(UTC),
        how=" ".join(dict.fromkeys(removal.how for removal in concerned if removal.how)),
        state=RemovalState.REFUSED
        if any(removal.state == "refused" for removal in concerned)
        else RemovalState.SENT,
    )


def _settled(one: Removal, *, still: int, processing: int, followed: bool, configured: bool) -> Removal:
    if still:
        if not configured:
            # A command without the environment of the deliveries knows of no account, and of no removal.
            return one if one.sent_at else replace(one, state=RemovalState.OWED, how=GONE_ACCOUNT)
        return one if one.state is RemovalState.REFUSED else replace(one, state=RemovalState.OWED)
    if processing:
        return replace(one, state=RemovalState.SENT, sent_at=one.sent_at or datetime.now(UTC))
    if not followed and configured:
        return one
    how = one.how or NOT_THERE
    return replace(one, state=RemovalState.CONFIRMED, how=how, confirmed_at=datetime.now(UTC))


def _landing(head: Head) -> str:
    return head.reference.partition("-")[2]
