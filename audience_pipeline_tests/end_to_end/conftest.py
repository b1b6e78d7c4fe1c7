"""One demo for all tests of a session, and a second run of it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from filelock import FileLock

from audience_pipeline_tests.end_to_end.runs import CUSTOMERS_OPTION, Demo, Place


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
