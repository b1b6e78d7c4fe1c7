"""Gathers what one platform should hold, and has it delivered: what the sync assets do."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from audience_pipeline.defs.lake import newest_landing, note_consent_sent
from audience_pipeline.defs.removals import note_removals
from audience_pipeline.defs.resources import NotConfiguredError, PlatformResource
from audience_pipeline.defs.storage import table_path
from audience_pipeline.defs.tasks import Tasks
from audience_pipeline.defs.watch import Watch
from audience_pipeline.delivery.brake import Caution
from audience_pipeline.delivery.removals import ConsentRemoval
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.run import sync_all
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.ledger.records import AudienceKey
from audience_pipeline.ledger.refreshes import Refresh
from audience_pipeline.platforms.contract import AudienceClient, Platform
from audience_pipeline.settings import Settings

SHOWN_SENTENCES = 10
TURNS = 20
"""After so many, statements that still come in are left to the next run."""


class SyncConfig(dg.Config):
    """Which audiences are delivered, and how carefully."""

    audiences: list[str] | None = None
    """Names; every audience of the platform without it."""
    dry_run: bool = False
    """Only say what would be sent."""
    confirm: bool = False
    """Go on where the brake would hold: a change that empties or doubles an audience."""


@dataclass(frozen=True)
class Outcome:
    """What became of a delivery to one platform."""

    platform: Platform
    reports: Sequence[DeliveryReport] = ()
    """One per audience."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Audiences whose members are not known, with the reason: the newest refresh did not evaluate them, what
    it stored cannot be read, or their definition has a mistake. Those that were delivered before keep the
    people whom they have, as far as these may still be sent; the others are left alone."""
    not_configured: str = ""
    """What to set before anything can be sent."""


Progress = Callable[[DeliveryReport], None]


def newest_refresh(settings: Settings, ledger: Ledger) -> Refresh:
    """The newest as-of date whose memberships are complete.

    Raises:
        dg.Failure: there is none yet.
    """
    complete = [
        refresh
        for refresh in refreshes.completed(ledger)
        if table_path(settings.lake, "audience_memberships", refresh.as_of.isoformat()).is_file()
    ]
    if not complete:
        raise dg.Failure("no as-of date is complete yet: run daily_refresh first", allow_retries=False)
    return complete[-1]


def deliver(
    settings: Settings,
    ledger: Ledger,
    clients: Sequence[AudienceClient],
    config: SyncConfig,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Sync each audience of one platform with the newest memberships.

    Consent is decided with every statement that has landed by now, not only with those of the as-of date. Of
    statements that land meanwhile, the audiences that follow know at once; the others get another turn.

    Args:
        settings: the workspace.
        ledger: its ledger.
        clients: the ad accounts of the platform, in the order in which audiences fill them.
        config: which audiences.
        progress: told each report as it is done.
        sleep: waits so many seconds.

    Raises:
        UnknownAudienceError: one that is named is neither defined nor on a platform.
    """
    refresh = newest_refresh(settings, ledger)
    platform = clients[0].capabilities.platform
    store = MemberStore(ledger, settings.delivered)
    if not config.dry_run:
        store.tidy()
    watch = Watch(settings, ledger, refresh.as_of, platform, sleep)
    found: dict[AudienceKey, DeliveryReport] = {}
    removed: list[ConsentRemoval] = []
    for turn in range(TURNS):
        statements, people = watch.begin()
        tasks = Tasks(settings, store, refresh, watch.people, config.audiences)
        result = sync_all(
            store,
            clients,
            tasks,
            as_of=refresh.as_of,
            consent_lost=people.consent_lost,
            confirm=config.confirm,
            dry_run=config.dry_run,
            prefix=f"{settings.config.shop.name} ",
            patience=settings.config.delivery.patience_seconds,
            caution=_caution(settings),
            sleep=watch.sleep,
            progress=progress,
            stop=watch.interrupts if turn < TURNS - 1 else None,
        )
        for report in result.reports:
            found[report.key] = _both(found.get(report.key), report)
        removed += result.removals
        if config.dry_run or not watch.overtaken():
            break
    if not config.dry_run:
        if config.audiences is None and all(one.tried and not one.consent_left for one in found.values()):
            note_consent_sent(settings.lake, platform.value, statements)
        note_removals(settings, ledger, removed)
    return Outcome(platform, list(found.values()), dict(sorted(tasks.unknown.items())))


def deliver_where_configured(
    settings: Settings,
    ledger: Ledger,
    resource: PlatformResource,
    config: SyncConfig,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """:func:`deliver` to the accounts of a platform, or what to set up before that."""
    platform = Platform(resource.platform)
    try:
        clients = resource.clients()
    except NotConfiguredError as error:
        with ledger.reading() as connection:
            there = deliveries.accounts_of(connection, platform)
        if not there and not config.dry_run:
            # Nothing of ours is there: no statement of consent is owed.
            note_consent_sent(settings.lake, platform.value, newest_landing(ledger))
            note_removals(settings, ledger, ())
        return Outcome(platform, not_configured=str(error))
    return deliver(settings, ledger, clients, config, progress, sleep)


def _caution(settings: Settings) -> Caution:
    """The brake and the refresh clock, as the settings have them."""
    said = settings.config.delivery
    return Caution(said.brake_percent / 100, said.brake_people, said.refresh_after)


def _both(earlier: DeliveryReport | None, later: DeliveryReport) -> DeliveryReport:
    """One report on an audience that had two turns."""
    if earlier is None:
        return later
    counted = ("sent", "removed", "accepted", "rejected", "removed_without_consent")
    return replace(later, **{name: getattr(earlier, name) + getattr(later, name) for name in counted})


def few(sentences: Iterable[str], most: int = SHOWN_SENTENCES) -> str:
    """The first of many sentences in one line, and how many more there are."""
    listed = list(sentences)
    more = len(listed) - most
    return " | ".join([*listed[:most], *([f"and {more:,} more"] if more > 0 else [])])
