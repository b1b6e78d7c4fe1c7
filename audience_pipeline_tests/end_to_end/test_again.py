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
    """Who is who, their numbers, who is in which audience, the log of consent and all the rest."""
    of_the_day = ("identities", "identity_decisions", "customer_profile", "audience_memberships")
    files = {"customer_numbers.parquet", *(f"{name}/{demo.as_of}.parquet" for name in of_the_day)}

    assert files < set(demo.lake)
    assert again.lake == demo.lake


def test_a_second_run_appends_nothing_to_the_log_of_consent(demo: Demo, again: Demo) -> None:
    assert {origin for _, origin, *_ in demo.log} == {"statements", "signals"}
    assert sum(name.startswith("consent_log/") for name in demo.lake) == len(demo.log) + 1
    assert again.log == demo.log


def test_a_second_run_trains_no_model(demo: Demo, again: Demo) -> None:
    assert again.report["model"]["model_version"] == demo.report["model"]["model_version"]
    assert len(demo.models) > 0
    assert again.models == demo.models


def test_a_second_run_sends_nothing(again: Demo) -> None:
    assert {row["state"] for row in again.report["deliveries"]} == {"unchanged"}
