"""Uploaded lists: a file of identifiers in, ``lake/lists/<name>.parquet`` with their hashes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from filelock import FileLock

from audience_pipeline.identifiers import RULES_VERSION
from audience_pipeline.identifiers.marks import Named
from audience_pipeline.sources.boundary import guarded
from audience_pipeline.sources.engine import connect, parquet
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.files import source_file
from audience_pipeline.sources.list_cells import KINDS, Cells, ListFile
from audience_pipeline.sources.list_entries import ENTRIES_SCHEMA, REASONS, entries
from audience_pipeline.sources.scratch import private_folder
from audience_pipeline.sources.table import quoted
from audience_pipeline.sources.tombstones import KeyMissingError, Tombstones

EXTRA = "more values than the first line has names"
ERASED = "of people who were erased, who do not come back"
_NAMED = {
    "customer_id": Named.ID,
    "email": Named.EMAIL,
    "phone": Named.PHONE,
    "device_id": Named.DEVICE,
}
"""Kinds of entries, whose values are the hashes that marks are made of."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Values of a list that stand for nobody, by reason."""

    reason: str
    values: int
    first_line: int


@dataclass(frozen=True, slots=True)
class ListReport:
    """What an upload made of a file."""

    name: str
    lines: int
    """Lines with a value in them, a header aside."""
    values: int
    distinct: int
    """Different identifiers."""
    by_kind: Mapping[str, int]
    """Different identifiers by kind: customer_id, email, phone, device_id."""
    unusable: tuple[Unusable, ...] = ()
    header: bool = False
    """Whether the first line was taken for names of columns."""
    unused_columns: tuple[str, ...] = ()
    replaced: bool = False


@dataclass(slots=True)
class _Tally:
    values: int = 0
    unusable: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, reason: str, times: int, line: int) -> None:
        before, first = self.unusable.get(reason, (0, line))
        self.unusable[reason] = (before + times, min(first, line))


def list_path(lake: Path, name: str) -> Path:
    """The file of an uploaded list.

    Raises:
        ValueError: the name could lead elsewhere.
    """
    if not name.isidentifier():
        raise ValueError("a list has a name of letters, digits and _")
    return lake / "lists" / f"{name}.parquet"


def list_names(lake: Path) -> tuple[str, ...]:
    """The names of the uploaded lists, in alphabetical order."""
    folder = lake / "lists"
    return tuple(sorted(path.stem for path in folder.glob("*.parquet"))) if folder.is_dir() else ()


def read_list(lake: Path, name: str) -> pl.DataFrame:
    """The entries of an uploaded list, ``ENTRIES_SCHEMA``."""
    return pl.read_parquet(list_path(lake, name)).cast(ENTRIES_SCHEMA)


def upload(
    lake: Path,
    name: str,
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    default_region: str | None = None,
    replace: bool = False,
    key: Path | None = None,
) -> ListReport:
    """Store the identifiers of a file as a list; no value of it is written, only hashes.

    Memory is bounded: the file is read in batches, and DuckDB takes the duplicates out.

    Args:
        lake: the lake.
        name: what the list is to be called.
        path: a CSV with or without a header, or one value a line; plain or gzip.
        columns: kind of identifier (``list_cells.KINDS``) to the name of its column in the file.
        default_region: ISO2 region of phone numbers without country code.
        replace: whether a list of that name may be replaced.
        key: file with the key of the workspace, by which tombstones of erased people are read.

    Raises:
        SourceError: the file cannot be read, nothing in it can be used, or the list is there already; no
            value of the file is told.
    """
    target = list_path(lake, name)
    source = source_file(path)
    if unknown := [kind for kind in columns or {} if kind not in KINDS]:
        raise SourceError(
            source.name, f"--column maps {unknown[0]!r}, which is no kind", f"there are {', '.join(KINDS)}"
        )

    def act() -> ListReport:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(target.parent / ".lock"), private_folder() as scratch:
            replaced = target.exists()
            if replaced and not replace:
                raise SourceError(
                    source.name, f"there is a list {name} already", "say --replace, or choose another name"
                )
            tombstones = _tombstones(source.name, lake, key)
            file = ListFile(path, dict(columns or {}))
            tally = _Tally()
            for number, batch in enumerate(file.cells()):
                _part(batch, tally, default_region, tombstones).write_parquet(scratch / f"{number}.parquet")
            source.refuse_changed()
            if file.too_long:
                tally.add(EXTRA, file.too_long, file.first_too_long)
            unusable = tuple(
                Unusable(reason, times, line)
                for reason, (times, line) in sorted(tally.unusable.items(), key=lambda one: -one[1][0])
            )
            by_kind = _store(scratch, target, name, lambda: _nothing(source.name, unusable))
            return ListReport(
                name=name,
                lines=file.records,
                values=tally.values,
                distinct=sum(by_kind.values()),
                by_kind=by_kind,
                unusable=unusable,
                header=file.header,
                unused_columns=file.unused,
                replaced=replaced,
            )

    return guarded(act, path, target.parent, elsewhere="move the lake (AUDIENCE_LAKE)")


def _tombstones(file: str, lake: Path, key: Path | None) -> Tombstones | None:
    try:
        return Tombstones.of(lake, key)
    except KeyMissingError as error:
        told = str(error)
    raise SourceError(file, "whose identifiers are those of erased people cannot be told", told)


def _part(
    batch: Cells, tally: _Tally, default_region: str | None, tombstones: Tombstones | None
) -> pl.DataFrame:
    tally.values += len(batch.texts)
    cells = (
        pl.DataFrame(
            {"as": batch.kinds, "text": batch.texts, "line": batch.lines},
            schema={"as": pl.String, "text": pl.String, "line": pl.Int64},
        )
        .group_by("as", "text")
        .agg(pl.len().alias("times"), pl.col("line").min())
    )
    found, unusable = entries(cells, default_region)
    for reason, times, line in (
        unusable.group_by("reason").agg(pl.col("times").sum(), pl.col("line").min()).iter_rows()
    ):
        tally.add(REASONS[reason], times, line)
    if tombstones is None or found.is_empty():
        return found
    left = pl.concat(
        [found.clear(), *(_living(of_kind, tombstones) for of_kind in found.partition_by("kind"))]
    )
    if left.height < found.height:
        tally.add(ERASED, found.height - left.height, min(batch.lines))
    return left


def _living(entries_of_a_kind: pl.DataFrame, tombstones: Tombstones) -> pl.DataFrame:
    named = _NAMED[entries_of_a_kind["kind"][0]]
    found = tombstones.found({named: [entries_of_a_kind["value"]]}).values[named]
    gone = pl.Series(list(found), dtype=pl.Binary)
    return entries_of_a_kind.filter(~pl.col("value").is_in(gone.implode()))


def _nothing(file: str, unusable: tuple[Unusable, ...]) -> SourceError:
    reason = "nothing in the file can be used as an identifier"
    if not unusable:
        return SourceError(file, f"{reason}: it holds no values", "see whether it is the right file")
    why = "; ".join(f"{one.values:,} from line {one.first_line} on are {one.reason}" for one in unusable)
    return SourceError(file, f"{reason}: {why}", "say which column holds them: --column email=NAME")


def _store(scratch: Path, target: Path, name: str, nothing: Callable[[], SourceError]) -> dict[str, int]:
    """Write the distinct entries of all parts whole, then rename; how many there are of each kind."""
    partial = target.with_suffix(".partial")
    parts = parquet(*sorted(scratch.glob("*.parquet")))
    made = datetime.now(UTC).isoformat(timespec="seconds")
    notes = f"{{rules: '{RULES_VERSION}', uploaded_at: '{made}', list: {quoted(name)}}}"
    try:
        connection = connect(scratch)
        try:
            connection.execute(
                f"copy (select distinct kind, value from {parts} order by kind, value) "
                f"to {quoted(str(partial))} (format parquet, kv_metadata {notes})"
            )
            counted = f"select kind, count(*) from {parquet(partial)} group by kind order by kind"
            by_kind = dict(connection.execute(counted).fetchall())
        finally:
            connection.close()
        if not by_kind:
            raise nothing()
        partial.chmod(0o600)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return by_kind
