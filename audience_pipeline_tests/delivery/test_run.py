from __future__ import annotations

import time
from datetime import date
from functools import partial

import pytest

from audience_pipeline.delivery.recipients import members
from audience_pipeline.delivery.run import sync
from audience_pipeline.delivery.verify import verify
from audience_pipeline.ledger import deliveries
from audience_pipeline.ledger.records import BatchState, DeliveryState
from audience_pipeline.platforms.contract import (
    META,
    TIKTOK,
    CredentialError,
    QuotaError,
    ReceiptState,
    TerminalPlatformError,
    TransientPlatformError,
)

DAY = date(2026, 11, 20)


class Killed(BaseException):
    """The process dies."""


@pytest.fixture
def deliver(store, clock):
    return partial(sync, store, as_of=DAY, prefix="shop ", sleep=clock.sleep, clock=clock)


def batches(ledger):
    with ledger.reading() as connection:
        return [
            batch
            for delivery in deliveries.deliveries(connection)
            for batch in deliveries.batches_of(connection, delivery.delivery_id)
        ]


def test_the_first_delivery_creates_the_audience_and_sends_everybody(deliver, tools, ledger) -> None:
    platform, wanted = tools.platform(tools.small()), tools.people(range(7))

    report = deliver(platform, "best", wanted)

    assert platform.members("shop best") == tools.payloads(wanted)
    assert platform.sent() == ["create", "add", "add", "add"]
    assert (report.state, report.wanted, report.sent, report.accepted, report.delivered) == (
        DeliveryState.SETTLED,
        7,
        7,
        7,
        7,
    )
    assert [(one.rows, one.state) for one in batches(ledger)] == [
        (3, BatchState.SETTLED),
        (3, BatchState.SETTLED),
        (1, BatchState.SETTLED),
    ]


def test_a_second_delivery_of_the_same_people_sends_nothing(deliver, tools) -> None:
    platform, wanted = tools.platform(tools.small()), tools.people(range(7))
    deliver(platform, "best", wanted)
    platform.calls.clear()

    report = deliver(platform, "best", wanted)

    assert platform.calls == ["audiences"]
    assert (report.state, report.sent, report.delivered) == (DeliveryState.UNCHANGED, 0, 7)


def test_only_the_difference_is_sent_and_removals_go_first(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(6)))
    platform.calls.clear()

    report = deliver(platform, "best", tools.people(range(2, 8)))

    assert platform.sent() == ["remove", "add"]
    assert (report.removed, report.sent) == (2, 2)
    assert platform.members() == tools.payloads(tools.people(range(2, 8)))


def test_changed_identifiers_replace_the_ones_that_were_sent(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(2), email="a"))

    report = deliver(platform, "best", tools.people(range(2), email="b"))

    assert platform.members() == tools.payloads(tools.people(range(2), email="b"))
    assert report.plan is not None
    assert (report.plan.counts.changed, report.plan.counts.leaving, report.delivered) == (2, 0, 2)


def test_a_person_who_shares_a_phone_with_somebody_removed_is_sent_again(deliver, tools) -> None:
    household = tools.wanted({name: {"meta_email": name * 64, "meta_phone": "9" * 64} for name in ("a", "b")})
    platform = tools.platform(tools.small())
    deliver(platform, "best", household)
    one = household.filter(customer_id="a")

    deliver(platform, "best", one)

    assert platform.members() == tools.payloads(one)


@pytest.mark.parametrize("point", ["before create", "after create", "before add", "after add"])
def test_a_lost_connection_leaves_the_rest_for_the_next_run_and_doubles_nothing(
    deliver, tools, point
) -> None:
    platform, wanted = tools.platform(tools.small()), tools.people(range(7))
    platform.fault = tools.fails_once(point)

    first = deliver(platform, "best", wanted)
    second = deliver(platform, "best", wanted)

    assert (first.state, second.state) == (DeliveryState.INCOMPLETE, DeliveryState.SETTLED)
    assert "next run" in first.sentences[-1]
    assert len(platform.held) == 1
    assert platform.members() == tools.payloads(wanted)


def test_an_error_ends_before_the_next_sentence_begins(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once(
        "before add", TransientPlatformError(META.platform, "no answer (ConnectionError)")
    )

    report = deliver(platform, "best", tools.people(range(3)))

    assert report.sentences == ("meta: no answer (ConnectionError). The next run sends the rest.",)


def test_a_delivery_that_stops_while_it_waits_says_what_is_left(deliver, tools) -> None:
    platform = tools.platform(tools.small(minimum_after_change=2), polls=1)
    platform.fault = tools.fails_once("before settle", QuotaError(META.platform, "used up"))

    report = deliver(platform, "best", tools.people(range(7)))

    assert report.state is DeliveryState.INCOMPLETE
    assert report.text().endswith(
        "meta: used up. Not everything is done of 7 people to add and 0 people to remove: "
        "the next run goes on with the rest."
    )


def test_somebody_whose_arrival_is_unknown_is_removed_when_no_longer_wanted(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("after add", Killed())
    with pytest.raises(Killed):
        deliver(platform, "best", tools.people(range(3)))
    assert len(platform.members()) == 3

    report = deliver(platform, "best", tools.people([0]), consent_lost={"c000001", "c000002"})

    assert platform.members() == tools.payloads(tools.people([0]))
    assert report.state is DeliveryState.SETTLED


def test_a_killed_delivery_is_closed_by_the_next_one(deliver, tools, ledger) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("after add", Killed())
    with pytest.raises(Killed):
        deliver(platform, "best", tools.people(range(3)))

    deliver(platform, "best", tools.people(range(3)))

    with ledger.reading() as connection:
        states = {one.state for one in deliveries.deliveries(connection)}
    assert states == {DeliveryState.INTERRUPTED, DeliveryState.SETTLED}
    assert [one.state for one in batches(ledger)].count(BatchState.FAILED) == 1


def test_people_without_consent_are_never_sent_even_when_they_are_wanted(deliver, tools) -> None:
    platform = tools.platform(tools.small())

    report = deliver(platform, "best", tools.people(range(3)), consent_lost={"c000001"})

    assert report.wanted == 2
    assert platform.members() == tools.payloads(tools.people([0, 2]))


def test_processing_is_followed_with_growing_pauses(deliver, tools, clock) -> None:
    platform, wanted = tools.platform(tools.small(), polls=5), tools.people(range(3))
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        clock.sleep(seconds)

    report = deliver(platform, "best", wanted, sleep=sleep)

    assert report.state is DeliveryState.SETTLED
    assert pauses == [0.25, 0.5, 1, 1, 1]


def test_what_is_still_processed_after_the_patience_is_picked_up_by_the_next_run(
    deliver, tools, ledger
) -> None:
    platform, wanted = tools.platform(tools.small(), polls=4), tools.people(range(3))

    first = deliver(platform, "best", wanted, patience=0)
    second = deliver(platform, "best", wanted)

    assert (first.state, first.delivered) == (DeliveryState.PROCESSING, 0)
    assert (second.state, second.delivered) == (DeliveryState.UNCHANGED, 3)
    assert platform.sent() == ["create", "add"]
    with ledger.reading() as connection:
        assert [one.state for one in deliveries.deliveries(connection)] == [
            DeliveryState.SETTLED,
            DeliveryState.UNCHANGED,
        ]


def test_an_opt_out_is_removed_at_once_although_the_addition_is_still_processed(deliver, tools) -> None:
    platform, wanted = tools.platform(tools.small(), polls=4), tools.people(range(3))
    deliver(platform, "best", wanted, patience=0)
    platform.calls.clear()

    early = deliver(platform, "best", wanted, consent_lost={"c000000"}, patience=0)
    sent_early = platform.sent()
    late = deliver(platform, "best", wanted, consent_lost={"c000000"})

    assert (early.state, sent_early) == (
        DeliveryState.PROCESSING,
        ["remove_everywhere", "remove"],
    )
    assert late.state is DeliveryState.SETTLED
    assert platform.members() == tools.payloads(tools.people([1, 2]))


def test_an_accepted_batch_that_fails_in_processing_is_sent_again_by_the_next_run(deliver, tools) -> None:
    platform, wanted = tools.platform(tools.small(), polls=1), tools.people(range(3))
    platform.spoils = lambda request: True
    first = deliver(platform, "best", wanted)
    platform.spoils = lambda request: False

    second = deliver(platform, "best", wanted)

    assert (first.state, first.delivered) == (DeliveryState.INCOMPLETE, 0)
    assert first.sentences == (
        "3 people could not be added: the platform could not process it.",
        "The next run tries again.",
    )
    assert second.state is DeliveryState.SETTLED
    assert platform.members() == tools.payloads(wanted)


def test_an_audience_that_vanished_is_made_anew_with_everybody(deliver, tools) -> None:
    platform, wanted = tools.platform(tools.small()), tools.people(range(5))
    deliver(platform, "best", wanted)
    platform.held.clear()

    report = deliver(platform, "best", wanted)

    assert report.state is DeliveryState.SETTLED
    assert "gone" in report.sentences[0]
    assert platform.members() == tools.payloads(wanted)


def test_dead_credentials_stop_the_platform_with_one_message(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    platform.fault = tools.fails_once("before add", CredentialError(META.platform, "the token is revoked."))

    report = deliver(platform, "best", tools.people(range(9)))

    assert report.platform_stopped
    assert report.state is DeliveryState.FAILED
    assert report.sentences == ("meta: the token is revoked. Nothing more is sent to meta in this run.",)
    assert platform.sent() == ["create"]


def test_a_refused_batch_does_not_keep_the_others_from_being_sent(deliver, tools, ledger) -> None:
    platform, wanted = tools.platform(tools.small()), tools.people(range(7))
    platform.fault = tools.fails_once(
        "before add", TerminalPlatformError(META.platform, "a value is not a hash.")
    )

    first = deliver(platform, "best", wanted)
    second = deliver(platform, "best", wanted)

    assert (first.state, first.sent) == (DeliveryState.INCOMPLETE, 4)
    assert "3 people could not be added: meta: a value is not a hash." in first.sentences
    assert second.state is DeliveryState.SETTLED
    assert platform.members() == tools.payloads(wanted)


def test_a_dry_run_changes_neither_platform_nor_ledger(deliver, tools, ledger) -> None:
    platform = tools.platform(tools.small())

    report = deliver(platform, "best", tools.people(range(7)), dry_run=True)

    assert platform.sent() == []
    assert report.state is None
    assert report.plan is not None
    assert (report.plan.creates, report.plan.to_add) == (True, 7)
    with ledger.reading() as connection:
        assert deliveries.deliveries(connection) == []
        assert deliveries.audiences(connection) == []


def test_an_audience_of_our_name_that_we_did_not_make_is_not_touched(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    stranger = platform.create("shop best", "")
    platform.calls.clear()

    report = deliver(platform, "best", tools.people(range(2)))

    assert report.state is DeliveryState.HELD
    assert "nobody knows whom it holds" in report.sentences[-1]
    assert platform.sent() == []
    assert list(platform.held) == [stranger]
    again = deliver(platform, "best", tools.people(range(2)))
    assert again.state is DeliveryState.HELD


def test_a_confirmed_delivery_replaces_an_audience_that_we_did_not_make(deliver, tools) -> None:
    platform, wanted = tools.platform(tools.small()), tools.people(range(2))
    stranger = platform.create("shop best", "")

    report = deliver(platform, "best", wanted, confirm=True)

    assert report.state is DeliveryState.SETTLED
    assert stranger not in platform.held
    assert platform.members("shop best") == tools.payloads(wanted)


def test_an_older_state_is_not_sent_over_a_newer_one(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(2)))

    report = deliver(platform, "best", tools.people(range(9)), as_of=date(2026, 11, 1))

    assert report.state is DeliveryState.HELD
    assert "2026-11-01 is older" in report.sentences[-1]
    assert len(platform.members()) == 2


def test_a_large_change_waits_for_a_confirmation_but_an_opt_out_does_not(deliver, tools) -> None:
    platform = tools.platform()
    deliver(platform, "best", tools.people(range(4_000)))
    fewer = tools.people(range(2_000))

    held = deliver(platform, "best", fewer, consent_lost={"c003999"})
    left = len(platform.members())
    confirmed = deliver(platform, "best", fewer, consent_lost={"c003999"}, confirm=True)

    assert (held.state, left) == (DeliveryState.HELD, 3_999)
    assert "1,999 people would be removed" in held.sentences[-1]
    assert confirmed.state is DeliveryState.SETTLED
    assert platform.members() == tools.payloads(fewer)


def test_an_audience_of_three_is_emptied_only_when_confirmed(deliver, tools) -> None:
    platform, people = tools.platform(tools.small()), tools.people(range(3))
    deliver(platform, "best", people)

    held = deliver(platform, "best", tools.people([]), consent_lost={"c000002"})
    left = platform.members()
    confirmed = deliver(platform, "best", tools.people([]), consent_lost={"c000002"}, confirm=True)
    after = deliver(platform, "best", tools.people([]), consent_lost={"c000002"})

    assert (held.state, held.removed) == (DeliveryState.HELD, 1)
    assert "2 people would be removed and nobody would be left" in held.sentences[-1]
    assert left == tools.payloads(tools.people(range(2)))
    assert (confirmed.state, confirmed.removed, after.state) == (
        DeliveryState.SETTLED,
        2,
        DeliveryState.UNCHANGED,
    )
    assert platform.members() == set()


def test_a_confirmed_emptying_that_is_still_processed_does_not_ask_again(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(3)))
    platform.polls = 4
    first = deliver(platform, "best", tools.people([]), confirm=True, patience=0)

    second = deliver(platform, "best", tools.people([]), patience=0)

    assert (first.state, second.state) == (DeliveryState.PROCESSING, DeliveryState.PROCESSING)


def test_an_audience_that_no_definition_asks_for_is_kept_until_confirmed(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "old", tools.people(range(4)))

    planned = deliver(platform, "old", tools.people([]), retired=True, dry_run=True)
    held = deliver(platform, "old", tools.people([]), retired=True, consent_lost={"c000003"})
    left = platform.members()
    confirmed = deliver(platform, "old", tools.people([]), retired=True, confirm=True)
    after = deliver(platform, "old", tools.people([]), retired=True)

    assert planned.plan is not None
    assert "4 people would be removed" in planned.plan.held
    assert held.state is DeliveryState.HELD
    assert "no definition asks for it any more, and 3 people would be removed" in held.sentences[-1]
    assert left == tools.payloads(tools.people(range(3)))
    assert (confirmed.state, after.state) == (DeliveryState.SETTLED, DeliveryState.UNCHANGED)
    assert platform.members() == set()


def test_nobody_can_be_wanted_in_a_retired_audience(deliver, tools) -> None:
    with pytest.raises(ValueError, match="'old' is retired, but 2 people are wanted"):
        deliver(tools.platform(), "old", tools.people(range(2)), retired=True)


def test_an_audience_that_vanished_is_not_said_to_be_made_anew_for_nobody(deliver, tools) -> None:
    platform = tools.platform(tools.small())
    deliver(platform, "best", tools.people(range(2)))
    platform.held.clear()

    report = deliver(platform, "best", tools.people([]))

    assert (report.state, report.delivered) == (DeliveryState.UNCHANGED, 0)
    assert report.sentences == ("The audience was gone from the platform.",)
    assert platform.held == {}


def test_a_large_change_that_was_let_through_is_finished_after_a_kill(deliver, tools) -> None:
    platform = tools.platform()
    deliver(platform, "best", tools.people(range(5_000)))
    other = tools.people(range(1_400, 6_400))
    platform.fault = tools.fails_once("before add", Killed())
    with pytest.raises(Killed):
        deliver(platform, "best", other)

    report = deliver(platform, "best", other)

    assert report.state is DeliveryState.SETTLED
    assert platform.members() == tools.payloads(other)


def test_people_are_sent_again_before_they_expire_and_not_all_on_one_day(deliver, tools, clock) -> None:
    platform, wanted = tools.platform(tools.small(membership_days=100)), tools.people(range(50))
    deliver(platform, "best", wanted)
    refreshed = []
    for days in (79, 6, 5):
        clock.pass_days(days)
        report = deliver(platform, "best", wanted)
        assert report.plan is not None
        refreshed.append(report.plan.counts.refreshed)

    assert refreshed[0] == 0
    assert 0 < refreshed[1] < 50
    assert sum(refreshed) == 50


def test_sizes_and_match_rates_are_read_back(deliver, tools, ledger) -> None:
    platform = tools.platform(tools.small())

    report = deliver(platform, "best", tools.people(range(4)))

    with ledger.reading() as connection:
        (known,) = deliveries.audiences(connection)
    assert report.audience == known
    assert (known.size_low, known.size_high, known.match_rate_low, known.match_rate_high) == (4, 4, 1.0, 1.0)
    assert known.match_rate_how == "size on the platform over people sent"


def test_nothing_is_created_for_nobody(deliver, tools) -> None:
    platform = tools.platform(tools.small())

    report = deliver(platform, "best", tools.people([]))

    assert report.state is DeliveryState.UNCHANGED
    assert platform.held == {}


@pytest.fixture
def stubborn(tools):
    """A platform that creates with people only, and refuses changes that leave fewer than four."""
    capabilities = tools.small(creates_empty=False, minimum_after_change=4, removes_everywhere=False)
    return tools.platform(capabilities)


def test_where_no_audience_is_created_empty_the_first_batch_creates_it(deliver, tools, stubborn) -> None:
    wanted = tools.people(range(7))

    report = deliver(stubborn, "best", wanted)

    assert stubborn.sent() == ["create_with", "add", "add"]
    assert report.state is DeliveryState.SETTLED
    assert stubborn.members() == tools.payloads(wanted)


@pytest.mark.parametrize("point", ["before create_with", "after create_with"])
def test_an_uncertain_creation_with_people_is_adopted(deliver, tools, stubborn, point) -> None:
    stubborn.fault = tools.fails_once(point, Killed())
    with pytest.raises(Killed):
        deliver(stubborn, "best", tools.people(range(7)))

    report = deliver(stubborn, "best", tools.people(range(1, 8)))

    assert report.state is DeliveryState.SETTLED
    assert stubborn.members() == tools.payloads(tools.people(range(1, 8)))


def test_a_refused_shrink_keeps_the_people_and_says_so(deliver, tools, stubborn) -> None:
    deliver(stubborn, "best", tools.people(range(5)))

    report = deliver(stubborn, "best", tools.people(range(3)))

    assert report.state is DeliveryState.INCOMPLETE
    assert "refuses to remove 2 people" in report.sentences[0]
    assert report.delivered == 5
    assert stubborn.members() == tools.payloads(tools.people(range(5)))


def test_a_refused_removal_of_people_without_consent_makes_the_audience_anew(
    deliver, tools, stubborn
) -> None:
    deliver(stubborn, "best", tools.people(range(4)))
    fewer = tools.people(range(3))

    report = deliver(stubborn, "best", fewer, consent_lost={"c000003"})

    assert report.state is DeliveryState.SETTLED
    assert "1 person without consent" in report.sentences[0]
    assert (report.removed_without_consent, report.consent_left) == (1, 0)
    assert stubborn.members() == tools.payloads(fewer)


def test_people_without_consent_leave_where_others_may_not(deliver, tools, stubborn) -> None:
    deliver(stubborn, "best", tools.people(range(5)))

    report = deliver(stubborn, "best", tools.people(range(3)), consent_lost={"c000004"})

    assert report.state is DeliveryState.INCOMPLETE
    assert "refuses to remove 1 person," in report.sentences[0]
    assert stubborn.members() == tools.payloads(tools.people(range(4)))


DELETED = "Nobody is left for the audience: it was deleted, because meta keeps none that is empty."


@pytest.mark.parametrize("size", [2, 9])
def test_where_no_audience_is_kept_empty_a_confirmed_emptying_deletes_it_and_says_so(
    deliver, tools, stubborn, size
) -> None:
    deliver(stubborn, "best", tools.people(range(size)))
    stubborn.calls.clear()

    held = deliver(stubborn, "best", tools.people([]))
    left = len(stubborn.members())
    report = deliver(stubborn, "best", tools.people([]), confirm=True)
    after = deliver(stubborn, "best", tools.people([]))

    assert (held.state, left) == (DeliveryState.HELD, size)
    assert (report.state, report.removed, report.delivered) == (DeliveryState.SETTLED, size, 0)
    assert report.sentences == (DELETED,)
    assert stubborn.sent() == ["delete"]
    assert (after.state, after.sentences, stubborn.held) == (DeliveryState.UNCHANGED, (), {})


def test_where_no_audience_is_kept_empty_the_last_people_without_consent_leave_with_it(
    deliver, tools, stubborn
) -> None:
    people = tools.people(range(5))
    stubborn.polls = 9
    deliver(stubborn, "best", people, patience=0)

    report = deliver(stubborn, "best", people, consent_lost=set(people["customer_id"]), patience=0)

    assert (report.state, report.sentences) == (DeliveryState.SETTLED, (DELETED,))
    assert stubborn.held == {}


def test_an_audience_deleted_for_want_of_people_is_made_anew_when_somebody_is_wanted(
    deliver, tools, stubborn
) -> None:
    deliver(stubborn, "best", tools.people(range(5)))
    deliver(stubborn, "best", tools.people([]), confirm=True)

    report = deliver(stubborn, "best", tools.people(range(7)))

    assert (report.state, report.delivered) == (DeliveryState.SETTLED, 7)
    assert stubborn.members() == tools.payloads(tools.people(range(7)))


@pytest.mark.parametrize("point", ["before delete", "after delete"])
def test_a_deletion_that_is_interrupted_is_finished_by_the_next_confirmed_run(
    deliver, tools, stubborn, store, clock, point
) -> None:
    deliver(stubborn, "best", tools.people(range(5)))
    stubborn.fault = tools.fails_once(point, Killed())
    with pytest.raises(Killed):
        deliver(stubborn, "best", tools.people([]), confirm=True)

    report = deliver(stubborn, "best", tools.people([]), confirm=True)

    assert report.ok
    assert (report.delivered, stubborn.held) == (0, {})
    assert verify(store, stubborn, clock=clock).gaps == ()


def test_somebody_elses_audience_of_the_name_of_a_deleted_one_is_not_taken_over(
    deliver, tools, stubborn
) -> None:
    deliver(stubborn, "best", tools.people(range(5)))
    deliver(stubborn, "best", tools.people([]), confirm=True)
    stubborn.create_with("shop best", members(tools.people([77]), META))

    nobody = deliver(stubborn, "best", tools.people([]))
    somebody = deliver(stubborn, "best", tools.people(range(5)))

    assert (nobody.state, somebody.state) == (DeliveryState.UNCHANGED, DeliveryState.HELD)
    assert "not made from this ledger" in somebody.sentences[-1]
    assert stubborn.members() == tools.payloads(tools.people([77]))


def test_a_held_audience_that_must_be_made_anew_keeps_everybody_with_consent(
    deliver, tools, stubborn
) -> None:
    deliver(stubborn, "best", tools.people(range(4)))

    first = deliver(stubborn, "best", tools.people([]), consent_lost={"c000003"})
    second = deliver(stubborn, "best", tools.people([]), consent_lost={"c000003"})

    assert (first.state, second.state) == (DeliveryState.HELD, DeliveryState.HELD)
    assert "deleted to be made anew" in first.sentences[0]
    assert (first.removed, first.delivered) == (1, 3)
    assert stubborn.members() == tools.payloads(tools.people(range(3)))


def test_an_audience_too_small_to_be_used_is_made_anew_when_it_changes(deliver, tools, stubborn) -> None:
    deliver(stubborn, "best", tools.people(range(2)))

    report = deliver(stubborn, "best", tools.people(range(1, 3)))

    assert report.state is DeliveryState.SETTLED
    assert stubborn.members() == tools.payloads(tools.people(range(1, 3)))


def test_a_shrink_that_only_growth_makes_possible_happens_after_it(deliver, tools, stubborn) -> None:
    deliver(stubborn, "best", tools.people(range(5)))

    report = deliver(stubborn, "best", tools.people(range(3, 8)))

    assert report.state is DeliveryState.SETTLED
    assert len(stubborn.held) == 1
    assert "delete" not in stubborn.sent()
    assert stubborn.members() == tools.payloads(tools.people(range(3, 8)))


def test_an_addition_that_only_others_make_possible_happens_after_them(deliver, tools, stubborn) -> None:
    stubborn.fault = tools.fails_once("after create_with", Killed())
    with pytest.raises(Killed):
        deliver(stubborn, "best", tools.people(range(7)))

    report = deliver(stubborn, "best", tools.people(range(7)))

    assert (report.state, report.delivered, report.sentences) == (DeliveryState.SETTLED, 7, ())
    assert "delete" not in stubborn.sent()


def test_long_names_are_cut_to_what_the_platform_takes(deliver, tools) -> None:
    platform = tools.platform(tools.small(name_length=20))

    deliver(platform, "an audience with a very long name", tools.people([1]))

    ((held,),) = [tuple(platform.held.values())]
    assert len(held.name) == 20
    assert held.name.startswith("shop an aud")


def test_the_receipt_state_of_tiktok_files_is_followed_like_any_other(deliver, tools) -> None:
    platform = tools.platform(tools.small(TIKTOK, minimum_after_change=0), polls=2)

    report = deliver(platform, "best", tools.people(range(4), capabilities=TIKTOK))

    assert report.state is DeliveryState.SETTLED
    assert {request.state for request in platform.requests} == {ReceiptState.SETTLED}


def test_no_identifier_and_no_customer_is_in_report_plan_or_ledger_messages(deliver, tools, ledger) -> None:
    platform, wanted = tools.platform(tools.small(), polls=1), tools.people(range(5))
    platform.spoils = lambda request: request.action == "remove"
    deliver(platform, "best", wanted)

    report = deliver(platform, "best", tools.people(range(3)))

    written = repr(report) + report.text() + str(report.as_dict()) + repr(batches(ledger))
    for one in members(wanted, META):
        assert one.identifiers["meta_email"] not in written
    assert not [number for number in wanted["fingerprint"] if str(number) in written]
    assert "c00000" not in repr(report) + report.text() + str(report.as_dict())


def test_a_hundred_thousand_people_are_planned_and_accounted_in_seconds(deliver, tools) -> None:
    platform, wanted = tools.platform(), tools.people(range(100_000))
    started = time.monotonic()

    first = deliver(platform, "best", wanted)
    second = deliver(platform, "best", wanted)

    assert (first.sent, second.state) == (100_000, DeliveryState.UNCHANGED)
    assert time.monotonic() - started < 60
