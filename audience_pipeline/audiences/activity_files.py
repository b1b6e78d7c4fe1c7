"""What the customers of a profile did, stored so that any ``did`` is answered within a fraction of a second.

A folder holds one file per event with its rows, the newest day first, so that a window is the head of the
file; beside them how many rows each day has, and the combinations of properties that occur.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from audience_pipeline.audiences.activity import EVENTS
from audience_pipeline.audiences.activity_table import (
    OLDEST,
    STORED_PROPERTIES,
    Activity,
    EventRows,
    numbered,
)

ROWS_AT_ONCE = 1_000_000
ROWS_OF_A_GROUP = 2**17
DAYS, PROPERTIES = "_days.parquet", "_properties.parquet"
_MADE = "made"
_Numbers = npt.NDArray[np.integer]
_Part = tuple[_Numbers, _Numbers, _Numbers, _Numbers]
"""Ages, rows, combinations and counts."""


def write_activity_files(
    folder: Path, mart: Path, places: pl.DataFrame, as_of: date, *, rows: int, made: Mapping[str, object]
) -> None:
    """Store ``customer_activity`` up to a date by rows of a profile.

    Args:
        folder: an empty folder.
        mart: the Parquet file of ``customer_activity``; read in parts.
        places: ``source_id`` and ``row``: the rows of the profile that ids of the mart belong to.
        as_of: the last day that counts.
        rows: rows of the profile.
        made: what the files were made from (``made_from`` tells).
    """
    read = _Read(places, as_of)
    for batch in _batches(mart):
        read.take(batch)
    found = read.combinations()
    found.properties.write_parquet(folder / PROPERTIES)
    days = []
    for event in list(read.parts):
        ages, starts = _write_event(folder / f"{event}.parquet", read.parts.pop(event), found.numbers)
        days.append(pl.DataFrame({"age": ages, "rows": np.diff(starts)}).with_columns(event=pl.lit(event)))
    schema = {"age": pl.UInt16, "rows": pl.Int64, "event": pl.String}
    said = {_MADE: json.dumps({"as_of": as_of.isoformat(), "rows": rows, **made})}
    pl.concat([pl.DataFrame(schema=schema), *days]).write_parquet(folder / DAYS, metadata=said)


def made_from(folder: Path) -> Mapping[str, object]:
    """What the files of a folder were made from: ``as_of``, ``rows`` and what the writer said besides."""
    found: dict[str, object] = json.loads(pl.read_parquet_metadata(folder / DAYS)[_MADE])
    return found


def read_activity_files(
    folder: Path,
    *,
    events: Iterable[str] = EVENTS,
    properties: Iterable[str] = STORED_PROPERTIES,
    within_days: int | None = None,
) -> Activity:
    """Load of a folder what ``Activity.of`` would load with the same arguments.

    Without ``properties`` no combinations are read: no condition on them can be answered.

    Raises:
        OSError: a file has gone.
    """
    made, wanted = made_from(folder), set(properties)
    days = pl.read_parquet(folder / DAYS)
    if within_days is not None:
        days = days.filter(pl.col("age") < within_days)
    combinations = _NO_COMBINATIONS
    if wanted:
        names = ["_number", *(name for name in STORED_PROPERTIES if name in wanted)]
        combinations = pl.read_parquet(folder / PROPERTIES, columns=names)
    found = {}
    for event in events:
        ages, counted = days.filter(pl.col("event") == event).select("age", "rows")
        if ages.len():
            starts = np.concatenate([[0], np.cumsum(counted.to_numpy())])
            found[event] = _read_event(folder / f"{event}.parquet", ages.to_numpy(), starts, combinations)
    return Activity(date.fromisoformat(str(made["as_of"])), int(str(made["rows"])), found)


_NO_COMBINATIONS = pl.DataFrame(schema={"_number": pl.UInt32})


def _write_event(
    path: Path, parts: list[_Part], numbers: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    ages, rows, combinations, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    parts.clear()
    # Numpy sorts numbers of 16 bits in linear time.
    order = np.argsort(ages, kind="stable")
    distinct, starts = np.unique(ages[order], return_index=True)
    columns = {"row": rows[order], "combination": numbers[combinations[order]]}
    if (counts != 1).any():
        columns["count"] = counts[order].astype(np.min_scalar_type(counts.max()))
    pl.DataFrame(columns).write_parquet(
        path, compression="lz4", statistics=False, row_group_size=ROWS_OF_A_GROUP
    )
    return distinct, np.append(starts, len(ages))


def _read_event(
    path: Path, ages: npt.NDArray[np.uint16], starts: npt.NDArray[np.int64], combinations: pl.DataFrame
) -> EventRows:
    there = pl.read_parquet_schema(path)
    wanted = ["row", *(["combination"] if combinations.width > 1 else []), *(["count"] * ("count" in there))]
    table = pl.read_parquet(path, columns=wanted, n_rows=int(starts[-1]))
    return EventRows(
        ages,
        starts,
        table["row"].to_numpy(),
        table["combination"].to_numpy() if "combination" in table.columns else np.zeros(0, dtype=np.uint32),
        table["count"].to_numpy() if "count" in there else None,
        combinations,
    )


def _batches(mart: Path) -> Iterator[Mapping[str, Any]]:
    # Texts are read as numbers of a dictionary: texts of their own, twenty million times, are what is slow.
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ["customer_id", "activity", *STORED_PROPERTIES]
    with pq.ParquetFile(mart, read_dictionary=texts) as file:
        pending: list[Any] = []
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=[*texts, "activity_date", "events"]):
            pending.append(batch)
            if sum(one.num_rows for one in pending) >= ROWS_AT_ONCE:
                yield _columns(pa.Table.from_batches(pending))
                pending = []
        if pending:
            yield _columns(pa.Table.from_batches(pending))


def _columns(table: Any) -> Mapping[str, Any]:
    whole = table.unify_dictionaries().combine_chunks()
    return {name: whole.column(name).chunk(0) for name in whole.column_names}


@dataclass(frozen=True, slots=True)
class _Combinations:
    properties: pl.DataFrame
    numbers: npt.NDArray[np.uint32]
    """Of the combinations as they were numbered while reading."""


class _Read:
    """The rows that were read, by event; texts as codes, where 0 stands for none."""

    def __init__(self, places: pl.DataFrame, as_of: date) -> None:
        self.parts: dict[str, list[_Part]] = defaultdict(list)
        self._places = places
        self._today = as_of.toordinal() - date(1970, 1, 1).toordinal()
        self._codes: dict[str, dict[str, int]] = {name: {} for name in STORED_PROPERTIES}
        self._seen: list[pl.DataFrame] = []
        self._next = 0

    def take(self, batch: Mapping[str, Any]) -> None:
        """Sort in some rows of the mart."""
        rows = self._rows_of(batch["customer_id"])
        events = _looked_up(
            batch["activity"], [_NUMBERS.get(name, -1) for name in _values(batch["activity"])]
        )
        ages = self._today - batch["activity_date"].cast("int32").to_numpy(zero_copy_only=False)
        kept = np.flatnonzero((rows >= 0) & (events >= 0) & (ages >= 0))
        codes = [self._coded(name, batch[name])[kept].astype(np.uint32) for name in STORED_PROPERTIES]
        numbers, examples = numbered(len(kept), codes, [len(one) + 1 for one in self._codes.values()])
        self._seen.append(
            pl.DataFrame(dict(zip(STORED_PROPERTIES, (column[examples] for column in codes), strict=True)))
        )
        numbers += np.uint32(self._next)
        self._next += len(examples)
        events, rows = events[kept].astype(np.uint8), rows[kept].astype(np.uint32)
        ages = np.minimum(ages[kept], OLDEST).astype(np.uint16)
        counts = batch["events"].to_numpy(zero_copy_only=False)[kept]
        for code in np.unique(events):
            here = np.flatnonzero(events == code)
            counted = counts[here].astype(np.min_scalar_type(int(counts[here].max())))
            self.parts[_EVENTS[code]].append((ages[here], rows[here], numbers[here], counted))

    def combinations(self) -> _Combinations:
        """The distinct combinations of all that was taken."""
        schema = dict.fromkeys(STORED_PROPERTIES, pl.UInt32)
        every = pl.concat([pl.DataFrame(schema=schema), *self._seen])
        distinct = every.unique(maintain_order=True).with_row_index("_number")
        numbers = every.join(distinct, on=list(STORED_PROPERTIES), how="left", maintain_order="left")
        values = {
            name: pl.Series(name, [None, *codes], dtype=pl.String).gather(distinct[name])
            for name, codes in self._codes.items()
        }
        return _Combinations(
            pl.DataFrame({"_number": distinct["_number"], **values}), numbers["_number"].to_numpy()
        )

    def _rows_of(self, ids: Any) -> npt.NDArray[np.int64]:
        names = pl.Series("source_id", ids.dictionary).to_frame().with_row_index("_code")
        found = names.join(self._places, on="source_id", how="inner")
        rows = np.full(names.height, -1, dtype=np.int64)
        rows[found["_code"].to_numpy()] = found["row"].to_numpy()
        return _looked_up(ids, rows)

    def _coded(self, name: str, column: Any) -> npt.NDArray[np.int64]:
        codes = self._codes[name]
        return _looked_up(
            column, [codes.setdefault(value, len(codes) + 1) for value in _values(column)], missing=0
        )


_EVENTS = list(EVENTS)
_NUMBERS = {EVENTS[event]: number for number, event in enumerate(_EVENTS)}


def _values(column: Any) -> list[str]:
    found: list[str] = column.dictionary.to_pylist()
    return found


def _looked_up(column: Any, meanings: Sequence[int] | np.ndarray, missing: int = -1) -> npt.NDArray[np.int64]:
    """What each value of a column of a dictionary means."""
    places: npt.NDArray[np.int64] = column.indices.fill_null(len(meanings)).to_numpy(zero_copy_only=False)
    return np.append(np.asarray(meanings, dtype=np.int64), missing)[places]
