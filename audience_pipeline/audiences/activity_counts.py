"""How often customers did something: ``did`` answered over the arrays of an ``Activity``.

Conditions on the same event with the same ``where`` share one pass over its rows: their windows all end with
the as-of date, so that each lies within the next longer one, which only adds its own days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypedDict

import duckdb
import numpy as np
import numpy.typing as npt

from audience_pipeline.audiences.activity import WEEKDAYS
from audience_pipeline.audiences.activity_table import OLDEST, Activity, EventRows
from audience_pipeline.audiences.criteria import Criterion
from audience_pipeline.audiences.masks import Mask, Packed, packed, unpacked
from audience_pipeline.audiences.profile_table import asked
from audience_pipeline.audiences.rules import Did

EVER = OLDEST + 1
"""A window that holds everything, in days."""


class Asked(TypedDict):
    """Keyword arguments of ``Activity.of``: what has to be loaded."""

    events: list[str]
    properties: list[str]
    within_days: int | None


def asked_by(dids: Collection[Did]) -> Asked:
    """What of the activity conditions ask for."""
    windows = [did.within_days for did in dids]
    return {
        "events": sorted({did.event for did in dids}),
        "properties": sorted(frozenset().union(*(did.where.fields for did in dids if did.where))),
        "within_days": None if None in windows else max((days for days in windows if days), default=None),
    }


class ActivityCounts:
    """Answers ``did`` for the customers of one profile.

    A customer is meant whose number of events lies between ``at_least`` and ``at_most``. Somebody without any
    such event has done it zero times: they are meant only where ``at_least`` is 0.
    """

    def __init__(
        self, activity: Activity, connection: duckdb.DuckDBPyConnection, expected: Collection[Did] = ()
    ) -> None:
        self._activity, self._connection = activity, connection
        self._groups: dict[tuple[str, Criterion | None], set[Did]] = defaultdict(set)
        for did in expected:
            self._groups[did.event, did.where].add(did)
        self._ready: dict[Did, Packed] = {}
        self._registered: set[str] = set()

    def mask(self, did: Did) -> Mask:
        """The customers who did it so often.

        Raises:
            EvaluationError: the condition on the properties cannot be computed.
        """
        if did not in self._ready:
            group = self._groups.pop((did.event, did.where), set())
            self._count(did.event, did.where, group | {did})
        return unpacked(self._ready.pop(did), self._activity.rows)

    def _count(self, event: str, where: Criterion | None, group: Collection[Did]) -> None:
        windows = defaultdict(list)
        for did in group:
            windows[EVER if did.within_days is None else did.within_days].append(did)
        chosen = self._chosen(event, where, max(windows))
        counts = np.zeros(self._activity.rows, dtype=np.int64)
        for days, dids in sorted(windows.items()):
            if chosen is not None:
                counts += chosen.counted_within(days, self._activity.rows)
            for did in dids:
                mask = counts >= did.at_least
                if did.at_most is not None:
                    mask &= counts <= did.at_most
                self._ready[did] = packed(mask)

    def _chosen(self, event: str, where: Criterion | None, days: int) -> _Chosen | None:
        """The rows of an event in a window that meet a condition."""
        found = self._activity.events.get(event)
        if found is None:
            return None
        last = int(np.searchsorted(found.ages, days))
        ages, starts = found.ages[:last], found.starts[: last + 1]
        part = slice(0, int(starts[-1]))
        rows, counts = found.rows[part], None if found.counts is None else found.counts[part]
        if where is None:
            return _Chosen(ages, starts, rows, counts)
        holds = self._holds(event, found, where)
        if holds.ndim == 1:
            keep = holds[found.combinations[part]]
        else:
            weekday = (self._activity.as_of.weekday() - ages.astype(np.int64)) % len(WEEKDAYS)
            keep = holds[found.combinations[part], np.repeat(weekday, np.diff(starts))]
        kept = np.flatnonzero(keep)
        return _Chosen(
            ages, np.searchsorted(kept, starts), rows[kept], None if counts is None else counts[kept]
        )

    def _holds(self, event: str, found: EventRows, where: Criterion) -> Mask:
        """For which combinations of properties a condition is true; by weekday, too, where it asks for it."""
        table = f"properties_{event}"
        if event not in self._registered:
            self._connection.register(table, found.properties.to_arrow())
            self._registered.add(event)
        combinations = found.properties.height
        if "weekday" not in where.fields:
            holds = np.zeros(combinations, dtype=np.bool_)
            holds[asked(self._connection, f"select _number from {table}", where)] = True
            return holds
        weekdays = ", ".join(f"({number}, '{day}')" for number, day in enumerate(WEEKDAYS))
        joined = (
            f"select _number * {len(WEEKDAYS)} + _weekday from {table}, "
            f"(values {weekdays}) as weekdays(_weekday, weekday)"
        )
        by_weekday = np.zeros(combinations * len(WEEKDAYS), dtype=np.bool_)
        by_weekday[asked(self._connection, joined, where)] = True
        return by_weekday.reshape(combinations, len(WEEKDAYS))


@dataclass(slots=True)
class _Chosen:
    """The rows of an event that meet a condition, read from the as-of date backwards."""

    ages: npt.NDArray[np.uint16]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.unsignedinteger] | None
    read: int = 0
    """Rows that were counted."""

    def counted_within(self, days: int, customers: int) -> npt.NDArray[np.int64]:
        """How often each customer did it in the last days, without what was counted before."""
        end = int(self.starts[np.searchsorted(self.ages, days)])
        part = slice(self.read, end)
        self.read = end
        rows = self.rows[part]
        if self.counts is None:
            return np.bincount(rows, minlength=customers)
        return np.bincount(rows, self.counts[part], customers).astype(np.int64)
