"""Who may be in each audience on its platform: a file for each audience, and the changes since in the ledger.

The order of writing makes it safe to be killed anywhere: a new file is whole and on the disk before one
commit points to it and drops the changes that it holds; the old file goes after that. Whoever finds a file
gone reads the pointer again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import polars as pl
from sqlalchemy import delete, func, insert, select, update

from audience_pipeline.ledger import deliveries, held, legacy_members, pointers, schema, snapshots
from audience_pipeline.ledger.database import Ledger, LedgerError
from audience_pipeline.ledger.records import AudienceKey, Batch, BatchState, Held, PlatformAudience
from audience_pipeline.ledger.replay import SNAPSHOT, changed, replay
from audience_pipeline.ledger.rows import batch_values, is_audience
from audience_pipeline.ledger.snapshots import Written
from audience_pipeline.ledger.variants import Variants
from audience_pipeline.platforms.contract import Platform

MEMBERS = pl.Schema(
    {
        name: SNAPSHOT.get(name, pl.Boolean())
        for name in ("customer_id", "fingerprint", "state", "in_flight", "delivered_at", "batch_id")
    }
)
"""Columns of those who may be on a platform."""
TRIES = 20
"""How often something is begun anew because another process has changed the same audience meanwhile."""
DELETE_IT = "delete this audience on the platform"
ORPHANED_AFTER = 3600.0
"""Seconds after which a file that the ledger does not point to belongs to nobody who still runs."""


class MemberStore:
    """Memberships as delivered. Safe to share between threads; all writing is one commit of the ledger."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self._folder = folder
        self._variants: dict[Platform, Variants] = {}
        self._lock = Lock()
        self._folded = False

    def members(self, key: AudienceKey) -> pl.DataFrame:
        """Everybody who may be on the platform.

        Returns:
            ``customer_id``, ``fingerprint``: sorted by them; whoever has changed can be there twice.
            ``state``: of :class:`MemberState`. ``in_flight``: the platform is still processing the batch that
            touched the person last. ``delivered_at``: when they were sent. ``batch_id``: that batch.

        Raises:
            LedgerError: the file of the audience is missing or was changed.
        """
        view, rows = self._read(key)
        sent = [name for name, batch in view.batches.items() if batch.state is BatchState.SENT]
        in_flight = pl.col("batch_id").is_in(sent).fill_null(value=False)
        return rows.with_columns(in_flight.alias("in_flight")).select(*MEMBERS)

    def plan_batch(
        self, key: AudienceKey, batch: Batch, people: pl.DataFrame, doubtful: pl.DataFrame
    ) -> None:
        """Write a batch down before it is sent, in one commit.

        Args:
            key: the audience.
            batch: in state ``PLANNED``.
            people: PEOPLE who are in the batch.
            doubtful: PEOPLE whom a removal may take along, even if they are just being added.
        """
        self._fold_legacy()
        change = changed(people, doubtful)
        with self.ledger.begin() as connection:
            connection.execute(insert(schema.batches), [batch_values(batch)])
            if change.height:
                pointers.record(connection, key, batch.batch_id, "planned", change)

    def settle_batch(
        self,
        key: AudienceKey,
        batch: Batch,
        *,
        refused: Mapping[tuple[str, int], str] | None = None,
        created: PlatformAudience | None = None,
    ) -> None:
        """Write what is known of a batch now and, when it has settled, what that makes of its people.

        A batch that failed leaves its people as they are: sent again, or removed again, by the next plan.

        Args:
            key: the audience.
            batch: as it is now.
            refused: customer and fingerprint to the reason, for people whom the platform has named: they are
                not in the audience, unless the same identifiers had arrived before.
            created: the audience, where the batch has created it.
        """
        self._fold_legacy()
        table = schema.batches
        values = batch_values(batch)
        with self.ledger.begin() as connection:
            if refused:
                pointers.quarantine(connection, key, batch, refused)
            if batch.state is BatchState.SETTLED:
                order = pointers.next_position(connection, key)
                values["settled_order"] = func.coalesce(table.c.settled_order, order)
            connection.execute(update(table).where(table.c.batch_id == batch.batch_id).values(values))
            if created is not None:
                deliveries.put_audience(connection, created)

    def forget(self, key: AudienceKey, *, known: PlatformAudience | None = None) -> None:
        """The audience does not exist on the platform (any more): nobody is there, nothing is under way.

        Args:
            key: the audience.
            known: what is known of it now, written in the same commit.
        """
        self._fold_legacy()
        with self.ledger.begin() as connection:
            pointers.next_position(connection, key)
            old, _ = pointers.current(connection, key)
            pointers.point(connection, key, Written(), SNAPSHOT.to_frame())
            deliveries.fail_batches(connection, key)
            if known is not None:
                deliveries.put_audience(connection, known)
        snapshots.discard(self._folder, [old])

    def compact(self, key: AudienceKey) -> None:
        """Write a file that holds all changes so far; nothing is done where there are none."""
        self._rewrite(key)

    def summary(self, key: AudienceKey) -> Held:
        """Who may be on the platform, counted; no file is read where it holds all changes."""
        self._fold_legacy()
        with self.ledger.reading() as connection:
            view = pointers.look(connection, key, every_batch=True)
        if not view.changes:
            return held.as_held(view.counts, view.batches, view.known, view.through)
        view, rows = self._read(key, every_batch=True)
        return held.as_held(held.counted(rows), view.batches, {}, view.position)

    def summaries(self) -> dict[AudienceKey, Held]:
        """:meth:`summary` of every audience that anything was ever sent to."""
        self._fold_legacy()
        with self.ledger.reading() as connection:
            views = pointers.look_at_all(connection)
        return {
            key: held.as_held(view.counts, view.batches, view.known, view.through)
            if view is not None
            else self.summary(key)
            for key, view in views.items()
        }

    def refused(self, key: AudienceKey) -> pl.DataFrame:
        """People whom the platform has named as refused: PEOPLE and ``reason``, by customer.

        They are to be left out until their fingerprint is another.
        """
        table = schema.refused_members
        query = (
            select(table.c.customer_id, table.c.fingerprint, table.c.reason)
            .where(is_audience(table, key))
            .order_by(table.c.customer_id, table.c.fingerprint)
        )
        with self.ledger.reading() as connection:
            found: Iterable[Any] = connection.execute(query)
            rows = [(who, int(variant, 16), reason) for who, variant, reason in found]
        columns = {"customer_id": pl.String, "fingerprint": pl.UInt64, "reason": pl.String}
        return pl.DataFrame(rows, schema=columns, orient="row")

    def variants(self, platform: Platform) -> Variants:
        """Everything that was ever sent of anybody to a platform."""
        with self._lock:
            if platform not in self._variants:
                self._variants[platform] = Variants(self.ledger, self._folder, platform)
            return self._variants[platform]

    def tidy(self, *, older_than: float = ORPHANED_AFTER) -> int:
        """Remove files that killed runs have left behind; the number of them.

        Args:
            older_than: seconds; a younger file may be one that a run is about to point to.
        """
        found = snapshots.orphans(self._folder, older_than)
        with self.ledger.reading() as connection:
            known = {
                *connection.execute(select(schema.delivered_snapshots.c.file)).scalars(),
                *connection.execute(select(schema.variant_segments.c.file)).scalars(),
            }
        left = [file for file in found if file not in known]
        snapshots.discard(self._folder, left)
        return len(left)

    def erase(self, customers: Iterable[str]) -> dict[str, int]:
        """Take people out of everything that the ledger knows of deliveries; whoever holds them forgets them.

        They must have been removed from the platforms before: afterwards nobody knows what was sent of them.

        Returns:
            Table to the number of rows that are gone.
        """
        self._fold_legacy()
        names = pl.Series("customer_id", sorted(set(customers)), dtype=pl.String)
        table = schema.refused_members
        with self.ledger.reading() as connection:
            keys = pointers.audiences(connection)
        gone = {"delivered_snapshots": sum(self._rewrite(key, without=names) for key in keys)}
        gone["variant_segments"] = sum(self.variants(platform).erase(names) for platform in Platform)
        gone["refused_members"] = 0
        with self.ledger.begin() as connection:
            for start in range(0, len(names), 500):
                some = names.slice(start, 500).to_list()
                found = connection.execute(delete(table).where(table.c.customer_id.in_(some)))
                gone["refused_members"] += found.rowcount
        self.ledger.scrub()
        return gone

    def _read(self, key: AudienceKey, *, every_batch: bool = False) -> tuple[pointers.View, pl.DataFrame]:
        """An audience, and its rows as they are now: columns ``replay.SNAPSHOT``."""
        self._fold_legacy()
        missing = Written()
        for _ in range(TRIES):
            with self.ledger.reading() as connection:
                view = pointers.look(connection, key, every_batch=every_batch)
            written = view.written
            what = f"the people in the audience '{key.audience}' on {key.platform.value}"
            try:
                base = (
                    snapshots.read(self._folder, written, what, DELETE_IT)
                    if written.file
                    else SNAPSHOT.to_frame()
                )
            except FileNotFoundError:
                if written == missing:
                    raise snapshots.damaged(self._folder, written, what, "is missing", DELETE_IT) from None
                missing = written
                continue
            return view, replay(base, view.changes, view.known, view.through)
        raise _busy(key)

    def _rewrite(self, key: AudienceKey, *, without: pl.Series | None = None) -> int:
        """Write the file of an audience anew, without some customers; how many rows they had."""
        for _ in range(TRIES):
            view, rows = self._read(key)
            if without is None:
                if view.is_whole:
                    return 0
            elif not _mention(without, rows, *(change.people for change in view.changes)):
                return 0
            kept = rows if without is None else rows.filter(~pl.col("customer_id").is_in(without.implode()))
            written = snapshots.write(self._folder, f"members/{key.platform.value}", kept)
            with self.ledger.begin() as connection:
                same = pointers.current(connection, key) == (view.written.file, view.position)
                if same:
                    pointers.point(connection, key, written, kept)
            snapshots.discard(self._folder, [view.written.file if same else written.file])
            if same:
                return rows.height - kept.height
        raise _busy(key)

    def _fold_legacy(self) -> None:
        if not self._folded:
            legacy_members.fold(self.ledger, self._folder, self.variants)
            self._folded = True


def _mention(customers: pl.Series, *frames: pl.DataFrame) -> bool:
    return any(frame["customer_id"].is_in(customers.implode()).any() for frame in frames)


def _busy(key: AudienceKey) -> LedgerError:
    return LedgerError(
        f"Other runs keep changing the audience '{key.audience}' on {key.platform.value}: wait for them."
    )
