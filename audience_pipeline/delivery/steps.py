"""The steps of a delivery.

Only the ledger remembers anything between two runs, and nothing is sent before the ledger knows of it: a run
that is killed anywhere leaves people marked as doubtful, and the next one sends or removes them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audience_pipeline.delivery.attempt import Attempt
from audience_pipeline.delivery.courier import Variant
from audience_pipeline.delivery.plan import Plan
from audience_pipeline.delivery.recipients import Recipient
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.records import (
    AudienceState,
    DeliveredMember,
    DeliveryState,
    MemberState,
)
from audience_pipeline.platforms.contract import (
    CredentialError,
    Member,
    PlatformError,
    TransientPlatformError,
)

MOST_TURNS = 10


@dataclass(slots=True)
class Run(Attempt):
    """One delivery to one audience: gather, decide, apply, in turns until nothing is left."""

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
        if self.sight.gone and not self.sight.foreign:
            again = ": it is made anew and everybody is sent again." if plan.creates else "."
            self.sentences.append(f"The audience was gone from the platform{again}")
        if plan.replaces:
            self.client.delete(self.sight.foreign)
            self.sentences.append("The audience of this name that was there before was deleted.")
            self._put(self._to_create(), forget=True)
        if plan.deletes:
            self._delete_empty(plan)
            plan = self._decide()
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
        if self.plan is not None and self.plan.held:
            self.wanted = self._kept()
        self.client.delete(self.known.remote_id)
        self._put(self._to_create(), forget=True)
        self.sentences.append(f"{reason}: the audience was deleted to be made anew.")
        self.deleted += len({one.customer_id for one in refused}.difference(self.wanted))
        self.recreated = True
        self._forget_failures()
        return True

    def _kept(self) -> dict[str, Recipient]:
        """Whom a held audience goes on holding: everybody who is there, but for those without consent."""
        with self.courier.ledger.reading() as connection:
            people = deliveries.members(connection, self.delivery.key)
        there = {
            one.customer_id: Recipient(Member(one.customer_id, one.identifiers), one.fingerprint)
            for one in people
            if one.state is not MemberState.REMOVING and one.customer_id not in self.consent_lost
        }
        return {customer: self.wanted.get(customer, as_sent) for customer, as_sent in there.items()}

    def _delete_empty(self, plan: Plan) -> None:
        if self.known is None or not self.known.remote_id:
            return
        self.client.delete(self.known.remote_id)
        self._put(self._to_create(), forget=True)
        self.emptied = True
        self.deleted += plan.counts.leaving
        self.sentences.append(
            "Nobody is left for the audience: it was deleted, because "
            f"{self.delivery.key.platform.value} keeps none that is empty."
        )

    def _is_useless(self, least: int) -> bool:
        with self.courier.ledger.reading() as connection:
            if deliveries.delivered(connection, self.delivery.key) < least:
                return True
        self._read()
        size = self.remote.size_high if self.remote is not None else None
        return size is not None and size < least

    def _commit_sight(self) -> None:
        if self.known is None or self.sight.foreign:
            return
        if self.sight.adopted:
            self._put(self.known)
        elif self.known.remote_id is None:
            self._put(self.known, forget=True)

    def _outcome(self, plan: Plan) -> DeliveryState:
        sent = self.courier.sequence > 0 or self.recreated or self.emptied
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


def _variant(person: DeliveredMember) -> Variant:
    return person.customer_id, person.fingerprint
