"""Which originals in the sealed archive hold, or may hold, erased people."""

from __future__ import annotations

from pathlib import Path

from audience_pipeline.defs.erasure_tables import Names, rows_of
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.landings import Landing
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

_DIGITS = 12
"""Of the file's SHA-256 in its name in the archive."""


def holding(settings: Settings, ledger: Ledger, names: Names) -> list[Path]:
    """The archived files that cannot stay.

    One may stay where its landing proves that nobody of them is in it: all of its rows landed, and none is
    theirs. A file with rows that earlier ones had brought, that repeated or could not be used may hold them
    without a landed row that says so, and goes as well; the archive is a copy for a while and no source.
    """
    if not settings.archive.is_dir():
        return []
    known = {(landing.kind, landing.landing_id[:_DIGITS]): landing for landing in landings.committed(ledger)}
    found = []
    for path in sorted(settings.archive.iterdir()):
        if not path.is_file():
            continue
        _, kind, digest = [*path.name.split("-", 2), "", ""][:3]
        landing = known.get((kind, digest[:_DIGITS]))
        if landing is None or not _is_free(settings, landing, names):
            found.append(path)
    return found


def _is_free(settings: Settings, landing: Landing, names: Names) -> bool:
    if landing.rows_landed != landing.rows_read:
        return False
    kind = Kind(landing.kind)
    path = settings.lake / kind.dataset / f"{landing.landing_id}.parquet"
    if not path.is_file():
        return False
    return not rows_of(settings.lake, path, names)
