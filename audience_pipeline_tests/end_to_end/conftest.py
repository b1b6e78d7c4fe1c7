"""One demo for all tests of a session, and a second run of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date

import polars as pl
import pytest
from filelock import FileLock

from audience_pipeline_tests.end_to_end.recomputed import Input
from audience_pipeline_tests.end_to_end.runs import CUSTOMERS_OPTION, Demo, Place

COMPETITORS = frozenset({"rival-fashion.example", "otherstore.example"})
"""Whose people get nothing, as the demo's ``audience.yaml`` says."""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Demo:
    """The synthetic shop, taken all the way: by the first worker that asks, for all of them."""
    own = tmp_path_factory.getbasetemp()
    place = Place((own if worker_id == "master" else own.parent) / "demo")
    kept = place.root / "demo.json"
    place.root.mkdir(exist_ok=True)
    with FileLock(place.root / "demo.lock"):
        if not kept.is_file():
            made = asdict(place.demo(*CUSTOMERS_OPTION))
            kept.write_text(json.dumps({name: made[name] for name in made if name != "place"}))
    return Demo(place, **json.loads(kept.read_text()))


@pytest.fixture(scope="session")
def again(demo: Demo) -> Demo:
    """The same command once more in the same place; for the tests of the group ``demo`` alone."""
    return demo.place.demo(*CUSTOMERS_OPTION)


@pytest.fixture(scope="session")
def given(demo: Demo) -> Input:
    """The demo's input files, and what should come of them."""
    folder = demo.place.workspace / "input"
    truth = pl.read_parquet(folder / "truth" / "customers.parquet")
    numbers = frozenset(number.lstrip("+") for number in truth["phone"].drop_nulls())
    return Input(folder, date.fromisoformat(demo.as_of), numbers, COMPETITORS)
