"""Taking the names of erased people out of the log of consent: the chain holds, and says that it was done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from audience_pipeline.identifiers.marks import Marker
from audience_pipeline.ledger import consent_chain, consent_log
from audience_pipeline.ledger.consent_log import ERASURE, LOCK, Head, heads
from audience_pipeline.ledger.consent_verify import without_names
from audience_pipeline.ledger.database import Ledger

ERASED = "erased"
"""Status of the entries of an erasure."""

Theirs = Callable[[pl.DataFrame], pl.Expr]
"""Given the rows of a segment, whether an entry is about somebody who is erased."""


def append_erasure(ledger: Ledger, folder: Path, reference: str, theirs: Theirs, marker: Marker) -> Head:
    """Append to the log which entries lose their names by an erasure. Done first, and once: what has no name
    any more is then always explained.

    Args:
        ledger: holds the heads.
        folder: of the segments.
        reference: of the erasure.
        theirs: whose entries lose their names.
        marker: of the key of the workspace.
    """
    return consent_log.append(
        ledger, folder, ERASURE, reference, lambda: _entries(heads(ledger), folder, theirs), marker
    )


def take_out_names(ledger: Ledger, folder: Path) -> int:
    """Take the names out of all entries that erasures have named; what was done already is left.

    Returns:
        How many entries lost their names now.
    """
    done = 0
    with ledger.exclusive(LOCK):
        known = heads(ledger)
        gone = without_names(known, folder)
        for one, rows in _segments(known, folder):
            to_do = rows.filter(pl.col("entry").is_in(gone.implode()) & ~consent_chain.nameless(rows))
            if to_do.height:
                consent_log.write(folder, one.segment, consent_chain.without_names(rows, gone))
                done += to_do.height
    return done


def _entries(known: list[Head], folder: Path, theirs: Theirs) -> pl.DataFrame:
    now = datetime.now(UTC).replace(tzinfo=None)
    found = [pl.DataFrame(schema={"line": pl.Int64, **dict.fromkeys(consent_chain.MARKS, pl.Binary)})]
    for _, rows in _segments(known, folder):
        marks = [
            pl.col(name) if name in rows.columns else pl.lit(None, pl.Binary).alias(name)
            for name in consent_chain.MARKS
        ]
        of_them = rows.filter(theirs(rows) & ~consent_chain.nameless(rows))
        found.append(of_them.select(pl.col("entry").alias("line"), *marks))
    return pl.concat(found).with_columns(status=pl.lit(ERASED), event_at=pl.lit(now, pl.Datetime("us")))


def _segments(known: list[Head], folder: Path) -> list[tuple[Head, pl.DataFrame]]:
    there = [
        one for one in known if one.entries and one.origin != ERASURE and (folder / one.segment).is_file()
    ]
    return [(one, pl.read_parquet(folder / one.segment)) for one in there]
