"""A second run changes nothing, and says so."""

from __future__ import annotations

import pytest

from audience_pipeline_tests.end_to_end.runs import Demo, lasting

pytestmark = pytest.mark.xdist_group("demo")


def test_a_second_run_says_that_nothing_has_changed(again: Demo) -> None:
    assert again.report["changed"] is False


def test_a_second_run_reports_the_same(demo: Demo, again: Demo) -> None:
    assert lasting(again.report) == lasting(demo.report)
    assert {row["remote_id"] for row in again.report["deliveries"]} == {
        row["remote_id"] for row in demo.report["deliveries"]
    }


def test_a_second_run_leaves_the_lake_byte_by_byte_as_it_was(demo: Demo, again: Demo) -> None:
    assert len(demo.lake) > 15
    assert again.lake == demo.lake


def test_a_second_run_trains_no_model(demo: Demo, again: Demo) -> None:
    assert again.report["model"]["model_version"] == demo.report["model"]["model_version"]
    assert len(demo.models) > 0
    assert again.models == demo.models


def test_a_second_run_sends_nothing(again: Demo) -> None:
    assert {row["state"] for row in again.report["deliveries"]} == {"unchanged"}
