"""Gathers what one platform should hold, and has it delivered: what the sync assets do."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from audience_pipeline.defs.consent_log import log_statements, newest_statement
from audience_pipeline.defs.lake import newest_landing, note_consent_sent
from audience_pipeline.defs.recipients import Recipients, stated
from audience_pipeline.defs.removals import note_removals
from audience_pipeline.defs.resources import NotConfiguredError, PlatformResource
from audience_pipeline.defs.storage import table_path
from audience_pipeline.defs.tasks import Tasks
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

LOOK_SECONDS = 2.0
"""How often a delivery looks whether somebody has opted out since it began."""
SHOWN_SENTENCES = 10
TURNS = 20
"""After so many interruptions, statements that come in are left to the next run."""


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
    stopped: Callable[[], bool] | None = None,
) -> Outcome:
    """Sync each audience of one platform with the newest memberships.

    Consent is decided with every statement that has landed by now, not only with those of the as-of date. A
    statement that lands meanwhile interrupts the delivery: consent is decided anew, whoever has opted out
    leaves first, and then it goes on.

    Args:
        settings: the workspace.
        ledger: its ledger.
        clients: the ad accounts of the platform, in the order in which audiences fill them.
        config: which audiences.
        progress: told each report as it is done.
        stopped: whether the delivery should end after what it is just doing.

    Raises:
        UnknownAudienceError: one that is named is neither defined nor on a platform.
    """
    refresh = newest_refresh(settings, ledger)
    platform = clients[0].capabilities.platform
    store = MemberStore(ledger, settings.delivered)
    if not config.dry_run:
        store.tidy()
    found: dict[AudienceKey, DeliveryReport] = {}
    removed: list[ConsentRemoval] = []
    for turn in range(TURNS):
        statements = newest_landing(ledger)
        log_statements(settings, ledger)
        stop = _Stop(ledger, stopped, statements_count=turn < TURNS - 1 and not config.dry_run)
        people = Recipients(
            settings, refresh.as_of, platform, stated(settings, ledger, refresh.as_of, statements)
        )
        tasks = Tasks(settings, store, refresh, people, config.audiences)
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
            progress=progress,
        )
        for report in result.reports:
            found[report.key] = _both(found.get(report.key), report)
        removed += result.removals
        if stop.asked or not stop.newer:
            break
    if not config.dry_run:
        follows = all(report.tried and not report.consent_left for report in found.values())
        if follows and config.audiences is None and not stop.asked:
            note_consent_sent(settings.lake, platform.value, statements)
        note_removals(settings, ledger, removed)
    return Outcome(platform, list(found.values()), dict(sorted(tasks.unknown.items())))


def deliver_where_configured(
    settings: Settings,
    ledger: Ledger,
    resource: PlatformResource,
    config: SyncConfig,
    progress: Progress | None = None,
    stopped: Callable[[], bool] | None = None,
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
    return deliver(settings, ledger, clients, config, progress, stopped)


def _caution(settings: Settings) -> Caution:
    """The brake and the refresh clock, as the settings have them."""
    said = settings.config.delivery
    return Caution(said.brake_percent / 100, said.brake_people, said.refresh_after)


class _Stop:
    """Whether a delivery should stop: a statement has landed since it began, or somebody asks for it."""

    def __init__(self, ledger: Ledger, asked: Callable[[], bool] | None, *, statements_count: bool) -> None:
        self._ledger, self._asked, self._statements_count = ledger, asked, statements_count
        self._known, self._looked = newest_statement(ledger), time.monotonic()
        self.newer = self.asked = False

    def __call__(self) -> bool:
        self.asked = self.asked or (self._asked is not None and self._asked())
        due = time.monotonic() - self._looked >= LOOK_SECONDS
        if self._statements_count and due and not self.newer:
            self.newer = newest_statement(self._ledger) > self._known
            self._looked = time.monotonic()
        return self.newer or self.asked


def _both(earlier: DeliveryReport | None, later: DeliveryReport) -> DeliveryReport:
    """One report on an audience that had its turn before and after an interruption."""
    if earlier is None or not earlier.tried:
        return later
    if not later.tried:
        return replace(earlier, consent_left=max(earlier.consent_left, later.consent_left))
    counted = ("sent", "removed", "accepted", "rejected", "removed_without_consent")
    return replace(later, **{name: getattr(earlier, name) + getattr(later, name) for name in counted})


def few(sentences: Iterable[str]) -> str:
    """The first of many sentences in one line, and how many more there are."""
    listed = list(sentences)
    more = len(listed) - SHOWN_SENTENCES
    return " | ".join([*listed[:SHOWN_SENTENCES], *([f"and {more:,} more"] if more > 0 else [])])
