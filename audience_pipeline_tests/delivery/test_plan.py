from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.delivery.brake import Standing
from audience_pipeline.delivery.plan import decide
from audience_pipeline.delivery.recipients import fingerprint
from audience_pipeline.ledger.records import DeliveredMember, MemberState
from audience_pipeline.platforms.contract import META, TIKTOK

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = NOW.date()
THERE = Standing(remote_id="1", completed=0)


def delivered(wanted, *, state=MemberState.ADDED, in_flight=False, age=0) -> list[DeliveredMember]:
    return [
        DeliveredMember(
            customer,
            one.fingerprint,
            state,
            in_flight,
            NOW - timedelta(days=age),
            json.dumps(dict(one.member.identifiers)),
        )
        for customer, one in sorted(wanted.items())
    ]


def plan(wanted, there, standing=THERE, **options):
    return decide(META, wanted, there, standing, remote_name="shop best", as_of=DAY, now=NOW, **options)


def removed(made) -> list[str]:
    return [one.customer_id for one in made.removals]


def added(made) -> list[str]:
    return [one.member.customer_id for one in made.adds]


def test_nothing_is_planned_when_the_wanted_people_are_there(tools) -> None:
    wanted = tools.people(range(3))

    made = plan(wanted, delivered(wanted))

    assert made.empty
    assert made.counts.unchanged == 3


def test_new_people_are_added_and_others_removed(tools) -> None:
    made = plan(tools.people([1, 2]), delivered(tools.people([0, 1])))

    assert (removed(made), added(made)) == (["c000000"], ["c000002"])
    assert (made.counts.new, made.counts.leaving, made.counts.unchanged) == (1, 1, 1)


def test_a_removal_carries_what_was_sent_then(tools) -> None:
    then = tools.people([0], email="a")

    (old,) = plan(tools.people([0], email="b"), delivered(then)).removals

    assert old.identifiers == then["c000000"].member.identifiers


def test_an_audience_that_is_not_there_is_created_only_for_somebody(tools) -> None:
    assert plan(tools.people([0]), [], Standing()).creates
    assert not plan({}, [], Standing()).creates


@pytest.mark.parametrize("state", [MemberState.ADDING, MemberState.DOUBTFUL, MemberState.REMOVING])
def test_whoever_is_doubtful_is_sent_again_when_wanted_and_removed_when_not(tools, state) -> None:
    there = delivered(tools.people([0, 1]), state=state)

    made = plan(tools.people([0]), there)

    assert (removed(made), added(made)) == (["c000001"], ["c000000"])
    assert made.counts.resent == 1


def test_people_of_a_batch_that_is_being_processed_are_left_alone(tools) -> None:
    there = delivered(tools.people([0, 1]), state=MemberState.ADDING, in_flight=True)

    made = plan(tools.people([0]), there)

    assert made.empty
    assert (made.counts.unchanged, made.counts.waiting, made.counts.leaving) == (1, 1, 1)


def test_whoever_lost_consent_is_removed_even_from_a_batch_that_is_being_processed(tools) -> None:
    there = delivered(tools.people([0, 1]), state=MemberState.ADDING, in_flight=True)

    made = plan({}, there, consent_lost={"c000001"})

    assert [one.customer_id for one in made.urgent] == ["c000001"]
    assert removed(made) == []


def test_people_without_consent_are_removed_first(tools) -> None:
    made = plan({}, delivered(tools.people(range(3))), consent_lost={"c000002"}, confirmed=True)

    assert removed(made) == ["c000002", "c000000", "c000001"]
    assert made.counts.without_consent == 1


def test_whoever_shares_an_identifier_with_a_removed_person_is_doubtful(tools) -> None:
    phone = {"meta_phone": "9" * 64}
    house = tools.wanted({"a": {"meta_email": "a" * 64, **phone}, "b": {"meta_email": "b" * 64, **phone}})
    alone = tools.people([5])

    made = plan({"b": house["b"], **alone}, delivered({**house, **alone}))

    assert removed(made) == ["a"]
    assert [one.customer_id for one in made.doubtful] == ["b"]


def test_a_common_postal_code_makes_nobody_doubtful(tools) -> None:
    place = {"postal_code": "94045", "country": "US"}
    people = tools.wanted({name: {"meta_email": name * 64, **place} for name in ("a", "b")})

    assert plan({"b": people["b"]}, delivered(people)).doubtful == ()


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (range(3_000), range(1_999), True),  # 1,001 of 3,000 removed
        (range(3_000), range(2_000), False),  # 1,000 removed
        (range(10_000), range(7_500), False),  # a quarter removed
        (range(3_000), range(4_001), True),  # 1,001 added to 3,000
        (range(3_000), range(4_000), False),
    ],
)
def test_the_brake_needs_a_large_share_and_a_large_number(tools, before, after, held) -> None:
    standing = Standing(remote_id="1", completed=len(before))

    made = plan(tools.people(after), delivered(tools.people(before)), standing)

    assert bool(made.held) == held


CONFIRM = "(`audiences sync --yes`, or `confirm: true` in the launch)."
LOOK = f"Look at what changed in the data or in the definition, then confirm {CONFIRM}"


@pytest.mark.parametrize("size", [1, 7, 2_000])
def test_a_change_that_would_empty_an_audience_waits_whatever_its_size(tools, size) -> None:
    there = delivered(tools.people(range(size)))

    made = plan({}, there, Standing(remote_id="1", completed=size))

    people = "1 person" if size == 1 else f"{size:,} people"
    assert made.held == (
        f"Held: it would empty the audience: {people} would be removed and nobody would be left. {LOOK}"
    )
    assert made.empty


def test_a_change_that_would_replace_everybody_waits(tools) -> None:
    standing = Standing(remote_id="1", completed=3)

    made = plan(tools.people(range(10, 14)), delivered(tools.people(range(3))), standing)

    assert "3 people would be removed and 4 people would take their place." in made.held
    assert made.empty


def test_the_last_people_without_consent_empty_an_audience_unasked(tools) -> None:
    people = tools.people(range(3))

    made = plan({}, delivered(people), Standing(remote_id="1", completed=3), consent_lost=set(people))

    assert (made.held, len(made.removals)) == ("", 3)


def test_a_small_audience_may_lose_all_but_one(tools) -> None:
    standing = Standing(remote_id="1", completed=900)

    made = plan(tools.people([0]), delivered(tools.people(range(900))), standing)

    assert (made.held, len(made.removals)) == ("", 899)


def test_whoever_is_being_removed_already_is_not_asked_about_again(tools) -> None:
    there = delivered(tools.people(range(3)), state=MemberState.REMOVING, in_flight=True)

    made = plan({}, there, Standing(remote_id="1", completed=0))

    assert (made.held, made.counts.waiting) == ("", 3)


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (100, 200, True),
        (100, 199, False),  # not doubled
        (99, 198, False),  # 99 added
        (10, 110, True),
        (5, 60, False),  # young
        (0, 100, True),  # emptied once, and now filled again
        (0, 99, False),
        (600, 1_200, True),
    ],
)
def test_a_change_that_would_double_an_audience_waits_when_it_adds_a_hundred(
    tools, before, after, held
) -> None:
    there = delivered(tools.people(range(before)))

    made = plan(tools.people(range(after)), there, Standing(remote_id="1", completed=before))

    assert bool(made.held) == held
    assert bool(made.adds) != held


def test_a_held_doubling_says_how_many_and_what_to_do(tools) -> None:
    standing = Standing(remote_id="1", completed=100)

    made = plan(tools.people(range(250)), delivered(tools.people(range(100))), standing)

    assert made.held == (
        "Held: it would at least double the audience: 150 people would be added, and 100 are there now. "
        f"{LOOK}"
    )


def test_a_held_large_change_says_how_many_and_what_to_do(tools) -> None:
    standing = Standing(remote_id="1", completed=3_000)

    made = plan(tools.people(range(1_500)), delivered(tools.people(range(3_000))), standing)

    assert made.held == (
        "Held: 1,500 people would be removed, and 3,000 are there now, which is more than 30% and more than "
        f"1,000 people at once. {LOOK}"
    )


def test_doubling_is_measured_against_the_last_completed_delivery(tools) -> None:
    """A run that was killed after its removals leaves fewer people there."""
    standing = Standing(remote_id="1", completed=400)

    made = plan(tools.people(range(500)), delivered(tools.people(range(200))), standing)

    assert (made.held, len(made.adds)) == ("", 300)


@pytest.mark.parametrize("completed", [None, 3])
def test_an_audience_that_no_definition_asks_for_is_held_but_for_people_without_consent(
    tools, completed
) -> None:
    there = delivered(tools.people(range(3)))
    standing = Standing(remote_id="1", completed=completed, retired=True)

    made = plan({}, there, standing, consent_lost={"c000001"})
    confirmed = plan({}, there, standing, consent_lost={"c000001"}, confirmed=True)

    assert made.held == (
        "Held: no definition asks for it any more, and 2 people would be removed. Confirm to empty it "
        "(`audiences sync --yes`, or `confirm: true` in the launch), or restore the file of its definition."
    )
    assert removed(made) == ["c000001"]
    assert (confirmed.held, len(confirmed.removals)) == ("", 3)


def test_a_retired_audience_that_holds_nobody_asks_nothing(tools) -> None:
    standing = Standing(remote_id="1", completed=3, retired=True)
    people = tools.people(range(2))

    assert plan({}, [], standing).held == ""
    assert plan({}, delivered(people), standing, consent_lost=set(people)).held == ""


def test_a_platform_that_keeps_no_empty_audience_has_it_deleted_with_its_last_people(tools) -> None:
    there = delivered(tools.people(range(3)), state=MemberState.ADDING, in_flight=True)
    standing, options = Standing(remote_id="1", completed=3), {"remote_name": "b", "as_of": DAY, "now": NOW}

    held = decide(TIKTOK, {}, there, standing, **options)
    made = decide(TIKTOK, {}, there, standing, confirmed=True, **options)
    meta = decide(META, {}, there, standing, confirmed=True, **options)

    assert (held.deletes, made.deletes, meta.deletes) == (False, True, False)
    assert (len(made.removals), made.counts.leaving, made.counts.waiting, made.urgent) == (3, 3, 0, ())
    assert "The audience is deleted: the platform keeps no audience that is empty." in made.text()
    assert made.as_dict()["deletes"]


def test_the_first_fill_is_never_held(tools) -> None:
    made = plan(tools.people(range(5_000)), delivered(tools.people(range(10))), Standing(remote_id="1"))

    assert (made.held, len(made.adds)) == ("", 4_990)


def test_a_held_plan_still_removes_people_without_consent(tools) -> None:
    standing = Standing(remote_id="1", completed=4_000)
    there = delivered(tools.people(range(4_000)))

    made = plan({}, there, standing, consent_lost={"c000007"})
    confirmed = plan({}, there, standing, consent_lost={"c000007"}, confirmed=True)

    assert "3,999 people would be removed and nobody would be left" in made.held
    assert (removed(made), made.adds) == (["c000007"], ())
    assert len(confirmed.removals) == 4_000


def test_removals_without_consent_alone_never_hold_a_plan(tools) -> None:
    people = tools.people(range(4_000))
    standing = Standing(remote_id="1", completed=4_000)

    made = plan({}, delivered(people), standing, consent_lost=set(people))

    assert (made.held, len(made.removals)) == ("", 4_000)


def test_a_plan_says_what_it_does_in_counts_alone(tools) -> None:
    there = [*delivered(tools.people([0, 1])), *delivered(tools.people([2]), state=MemberState.DOUBTFUL)]

    made = plan(tools.people([1, 2, 3]), there, consent_lost={"c000000"})

    assert made.text() == (
        "shop best: 3 people wanted, 1 there already.\n"
        "2 people to add: 1 new, 1 sent again to be sure.\n"
        "1 person to remove, of whom 1 without consent."
    )
    assert {name: made.as_dict()[name] for name in ("to_add", "to_remove", "new", "resent")} == {
        "to_add": 2,
        "to_remove": 1,
        "new": 1,
        "resent": 1,
    }
    assert "c00000" not in repr(made) + json.dumps(made.as_dict())


identities = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.fixed_dictionaries({"meta_email": st.sampled_from(["1", "2"]), "meta_phone": st.sampled_from("xyz")}),
)


@given(wanted=identities, there=identities)
def test_applying_a_plan_to_what_is_there_gives_what_is_wanted(tools, wanted, there) -> None:
    wanted, there = tools.wanted(wanted), tools.wanted(there)

    made = plan(wanted, delivered(there), confirmed=True)

    after = {(customer, one.fingerprint) for customer, one in there.items()}
    after -= {(one.customer_id, one.fingerprint) for one in made.removals}
    after |= {(one.member.customer_id, one.fingerprint) for one in made.adds}
    assert after == {(customer, one.fingerprint) for customer, one in wanted.items()}


@given(st.permutations(["meta_email", "meta_phone", "country"]))
def test_a_fingerprint_does_not_depend_on_the_order_of_columns(order) -> None:
    values = {"meta_email": "a", "meta_phone": "b", "country": "US"}

    assert fingerprint({column: values[column] for column in order}) == fingerprint(values)


def test_values_that_move_between_columns_change_the_fingerprint() -> None:
    prints = {
        fingerprint({"meta_email": "a"}),
        fingerprint({"meta_phone": "a"}),
        fingerprint({"meta_email": "a", "meta_phone": "a"}),
    }

    assert len(prints) == 3


def test_the_day_of_an_older_state_is_named(tools) -> None:
    standing = Standing(remote_id="1", completed=1, newest_as_of=DAY + timedelta(days=1))

    made = plan(tools.people([1]), [], standing)

    assert made.held.startswith(f"Held: the audience was delivered as of {date(2026, 11, 21)} already")
