"""Everything that was ever sent of anybody to a platform: so what has changed can be removed all the same.

Rows only ever come: they lie in files (segments), the newer the smaller, which are merged as they grow alike.
The ledger points to them; nothing is sent before what is to be sent lies there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Connection, delete, insert, select, text

from audience_pipeline.ledger import schema, snapshots
from audience_pipeline.ledger.database import Ledger, LedgerError
from audience_pipeline.ledger.fingerprints import PEOPLE, PEOPLE_SCHEMA, keys
from audience_pipeline.ledger.snapshots import Written
from audience_pipeline.platforms.contract import CAPABILITIES, PLAIN, Platform

GROWTH = 2
"""A segment stays by itself while it is more than so many times as large as what comes after it."""
TRIES = 20
DELETE_THEM = (
    "delete every audience of this workspace on the platform, and the row of this file from the table "
    "variant_segments"
)


def identifier_columns(platform: Platform) -> dict[str, pl.DataType]:
    """The identifiers of a platform and how they are kept."""
    return {
        name: pl.String() if name in PLAIN else pl.Binary() for name in CAPABILITIES[platform].identifiers
    }


@dataclass(frozen=True, slots=True, repr=False)
class _Segment:
    """A file that was read: its rows, and where each fingerprint stands among them."""

    sequence: int
    written: Written
    rows: pl.DataFrame
    order: npt.NDArray[np.int64]
    sorted: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, sequence: int, written: Written, rows: pl.DataFrame) -> _Segment:
        numbers = rows["fingerprint"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        return cls(sequence, written, rows, order, numbers[order])

    def find(self, people: pl.DataFrame) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
        """The places in ``people`` of those whose variant is here, and their rows."""
        wanted = people["fingerprint"].to_numpy()
        first = np.searchsorted(self.sorted, wanted, "left")
        count = np.searchsorted(self.sorted, wanted, "right") - first
        places = np.repeat(np.arange(len(wanted)), count)
        within = np.arange(len(places)) - np.repeat(np.cumsum(count) - count, count)
        found = self.order[np.repeat(first, count) + within]
        same = (self.rows["customer_id"].gather(found) == people["customer_id"].gather(places)).to_numpy()
        return places[same], self.rows[found[same]]


class Variants:
    """The variants of one platform, kept in memory once they were read. Safe to share between threads."""

    def __init__(self, ledger: Ledger, folder: Path, platform: Platform) -> None:
        self._ledger = ledger
        self._folder = folder
        self._platform = platform
        self._columns = identifier_columns(platform)
        self._schema = pl.Schema({**PEOPLE_SCHEMA, **self._columns})
        self._segments: list[_Segment] = []
        self._lock = RLock()

    def remember(self, recipients: pl.DataFrame) -> None:
        """Write down what is about to be sent, as far as it is not known; call it before a batch is planned.

        Args:
            recipients: PEOPLE and the identifiers of the platform; hashes as Binary.
        """
        given = recipients.select(*PEOPLE, *self._columns).cast(self._schema)
        with self._lock:
            for _ in range(TRIES):
                self._refresh()
                new = given.filter(~self._known(given)).unique(PEOPLE, maintain_order=True)
                if not new.height or self._append(new):
                    return
        raise self._busy()

    def of(self, people: pl.DataFrame) -> pl.DataFrame:
        """What was sent of people.

        Args:
            people: PEOPLE.

        Returns:
            PEOPLE and the identifiers, in the order of ``people``.

        Raises:
            LedgerError: something was sent that nobody knows any more.
        """
        with self._lock:
            self._refresh()
            segments = list(self._segments)
        parts = [self._empty().with_columns(place=pl.lit(None, pl.Int64))]
        for segment in segments:
            places, rows = segment.find(people)
            parts.append(rows.with_columns(pl.Series("place", places, dtype=pl.Int64)))
        found = pl.concat(parts).unique("place").sort("place").drop("place")
        if found.height < people.height:
            raise snapshots.DamagedFileError(
                f"Nobody knows what was sent of {people.height - found.height:,} people to "
                f"{self._platform.value}: restore {self._folder} and the ledger from backups of one time, "
                "or delete the audience on the platform, so that the next delivery makes it anew."
            )
        return found

    def every(self, customers: pl.Series) -> pl.DataFrame:
        """All that was ever sent of some customers: PEOPLE and the identifiers, sorted by PEOPLE."""
        with self._lock:
            self._refresh()
            segments = list(self._segments)
        names = customers.cast(pl.String).unique().implode()
        parts = [segment.rows.filter(pl.col("customer_id").is_in(names)) for segment in segments]
        return pl.concat([self._empty(), *parts]).unique(PEOPLE).sort(PEOPLE)

    def shared(self) -> pl.DataFrame:
        """Variants that a platform cannot tell from others: PEOPLE and ``key: UInt64``, sorted.

        A row for each complete group of ``Capabilities.reachable_by`` that another variant holds, too, be it
        of the same customer or of another. Equal keys: equal identifiers.
        """
        with self._lock:
            self._refresh()
            segments = list(self._segments)
        capabilities = CAPABILITIES[self._platform]
        parts = [keys(segment.rows, capabilities) for segment in segments]
        empty = self._empty().select(*PEOPLE, key=pl.lit(None, pl.UInt64))
        together = pl.concat([empty, *parts]).unique()
        return together.filter(pl.col("key").is_duplicated()).sort(*PEOPLE, "key")

    def erase(self, customers: pl.Series) -> int:
        """Forget everything that was sent of some customers; the number of rows that are gone."""
        names = customers.cast(pl.String).implode()
        gone = 0
        with self._lock:
            for _ in range(TRIES):
                self._refresh()
                for segment in self._segments:
                    kept = segment.rows.filter(~pl.col("customer_id").is_in(names))
                    if kept.height == segment.rows.height:
                        continue
                    if not self._replace([segment], kept):
                        break
                    gone += segment.rows.height - kept.height
                else:
                    return gone
        raise self._busy()

    def _known(self, people: pl.DataFrame) -> pl.Series:
        known = np.zeros(people.height, bool)
        for segment in self._segments:
            known[segment.find(people)[0]] = True
        return pl.Series(known)

    def _append(self, new: pl.DataFrame) -> bool:
        """Add rows, together with the segments that are not much larger; False when others were faster."""
        merged: list[_Segment] = []
        rows = new
        for segment in reversed(self._segments):
            if segment.rows.height > GROWTH * rows.height:
                break
            merged.insert(0, segment)
            rows = pl.concat([segment.rows, rows])
        return self._replace(merged, rows)

    def _replace(self, old: list[_Segment], rows: pl.DataFrame) -> bool:
        written = snapshots.write(self._folder, f"variants/{self._platform.value}", rows)
        table = schema.variant_segments
        gone = [segment.sequence for segment in old]
        with self._ledger.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("LOCK TABLE variant_segments IN EXCLUSIVE MODE"))
            there = self._pointers(connection)
            same = {one.file for one in there.values()} == {one.written.file for one in self._segments}
            if same:
                sequence = max(there, default=0) + 1
                mine = table.c.platform == self._platform.value
                connection.execute(delete(table).where(mine, table.c.sequence.in_(gone)))
                if written.file:
                    connection.execute(insert(table), [self._row(sequence, written)])
        if not same:
            snapshots.discard(self._folder, [written.file])
            return False
        snapshots.discard(self._folder, [segment.written.file for segment in old])
        self._segments = [segment for segment in self._segments if segment.sequence not in gone]
        if written.file:
            self._segments.append(_Segment.of(sequence, written, rows))
        return True

    def _row(self, sequence: int, written: Written) -> dict[str, Any]:
        return {
            "platform": self._platform.value,
            "sequence": sequence,
            "file": written.file,
            "sha256": written.sha256,
            "rows": written.rows,
            "written_at": datetime.now(UTC),
        }

    def _refresh(self) -> None:
        """Read the segments that the ledger points to and that are not in memory yet."""
        missing = ""
        while True:
            with self._ledger.reading() as connection:
                there = self._pointers(connection)
            known = {segment.written.file: segment for segment in self._segments}
            try:
                self._segments = [
                    known.get(written.file) or self._load(sequence, written)
                    for sequence, written in there.items()
                ]
            except FileNotFoundError as error:
                if str(error) == missing:
                    lost = next(one for one in there.values() if not (self._folder / one.file).exists())
                    raise snapshots.damaged(
                        self._folder, lost, self._what(), "is missing", DELETE_THEM
                    ) from None
                missing = str(error)
                continue
            return

    def _load(self, sequence: int, written: Written) -> _Segment:
        rows = snapshots.read(self._folder, written, self._what(), DELETE_THEM)
        absent = [
            pl.lit(None, dtype).alias(name) for name, dtype in self._columns.items() if name not in rows
        ]
        return _Segment.of(sequence, written, rows.with_columns(absent).select(*PEOPLE, *self._columns))

    def _pointers(self, connection: Connection) -> dict[int, Written]:
        table = schema.variant_segments
        query = (
            select(table.c.sequence, table.c.file, table.c.sha256, table.c.rows)
            .where(table.c.platform == self._platform.value)
            .order_by(table.c.sequence)
        )
        return {row.sequence: Written(row.file, row.sha256, row.rows) for row in connection.execute(query)}

    def _what(self) -> str:
        return f"what was sent to {self._platform.value}"

    def _busy(self) -> LedgerError:
        return LedgerError(
            f"Other runs keep writing what they send to {self._platform.value}: wait for them."
        )

    def _empty(self) -> pl.DataFrame:
        return self._schema.to_frame()
