"""What happens around a delivery: other runs, lost files, limits of an audience, somebody in a hurry."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from functools import partial

import pytest

from audience_pipeline.delivery.gaps import missing
from audience_pipeline.delivery.removals import still_there
from audience_pipeline.delivery.run import Task, UnknownMembersError, sync_all
from audience_pipeline.ledger import deliveries, pointers
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import META, TooFewLeftError
from audience_pipeline_tests.delivery.tours import states, tasks

DAY = date(2026, 11, 20)


@pytest.fixture
def deliver(store, clock):
    return partial(sync_all, store, as_of=DAY, sleep=clock.sleep, clock=clock)


def refuses_to_shrink(point: str) -> None:
    if point == "before remove":
        raise TooFewLeftError(META.platform, "too few people would be left.")


def test_a_run_that_has_waited_for_another_knows_what_that_has_done(
    deliver, store, tools, monkeypatch
) -> None:
    platform, wanted = tools.platform(tools.small()), tasks(a=tools.people([1]))
    exclusive, others = store.ledger.exclusive, []

    @contextmanager
    def after_another(name):
        if not others:
            others.append(name)
            deliver([platform], wanted)
        with exclusive(name):
            yield

    monkeypatch.setattr(store.ledger, "exclusive", after_another)

    result = deliver([platform], wanted)

    assert others
    assert states(result) == ["unchanged"]


def test_a_run_that_is_asked_to_end_begins_nothing_more_and_the_next_one_goes_on(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    wanted = tasks(**{name: tools.people(range(2)) for name in "abc"})
    asked = iter([False, True])

    first = deliver([platform], wanted, stop=lambda: next(asked, True))
    second = deliver([platform], wanted)

    assert states(first) == ["settled", "not tried", "not tried"]
    assert [report.state for report in first.reports[1:]] == [DeliveryState.INCOMPLETE] * 2
    assert "asked to end" in first.reports[1].sentences[0]
    assert states(second) == ["unchanged", "settled", "settled"]


def test_nobody_waits_for_a_platform_in_a_run_that_is_asked_to_end(deliver, tools, clock) -> None:
    platform = tools.platform(tools.small(), polls=10_000)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.sleep(seconds)

    result = deliver([platform], tasks(a=tools.people([1])), sleep=sleep, stop=lambda: len(pauses) > 2)

    assert states(result) == ["processing"]
    assert sum(pauses) < 5


def test_opt_outs_are_removed_although_the_run_is_to_end_and_are_reported(deliver, tools, store) -> None:
    platform, everybody = tools.platform(tools.small()), tools.people(range(4))
    deliver([platform], tasks(a=everybody))

    result = deliver([platform], tasks(a=everybody), consent_lost={"c000001"}, stop=lambda: True)

    (report,) = result.reports
    assert platform.members() == tools.payloads(tools.people([0, 2, 3]))
    assert (report.tried, report.removed_without_consent, report.consent_left) == (True, 1, 0)
    with store.ledger.reading() as connection:
        ended = [one.state for one in deliveries.deliveries(connection, report.key)]
    assert DeliveryState.RUNNING not in ended


def test_a_large_audience_is_interrupted_between_two_batches(deliver, tools) -> None:
    platform, everybody = tools.platform(tools.small()), tools.people(range(30))

    first = deliver([platform], tasks(a=everybody), stop=lambda: platform.calls.count("add") >= 2)
    second = deliver([platform], tasks(a=everybody))

    assert states(first) == ["incomplete"]
    assert platform.calls.count("add") == 10
    assert states(second) == ["settled"]
    assert platform.members() == tools.payloads(everybody)


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_the_lost_file_of_one_audience_stops_none_of_the_others(deliver, tools, store, how, tmp_path) -> None:
    platform = tools.platform(tools.small())
    wanted = {name: tools.people(range(4)) for name in "abc"}
    keys = [report.key for report in deliver([platform], tasks(**wanted)).reports]
    _lose(tmp_path / "delivered", store, keys[1], how)

    result = deliver([platform], tasks(**wanted), consent_lost={"c000001"})

    assert states(result) == ["settled", "failed", "settled"]
    assert f"{how}. Restore" in result.reports[1].text().replace("was changed", "changed").replace("is ", "")
    assert result.reports[1].consent_left == 1
    stay = tools.payloads(tools.people([0, 2, 3]))
    assert {held.name for held in platform.held.values() if held.members == stay} >= {"a", "c"}
    assert still_there(store, META.platform, "123", {"c000001"}).open == {"c000001"}
    assert [(one.state, "to be removed from" in one.how) for one in result.removals] == [("refused", True)]


def test_an_audience_whose_file_is_lost_is_made_anew_once_it_is_deleted(
    deliver, tools, store, tmp_path
) -> None:
    platform, wanted = tools.platform(tools.small()), tasks(a=tools.people(range(4)))
    (report,) = deliver([platform], wanted).reports
    _lose(tmp_path / "delivered", store, report.key, "changed")
    platform.held.clear()

    result = deliver([platform], wanted, consent_lost={"c000001"})

    assert states(result) == ["settled"]
    assert platform.members() == tools.payloads(tools.people([0, 2, 3]))


def _lose(folder, store, key, how) -> None:
    other = (folder / "other").with_suffix(".parquet")
    with store.ledger.reading() as connection:
        file = folder / pointers.look(connection, key).written.file
    if how == "changed":
        other.write_bytes(b"something else")
        other.replace(file)
    else:
        file.unlink()


def test_who_opted_out_leaves_an_audience_that_the_platform_does_not_let_shrink(deliver, tools) -> None:
    platform, everybody = tools.platform(tools.small(removes_everywhere=False)), tools.people(range(5))
    deliver([platform], tasks(a=everybody))
    platform.fault = refuses_to_shrink

    result = deliver([platform], tasks(a=everybody), consent_lost={"c000001"})

    (report,) = result.reports
    assert (report.word, report.consent_left) == ("settled", 0)
    assert "deleted to be made anew" in report.text()
    assert platform.members() == tools.payloads(tools.people([0, 2, 3, 4]))


def test_others_stay_in_an_audience_that_the_platform_does_not_let_shrink(deliver, tools) -> None:
    platform, everybody = tools.platform(tools.small()), tools.people(range(5))
    deliver([platform], tasks(a=everybody))
    platform.fault = refuses_to_shrink

    result = deliver([platform], tasks(a=tools.people(range(4))))

    assert states(result) == ["incomplete"]
    assert "because too few matched people would be left. They stay until" in result.reports[0].text()
    assert platform.members() == tools.payloads(everybody)


def test_an_audience_that_nobody_is_wanted_in_and_that_cannot_shrink_is_deleted(deliver, tools) -> None:
    platform, everybody = tools.platform(tools.small()), tools.people(range(5))
    deliver([platform], tasks(a=everybody))
    platform.fault = refuses_to_shrink

    result = deliver([platform], tasks(a=everybody.clear()), confirm=True)
    again = deliver([platform], tasks(a=everybody.clear()), confirm=True)

    assert states(result) == ["settled"]
    assert platform.held == {}
    assert states(again) == ["unchanged"]


def test_an_audience_is_made_anew_before_it_has_taken_all_the_changes_that_it_may(deliver, tools) -> None:
    platform = tools.platform(tools.small(changes_per_audience=10))
    said = []
    for last in range(1, 14):
        (report,) = deliver([platform], tasks(a=tools.people(range(last)))).reports
        said.append(report.text())
        assert platform.members() == tools.payloads(tools.people(range(last)))

    warned = [number for number, text in enumerate(said, 1) if "at 9 it is made anew" in text]
    renewed = [number for number, text in enumerate(said, 1) if "deleted to be made anew" in text]
    assert warned == [9]
    assert renewed == [10]


def test_an_audience_of_an_account_that_was_given_up_is_made_anew_once_somebody_confirms(
    deliver, tools
) -> None:
    wanted = tasks(a=tools.people(range(3)), retired=tools.people([1]))
    deliver([tools.platform(tools.small(), account="old")], wanted)
    platform = tools.platform(tools.small(), account="new")

    asked = deliver([platform], wanted[:1])
    confirmed = deliver([platform], wanted[:1], confirm=True)
    again = deliver([platform], wanted[:1])

    assert states(asked) == ["not tried"]
    assert "delete the audience there and then confirm" in asked.reports[0].sentences[0]
    assert states(confirmed) == ["settled"]
    assert states(again) == ["unchanged"]
    assert platform.members("a") == tools.payloads(tools.people(range(3)))
    assert states(deliver([platform], wanted[1:])) == ["not tried"]


def test_an_audience_made_by_hand_in_the_place_of_one_that_is_gone_is_not_ours(deliver, tools, store) -> None:
    platform, wanted = tools.platform(tools.small()), tasks(a=tools.people([1]))
    deliver([platform], wanted)
    platform.held.clear()

    def unknown():
        raise UnknownMembersError("Nobody knows.")

    failed = deliver([platform], [Task("a", unknown)])
    with store.ledger.reading() as connection:
        (known,) = deliveries.audiences(connection)
    assert [gap.kind for gap in missing(known)] == ["deleted"]
    by_hand = platform.create("a", "")
    platform.held[by_hand].members.add(frozenset({("meta_email", "somebody")}))

    result = deliver([platform], wanted)

    assert states(failed) == ["failed"]
    assert states(result) == ["held"]
    assert "was not made from this ledger" in result.reports[0].text()
