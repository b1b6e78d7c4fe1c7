"""The steps of a delivery.

Only the ledger remembers anything between two runs, and nothing is sent before the ledger knows of it: a run
that is killed anywhere leaves people marked as doubtful, and the next one sends or removes them again.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

from audience_pipeline.delivery.courier import Courier, Variant
from audience_pipeline.delivery.figures import as_read
from audience_pipeline.delivery.gather import Sight, look
from audience_pipeline.delivery.plan import Plan, Standing, decide
from audience_pipeline.delivery.recipients import Recipient, Wanted
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.records import (
    AudienceState,
    DeliveredMember,
    Delivery,
    DeliveryState,
    PlatformAudience,
)
from audience_pipeline.platforms.contract import (
    AudienceClient,
    CredentialError,
    PlatformError,
    RemoteAudience,
    TransientPlatformError,
)

MOST_TURNS = 10


@dataclass(slots=True)
class Run:
    """One delivery to one audience: gather, decide, apply, in turns until nothing is left."""

    courier: Courier
    delivery: Delivery
    wanted: Wanted
    consent_lost: Set[str]
    confirm: bool
    name: str
    description: str
    sight: Sight = field(default_factory=Sight)
    known: PlatformAudience | None = None
    remote: RemoteAudience | None = None
    plan: Plan | None = None
    """The first plan of the run: the one that a person sees, and that the brake judges."""
    recreated: bool = False
    retried: bool = False
    sentences: list[str] = field(default_factory=list)

    @property
    def client(self) -> AudienceClient:
        """The ad account that is delivered to."""
        return self.courier.client

    def preview(self) -> DeliveryReport:
        """Look and plan; change nothing."""
        try:
            self._gather()
            self.plan = self._decide()
        except PlatformError as error:
            return self._report(
                DeliveryState.FAILED, [str(error)], stopped=isinstance(error, CredentialError)
            )
        return self._report(None, [])

    def deliver(self) -> DeliveryReport:
        """Make the platform hold the wanted people, as far as it lets us."""
        with self.courier.ledger.begin() as connection:
            deliveries.start(connection, self.delivery)
        errors: list[str] = []
        stopped = False
        try:
            state = self._work()
        except CredentialError as error:
            state, stopped = DeliveryState.FAILED, True
            errors = [f"{error} Nothing more is sent to {self.delivery.key.platform.value} in this run."]
        except TransientPlatformError as error:
            state, errors = DeliveryState.INCOMPLETE, [f"{error} The next run sends the rest."]
        except PlatformError as error:
            state, errors = DeliveryState.FAILED, [str(error)]
        self._finish(state, errors)
        return self._report(state, errors, stopped=stopped)

    def _work(self) -> DeliveryState:
        self._gather()
        self._commit_sight()
        self.courier.follow()
        self.plan = plan = self._decide()
        self.delivery = replace(self.delivery, to_add=len(plan.adds), to_remove=len(plan.removals))
        with self.courier.ledger.begin() as connection:
            deliveries.put_delivery(connection, self.delivery)
        if plan.replaces:
            self.client.delete(self.sight.foreign)
            self.sentences.append("The audience of this name that was there before was deleted.")
            self._put(self._to_create(), forget=True)
        if plan.urgent and self.known is not None and self.known.remote_id:
            self.courier.remove_early(self.known.remote_id, plan.urgent, plan.doubtful)
        for _ in range(MOST_TURNS):
            if not self._turn(plan):
                break
            self.courier.follow()
            plan = self._decide()
        return self._outcome(plan)

    def _turn(self, plan: Plan) -> bool:
        """Send the removals of a plan, or else its additions; False when nothing is left to try."""
        failed = self.courier.failed
        removals = [one for one in plan.removals if _variant(one) not in failed["remove"]]
        if removals and self.known is not None and self.known.remote_id:
            self.courier.remove(self.known.remote_id, removals, plan.doubtful)
            return True
        adds = [one for one in plan.adds if (one.member.customer_id, one.fingerprint) not in failed["add"]]
        if adds:
            self._add(adds)
            return True
        return self._try_once_more() or self._make_anew(plan)

    def _try_once_more(self) -> bool:
        """A platform that refuses small audiences may accept, after others have arrived, what it refused."""
        courier, least = self.courier, self.client.capabilities.minimum_after_change
        if not least or self.retried or not courier.arrived or not any(courier.failed.values()):
            return False
        self.retried = True
        self._forget_failures()
        return True

    def _forget_failures(self) -> None:
        for people in self.courier.failed.values():
            people.clear()
        self.courier.sentences.clear()

    def _add(self, people: Sequence[Recipient]) -> None:
        if self.known is not None and self.known.remote_id:
            self.courier.add(self.known.remote_id, people)
            return
        known = self._to_create()
        self._put(known, forget=True)
        if self.client.capabilities.creates_empty:
            remote_id = self.client.create(self.name, self.description)
            self._put(replace(known, remote_id=remote_id, state=AudienceState.FILLING))
            self.courier.add(remote_id, people)
        else:
            self.known = self.courier.create_with(known, people)

    def _make_anew(self, plan: Plan) -> bool:
        """Where a platform refuses to change a small audience: replace it if it must or may be replaced."""
        failed, least = self.courier.failed, self.client.capabilities.minimum_after_change
        refused = [one for one in plan.removals if _variant(one) in failed["remove"]]
        if not least or not (refused or failed["add"]) or self.known is None or not self.known.remote_id:
            return False
        opted_out = len({one.customer_id for one in refused} & self.consent_lost)
        if not self.recreated and opted_out:
            reason = f"The platform refused to remove {opted_out:,} people without consent from it"
        elif not self.recreated and self._is_useless(least):
            reason = f"With fewer than {least:,} matched people the platform can neither change nor use it"
        else:
            if refused:
                self.sentences.append(
                    f"The platform refuses to remove {len(refused):,} people, because fewer than {least:,} "
                    "matched people would be left. They stay until the audience grows."
                )
            return False
        self.client.delete(self.known.remote_id)
        self._put(self._to_create(), forget=True)
        self.sentences.append(f"{reason}: the audience was deleted and made anew.")
        self.recreated = True
        self._forget_failures()
        return True

    def _is_useless(self, least: int) -> bool:
        with self.courier.ledger.reading() as connection:
            if deliveries.delivered(connection, self.delivery.key) < least:
                return True
        self._read()
        size = self.remote.size_high if self.remote is not None else None
        return size is not None and size < least

    def _gather(self) -> None:
        with self.courier.ledger.reading() as connection:
            known = deliveries.audience(connection, self.delivery.key)
        if known is not None:
            self.name = known.remote_name
        self.sight = look(self.client, known, self.name)
        self.known, self.remote = self.sight.known, self.sight.remote

    def _commit_sight(self) -> None:
        if self.known is None or self.sight.foreign:
            return
        if self.sight.adopted:
            self._put(self.known)
        elif self.known.remote_id is None:
            self._put(self.known, forget=True)
        if self.sight.gone:
            self.sentences.append(
                "The audience was gone from the platform: it is made anew and everybody is sent again."
            )

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
            ),
            remote_name=self.name,
            as_of=self.delivery.as_of,
            now=self.courier.clock(),
            consent_lost=self.consent_lost,
            # What the first plan let through, the later ones of a run do not stop half-way.
            confirmed=self.confirm or (first is not None and not first.held),
        )

    def _outcome(self, plan: Plan) -> DeliveryState:
        sent = self.courier.sequence > 0 or self.recreated
        with self.courier.ledger.reading() as connection:
            under_way = deliveries.under_way(connection, self.delivery.key)
        if sent:
            try:
                self._read()
            except TransientPlatformError as error:
                self.sentences.append(f"{error} The size is read by the next run.")
        first = self.plan or plan
        if first.held:
            self.sentences.append(first.held)
            return DeliveryState.HELD
        if self.courier.failed["add"] or self.courier.failed["remove"] or plan.adds or plan.removals:
            return DeliveryState.INCOMPLETE
        if under_way or plan.counts.waiting:
            return DeliveryState.PROCESSING
        return DeliveryState.SETTLED if sent else DeliveryState.UNCHANGED

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
            if self.known is None or not self.known.remote_id:
                return
            if done:
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


def _variant(person: DeliveredMember) -> Variant:
    return person.customer_id, person.fingerprint
