"""One run over all audiences of a platform: opt-outs first, then everybody in turn; nobody waits alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import uuid4

from audience_pipeline.delivery.accounts import Accounts
from audience_pipeline.delivery.attempt import Task, Terms, UnknownMembersError
from audience_pipeline.delivery.courier import Courier
from audience_pipeline.delivery.following import Following
from audience_pipeline.delivery.gather import Account
from audience_pipeline.delivery.recipients import remote_name
from audience_pipeline.delivery.removals import (
    EVERYWHERE,
    ConsentRemoval,
    Everywhere,
    SyncResult,
    block,
    close_interrupted,
    evidence,
    remove_everywhere,
)
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.sizes import read_sizes
from audience_pipeline.delivery.steps import Steps
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.overview import batches_in
from audience_pipeline.ledger.records import AudienceKey, AudienceState, BatchState, Delivery, DeliveryState
from audience_pipeline.ledger.snapshots import DamagedFileError
from audience_pipeline.platforms.contract import (
    AudienceClient,
    CredentialError,
    PlatformError,
    TransientPlatformError,
    ended,
)

INTERRUPTED = "The run was asked to end: the next one goes on."
MOST_IN_A_ROW = 3
"""Audiences in a row that a platform may fail, after which the others are left to the next run."""


@dataclass(slots=True)
class Tour:
    """The audiences of one platform, from the first look to the last report."""

    terms: Terms
    clients: Sequence[AudienceClient]
    tasks: Sequence[Task]
    prefix: str
    sleep: Callable[[float], None]
    patience: float
    progress: Callable[[DeliveryReport], None]
    dry_run: bool = False
    accounts: Accounts = field(init=False)
    attempts: dict[str, Steps] = field(default_factory=dict)
    reports: dict[str, DeliveryReport] = field(default_factory=dict)
    everywhere: dict[str, Everywhere] = field(default_factory=dict)
    following: Following = field(init=False)
    stopped: str = ""
    """Why nothing more is sent to the platform in this run."""
    _in_a_row: int = 0

    def __post_init__(self) -> None:
        names = [task.audience for task in self.tasks]
        if len({*names}) < len(names):
            twice = min(name for name in names if names.count(name) > 1)
            raise ValueError(f"The audience {twice!r} is to be delivered twice.")
        self.following = Following(self.sleep, self.patience, self.terms.stop)
        self.accounts = Accounts.of(self.terms.store, self.clients, names if self.terms.confirm else ())

    def preview(self) -> SyncResult:
        """Look and plan; change nothing."""
        self.dry_run = True
        self._gather()
        for task in self.tasks:
            if task.audience in self.reports:
                continue
            if self.stopped or self.accounts.error(task.audience):
                self._not_tried(task)
                continue
            attempt = self._attempt(task)
            try:
                attempt.preview()
            except CredentialError as error:
                self._stop(error, task)
            except (PlatformError, UnknownMembersError, DamagedFileError) as error:
                attempt.unreadable = isinstance(error, DamagedFileError)
                attempt.planned([str(error)])
            else:
                attempt.planned()
            self._done(attempt)
        return self._result()

    def deliver(self) -> SyncResult:
        """Make the audiences hold whom they should."""
        for one in self.accounts.left:
            given_up = replace(one, remote_id=None, state=AudienceState.ACTIVE, status="given up")
            self.terms.store.forget(one.key, known=given_up)
        self._gather()
        self._follow_earlier()
        self._let_go()
        waiting: list[Steps] = []
        for task in self.tasks:
            if task.audience in self.reports:
                continue
            if self._ends() or self.accounts.error(task.audience):
                self._not_tried(task)
                continue
            attempt = self._attempt(task)
            if not self._guarded(attempt, attempt.start):
                self.following.watch(attempt.courier)
                waiting.append(attempt)
        self._follow(waiting)
        self._read_sizes()
        return self._result(evidence(self.terms, self.attempts.values(), self.everywhere))

    def _ends(self) -> bool:
        """Nothing more is begun: something has stopped the run, or somebody asks for its end."""
        if not self.stopped and self.terms.stop():
            self.stopped = INTERRUPTED
        return bool(self.stopped)

    def _gather(self) -> None:
        try:
            self.accounts.gather()
        except CredentialError as error:
            self._stop(error)

    def _follow_earlier(self) -> None:
        """Ask once for everything that earlier runs have left in flight."""
        store, tasks = self.terms.store, {task.audience: task for task in self.tasks}
        for account in self.accounts.all:
            if account.client.capabilities.removes_everywhere:
                close_interrupted(self.terms, account)
        with store.ledger.reading() as connection:
            flights = batches_in(connection, BatchState.SENT)
        for account in self.accounts.all:
            here = (self.accounts.platform, account.name)
            for key in [one for one in flights if (one.platform, one.account) == here]:
                if account.error is not None:
                    continue
                task = tasks.get(key.audience)
                attempt = self._attempt(task) if task is not None else None
                courier = Courier(store, account.client, key, "", self.terms.clock)
                if attempt is not None and attempt.key == key:
                    courier = attempt.courier
                elif key.audience == EVERYWHERE:
                    account.calls.append(courier)
                courier.flights.update({batch.batch_id: batch for batch in flights[key]})
                self.following.watch(courier)
        self._ask(self.following.ask_all)
        for account in self.accounts.all:
            block(self.terms, account)

    def _let_go(self) -> None:
        """Those without consent leave every audience before anybody is added to one."""
        leaving = self._losing() if self.terms.consent_lost else []
        newly = frozenset().union(*(attempt.newly for attempt in leaving))
        for account in self.accounts.all:
            self._remove_everywhere(account, newly)
        for attempt in leaving:
            if not self.stopped and attempt.account.error is None:
                self._guarded(attempt, attempt.let_go, done=False)
                self.following.watch(attempt.courier)

    def _losing(self) -> list[Steps]:
        """The audiences in which somebody without consent may be."""
        for task in self.tasks:
            known = task.audience in self.accounts.homes and not self.accounts.error(task.audience)
            if known and not self.stopped:
                attempt = self._attempt(task)
                self._guarded(attempt, attempt.find_lost, done=False)
        return [one for one in self.attempts.values() if one.lost and one.report is None]

    def _remove_everywhere(self, account: Account, newly: Set[str]) -> None:
        if not account.client.capabilities.removes_everywhere or account.error is not None or self.stopped:
            return
        try:
            removed = remove_everywhere(self.terms, account, newly, self.attempts)
        except CredentialError as error:
            self._stop(error)
            return
        if removed is not None:
            self.everywhere[account.name] = removed
            self.following.watch(removed.courier)

    def _follow(self, waiting: list[Steps]) -> None:
        """Wait for all together; whoever has landed goes on."""
        while not self._ends() and (waiting or any(account.is_busy for account in self.accounts.all)):
            if not (landed := self._ask(self.following.wait)):
                break
            for attempt in list(waiting):
                mine = any(one is attempt.courier or one in attempt.account.calls for one in landed)
                if not mine or attempt.courier.flights or attempt.report is not None:
                    continue
                if self._guarded(attempt, attempt.land):
                    waiting.remove(attempt)
                else:
                    self.following.watch(attempt.courier)
        for attempt in [attempt for attempt in waiting if attempt.report is None]:
            silent = self._ends() or attempt.account.error is not None
            self._guarded(attempt, partial(attempt.give_up, silent=silent))

    def _ask(self, ask: Callable[[], list[Courier]]) -> list[Courier]:
        """Ask for batches; an error that stops an account leaves its batches to the next run."""
        while True:
            try:
                landed = ask()
            except CredentialError as error:
                asking = self.following.asking
                mine = [one for one in self.attempts.values() if one.courier is asking]
                self._stop(error, mine[0].task if mine else None)
                return []
            except PlatformError as error:
                asking = self.following.asking
                if asking is not None:
                    self.accounts.fail(asking.client, error)
                    self.following.drop_client(asking.client)
            else:
                self._settle_earlier(landed)
                return landed

    def _settle_earlier(self, landed: list[Courier]) -> None:
        """Deliveries that nobody goes on with in this run are settled when their last batch has landed."""
        ours = [id(attempt.courier) for attempt in self.attempts.values()]
        for courier in landed:
            if id(courier) in ours or courier.flights:
                continue
            with self.terms.store.ledger.begin() as connection:
                last = deliveries.last(connection, courier.key)
                if last is not None:
                    deliveries.finish(connection, last)
            with suppress(DamagedFileError):
                self.terms.store.compact(courier.key)

    def _guarded(self, attempt: Steps, step: Callable[[], bool | None], *, done: bool = True) -> bool:
        """Take a step of one audience; its errors end up in its report. True when it went well or is done.

        Args:
            attempt: the audience.
            step: says whether the audience is done.
            done: False where the step is not to end the delivery: False is returned where an error did.
        """
        try:
            finished = step()
        except (UnknownMembersError, DamagedFileError) as error:
            attempt.unreadable = isinstance(error, DamagedFileError)
            attempt.finish(DeliveryState.FAILED, [str(error)])
        except CredentialError as error:
            self._stop(error, attempt.task)
            return done
        except TransientPlatformError as error:
            attempt.finish(DeliveryState.INCOMPLETE, [f"{ended(error)} The next run sends the rest."])
            self._count(attempt, error)
        except PlatformError as error:
            attempt.finish(DeliveryState.FAILED, [str(error)])
        else:
            self._in_a_row = 0
            if done and finished:
                self._done(attempt)
            return bool(finished) if done else True
        self.following.drop(attempt.courier)
        self._done(attempt)
        return done

    def _count(self, attempt: Steps, error: TransientPlatformError) -> None:
        if error.stops:
            attempt.account.error = error
            return
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            self.stopped = f"{ended(error)} The next run tries again."

    def _stop(self, error: CredentialError, task: Task | None = None) -> None:
        """Nothing can be sent any more: one audience says so, this one or the first that is not done."""
        self.stopped = no_more = f"{ended(error)} Nothing more is sent to {error.platform.value} in this run."
        left = [one for one in self.tasks if one.audience not in self.reports]
        if task is None or task not in left:
            task = left[0] if left else None
        if task is None:
            return
        attempt = self._attempt(task)
        if self.dry_run:
            attempt.planned([no_more], stopped=True)
        else:
            self.following.drop(attempt.courier)
            attempt.finish(DeliveryState.FAILED, [no_more], stopped=True)
        self._done(attempt)

    def _attempt(self, task: Task) -> Steps:
        """The attempt at an audience, in the account where it lives or the first that has room."""
        if task.audience not in self.attempts:
            account = self.accounts.home(task.audience)
            client, name = account.client, task.audience
            key = AudienceKey(client.capabilities.platform, client.account, name)
            delivery = Delivery(uuid4().hex, key, self.terms.as_of, self.terms.clock())
            store, clock, stop = self.terms.store, self.terms.clock, self.terms.stop
            courier = Courier(store, client, key, delivery.delivery_id, clock, stop)
            there = remote_name(self.prefix, name, client.capabilities.name_length)
            self.attempts[name] = Steps(self.terms, task, account, delivery, courier, there)
        return self.attempts[task.audience]

    def _not_tried(self, task: Task) -> None:
        attempt = self.attempts.get(task.audience)
        if attempt is not None and attempt.started:
            # Opt-outs were removed before its turn: what became of them is told.
            why = str(attempt.account.error or "")
            attempt.finish(DeliveryState.INCOMPLETE, [f"Nothing else was sent: {self.stopped or why}"])
            self._done(attempt)
            return
        where = self.accounts.homes.get(task.audience) or self.accounts.home(task.audience).name
        ends = DeliveryState.INCOMPLETE if self.stopped == INTERRUPTED else DeliveryState.FAILED
        state, why = self.accounts.error(task.audience) or (ends, "")
        key, now = AudienceKey(self.accounts.platform, where, task.audience), self.terms.clock()
        delivery = Delivery(uuid4().hex, key, self.terms.as_of, now, state=state)
        report = self.reports[task.audience] = DeliveryReport.not_tried(delivery, state, self.stopped or why)
        self.progress(report)

    def _done(self, attempt: Steps) -> None:
        if attempt.report is not None:
            self.reports[attempt.task.audience] = attempt.report
            self.progress(attempt.report)

    def _read_sizes(self) -> None:
        """What the platform shows of the audiences that were changed."""
        for account in self.accounts.all:
            attempts = self.attempts.values()
            changed = [one for one in attempts if one.account is account and one.changed and one.remote_id]
            if changed and account.error is None and not self.stopped:
                read_sizes(account, changed)
                self.reports.update({one.task.audience: one.report for one in changed if one.report})

    def _result(self, removals: Sequence[ConsentRemoval] = ()) -> SyncResult:
        return SyncResult([self.reports[task.audience] for task in self.tasks], tuple(removals))
