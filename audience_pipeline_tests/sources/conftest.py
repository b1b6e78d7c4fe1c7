from __future__ import annotations

import datetime as dt
import gzip
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audience_pipeline.ledger.database import Ledger
from audience_pipeline.sources.contract import Kind
from audience_pipeline.sources.errors import SourceError
from audience_pipeline.sources.landing import land, quarantine_file
from audience_pipeline.sources.options import ReadOptions, ShopFacts
from audience_pipeline.sources.report import LandingReport

TODAY = dt.date(2025, 6, 30)
FACTS = {
    *(
        "currency",
        "rates",
        "time_zone",
        "default_region",
        "competitor_domains",
        "earliest_date",
        "today",
        "key",
    ),
}


class Shop:
    """A workspace with a lake and a ledger, and files made on the spot."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder, self.lake, self.ledger = folder, folder / "lake", ledger
        self._numbers = itertools.count()

    def file(self, content: str | bytes, name: str = "orders.csv") -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = self.folder / str(next(self._numbers)) / name
        path.parent.mkdir()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    def land(
        self,
        content: str | bytes | Path,
        kind: Kind = Kind.TRANSACTIONS,
        name: str = "orders.csv",
        **given: Any,
    ) -> LandingReport:
        path = content if isinstance(content, Path) else self.file(content, name)
        facts = {key: given.pop(key) for key in FACTS & given.keys()}
        return land(
            kind,
            path,
            lake=self.lake,
            ledger=self.ledger,
            options=ReadOptions(**given),
            facts=ShopFacts(**{"today": TODAY, **facts}),
        )

    def refusal(self, content: str | bytes | Path, kind: Kind = Kind.TRANSACTIONS, **given: Any) -> str:
        with pytest.raises(SourceError) as caught:
            self.land(content, kind, **given)
        assert not list(self.lake.glob(f"{kind.dataset}/*"))
        return str(caught.value)

    def rows(self, kind: Kind = Kind.TRANSACTIONS) -> pl.DataFrame:
        files = sorted((self.lake / kind.dataset).glob("*.parquet"))
        return pl.concat([pl.read_parquet(file) for file in files])

    def quarantine(self, report: LandingReport) -> list[tuple[int, str, str]]:
        path = quarantine_file(self.lake, report.kind, report.landing_id)
        return pl.read_parquet(path).select("line", "field", "reason").rows() if path.exists() else []


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield Shop(tmp_path, ledger)
