"""One demo for all tests of a session, and a second run of it."""

from __future__ import annotations

import pytest

from audience_pipeline_tests.end_to_end.runs import CUSTOMERS_OPTION, Demo, Place


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The synthetic shop, taken all the way."""
    return Place(tmp_path_factory.mktemp("demo")).demo(*CUSTOMERS_OPTION)


@pytest.fixture(scope="session")
def again(demo: Demo) -> Demo:
    """The same command once more in the same place."""
    return demo.place.demo(*CUSTOMERS_OPTION)
