"""Makes the audiences of one platform hold exactly the wanted people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import ExitStack
from datetime import UTC, date, datetime

import polars as pl

from audience_pipeline.delivery.attempt import Task, Terms, UnknownMembersError
from audience_pipeline.delivery.brake import CAUTION, Caution
from audience_pipeline.delivery.removals import SyncResult
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.tour import Tour
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.platforms.contract import AudienceClient

__all__ = ["PATIENCE", "SyncResult", "Task", "UnknownMembersError", "sync", "sync_all"]

PATIENCE = 120.0
"""Seconds that a run waits for a platform to process what it accepted."""


def _now() -> datetime:
    return datetime.now(UTC)


def sync_all(
    store: MemberStore,
    clients: Sequence[AudienceClient],
    tasks: Iterable[Task],
    *,
    as_of: date,
    consent_lost: Set[str] = frozenset(),
    confirm: bool = False,
    dry_run: bool = False,
    prefix: str = "",
    caution: Caution = CAUTION,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = _now,
    progress: Callable[[DeliveryReport], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> SyncResult:
    """Make each audience hold exactly whom its task wants.

    Errors of the platform are part of the reports, so that one audience never stops the others.

    Args:
        store: the memory of everything that was sent.
        clients: the ad accounts of one platform, in the order in which new audiences fill them.
        tasks: the audiences; each name once.
        as_of: the day of their members.
        consent_lost: customers who may not be there: never sent, and their removal is never held up.
        confirm: go on where the brake would hold.
        dry_run: only look and plan; neither the platform nor the ledger is changed.
        prefix: put before the name of each audience on the platform.
        caution: what is a large change, and when people are sent again.
        patience: seconds to wait for the platform as a whole; the next run picks up the rest.
        sleep: waits so many seconds.
        clock: tells the time, with its zone.
        progress: told of each audience that is done.
        stop: asked now and then; once it says yes, nothing more is begun, and the next run goes on. Removals
            of people without consent are made all the same.

    Raises:
        ValueError: somebody is wanted in a retired audience, a name is there twice, or there is no client.
        LedgerError: another run has been delivering to an account for too long.
    """
    if not clients:
        raise ValueError("There is no ad account to deliver to.")
    terms = Terms(store, as_of, clock, consent_lost, confirm, caution, stop or (lambda: False))
    with ExitStack() as locks:
        for client in sorted(clients, key=lambda client: client.account) if not dry_run else ():
            platform = client.capabilities.platform.value
            locks.enter_context(store.ledger.exclusive(f"deliveries to {platform} {client.account}"))
        # What the ledger knows is read when no other run can change it any more.
        tour = Tour(terms, clients, list(tasks), prefix, sleep, patience, progress or (lambda _: None))
        return tour.preview() if dry_run else tour.deliver()


def sync(
    store: MemberStore,
    client: AudienceClient,
    audience: str,
    wanted: pl.DataFrame,
    *,
    as_of: date,
    consent_lost: Set[str] = frozenset(),
    confirm: bool = False,
    retired: bool = False,
    dry_run: bool = False,
    prefix: str = "",
    description: str = "",
    caution: Caution = CAUTION,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = _now,
) -> DeliveryReport:
    """Make one audience hold exactly ``wanted``, RECIPIENTS: :func:`sync_all` of one task."""
    result = sync_all(
        store,
        [client],
        [Task(audience, lambda: wanted, description, retired)],
        as_of=as_of,
        consent_lost=consent_lost,
        confirm=confirm,
        dry_run=dry_run,
        prefix=prefix,
        caution=caution,
        patience=patience,
        sleep=sleep,
        clock=clock,
    )
    return result.reports[0]
