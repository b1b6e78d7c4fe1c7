"""One attempt to deliver: what is seen, what is decided, and what the ledger is told in the end."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from audience_pipeline.delivery.brake import Standing
from audience_pipeline.delivery.courier import Courier
from audience_pipeline.delivery.figures import as_read
from audience_pipeline.delivery.gather import Sight, look
from audience_pipeline.delivery.plan import Plan, decide
from audience_pipeline.delivery.recipients import Wanted
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.records import AudienceState, Delivery, DeliveryState, PlatformAudience
from audience_pipeline.platforms.contract import AudienceClient, RemoteAudience


@dataclass(slots=True)
class Attempt:
    """An audience, who is wanted in it, and everything that is found out on the way."""

    courier: Courier
    delivery: Delivery
    wanted: Wanted
    consent_lost: Set[str]
    confirm: bool
    name: str
    description: str
    retired: bool = False
    sight: Sight = field(default_factory=Sight)
    known: PlatformAudience | None = None
    remote: RemoteAudience | None = None
    plan: Plan | None = None
    """The first plan of the run: the one that a person sees, and that the brake judges."""
    recreated: bool = False
    retried: bool = False
    emptied: bool = False
    deleted: int = 0
    """People who left together with an audience that was deleted."""
    sentences: list[str] = field(default_factory=list)

    @property
    def client(self) -> AudienceClient:
        """The ad account that is delivered to."""
        return self.courier.client

    def _gather(self) -> None:
        with self.courier.ledger.reading() as connection:
            known = deliveries.audience(connection, self.delivery.key)
        if known is not None:
            self.name = known.remote_name
        self.sight = look(self.client, known, self.name)
        self.known, self.remote = self.sight.known, self.sight.remote

    def _decide(self) -> Plan:
        key, known = self.delivery.key, self.known
        remote_id = known.remote_id if known is not None else None
        with self.courier.ledger.reading() as connection:
            people = deliveries.members(connection, key) if remote_id else []
            completed = deliveries.completed(connection, key)
            newest = deliveries.newest_as_of(connection, key)
        watched = known is not None and known.state is AudienceState.ACTIVE
        first = self.plan
        return decide(
            self.client.capabilities,
            self.wanted,
            people,
            Standing(
                remote_id=remote_id,
                completed=completed.wanted if completed is not None and watched else None,
                foreign=bool(self.sight.foreign) and first is None,
                newest_as_of=newest,
                retired=self.retired,
            ),
            remote_name=self.name,
            as_of=self.delivery.as_of,
            now=self.courier.clock(),
            consent_lost=self.consent_lost,
            # What the first plan let through, the later ones of a run do not stop half-way.
            confirmed=self.confirm or (first is not None and not first.held),
        )

    def _read(self) -> None:
        if self.known is not None and self.known.remote_id:
            self.remote = self.client.read(self.known.remote_id)

    def _finish(self, state: DeliveryState, errors: Sequence[str]) -> None:
        """Write down how it ended, and what the platform shows now."""
        key, now = self.delivery.key, self.courier.clock()
        done = state in (DeliveryState.SETTLED, DeliveryState.UNCHANGED, DeliveryState.PROCESSING)
        with self.courier.ledger.begin() as connection:
            counted = deliveries.counted(connection, self.delivery)
            message = " ".join([*self.sentences, *self.courier.sentences, *errors])
            self.delivery = replace(counted, finished_at=now, state=state, message=message)
            deliveries.finish(connection, self.delivery)
            if self.known is None:
                return
            if not self.known.remote_id:
                if done and not self.wanted:
                    # As it should be: look() tells it by this from one whose creation was interrupted.
                    status = "not there, because nobody is wanted"
                    self.known = replace(self.known, state=AudienceState.ACTIVE, status=status)
                    deliveries.forget_members(connection, key)
                    deliveries.put_audience(connection, self.known)
                return
            if done or (state is DeliveryState.HELD and self.recreated):
                self.known = replace(self.known, state=AudienceState.ACTIVE)
            if self.remote is not None:
                here = deliveries.delivered(connection, key)
                self.known = as_read(self.known, self.remote, deliveries.uploads(connection, key), here, now)
            deliveries.put_audience(connection, self.known)

    def _report(
        self, state: DeliveryState | None, errors: Sequence[str], *, stopped: bool = False
    ) -> DeliveryReport:
        with self.courier.ledger.reading() as connection:
            here = deliveries.delivered(connection, self.delivery.key)
            batches = deliveries.batches_of(connection, self.delivery.delivery_id)
        return DeliveryReport.of(
            self.delivery,
            state,
            plan=self.plan,
            audience=self.known,
            delivered=here,
            batches=batches,
            deleted=self.deleted,
            sentences=(*self.sentences, *self.courier.sentences, *errors),
            platform_stopped=stopped,
        )

    def _to_create(self) -> PlatformAudience:
        return PlatformAudience(
            self.delivery.key, self.name, AudienceState.CREATING, self.courier.clock(), status="to be created"
        )

    def _put(self, known: PlatformAudience, *, forget: bool = False) -> None:
        with self.courier.ledger.begin() as connection:
            deliveries.put_audience(connection, known)
            if forget:
                deliveries.forget_members(connection, known.key)
        self.known = known
