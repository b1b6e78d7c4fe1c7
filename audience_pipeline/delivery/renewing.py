"""When an audience is deleted and made anew: what its platform does not let happen in any other way."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from audience_pipeline.delivery.attempt import Attempt
from audience_pipeline.delivery.brake import people
from audience_pipeline.delivery.plan import Plan
from audience_pipeline.delivery.recipients import PEOPLE
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.records import MemberState

USED_UP = 0.9
"""Share of the changes that an audience takes in its life, after which it is made anew in time."""
NEARLY = 0.8
"""Share of them from which on every report says so."""


@dataclass(slots=True, eq=False)
class Renewing(Attempt):
    """An attempt that can delete the audience, so that the next turn makes it anew."""

    def make_anew(self, plan: Plan, members: pl.DataFrame) -> bool:
        """Where a platform refuses to change a small audience: replace it if it must or may be replaced."""
        failed, least = self.courier.failed, self.client.capabilities.minimum_after_change
        if not (least or self.courier.too_few) or not any(failed.values()):
            return False
        tried = members.filter(pl.col("batch_id").is_in(list(failed["remove"])))
        refused = plan.removals.join(tried, on=PEOPLE, how="semi")
        if not (refused.height or failed["add"]) or self.known is None or not self.remote_id:
            return False
        opted_out = refused.filter("lost")["customer_id"].n_unique()
        held = self.plan is not None and bool(self.plan.held)
        if not self.recreated and opted_out:
            reason = f"The platform refused to remove {people(opted_out)} without consent from it"
        elif not self.recreated and not held and not plan.counts.wanted:
            reason = "The platform refused to remove its last people, and nobody is wanted in it"
        elif not self.recreated and self._is_useless(self.remote_id, least):
            reason = f"With fewer than {least:,} matched people the platform can neither change nor use it"
        else:
            if refused.height:
                few = f"fewer than {least:,}" if least else "too few"
                self.sentences.append(
                    f"The platform refuses to remove {people(refused.height)}, because {few} matched people "
                    "would be left. They stay until the audience grows."
                )
            return False
        wanted = self.wanted()
        if held:
            wanted = self.kept = self.keeping(wanted, members)
        self._delete(self.remote_id)
        again = " to be made anew" if wanted.height else ""
        self.sentences.append(f"{reason}: the audience was deleted{again}.")
        stay = wanted.filter(~pl.col("customer_id").is_in(list(self.lost)))
        self.deleted += refused.join(stay, on="customer_id", how="anti")["customer_id"].n_unique()
        self.recreated = True
        self.courier.forget_failures()
        return True

    def renew_in_time(self, plan: Plan) -> bool:
        """Where an audience takes only so many changes in its life: replace it before it takes no more."""
        most = self.client.capabilities.changes_per_audience
        if most is None or not self.remote_id or not (plan.adds.height or plan.removals.height):
            return False
        with self.terms.store.ledger.reading() as connection:
            used = deliveries.changes_of(connection, self.key, self.remote_id)
        if used < NEARLY * most:
            return False
        what = f"It has taken {used:,} of the {most:,} changes that {self.key.platform.value} allows"
        if used < USED_UP * most or plan.held:
            self.sentences.append(
                f"{what}: at {USED_UP * most:,.0f} it is made anew, and ad groups need the new one then."
            )
            return False
        self._delete(self.remote_id)
        self.sentences.append(
            f"{what}: it was deleted to be made anew. Give the new audience to the ad groups that used it."
        )
        self.deleted += plan.counts.leaving
        self.recreated = True
        return True

    def delete_empty(self, plan: Plan) -> None:
        """Delete an audience that nobody is left for."""
        if not self.remote_id:
            return
        self._delete(self.remote_id)
        self.emptied = True
        self.deleted += plan.counts.leaving
        self.sentences.append(
            "Nobody is left for the audience: it was deleted, because "
            f"{self.key.platform.value} keeps none that is empty."
        )

    def keeping(self, wanted: pl.DataFrame | None, members: pl.DataFrame) -> pl.DataFrame:
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

    def _is_useless(self, remote_id: str, least: int) -> bool:
        if not least:
            return False
        if self.terms.store.summary(self.key).delivered < least:
            return True
        self.remote = self.client.read(remote_id)
        size = self.remote.size_high if self.remote is not None else None
        return size is not None and size < least
