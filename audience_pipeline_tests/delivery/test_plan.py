from __future__ import annotations

import json
import timeit
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_pipeline.delivery.brake import Caution, Standing
from audience_pipeline.delivery.plan import decide
from audience_pipeline.delivery.recipients import fingerprints
from audience_pipeline.ledger.records import MemberState
from audience_pipeline.platforms.contract import GOOGLE, META, TIKTOK

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = NOW.date()
THERE = Standing(remote_id="1", completed=0, shown_name="shop best")


class Sent:
    """What was ever sent: given frames of RECIPIENTS."""

    def __init__(self, *frames: pl.DataFrame) -> None:
        self._rows = pl.concat(frames).unique(["customer_id", "fingerprint"]) if frames else None

    def of(self, people: pl.DataFrame) -> pl.DataFrame:
        assert self._rows is not None
        found = people.join(self._rows, on=["customer_id", "fingerprint"], how="inner")
        assert found.height == people.height
        return found

    def every(self, customers: pl.Series) -> pl.DataFrame:
        assert self._rows is not None
        return self._rows.filter(pl.col("customer_id").is_in(customers.implode()))


def delivered(wanted, *, state=MemberState.ADDED, in_flight=False, age=0.0) -> pl.DataFrame:
    """MEMBERS with what was sent of them, which :func:`plan` takes off again."""
    return wanted.with_columns(
        state=pl.lit(state.value),
        in_flight=pl.lit(in_flight),
        delivered_at=pl.lit(NOW - timedelta(days=age)).dt.cast_time_unit("us"),
        batch_id=pl.lit("b"),
    )


def plan(wanted, there, standing=THERE, capabilities=META, *, ever=(), **options):
    columns = ["customer_id", "fingerprint"]
    sent = there.select(*columns, *capabilities.identifiers)
    return decide(
        capabilities,
        wanted,
        there.select(*columns, "state", "in_flight", "delivered_at", "batch_id").sort(columns),
        standing,
        Sent(sent, *ever),
        remote_name="shop best",
        as_of=DAY,
        now=NOW,
        **options,
    )


def removed(made) -> list[str]:
    return made.removals["customer_id"].to_list()


def added(made) -> list[str]:
    return made.adds["customer_id"].to_list()


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

    made = plan(tools.people([0], email="b"), delivered(then))

    assert made.removals.select(then.columns).equals(then)


def test_an_audience_that_is_not_there_is_created_only_for_somebody(tools) -> None:
    assert plan(tools.people([0]), delivered(tools.people([])), Standing()).creates
    assert not plan(tools.people([]), delivered(tools.people([])), Standing()).creates


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

    made = plan(tools.people([]), there, consent_lost={"c000001"})

    assert made.urgent["customer_id"].to_list() == ["c000001"]
    assert removed(made) == []


def test_people_without_consent_are_removed_first(tools) -> None:
    made = plan(tools.people([]), delivered(tools.people(range(3))), consent_lost={"c000002"}, confirmed=True)

    assert removed(made) == ["c000002", "c000000", "c000001"]
    assert made.counts.without_consent == 1


def test_whoever_shares_an_identifier_with_a_removed_person_is_doubtful(tools) -> None:
    phone = {"meta_phone": "9" * 64}
    house = tools.wanted({"a": {"meta_email": "a" * 64, **phone}, "b": {"meta_email": "b" * 64, **phone}})
    alone = tools.people([5])

    made = plan(pl.concat([house.tail(1), alone]), delivered(pl.concat([house, alone])))

    assert removed(made) == ["a"]
    assert made.doubtful["customer_id"].to_list() == ["b"]


def test_a_common_postal_code_makes_nobody_doubtful(tools) -> None:
    place = {"postal_code": "94045", "country": "US"}
    people = tools.wanted({name: {"meta_email": name * 64, **place} for name in ("a", "b")})

    assert plan(people.tail(1), delivered(people)).doubtful.height == 0


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

    made = plan(tools.people([]), there, Standing(remote_id="1", completed=size))

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

    made = plan(
        tools.people([]),
        delivered(people),
        Standing(remote_id="1", completed=3),
        consent_lost=set(people["customer_id"]),
    )

    assert (made.held, made.removals.height) == ("", 3)


def test_a_small_audience_may_lose_all_but_one(tools) -> None:
    standing = Standing(remote_id="1", completed=900)

    made = plan(tools.people([0]), delivered(tools.people(range(900))), standing)

    assert (made.held, made.removals.height) == ("", 899)


def test_whoever_is_being_removed_already_is_not_asked_about_again(tools) -> None:
    there = delivered(tools.people(range(3)), state=MemberState.REMOVING, in_flight=True)

    made = plan(tools.people([]), there, Standing(remote_id="1", completed=0))

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
    assert (made.adds.height > 0) != held


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

    assert (made.held, made.adds.height) == ("", 300)


@pytest.mark.parametrize("completed", [None, 3])
def test_an_audience_that_no_definition_asks_for_is_held_but_for_people_without_consent(
    tools, completed
) -> None:
    there = delivered(tools.people(range(3)))
    standing = Standing(remote_id="1", completed=completed, retired=True)

    made = plan(tools.people([]), there, standing, consent_lost={"c000001"})
    confirmed = plan(tools.people([]), there, standing, consent_lost={"c000001"}, confirmed=True)

    assert made.held == (
        "Held: no definition asks for it any more, and 2 people would be removed. Confirm to empty it "
        "(`audiences sync --yes`, or `confirm: true` in the launch), or restore the file of its definition."
    )
    assert removed(made) == ["c000001"]
    assert (confirmed.held, confirmed.removals.height) == ("", 3)


def test_a_retired_audience_that_holds_nobody_asks_nothing(tools) -> None:
    standing = Standing(remote_id="1", completed=3, retired=True)
    people = tools.people(range(2))

    assert plan(tools.people([]), delivered(tools.people([])), standing).held == ""
    assert (
        plan(tools.people([]), delivered(people), standing, consent_lost=set(people["customer_id"])).held
        == ""
    )


def test_a_platform_that_keeps_no_empty_audience_has_it_deleted_with_its_last_people(tools) -> None:
    people = tools.people(range(3), capabilities=TIKTOK)
    there = delivered(people, state=MemberState.ADDING, in_flight=True)
    meta_there = delivered(tools.people(range(3)), state=MemberState.ADDING, in_flight=True)
    standing = Standing(remote_id="1", completed=3)

    held = plan(people.clear(), there, standing, TIKTOK)
    made = plan(people.clear(), there, standing, TIKTOK, confirmed=True)
    meta = plan(tools.people([]), meta_there, standing, confirmed=True)

    assert (held.deletes, made.deletes, meta.deletes) == (False, True, False)
    assert (made.to_remove, made.counts.leaving, made.counts.waiting, made.urgent.height) == (3, 3, 0, 0)
    assert "The audience is deleted: the platform keeps no audience that is empty." in made.text()
    assert made.as_dict()["deletes"]


def test_the_first_fill_is_never_held(tools) -> None:
    made = plan(tools.people(range(5_000)), delivered(tools.people(range(10))), Standing(remote_id="1"))

    assert (made.held, made.adds.height) == ("", 4_990)


def test_a_held_plan_still_removes_people_without_consent(tools) -> None:
    standing = Standing(remote_id="1", completed=4_000)
    there = delivered(tools.people(range(4_000)))

    made = plan(tools.people([]), there, standing, consent_lost={"c000007"})
    confirmed = plan(tools.people([]), there, standing, consent_lost={"c000007"}, confirmed=True)

    assert "3,999 people would be removed and nobody would be left" in made.held
    assert (removed(made), made.adds.height) == (["c000007"], 0)
    assert confirmed.removals.height == 4_000


def test_a_held_plan_sends_again_whom_a_removal_may_have_taken_along(tools) -> None:
    people = tools.people(range(3))
    there = pl.concat([delivered(people.head(2)), delivered(people.tail(1), state=MemberState.DOUBTFUL)])

    made = plan(people.clear(), there, Standing(remote_id="1", completed=3))

    assert made.held
    assert (removed(made), added(made), made.counts.resent) == ([], ["c000002"], 1)
    assert made.adds["fingerprint"].to_list() == people.tail(1)["fingerprint"].to_list()


def test_removals_without_consent_alone_never_hold_a_plan(tools) -> None:
    people = tools.people(range(4_000))
    standing = Standing(remote_id="1", completed=4_000)

    made = plan(tools.people([]), delivered(people), standing, consent_lost=set(people["customer_id"]))

    assert (made.held, made.removals.height) == ("", 4_000)


def test_a_plan_says_what_it_does_in_counts_alone(tools) -> None:
    there = pl.concat(
        [delivered(tools.people([0, 1])), delivered(tools.people([2]), state=MemberState.DOUBTFUL)]
    )

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

    after = set(there.select("customer_id", "fingerprint").rows())
    after -= set(made.removals.select("customer_id", "fingerprint").rows())
    after |= set(made.adds.select("customer_id", "fingerprint").rows())
    assert after == set(wanted.select("customer_id", "fingerprint").rows())


@given(wanted=identities, there=identities, in_flight=st.booleans(), lost=st.sets(st.sampled_from("abcd")))
def test_the_counts_of_a_plan_are_everybody_who_is_wanted_and_nobody_without_consent(
    tools, wanted, there, in_flight, lost
) -> None:
    people = tools.wanted(wanted)

    made = plan(people, delivered(tools.wanted(there), in_flight=in_flight), consent_lost=lost)

    counts = made.counts
    kinds = (counts.unchanged, counts.new, counts.changed, counts.refreshed, counts.resent, counts.refused)
    assert counts.wanted == len(set(wanted) - lost)
    assert sum(kinds) <= counts.wanted <= sum(kinds) + counts.waiting
    assert not lost.intersection(added(made))
    assert counts.without_consent == len(lost & set(there))
    leave = {*removed(made), *made.urgent["customer_id"]}
    assert lost & set(there) <= leave


@given(people=identities, other=identities, in_flight=st.booleans())
def test_whoever_waits_shares_an_identifier_with_somebody_in_flight(tools, people, other, in_flight) -> None:
    """Of people who share nothing with a batch that is processed, nobody waits for it."""
    apart = {f"x{name}": {"meta_email": f"x{name}"} for name in people}
    there = pl.concat([delivered(tools.wanted(other), in_flight=in_flight)])

    made = plan(tools.wanted({**other, **apart}), there, confirmed=True)

    assert {*apart} <= {*added(made)}


def test_every_variant_that_was_ever_sent_of_somebody_without_consent_is_removed(tools) -> None:
    now, before = tools.people([0, 1], email="b"), tools.people([0, 1], email="a")

    made = plan(tools.people([]), delivered(now), consent_lost={"c000001"}, confirmed=True, ever=[before])

    assert removed(made) == ["c000001", "c000001", "c000000"]
    assert (made.to_remove, made.counts.without_consent) == (2, 1)
    assert made.removals["lost"].to_list() == [True, True, False]


def test_whoever_shares_an_old_address_of_somebody_without_consent_is_doubtful(tools) -> None:
    there = tools.wanted({"a": {"meta_email": "new"}, "b": {"meta_email": "old"}})
    before = tools.wanted({"a": {"meta_email": "old"}})

    made = plan(there, delivered(there), consent_lost={"a"}, ever=[before])

    assert made.doubtful["customer_id"].to_list() == ["b"]


def test_whom_the_platform_has_refused_is_left_out_until_their_identifiers_change(tools) -> None:
    people = tools.people([0, 1])
    refused = people.head(1).select("customer_id", "fingerprint", reason=pl.lit("bad"))
    changed = tools.people([0, 1], email="b")

    left_out = plan(people, delivered(people.clear()), refused=refused)
    sent = plan(changed, delivered(people.clear()), refused=refused)

    assert (added(left_out), left_out.counts.refused) == (["c000001"], 1)
    assert "1 person not sent again: the platform has refused them as they are." in left_out.text()
    assert added(sent) == ["c000000", "c000001"]


@pytest.mark.parametrize(("age", "due"), [(0.79, 0), (0.85, 1), (0.9, 2)])
def test_people_are_sent_again_between_eight_and_nine_tenths_of_their_life(tools, age, due) -> None:
    people = tools.people(range(200), capabilities=GOOGLE)

    made = plan(people, delivered(people, age=age * 540), capabilities=GOOGLE)

    assert [made.counts.refreshed == 0, 0 < made.counts.refreshed < 200, made.counts.refreshed == 200][due]
    assert made.counts.refreshed + made.counts.unchanged == 200


def test_how_careful_a_plan_is_can_be_set(tools) -> None:
    there, standing = delivered(tools.people(range(300))), Standing(remote_id="1", completed=300)
    caution = Caution(large_share=0.1, large_number=50)

    made = plan(tools.people(range(240)), there, standing, caution=caution)

    assert "more than 10% and more than 50 people at once" in made.held


def test_another_name_on_the_platform_is_a_rename(tools) -> None:
    people = tools.people([1])

    made = plan(people, delivered(people), Standing(remote_id="1", completed=1, shown_name="old name"))

    assert made.renames == "old name"
    assert "The audience is renamed: it is called 'old name' there now." in made.text()


def test_a_plan_is_made_in_milliseconds(tools) -> None:
    people = tools.people(range(20_200))
    wanted, there = people.slice(200), delivered(people.head(20_000))
    plan(wanted, there)

    same = min(timeit.repeat(lambda: plan(there.select(people.columns), there), number=1, repeat=5))
    changed = min(timeit.repeat(lambda: plan(wanted, there), number=1, repeat=5))

    # What idle machines do in 2 and 15; the test's own lookup of identifiers is within it.
    assert same < 0.1
    assert changed < 0.3


@given(st.permutations(["meta_email", "meta_phone", "country"]))
def test_a_fingerprint_does_not_depend_on_the_order_of_columns(tools, order) -> None:
    people = tools.wanted({"a": {"meta_email": "a", "meta_phone": "b", "country": "US"}})

    assert fingerprints(people, order).equals(fingerprints(people, sorted(order)))


def test_values_that_move_between_columns_change_the_fingerprint(tools) -> None:
    people = tools.wanted(
        {"a": {"meta_email": "a"}, "b": {"meta_phone": "a"}, "c": {"meta_email": "a", "meta_phone": "a"}}
    )

    assert people["fingerprint"].n_unique() == 3


def test_the_day_of_an_older_state_is_named(tools) -> None:
    standing = Standing(remote_id="1", completed=1, newest_as_of=DAY + timedelta(days=1))

    made = plan(tools.people([1]), delivered(tools.people([])), standing)

    assert made.held.startswith(f"Held: the audience was delivered as of {date(2026, 11, 21)} already")
