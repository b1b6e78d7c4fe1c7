"""Many audiences in one run, over several ad accounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import pytest

from audience_pipeline.delivery.removals import EVERYWHERE, still_there
from audience_pipeline.delivery.run import Task, UnknownMembersError, sync, sync_all
from audience_pipeline.delivery.status import status
from audience_pipeline.delivery.verify import verify
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.records import BatchState, DeliveryState
from audience_pipeline.platforms.contract import (
    META,
    TIKTOK,
    CredentialError,
    QuotaError,
    TerminalPlatformError,
    TransientPlatformError,
)
from audience_pipeline_tests.delivery.tours import states, tasks

DAY = date(2026, 11, 20)


@pytest.fixture
def deliver(store, clock):
    return partial(sync_all, store, as_of=DAY, sleep=clock.sleep, clock=clock)


def batches(store):
    with store.ledger.reading() as connection:
        return [
            batch
            for delivery in deliveries.deliveries(connection)
            for batch in deliveries.batches_of(connection, delivery.delivery_id)
        ]


def test_audiences_without_a_change_cost_one_listing_together(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    wanted = tasks(**{f"a{number}": tools.people(range(number)) for number in range(1, 6)})
    deliver([platform], wanted)
    platform.calls.clear()

    result = deliver([platform], wanted)

    assert platform.calls == ["audiences"]
    assert states(result) == ["unchanged"] * 5
    assert [report.key.audience for report in result.reports] == ["a1", "a2", "a3", "a4", "a5"]


def test_wanted_people_are_asked_for_when_needed_and_not_kept(deliver, tools) -> None:
    platform, asked = tools.platform(tools.small(), polls=2), []

    def wanted(name):
        asked.append(name)
        return tools.people(range(3))

    deliver([platform], [Task(name, partial(wanted, name)) for name in "ab"])

    assert asked == ["a", "b"]


def test_new_audiences_fill_the_accounts_in_order_and_stay_where_they_are(deliver, tools) -> None:
    small = tools.small(audiences_per_account=2)
    accounts = [tools.platform(small, account=name) for name in ("first", "second")]
    three = tasks(**{name: tools.people([1]) for name in "abc"})
    deliver(accounts, three)

    again = deliver(list(reversed(accounts)), [*three, *tasks(d=tools.people([1]))])

    assert [report.key.account for report in again.reports] == ["first", "first", "second", "second"]
    assert [len(account.held) for account in accounts] == [2, 2]
    assert states(again) == ["unchanged"] * 3 + ["settled"]


def test_an_audience_without_room_fails_and_the_others_go_on(deliver, tools) -> None:
    platform = tools.platform(tools.small(audiences_per_account=1))
    deliver([platform], tasks(a=tools.people([1])))

    result = deliver([platform], tasks(b=tools.people([1]), a=tools.people([1, 2])))

    assert states(result) == ["failed", "settled"]
    assert "holds 1 audiences and takes no more: delete some there, or add an account" in str(
        result.reports[0].sentences
    )
    assert platform.members("a") == tools.payloads(tools.people([1, 2]))


def test_an_audience_of_an_account_that_is_not_configured_any_more_says_so(deliver, tools) -> None:
    deliver([tools.platform(tools.small(), account="old")], tasks(a=tools.people([1])))
    platform = tools.platform(tools.small(), account="new")

    result = deliver([platform], tasks(a=tools.people([1]), b=tools.people([1])))

    assert states(result) == ["not tried", "settled"]
    assert "lives in the ad account old, which is not configured any more" in result.reports[0].sentences[0]
    assert [held.name for held in platform.held.values()] == ["b"]


def test_one_audience_that_the_platform_refuses_does_not_stop_the_others(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("before create", TerminalPlatformError(META.platform, "a bad name."))

    result = deliver([platform], tasks(**{name: tools.people([1]) for name in "abc"}))

    assert states(result) == ["failed", "settled", "settled"]
    assert result.reports[0].sentences == ("meta: a bad name.",)


def test_an_audience_whose_people_are_unknown_does_not_stop_the_others(deliver, tools, store) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1, 2])))

    def unknown():
        raise UnknownMembersError("it was not evaluated; run daily_refresh first")

    result = deliver([platform], [Task("a", unknown), *tasks(b=tools.people([3]))], consent_lost={"c000001"})

    assert states(result) == ["failed", "settled"]
    assert result.reports[0].sentences == ("it was not evaluated; run daily_refresh first.",)
    assert platform.members("a") == tools.payloads(tools.people([2]))


def test_a_dead_token_stops_the_platform_with_one_message(deliver, tools, store) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("before add", CredentialError(META.platform, "the token is revoked."))

    result = deliver([platform], tasks(**{name: tools.people([1]) for name in "abc"}))

    assert states(result) == ["failed", "not tried", "not tried"]
    assert [report.platform_stopped for report in result.reports] == [True, False, False]
    assert result.reports[0].sentences == (
        "meta: the token is revoked. Nothing more is sent to meta in this run.",
    )
    assert platform.sent() == ["create"]
    with store.ledger.reading() as connection:
        assert [one.key.audience for one in deliveries.deliveries(connection)] == ["a"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_token_that_is_dead_from_the_start_is_said_once(deliver, tools, dry_run) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("before audiences", CredentialError(META.platform, "it is revoked."))

    result = deliver([platform], tasks(a=tools.people([1]), b=tools.people([1])), dry_run=dry_run)

    assert states(result) == ["failed", "not tried"]
    assert [report.platform_stopped for report in result.reports] == [True, False]


def test_a_platform_that_is_down_is_not_asked_a_thousand_times(deliver, tools) -> None:
    platform = tools.platform(tools.small())

    def down(point):
        if point == "before create":
            raise TransientPlatformError(META.platform, "it cannot be reached.")

    platform.fault = down

    result = deliver([platform], tasks(**{f"a{number}": tools.people([1]) for number in range(9)}))

    assert states(result) == ["incomplete"] * 3 + ["not tried"] * 6
    assert "it cannot be reached. The next run tries again." in result.reports[-1].sentences[0]


def test_a_limit_of_one_account_leaves_the_others_alone(deliver, tools) -> None:
    small = tools.small(audiences_per_account=1)
    accounts = [tools.platform(small, account=name) for name in ("first", "second")]
    deliver(accounts, tasks(a=tools.people([1]), b=tools.people([1])))
    accounts[0].fault = tools.fails_once("before add", QuotaError(META.platform, "used up until midnight."))

    result = deliver(accounts, tasks(a=tools.people([1, 2]), b=tools.people([1, 2])))

    assert states(result) == ["incomplete", "settled"]
    assert accounts[1].members("b") == tools.payloads(tools.people([1, 2]))


def test_an_account_that_cannot_be_listed_does_not_stop_the_others(deliver, tools) -> None:
    small = tools.small(audiences_per_account=1)
    accounts = [tools.platform(small, account=name) for name in ("first", "second")]
    two = tasks(a=tools.people([1]), b=tools.people([1]))
    deliver(accounts, two)
    accounts[0].fault = tools.fails_once("before audiences")

    result = deliver(accounts, two)

    assert states(result) == ["not tried", "unchanged"]
    assert "connection lost" in result.reports[0].sentences[0]


def test_what_many_audiences_have_sent_is_followed_together(deliver, tools, clock) -> None:
    platform, pauses = tools.platform(tools.small(), polls=30), []

    def sleep(seconds):
        pauses.append(seconds)
        clock.sleep(seconds)

    result = deliver([platform], tasks(**{f"a{n}": tools.people([n]) for n in range(10)}), sleep=sleep)

    assert states(result) == ["settled"] * 10
    assert len(pauses) < 8


def test_patience_is_for_the_platform_as_a_whole(deliver, tools) -> None:
    platform, slept = tools.platform(tools.small(), polls=10_000), []

    result = deliver(
        [platform],
        tasks(**{f"a{n}": tools.people([n]) for n in range(5)}),
        patience=60,
        sleep=slept.append,
    )

    assert states(result) == ["processing"] * 5
    assert sum(slept) == pytest.approx(60)


def test_late_batches_of_all_audiences_are_settled_before_anything_is_decided(deliver, tools) -> None:
    platform = tools.platform(tools.small(), polls=1_000)
    many = tasks(**{f"a{n}": tools.people([n]) for n in range(4)})
    deliver([platform], many, patience=0)
    platform.calls.clear()
    platform.clock += 1_000

    result = deliver([platform], many, patience=0)

    assert platform.calls == ["audiences", *["settle"] * 4]
    assert states(result) == ["unchanged"] * 4


def test_an_audience_that_must_change_step_by_step_does_not_hold_up_the_others(deliver, tools) -> None:
    small = tools.small(TIKTOK, minimum_after_change=2)
    platform = tools.platform(small, polls=2)
    people = {
        name: tools.people(range(start, start + 8), capabilities=small)
        for name, start in (("a", 0), ("b", 50))
    }

    result = deliver([platform], tasks(**people))

    assert states(result) == ["settled", "settled"]
    assert platform.sent()[:2] == ["create_with", "create_with"]
    for name, wanted in people.items():
        assert platform.members(name) == tools.payloads(wanted, small)


def test_opt_outs_leave_every_audience_before_anybody_is_added(deliver, tools, store) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1, 2]), b=tools.people([2, 3])))
    platform.calls.clear()

    result = deliver(
        [platform],
        tasks(a=tools.people([1, 4]), b=tools.people([3, 4])),
        consent_lost={"c000002"},
    )

    assert platform.sent() == ["remove_everywhere", "remove", "remove", "add", "add"]
    assert [(one.removed_without_consent, one.consent_left) for one in result.reports] == [(1, 0), (1, 0)]
    (removal,) = result.removals
    assert (removal.customers, removal.variants, removal.audiences) == ({"c000002"}, 1, ("a", "b"))
    assert (removal.state, len(removal.request_ids)) == ("confirmed", 3)
    assert removal.how == (
        "1 person (1 row of identifiers, all that were ever sent) removed from 2 audiences and, by one call, "
        "from every audience of the account. The platform has confirmed it."
    )
    assert "c000002" not in repr(removal)


def test_every_variant_ever_sent_of_an_opted_out_person_is_removed(deliver, tools) -> None:
    platform = tools.platform(tools.small(removes_everywhere=False))
    deliver([platform], tasks(a=tools.people([1, 2], email="old"), b=tools.people([1, 2], email="old")))
    deliver([platform], tasks(a=tools.people([1, 2], email="new"), b=tools.people([1, 2], email="old")))
    # What somebody else put there once more goes, too.
    held = next(one for one in platform.held.values() if one.name == "a")
    held.members |= tools.payloads(tools.people([2], email="old"))

    result = deliver(
        [platform],
        tasks(a=tools.people([1], email="new"), b=tools.people([1], email="old")),
        consent_lost={"c000002"},
    )

    assert platform.members("a") == tools.payloads(tools.people([1], email="new"))
    assert result.removals[0].variants == 2


def test_neighbours_of_somebody_removed_everywhere_are_sent_again_to_every_audience(deliver, tools) -> None:
    phone = {"meta_phone": "9"}
    house = tools.wanted({"a": {"meta_email": "a", **phone}, "b": {"meta_email": "b", **phone}})
    other = house.filter(customer_id="b")
    platform = tools.platform(tools.small())
    deliver([platform], tasks(both=house, one=other))

    result = deliver([platform], tasks(both=other, one=other), consent_lost={"a"})

    assert states(result) == ["settled", "settled"]
    assert platform.members("both") == platform.members("one") == tools.payloads(other)


def test_a_removal_everywhere_that_failed_is_made_by_the_next_run(deliver, tools, store) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1, 2])))
    platform.fault = tools.fails_once("before remove_everywhere")
    wanted = tasks(a=tools.people([1]))

    first = deliver([platform], wanted, consent_lost={"c000002"})
    owed = still_there(store, META.platform, "123", {"c000001", "c000002"})
    second = deliver([platform], wanted, consent_lost={"c000002"})
    third = deliver([platform], wanted, consent_lost={"c000002"})

    assert [one.state for result in (first, second) for one in result.removals] == ["refused", "confirmed"]
    assert third.removals == ()
    assert owed.open == {"c000001", "c000002"}
    assert still_there(store, META.platform, "123", {"c000002"}).open == frozenset()
    assert platform.sent().count("remove_everywhere") == 1


def test_a_removal_that_is_still_processed_is_said_to_be_sent(deliver, tools, store) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1, 2])))
    platform.polls = 5
    wanted = tasks(a=tools.people([1]))

    first = deliver([platform], wanted, consent_lost={"c000002"}, patience=0)
    there = still_there(store, META.platform, "123", {"c000002"})
    deliver([platform], wanted, consent_lost={"c000002"})

    assert [one.state for one in first.removals] == ["sent"]
    assert (there.open, there.processing) == (frozenset(), {"c000002"})
    assert still_there(store, META.platform, "123", {"c000002"}).processing == frozenset()
    with store.ledger.reading() as connection:
        ended = {one.key.audience: one.state for one in deliveries.deliveries(connection)}
    assert ended[EVERYWHERE] is DeliveryState.SETTLED


@pytest.mark.parametrize("names", ["first", "nobody", "late"])
@pytest.mark.parametrize("polls", [0, 2])
def test_whom_a_platform_refuses_is_left_out_and_the_others_arrive(
    deliver, tools, store, names, polls
) -> None:
    everybody = tools.people(range(40))
    bad = tools.payloads(everybody.filter(everybody["customer_id"].is_in(["c000003", "c000017"])))
    platform = tools.platform(tools.small(batch_rows=20), polls=polls, names=names)
    platform.refuses = lambda payload: payload in bad

    first = deliver([platform], tasks(a=everybody))
    platform.calls.clear()
    second = deliver([platform], tasks(a=everybody))

    (report,) = first.reports
    assert platform.members() == tools.payloads(everybody) - bad
    assert (report.word, report.delivered, report.quarantined) == ("settled", 38, 2)
    assert "2 people are left out from now on, because meta refuses them as they are" in report.text()
    refused = store.refused(report.key)
    assert refused["customer_id"].to_list() == ["c000003", "c000017"]
    assert platform.sent() == []
    assert second.reports[0].plan is not None
    assert (second.reports[0].word, second.reports[0].plan.counts.refused) == ("unchanged", 2)


def test_whom_a_neighbour_may_have_taken_along_and_the_platform_refuses_is_no_open_question(
    deliver, tools, store
) -> None:
    phone = {"meta_phone": "9" * 64}
    household = {name: {"meta_email": name * 64, **phone} for name in ("a", "b")}
    before = tools.wanted(household)
    after = tools.wanted({"b": household["b"], "c": {"meta_email": "c" * 64}, "d": {"meta_email": "d" * 64}})
    refused = tools.payloads(after.filter(customer_id="b"))
    platform = tools.platform(tools.small(), names="late")
    deliver([platform], tasks(best=before))
    platform.refuses = lambda payload: payload in refused

    first = deliver([platform], tasks(best=after)).reports[0]
    second = deliver([platform], tasks(best=after)).reports[0]

    assert (first.quarantined, first.word, second.word) == (1, "settled", "unchanged")
    assert store.members(second.key).filter(customer_id="b")["state"].to_list() == ["doubtful"]
    (row,) = status(store)
    assert (row.unconfirmed, row.processing) == (0, 0)
    assert [gap.kind for gap in verify(store, platform).gaps if gap.kind == "unconfirmed"] == []


def test_parts_of_a_refused_batch_name_it(deliver, tools, store) -> None:
    everybody = tools.people(range(4))
    bad = tools.payloads(everybody.head(1))
    platform = tools.platform(tools.small(batch_rows=4), names="first")
    platform.refuses = lambda payload: payload in bad

    deliver([platform], tasks(a=everybody))

    whole, rest = batches(store)
    assert (whole.state, whole.rows, rest.state, rest.rows) == (BatchState.FAILED, 4, BatchState.SETTLED, 3)
    assert rest.split_from == whole.batch_id
    assert dict(whole.reasons) == {"not taken": 1}


def test_the_search_for_refused_people_has_an_end(deliver, tools) -> None:
    everybody = tools.people(range(200))
    platform = tools.platform(tools.small(batch_rows=200), names="nobody")
    platform.refuses = lambda payload: True

    result = deliver([platform], tasks(a=everybody))

    assert states(result) == ["incomplete"]
    assert platform.calls.count("refused") == 20
    assert "refuses some of them without saying whom, and 20 requests" in result.reports[0].text()


@pytest.mark.parametrize("names", ["first", "nobody", "late"])
def test_nobody_is_left_out_where_everybody_is_refused_for_the_request_may_be_wrong(
    deliver, tools, store, names
) -> None:
    everybody = tools.people(range(6))
    platform = tools.platform(tools.small(batch_rows=6), names=names)
    platform.refuses = lambda payload: True

    first = deliver([platform], tasks(a=everybody))
    platform.refuses = lambda payload: False
    second = deliver([platform], tasks(a=everybody))

    assert states(first) == ["incomplete"]
    assert first.reports[0].quarantined == 0
    assert store.refused(first.reports[0].key).height == 0
    assert states(second) == ["settled"]
    assert platform.members() == tools.payloads(everybody)


def test_the_search_for_many_refused_people_ends_with_what_was_taken(deliver, tools) -> None:
    everybody = tools.people(range(200))
    bad = tools.payloads(everybody.gather_every(2))
    platform = tools.platform(tools.small(batch_rows=200), names="nobody")
    platform.refuses = lambda payload: payload in bad

    result = deliver([platform], tasks(a=everybody))

    assert states(result) == ["incomplete"]
    assert len([call for call in platform.calls if call in ("refused", "add")]) == 64
    assert platform.members() <= tools.payloads(everybody) - bad


def test_an_audience_is_renamed_where_its_name_is_another(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1])), prefix="old ")

    result = deliver([platform], tasks(a=tools.people([1])), prefix="new ")

    assert [held.name for held in platform.held.values()] == ["new a"]
    assert result.reports[0].sentences == ("It was renamed from 'old a' to 'new a'.",)
    assert states(deliver([platform], tasks(a=tools.people([1])), prefix="new ")) == ["unchanged"]
    assert platform.calls.count("rename") == 1


def test_a_name_that_is_refused_is_said_and_people_are_delivered_all_the_same(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1])), prefix="old ")
    platform.fault = tools.fails_once("before rename", TerminalPlatformError(META.platform, "it is taken."))

    result = deliver([platform], tasks(a=tools.people([1, 2])), prefix="new ")

    assert states(result) == ["settled"]
    assert "It keeps its name 'old a' on the platform: meta: it is taken." in result.reports[0].sentences


def test_an_audience_that_the_listing_does_not_show_yet_is_asked_for_by_itself(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver([platform], tasks(a=tools.people([1])))
    platform.hides = set(platform.held)

    result = deliver([platform], tasks(a=tools.people([1])))

    assert states(result) == ["unchanged"]
    assert platform.calls[-2:] == ["audiences", "read"]


def test_a_dry_run_of_many_changes_nothing(deliver, tools, store) -> None:
    platform = tools.platform(tools.small())

    result = deliver([platform], tasks(a=tools.people([1]), b=tools.people([])), dry_run=True)

    assert states(result) == ["planned", "planned"]
    assert [report.plan is not None and report.plan.to_add for report in result.reports] == [1, 0]
    assert platform.calls == ["audiences"]
    with store.ledger.reading() as connection:
        assert deliveries.deliveries(connection) == []


def test_each_audience_is_told_of_when_it_is_done(deliver, tools) -> None:
    platform, told = tools.platform(tools.small()), []

    deliver(
        [platform],
        tasks(a=tools.people([1]), b=tools.people([2])),
        progress=lambda report: told.append(report.key.audience),
    )

    assert told == ["a", "b"]


def test_an_audience_cannot_be_delivered_twice_in_a_run(deliver, tools) -> None:
    with pytest.raises(ValueError, match="'a' is to be delivered twice"):
        deliver([tools.platform()], [*tasks(a=tools.people([1])), *tasks(a=tools.people([2]))])
    with pytest.raises(ValueError, match="no ad account"):
        deliver([], tasks(a=tools.people([1])))


def test_one_audience_is_a_run_of_one(store, tools, clock) -> None:
    platform = tools.platform(replace(META, batch_rows=3))

    report = sync(store, platform, "best", tools.people(range(4)), as_of=DAY, clock=clock, sleep=clock.sleep)

    assert (report.word, report.delivered) == ("settled", 4)
