"""One attempt to deliver: what is seen, what is decided, and what the ledger is told in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import polars as pl

from audience_pipeline.delivery.brake import Caution, Standing
from audience_pipeline.delivery.courier import Courier
from audience_pipeline.delivery.figures import as_read
from audience_pipeline.delivery.gather import Account, Sight
from audience_pipeline.delivery.plan import Plan, decide, without_consent
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.members import MEMBERS, MemberStore
from audience_pipeline.ledger.records import (
    AudienceKey,
    AudienceState,
    Delivery,
    DeliveryState,
    Held,
    MemberState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import AudienceClient, RemoteAudience, ended

DONE = (DeliveryState.SETTLED, DeliveryState.UNCHANGED, DeliveryState.PROCESSING)


class UnknownMembersError(Exception):
    """Nobody knows whom an audience should hold; the message says why. The other audiences go on."""


@dataclass(frozen=True, slots=True)
class Task:
    """An audience that a platform is to hold."""

    audience: str
    wanted: Callable[[], pl.DataFrame] = field(repr=False)
    """RECIPIENTS whom it should hold. Called whenever they are needed, and not kept; it may raise
    :class:`UnknownMembersError`."""
    description: str = ""
    """Shown on the platform."""
    retired: bool = False
    """No definition asks for it any more, so nobody is wanted. As long as somebody is there, it is held until
    confirmed; people without consent leave in any case."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all audiences of a run share."""

    store: MemberStore
    as_of: date
    clock: Callable[[], datetime]
    consent_lost: Set[str] = field(repr=False)
    confirm: bool
    caution: Caution
    stop: Callable[[], bool] = lambda: False
    """Whether somebody asks for the end of the run."""


@dataclass(slots=True, eq=False)
class Attempt:
    """An audience, and everything that is found out about it on the way. People are read when needed."""

    terms: Terms
    task: Task
    account: Account
    delivery: Delivery
    courier: Courier
    name: str
    """What it is to be called on the platform."""
    sight: Sight = field(default_factory=Sight)
    known: PlatformAudience | None = None
    remote: RemoteAudience | None = None
    plan: Plan | None = None
    """The first plan of the run, in counts: the one that a person sees, and that the brake judges."""
    kept: pl.DataFrame | None = field(default=None, repr=False)
    """Whom the audience is to hold instead of the wanted: where it is held, and must be made anew."""
    lost: frozenset[str] = field(default=frozenset(), repr=False)
    """Customers without consent who were there."""
    unreadable: bool = False
    """The file with its people is lost: nobody knows who is there."""
    early: bool = False
    """Those of them in flight were removed once; after the flight they are removed again."""
    started: bool = False
    recreated: bool = False
    emptied: bool = False
    deleted: int = 0
    """People who left together with an audience that was deleted."""
    sentences: list[str] = field(default_factory=list)
    report: DeliveryReport | None = None
    """None until it is done."""
    _past: tuple[int | None, date | None] | None = None

    @property
    def key(self) -> AudienceKey:
        """The audience in its account."""
        return self.delivery.key

    @property
    def client(self) -> AudienceClient:
        """The ad account that is delivered to."""
        return self.account.client

    @property
    def remote_id(self) -> str | None:
        """The id of the audience on the platform, where it exists."""
        return self.known.remote_id if self.known is not None else None

    @property
    def changed(self) -> bool:
        """Something was sent in this run."""
        return self.courier.sequence > 0 or self.recreated or self.emptied

    def gather(self) -> None:
        """Find the audience in the listing of its account."""
        self.sight = self.account.look(self.account.known.get(self.task.audience), self.name)
        self.known, self.remote = self.sight.known, self.sight.remote

    def open(self, known: PlatformAudience | None = None) -> None:
        """Open the delivery in the ledger, before anything is changed; ``known``: the audience as it is now.

        Together: a delivery that is killed leaves an audience whose account the next one knows.
        """
        if self.started and known is None:
            return
        with self.terms.store.ledger.begin() as connection:
            if not self.started:
                deliveries.start(connection, self.delivery)
            if known is not None:
                deliveries.put_audience(connection, known)
        self.started = True

    def members(self) -> pl.DataFrame:
        """MEMBERS: nobody where the audience does not exist."""
        return self.terms.store.members(self.key) if self.remote_id else MEMBERS.to_frame()

    def wanted(self) -> pl.DataFrame:
        """RECIPIENTS whom it should hold."""
        if self.kept is not None:
            return self.kept
        wanted = self.task.wanted()
        if self.task.retired and wanted.height:
            raise ValueError(
                f"The audience {self.task.audience!r} is retired, but {wanted.height:,} people are wanted "
                "in it."
            )
        return wanted

    def decide(self, wanted: pl.DataFrame, members: pl.DataFrame) -> Plan:
        """What is to be sent, as far as is known now."""
        store, first, lost = self.terms.store, self.plan, self.note_lost(members)
        completed, newest = self._standing()
        watched = self.known is not None and self.known.state is AudienceState.ACTIVE
        plan = decide(
            self.client.capabilities,
            wanted,
            members,
            Standing(
                remote_id=self.remote_id,
                completed=completed if watched else None,
                foreign=bool(self.sight.foreign),
                newest_as_of=newest,
                shown_name=self.remote.name if self.remote is not None else self.name,
                retired=self.task.retired,
            ),
            store.variants(self.key.platform),
            remote_name=self.name,
            as_of=self.delivery.as_of,
            now=self.terms.clock(),
            refused=store.refused(self.key),
            consent_lost=self.terms.consent_lost,
            lost=lost,
            blocked=self.account.blocked if self.account.is_busy else None,
            # What the first plan let through, the later ones of a run do not stop half-way.
            confirmed=self.terms.confirm or (first is not None and not first.held),
            caution=self.terms.caution,
        )
        if first is None:
            self.plan = plan.in_counts()
            self.delivery = replace(
                self.delivery, wanted=plan.counts.wanted, to_add=plan.to_add, to_remove=plan.to_remove
            )
        return plan

    def to_create(self) -> PlatformAudience:
        """The audience as it is before its creation."""
        return PlatformAudience(
            self.key, self.name, AudienceState.CREATING, self.terms.clock(), status="to be created"
        )

    def put(self, known: PlatformAudience, *, forget: bool = False) -> None:
        """Write down what is known of the audience (and that nobody is there)."""
        if not (forget and self.started):
            self.open(known)
        if forget:
            self.terms.store.forget(self.key, known=known)
            self.courier.flights.clear()
        self.known = known
        if known.remote_id is None:
            self.remote = None

    def note_lost(self, members: pl.DataFrame) -> pl.Series:
        """Find, and remember, who is there without consent."""
        here = without_consent(members, self.terms.consent_lost)
        if here.len():
            self.lost |= frozenset(here)
        return here

    def finish(self, state: DeliveryState, errors: Sequence[str] = (), *, stopped: bool = False) -> None:
        """Write down how it ended, and what the platform showed last."""
        store, now = self.terms.store, self.terms.clock()
        if self.courier.settled and not self.courier.flights and not self.unreadable:
            store.compact(self.key)
        if self.courier.quarantined:
            self.sentences.append(
                f"{self.courier.quarantined:,} people are left out from now on, because "
                f"{self.key.platform.value} refuses them as they are: land their contacts again."
            )
        sentences = tuple(ended(one) for one in (*self.sentences, *self.courier.sentences, *errors))
        message = " ".join(sentences)
        absent = self.known is not None and not self.known.remote_id and state in DONE
        if absent and self.known is not None and not self.delivery.wanted:
            # As it should be: look() tells it by this from one whose creation was interrupted.
            status = "not there, because nobody is wanted"
            self.put(replace(self.known, state=AudienceState.ACTIVE, status=status), forget=True)
        held = store.summary(self.key) if self.remote_id and not self.unreadable else Held()
        with store.ledger.begin() as connection:
            if not self.started:
                deliveries.start(connection, self.delivery)
                self.started = True
            counted = deliveries.counted(connection, self.delivery)
            self.delivery = replace(counted, finished_at=now, state=state, message=message)
            deliveries.finish(connection, self.delivery)
            if self.known is not None and self.known.remote_id:
                if state in DONE or (state is DeliveryState.HELD and self.recreated):
                    self.known = replace(self.known, state=AudienceState.ACTIVE)
                if self.remote is not None:
                    self.known = as_read(self.known, self.remote, held.uploads, held.delivered, now)
                deliveries.put_audience(connection, self.known)
            batches = (
                deliveries.batches_of(connection, self.delivery.delivery_id) if self.courier.sequence else []
            )
        removed, left = self.consent()
        self.report = DeliveryReport.of(
            self.delivery,
            state,
            plan=self.plan,
            audience=self.known,
            delivered=held.delivered,
            batches=batches,
            deleted=self.deleted,
            sentences=sentences,
            platform_stopped=stopped,
            removed_without_consent=len(removed),
            consent_left=len(left),
            quarantined=self.courier.quarantined,
        )

    def planned(self, errors: Sequence[str] = (), *, stopped: bool = False) -> None:
        """Report on a dry run: nothing is written."""
        store = self.terms.store
        self.report = DeliveryReport.of(
            self.delivery,
            DeliveryState.FAILED if errors else None,
            plan=self.plan,
            audience=self.known,
            delivered=store.summary(self.key).delivered if self.remote_id and not self.unreadable else 0,
            sentences=tuple(ended(one) for one in errors),
            platform_stopped=stopped,
        )

    def read_again(self, remote: RemoteAudience | None) -> None:
        """Write down what the platform shows after the delivery."""
        if remote is None or self.known is None or self.report is None:
            return
        self.remote, held = remote, self.terms.store.summary(self.key)
        self.known = as_read(self.known, remote, held.uploads, held.delivered, self.terms.clock())
        with self.terms.store.ledger.begin() as connection:
            deliveries.put_audience(connection, self.known)
        self.report = replace(self.report, audience=self.known)

    def say(self, sentence: str) -> None:
        """Add a sentence to the report of a delivery that is done."""
        if self.report is not None:
            self.report = replace(self.report, sentences=(*self.report.sentences, sentence))

    def consent(self) -> tuple[frozenset[str], frozenset[str]]:
        """Of those without consent who were there: whose removal is accepted, and whose is not.

        Where nobody knows who is there, any of them may be.
        """
        if self.unreadable:
            return frozenset(), frozenset(self.terms.consent_lost)
        if not self.lost:
            return self.lost, self.lost
        there = self.members().filter(pl.col("customer_id").is_in(list(self.lost)))
        early = self.early and not self.courier.failed["remove"]
        flying = (pl.col("state") == MemberState.REMOVING.value) | pl.lit(value=early)
        left = frozenset(there.filter(~(pl.col("in_flight") & flying))["customer_id"])
        return self.lost - left, left

    def _standing(self) -> tuple[int | None, date | None]:
        """People of the last completed delivery, and the newest day that was sent."""
        if self._past is None:
            with self.terms.store.ledger.reading() as connection:
                completed = deliveries.completed(connection, self.key)
                newest = deliveries.newest_as_of(connection, self.key)
            self._past = (completed.wanted if completed is not None else None, newest)
        return self._past
