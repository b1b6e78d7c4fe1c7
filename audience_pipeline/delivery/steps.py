"""The steps of a delivery to one audience, in turns: it never waits, but goes on when something has landed.

Only the ledger remembers anything between two runs, and nothing is sent before the ledger knows of it: a run
that is killed anywhere leaves people marked as doubtful, and the next one sends or removes them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import polars as pl

from audience_pipeline.delivery.attempt import UnknownMembersError
from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.plan import Plan
from audience_pipeline.delivery.recipients import PEOPLE
from audience_pipeline.delivery.renewing import Renewing
from audience_pipeline.delivery.sharing import apart
from audience_pipeline.ledger.records import GONE, AudienceState, DeliveryState, MemberState
from audience_pipeline.platforms.contract import Action, TerminalPlatformError, ended

MOST_TURNS = 10
AGAIN = "The next run tries again."


@dataclass(slots=True, eq=False)
class Steps(Renewing):
    """One delivery to one audience: gather, decide, apply, in turns until nothing is left."""

    seen: bool = False
    newly: frozenset[str] = field(default=frozenset(), repr=False)
    """Customers without consent who were there when the run began, and whose removal is not under way."""
    turns: int = 0
    prepared: bool = False
    retried: bool = False
    quiet: bool = False
    """When everything that is in flight has landed well, nothing is left to do."""
    unsent: bool = False
    """Something is left to send."""
    waiting: bool = False
    """Somebody waits for what is in flight."""

    def preview(self) -> Plan:
        """Look and plan; change nothing."""
        self.gather()
        return self.decide(self.wanted(), self.members())

    def see(self) -> None:
        """Find the audience, and write down what the platform shows of it."""
        if self.seen:
            return
        self.gather()
        self.seen = True
        if self.known is None or self.sight.foreign:
            return
        if self.sight.adopted:
            self.put(self.known)
        elif self.known.remote_id is None:
            # Until it is made anew, whatever gets its name is not ours.
            absent, creating = replace(self.known, state=AudienceState.ACTIVE, status=GONE), self.known
            self.put(absent if self.sight.gone else creating, forget=True)
            self.known = creating

    def find_lost(self) -> None:
        """See the audience, and find who is there without consent."""
        self.see()
        members = self.members()
        if self.note_lost(members).len():
            asked = (pl.col("state") == MemberState.REMOVING.value) & pl.col("in_flight")
            self.newly = self.lost.intersection(members.filter(~asked)["customer_id"])

    def start(self) -> bool:
        """The first visit."""
        self.see()
        return self.visit()

    def let_go(self) -> None:
        """Remove who has lost consent, before anything is added anywhere."""
        members = self.members()
        try:
            wanted = self.wanted()
        except UnknownMembersError:
            # Whoever it is to hold, it is not them.
            wanted = self.keeping(None, members)
        plan = self.decide(wanted, members)
        self.open()
        if plan.deletes:
            self.delete_empty(plan)
            return
        self._remove_early(plan)
        removals = plan.removals.filter("lost")
        if removals.height and self.remote_id and not self.courier.must_wait:
            self.courier.remove(self.remote_id, removals, plan.doubtful)

    def visit(self, *, last: bool = False) -> bool:
        """Send what can be sent; True when the delivery is done, False when it waits for what is in flight.

        Args:
            last: nobody waits any longer: send what is left, and be done.
        """
        wanted = self.wanted()
        while self.turns < MOST_TURNS:
            self.turns += 1
            if self.courier.must_wait and not last and self.prepared:
                return False
            members = self.members()
            plan = self.decide(wanted, members)
            if not self.prepared:
                self.prepared = True
                if self._prepare(plan):
                    continue
            sent = self._turn(plan, members, last=last)
            if self.kept is not None:
                wanted = self.kept
            if sent and (self.quiet or (self.courier.must_wait and not last)):
                break
            if not sent or self.courier.halted:
                break
        else:
            self.unsent = not self.quiet
        if not last and (self.courier.flights or (self.waiting and self.account.is_busy)):
            return False
        self.finish(*self._outcome())
        return True

    def land(self) -> bool:
        """Everything that was in flight has landed: go on, or be done. True when it is done."""
        if self.quiet and not any(self.courier.failed.values()):
            self.waiting = False
            self.finish(*self._outcome())
            return True
        return self.visit()

    def give_up(self, *, silent: bool) -> bool:
        """Patience is at an end: the next run does the rest.

        Args:
            silent: nothing can be sent any more; otherwise what could still be sent is.
        """
        if self.unsent and not silent and self.turns < MOST_TURNS:
            return self.visit(last=True)
        self.finish(*self._outcome())
        return True

    def _prepare(self, plan: Plan) -> bool:
        """What comes before people are sent; True when the plan has to be made again."""
        if self.sight.gone and not self.sight.foreign:
            again = ": it is made anew and everybody is sent again." if plan.creates else "."
            self.sentences.append(f"The audience was gone from the platform{again}")
        if plan.renames and self.remote_id:
            self._rename(plan)
        if plan.replaces:
            self.open()
            self.client.delete(self.sight.foreign)
            self.account.deleted(self.sight.foreign)
            self.sight = replace(self.sight, foreign="")
            self.sentences.append("The audience of this name that was there before was deleted.")
            self.put(self.to_create(), forget=True)
        if plan.deletes:
            self.delete_empty(plan)
            return True
        if self.renew_in_time(plan):
            return True
        self._remove_early(plan)
        return False

    def _rename(self, plan: Plan) -> None:
        if self.remote_id is None or self.known is None:
            return
        self.open()
        try:
            self.client.rename(self.remote_id, plan.remote_name)
        except TerminalPlatformError as error:
            if error.stops:
                raise
            self.sentences.append(f"It keeps its name '{plan.renames}' on the platform: {error}")
            return
        self.sentences.append(f"It was renamed from '{plan.renames}' to '{plan.remote_name}'.")
        self.put(replace(self.known, remote_name=plan.remote_name))
        if self.remote is not None:
            self.remote = replace(self.remote, name=plan.remote_name)
            self.account.there[self.remote.remote_id] = self.remote

    def _remove_early(self, plan: Plan) -> None:
        if plan.urgent.height and self.remote_id and not self.early:
            self.open()
            self.early = True
            self.courier.remove(self.remote_id, plan.urgent, plan.doubtful, early=True)

    def _turn(self, plan: Plan, members: pl.DataFrame, *, last: bool) -> bool:
        """Send the removals of a plan, and additions that need not wait for them; False: nothing was left."""
        courier, failures = self.courier, self._failures()
        removals = self._untried(plan.removals, members, "remove")
        adds = self._untried(plan.adds, members, "add")
        if courier.must_wait and not last:
            self.quiet, self.unsent = False, bool(removals.height or adds.height)
            return False
        sent = bool(removals.height and self.remote_id)
        if removals.height and self.remote_id:
            self.open()
            courier.remove(self.remote_id, removals, plan.doubtful)
            if courier.flights and not courier.must_wait:
                adds = apart(adds, removals, self.client.capabilities)
            if (courier.must_wait and not last) or self._failures() != failures:
                adds = adds.clear()
        if adds.height:
            sent = True
            self._add(adds)
        tried = removals.height == plan.removals.height and adds.height == plan.adds.height
        unfinished = courier.must_wait or courier.halted
        left = unfinished or self._failures() != failures or plan.doubtful.height or plan.urgent.height
        self.quiet = bool(tried and not left and not plan.counts.waiting and not any(courier.failed.values()))
        self.unsent = not tried or (unfinished and sent)
        self.waiting = plan.counts.waiting > 0
        if sent:
            return True
        self.unsent = bool(removals.height or adds.height)
        if courier.flights and not last:
            return False
        return self._try_once_more() or self.make_anew(plan, members)

    def _failures(self) -> int:
        return sum(len(batches) for batches in self.courier.failed.values())

    def _untried(self, people: pl.DataFrame, members: pl.DataFrame, action: Action) -> pl.DataFrame:
        """People who were not in a batch that failed in this run."""
        failed = self.courier.failed[action]
        if not failed or not people.height:
            return people
        tried = members.filter(pl.col("batch_id").is_in(list(failed)))
        return people.join(tried, on=PEOPLE, how="anti", maintain_order="left")

    def _try_once_more(self) -> bool:
        """A platform that refuses small audiences may accept, after others have arrived, what it refused."""
        courier, least = self.courier, self.client.capabilities.minimum_after_change
        if not least or self.retried or not courier.arrived or not any(courier.failed.values()):
            return False
        self.retried = True
        courier.forget_failures()
        return True

    def _add(self, people: pl.DataFrame) -> None:
        variants = self.terms.store.variants(self.key.platform)
        if self.remote_id:
            self.open()
            # Before a batch is planned: whoever may be there can be removed as they were sent.
            variants.remember(people)
            self.courier.add(self.remote_id, people)
            return
        if not self.account.takes(self.task.audience):
            most = self.client.capabilities.audiences_per_account
            raise TerminalPlatformError(
                self.key.platform,
                f"the ad account {self.key.account} holds {most} audiences and takes no more: delete some "
                "there, or add an account to the configuration.",
            )
        known = self.to_create()
        self.account.promised[self.task.audience] = self.name
        self.put(known, forget=True)
        variants.remember(people)
        if self.client.capabilities.creates_empty:
            remote_id = self.client.create(self.name, self.task.description)
            self.account.created(self.task.audience, remote_id, self.name)
            self.put(replace(known, remote_id=remote_id, state=AudienceState.FILLING))
            self.courier.add(remote_id, people)
        else:
            self.known = self.courier.create_with(known, people)
            self.account.created(self.task.audience, self.known.remote_id or "", self.name)

    def _left(self) -> str:
        """What is left, and who does it."""
        if not self.unsent and self.courier.sentences:
            return AGAIN
        why = f"{ended(self.account.error)} " if self.account.error is not None else ""
        add, remove = self.delivery.to_add, self.delivery.to_remove
        todo = f" of {people(add)} to add and {people(remove)} to remove" if add or remove else ""
        return f"{why}Not everything is done{todo}: the next run goes on with the rest."

    def _outcome(self) -> tuple[DeliveryState, tuple[str, ...]]:
        if self.plan is not None and self.plan.held:
            return DeliveryState.HELD, (self.plan.held,)
        if any(self.courier.failed.values()) or self.unsent:
            return DeliveryState.INCOMPLETE, (self._left(),)
        if self.courier.flights or self.waiting:
            return DeliveryState.PROCESSING, ()
        return DeliveryState.SETTLED if self.changed else DeliveryState.UNCHANGED, ()
