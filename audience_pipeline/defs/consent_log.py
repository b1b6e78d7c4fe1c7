"""Everything that was stated goes into the log of consent: what has landed, and what browsers signal."""

import logging
from pathlib import Path

import polars as pl

from audience_pipeline.customers.consent_signals import new_signals
from audience_pipeline.defs.consent_kept import bring_back
from audience_pipeline.defs.lake import dataset, ensure_dataset
from audience_pipeline.defs.removals import owe
from audience_pipeline.ledger import consent_chain, consent_log, landings
from audience_pipeline.ledger.consent_log import REQUEST, SIGNALS, STATEMENTS
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import LANDED, Kind
from audience_pipeline.sources.requests import FILE_NAME
from audience_pipeline.sources.tombstones import KEY_NAME, make_key

logger = logging.getLogger(__name__)


def log_folder(settings: Settings) -> Path:
    """Where the segments of the log lie."""
    return settings.lake / consent_log.FOLDER


def unlogged(ledger: Ledger) -> list[Landing]:
    """Landings whose statements or signals are not in the log yet, in the order in which they landed."""
    known = {one.reference for one in consent_log.heads(ledger)}
    return [
        landing
        for landing in landings.committed(ledger)
        if landing.kind in {Kind.CONSENT, Kind.WEB} and _reference(landing) not in known
    ]


def log_statements(settings: Settings, ledger: Ledger) -> int:
    """Bring the log up to what has landed. Does nothing twice, and finishes what a killed process began.

    Statements that are in the log and whose file is gone from the lake are written there again, and whoever
    is to be removed from a platform is noted as owed.

    Returns:
        How many entries were added.
    """
    marker = make_key(settings.home / KEY_NAME)
    if back := bring_back(settings, ledger, marker):
        logger.warning("%s statements were missing in the lake and came back from the log", f"{back:,}")
    added = 0
    for landing in unlogged(ledger):
        path = settings.lake / Kind(landing.kind).dataset / f"{landing.landing_id}.parquet"
        if landing.rows_landed and not path.is_file():
            continue
        head = consent_log.append(
            ledger,
            log_folder(settings),
            _origin(landing),
            _reference(landing),
            lambda landing=landing, path=path: _stated(settings, ledger, landing, path),  # type: ignore[misc]
            marker,
        )
        added += head.entries
    owe(settings, ledger)
    return added


def newest_statement(ledger: Ledger) -> int:
    """Sequence of the newest landing of statements, or of visits with new signals; 0 before the first."""
    signals = {one.reference for one in consent_log.heads(ledger) if one.origin == SIGNALS and one.entries}
    return max(
        (
            landing.sequence
            for landing in landings.committed(ledger)
            if landing.kind == Kind.CONSENT or _reference(landing) in signals
        ),
        default=0,
    )


def _reference(landing: Landing) -> str:
    return f"{landing.kind}-{landing.landing_id}"


def _origin(landing: Landing) -> str:
    if landing.kind == Kind.WEB:
        return SIGNALS
    return REQUEST if landing.file_name == FILE_NAME else STATEMENTS


def _stated(settings: Settings, ledger: Ledger, landing: Landing, path: Path) -> pl.DataFrame:
    if not path.is_file():
        return pl.DataFrame(schema=consent_chain.STATED)
    kind = Kind(landing.kind)
    landed = pl.scan_parquet(path, schema=_schema(kind), missing_columns="insert")
    if kind is Kind.CONSENT:
        return landed.select(list(consent_chain.STATED)).collect()
    ensure_dataset(settings.lake, Kind.CONSENT)
    segments = [
        log_folder(settings) / head.segment
        for head in consent_log.heads(ledger)
        if head.origin == SIGNALS and head.entries
    ]
    earlier = (
        pl.scan_parquet(segments).select("customer_id", "event_at")
        if segments
        else pl.LazyFrame(schema={name: consent_chain.STATED[name] for name in ("customer_id", "event_at")})
    )
    return new_signals(landed, earlier, dataset(settings.lake, Kind.CONSENT)).collect(engine="streaming")


def _schema(kind: Kind) -> pl.Schema:
    return pl.Schema({**LANDED[kind], "landing_id": pl.String()})
