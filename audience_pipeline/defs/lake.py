"""Reading what has landed."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock

from audience_pipeline.defs.storage import write_table
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.sources.contract import LANDED, NOTHING_LANDED, Kind


def dataset(lake: Path, kind: Kind) -> pl.LazyFrame:
    """Everything that has landed of a kind, as one lazy table; null where a file is older than a column."""
    files = lake / kind.dataset / "*.parquet"
    return pl.scan_parquet(files, schema=_schema(kind), missing_columns="insert")


def ensure_dataset(lake: Path, kind: Kind) -> None:
    """Make a dataset readable before anything has landed in it, and its columns before a file has them."""
    path = lake / kind.dataset / NOTHING_LANDED
    schema = _schema(kind)
    if not path.is_file() or pl.read_parquet_schema(path) != schema:
        write_table(path, pl.DataFrame(schema=schema))


def _schema(kind: Kind) -> pl.Schema:
    return pl.Schema({**LANDED[kind], "landing_id": pl.String()})


def landing_order(ledger: Ledger, kind: Kind) -> Sequence[str]:
    """Landing ids of a kind, oldest first."""
    return [landing.landing_id for landing in landings.committed(ledger, kind)]


def newest_landing(ledger: Ledger) -> int:
    """Sequence of the newest landing of any kind; 0 before the first."""
    return max((landing.sequence for landing in landings.committed(ledger)), default=0)


def consent_sent(lake: Path) -> Mapping[str, int]:
    """Per platform, up to which landing its audiences follow the statements of consent."""
    path = lake / ".work" / "consent_sent.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def note_consent_sent(lake: Path, platform: str, sequence: int) -> None:
    """Note that every audience of a platform follows all statements up to a landing."""
    path = lake / ".work" / "consent_sent.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({**consent_sent(lake), platform: sequence}), encoding="utf-8")
        partial.replace(path)


def last_order_day(orders: pl.LazyFrame) -> date:
    """The last day of the data: no window that reaches beyond it is over."""
    last = orders.select(pl.col("order_date").max()).collect(engine="streaming").item()
    return last if isinstance(last, date) else date.max


def write_json(path: Path, value: Any) -> None:
    """Write a small JSON file whole, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value), encoding="utf-8")
    partial.replace(path)
