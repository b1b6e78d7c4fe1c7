"""Reading what has landed."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from audience_pipeline.defs.storage import write_table
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.sources.contract import LANDED, NOTHING_LANDED, Kind


def dataset(lake: Path, kind: Kind) -> pl.LazyFrame:
    """Everything that has landed of a kind, as one lazy table."""
    return pl.scan_parquet(lake / kind.dataset / "*.parquet")


def ensure_dataset(lake: Path, kind: Kind) -> None:
    """Make the dataset of a kind readable before anything has landed in it."""
    path = lake / kind.dataset / NOTHING_LANDED
    if not path.is_file():
        write_table(path, pl.DataFrame(schema={**LANDED[kind], "landing_id": pl.String}))


def landing_order(ledger: Ledger, kind: Kind) -> Sequence[str]:
    """Landing ids of a kind, oldest first."""
    return [landing.landing_id for landing in landings.committed(ledger, kind)]
