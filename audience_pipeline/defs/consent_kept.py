"""The statements that decide lie in the lake, and the log knows what they said: one is held to the other."""

from collections.abc import Iterator

import polars as pl

from audience_pipeline.defs.storage import write_table
from audience_pipeline.ledger import consent_log, landings
from audience_pipeline.ledger.consent_chain import STATED, canonical
from audience_pipeline.ledger.consent_log import SIGNALS, Head, file_sha256
from audience_pipeline.ledger.consent_verify import Problem
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, NOTHING_LANDED, Kind
from audience_pipeline.sources.landing import WORK

_PREFIX = f"{Kind.CONSENT.value}-"


def bring_back(settings: Settings, ledger: Ledger) -> int:
    """Write statements whose file is gone from the lake anew, from the log: an opt-out is never lost.

    Returns:
        How many statements came back.
    """
    back = 0
    for one, landing_id in _logged(ledger):
        target = settings.lake / Kind.CONSENT.dataset / f"{landing_id}.parquet"
        segment = settings.lake / consent_log.FOLDER / one.segment
        if target.is_file() or not segment.is_file() or file_sha256(segment) != one.file_sha256:
            continue
        rows = pl.read_parquet(segment).with_columns(
            pl.col("event_at").dt.date().alias("event_date"), pl.lit(landing_id).alias("landing_id")
        )
        schema = {**LANDED[Kind.CONSENT], "landing_id": pl.String()}
        write_table(target, rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items()))
        back += rows.height
    return back


def changed(settings: Settings, ledger: Ledger) -> Iterator[Problem]:
    """Where the statements that decide are not those of the log."""
    folder = settings.lake / Kind.CONSENT.dataset
    for one, landing_id in _logged(ledger):
        path, segment = folder / f"{landing_id}.parquet", settings.lake / consent_log.FOLDER / one.segment
        if not path.is_file():
            what = f"{one.entries:,} of its statements are gone from the lake; a delivery brings them back"
            yield Problem(one.sequence, None, what)
        elif segment.is_file() and not _alike(path, segment):
            what = "the statements in the lake, which decide who is sent, are not those that were logged"
            yield Problem(one.sequence, None, what)
    known = {landing.landing_id for landing in landings.committed(ledger, Kind.CONSENT)}
    for path in sorted(folder.glob("*.parquet")):
        under_way = (settings.lake / WORK / f"{Kind.CONSENT.dataset}-{path.stem}").exists()
        if path.name != NOTHING_LANDED and path.stem not in known and not under_way:
            yield Problem(0, None, "there are statements in the lake that have never landed")


def _logged(ledger: Ledger) -> Iterator[tuple[Head, str]]:
    """Segments of landed statements, and the landing of each."""
    for one in consent_log.heads(ledger):
        if one.origin != SIGNALS and one.entries and one.reference.startswith(_PREFIX):
            yield one, one.reference.removeprefix(_PREFIX)


def _alike(*paths: object) -> bool:
    try:
        said = [
            pl.scan_parquet(str(path), missing_columns="insert", schema=STATED, extra_columns="ignore")
            .select(canonical(list(STATED)).alias("said"))
            .collect(engine="streaming")
            .to_series()
            .sort()
            for path in paths
        ]
    except (pl.exceptions.PolarsError, OSError):
        return False
    return said[0].equals(said[1])
