"""Twenty seeded schedules of faults and kills over three platforms, judged by an independent expectation.

One that fails is lived through again by ``python benchmarks/delivery.py chaos --seed SEED``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audience_pipeline_tests.delivery.proof.chaos import Stage, live, stage

SEEDS = range(20)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_clean_run_the_platforms_hold_exactly_who_is_wanted(
    prepared: Stage, tmp_path: Path, seed
) -> None:
    outcome = live(seed, prepared, tmp_path / "workspace")

    excused = outcome.quarantined + outcome.anonymous + outcome.refused_to_shrink
    assert outcome.clean == outcome.equal + excused
    assert outcome.clean >= 3
