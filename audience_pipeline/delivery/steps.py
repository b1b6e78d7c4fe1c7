"""The steps of a delivery to one audience, in turns: it never waits, but goes on when something has landed.

Only the ledger remembers anything between two runs, and nothing is sent before the ledger knows of it: a run
that is killed anywhere leaves people marked as doubtful, and the next one sends or removes them again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from audience_pipeline.delivery.attempt import Attempt, UnknownMembersError
from audience_pipeline.delivery.plan import Plan
from audience_pipeline.delivery.recipients import PEOPLE
from audience_pipeline.delivery.sharing import apart
from audience_pipeline.ledger.records import AudienceState, DeliveryState, MemberState
from audience_pipeline.platforms.contract import Action, TerminalPlatformError

MOST_TURNS = 10


@dataclass(slots=True, eq=False)
class Steps(Attempt):
    """One delivery to one audience: gather, decide, apply, in turns until nothing is left."""

    seen: bool = False
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
            self.put(self.known, forget=True)

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
            wanted = self._kept(None, members)
        plan = self.decide(wanted, members)
        self.open()
        if plan.deletes:
            self._delete_empty(plan)
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
            if not sent:
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
            self._delete_empty(plan)
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
        left = courier.must_wait or self._failures() != failures or plan.doubtful.height or plan.urgent.height
        self.quiet = bool(tried and not left and not plan.counts.waiting and not any(courier.failed.values()))
        self.unsent = not tried or (courier.must_wait and sent)
        self.waiting = plan.counts.waiting > 0
        if sent:
            return True
        self.unsent = bool(removals.height or adds.height)
        if courier.flights and not last:
            return False
        return self._try_once_more() or self._make_anew(plan, members)

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

    def _make_anew(self, plan: Plan, members: pl.DataFrame) -> bool:
        """Where a platform refuses to change a small audience: replace it if it must or may be replaced."""
        failed, least = self.courier.failed, self.client.capabilities.minimum_after_change
        if not least or not any(failed.values()):
            return False
        tried = members.filter(pl.col("batch_id").is_in(list(failed["remove"])))
        refused = plan.removals.join(tried, on=PEOPLE, how="semi")
        if not (refused.height or failed["add"]) or self.known is None or not self.remote_id:
            return False
        opted_out = refused.filter("lost")["customer_id"].n_unique()
        if not self.recreated and opted_out:
            reason = f"The platform refused to remove {opted_out:,} people without consent from it"
        elif not self.recreated and self._is_useless(self.remote_id, least):
            reason = f"With fewer than {least:,} matched people the platform can neither change nor use it"
        else:
            if refused.height:
                self.sentences.append(
                    f"The platform refuses to remove {refused.height:,} people, because fewer than {least:,} "
                    "matched people would be left. They stay until the audience grows."
                )
            return False
        wanted = self.wanted()
        if self.plan is not None and self.plan.held:
            wanted = self.kept = self._kept(wanted, members)
        self._delete(self.remote_id)
        self.sentences.append(f"{reason}: the audience was deleted to be made anew.")
        stay = wanted.filter(~pl.col("customer_id").is_in(list(self.lost)))
        self.deleted += refused.join(stay, on="customer_id", how="anti")["customer_id"].n_unique()
        self.recreated = True
        self.courier.forget_failures()
        return True

    def _kept(self, wanted: pl.DataFrame | None, members: pl.DataFrame) -> pl.DataFrame:
        """Whom a held audience goes on holding: everybody who is there, but for those without consent."""
        there = members.filter(
            (pl.col("state") != MemberState.REMOVING.value) & ~pl.col("customer_id").is_in(list(self.lost))
        ).unique("customer_id")
        staying = there.clear() if wanted is None else wanted.join(there, on="customer_id", how="semi")
        rest = there.join(staying, on="customer_id", how="anti").select(PEOPLE)
        as_sent = self.terms.store.variants(self.key.platform).of(rest)
        return pl.concat([staying.select(as_sent.columns), as_sent] if staying.height else [as_sent]).sort(
            PEOPLE
        )

    def _delete(self, remote_id: str) -> None:
        self.open()
        self.client.delete(remote_id)
        self.account.deleted(remote_id)
        self.put(self.to_create(), forget=True)

    def _delete_empty(self, plan: Plan) -> None:
        if not self.remote_id:
            return
        self._delete(self.remote_id)
        self.emptied = True
        self.deleted += plan.counts.leaving
        self.sentences.append(
            "Nobody is left for the audience: it was deleted, because "
            f"{self.key.platform.value} keeps none that is empty."
        )

    def _is_useless(self, remote_id: str, least: int) -> bool:
        if self.terms.store.summary(self.key).delivered < least:
            return True
        self.remote = self.client.read(remote_id)
        size = self.remote.size_high if self.remote is not None else None
        return size is not None and size < least

    def _outcome(self) -> tuple[DeliveryState, tuple[str, ...]]:
        if self.plan is not None and self.plan.held:
            return DeliveryState.HELD, (self.plan.held,)
        if any(self.courier.failed.values()) or self.unsent:
            return DeliveryState.INCOMPLETE, ()
        if self.courier.flights or self.waiting:
            return DeliveryState.PROCESSING, ()
        return DeliveryState.SETTLED if self.changed else DeliveryState.UNCHANGED, ()
