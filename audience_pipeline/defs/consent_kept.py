"""The statements that decide lie in the lake, and the log knows what they said: one is held to the other."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from audience_pipeline.defs.storage import write_table
from audience_pipeline.identifiers.marks import Marker
from audience_pipeline.ledger import consent_chain, consent_log, landings
from audience_pipeline.ledger.consent_chain import STATED, canonical
from audience_pipeline.ledger.consent_log import ERASURE, SIGNALS, Head
from audience_pipeline.ledger.consent_verify import Problem, segment_problems, without_names
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, NOTHING_LANDED, Kind
from audience_pipeline.sources.landing import WORK

_PREFIX = f"{Kind.CONSENT.value}-"


@dataclass(frozen=True, slots=True)
class _Logged:
    """A segment of landed statements."""

    head: Head
    landing_id: str
    before: int
    previous: bytes


def bring_back(settings: Settings, ledger: Ledger, marker: Marker | None = None) -> int:
    """Write statements whose file is gone from the lake anew, from the log: an opt-out is never lost.

    What was stated of people who are erased does not come back.

    Returns:
        How many statements came back.
    """
    folder, back = settings.lake / consent_log.FOLDER, 0
    gone = without_names(consent_log.heads(ledger), folder)
    for one in _logged(ledger):
        target = settings.lake / Kind.CONSENT.dataset / f"{one.landing_id}.parquet"
        if target.is_file() or list(
            segment_problems(one.head, folder, one.before, one.previous, gone, marker)
        ):
            continue
        said = _named(pl.read_parquet(folder / one.head.segment))
        rows = said.with_columns(
            pl.col("event_at").dt.date().alias("event_date"), pl.lit(one.landing_id).alias("landing_id")
        )
        schema = {**LANDED[Kind.CONSENT], "landing_id": pl.String()}
        write_table(target, rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items()))
        back += rows.height
    return back


def changed(settings: Settings, ledger: Ledger, *, erasing: bool = False) -> Iterator[Problem]:
    """Where the statements that decide are not those of the log.

    Args:
        settings: the workspace.
        ledger: knows the segments of the log.
        erasing: an erasure is under way: the statements of somebody may be gone from one side alone.
    """
    folder = settings.lake / Kind.CONSENT.dataset
    for one in _logged(ledger):
        path = folder / f"{one.landing_id}.parquet"
        segment = settings.lake / consent_log.FOLDER / one.head.segment
        if not path.is_file():
            what = (
                f"{one.head.entries:,} of its statements are gone from the lake; a delivery brings them back"
            )
            yield Problem(one.head.sequence, None, what)
        elif segment.is_file() and not erasing and not _alike(path, segment):
            what = "the statements in the lake, which decide who is sent, are not those that were logged"
            yield Problem(one.head.sequence, None, what)
    known = {landing.landing_id for landing in landings.committed(ledger, Kind.CONSENT)}
    for path in sorted(folder.glob("*.parquet")):
        under_way = (settings.lake / WORK / f"{Kind.CONSENT.dataset}-{path.stem}").exists()
        if path.name != NOTHING_LANDED and path.stem not in known and not under_way:
            yield Problem(0, None, "there are statements in the lake that have never landed")


def _logged(ledger: Ledger) -> Iterator[_Logged]:
    """Segments of landed statements."""
    before, previous = 0, consent_chain.START
    for one in consent_log.heads(ledger):
        if one.origin not in {SIGNALS, ERASURE} and one.entries and one.reference.startswith(_PREFIX):
            yield _Logged(one, one.reference.removeprefix(_PREFIX), before, previous)
        before, previous = before + one.entries, bytes.fromhex(one.last_hash)


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    """The entries that still say whom they are about."""
    return rows.filter(~consent_chain.nameless(rows))


def _alike(path: object, segment: object) -> bool:
    try:
        said = [
            _said(
                pl.scan_parquet(str(path), missing_columns="insert", schema=STATED, extra_columns="ignore")
            ),
            _said(_named(pl.read_parquet(str(segment))).lazy()),
        ]
    except (pl.exceptions.PolarsError, OSError):
        return False
    return said[0].equals(said[1])


def _said(rows: pl.LazyFrame) -> pl.Series:
    text = rows.select(canonical(list(STATED)).alias("said"))
    return text.collect(engine="streaming").to_series().sort()
