from __future__ import annotations

import pytest

from audience_pipeline.ltv.champion_history import ChampionHistory, NoSuchChampionError

NOON = "2026-03-01T12:00:00+00:00"


def line(*versions: str) -> ChampionHistory:
    made = ChampionHistory()
    for version in versions:
        made = made.promoted(version, NOON)
    return made


def test_the_first_champion_follows_nobody() -> None:
    assert ChampionHistory().current is None
    assert line("1").current == "1"


def test_a_second_rollback_goes_one_further_back_and_not_forth() -> None:
    once = line("1", "2", "4").rolled_back(NOON)
    twice = once.rolled_back(NOON)

    assert (once.current, twice.current) == ("2", "1")
    with pytest.raises(NoSuchChampionError, match="no champion before version 1"):
        twice.rolled_back(NOON)


def test_one_can_go_back_several_champions_at_once() -> None:
    assert line("1", "2", "4").rolled_back(NOON, "1").line == ("1",)


def test_going_back_to_the_current_champion_changes_nothing() -> None:
    before = line("1", "2")

    assert before.rolled_back(NOON, "2") == before
    assert before.promoted("2", NOON) == before


def test_one_cannot_go_back_to_a_version_that_never_was_champion() -> None:
    with pytest.raises(NoSuchChampionError, match=r"version 3 was not champion .* earlier champions: 2, 1"):
        line("1", "2", "4").rolled_back(NOON, "3")


def test_going_back_without_any_champion_is_refused() -> None:
    with pytest.raises(NoSuchChampionError, match="no champion before the first model"):
        ChampionHistory().rolled_back(NOON)


def test_a_champion_that_was_promoted_again_takes_the_last_place() -> None:
    again = line("1", "2").rolled_back(NOON).promoted("2", NOON, "promoted")

    assert again.line == ("1", "2")
    assert [change.how for change in again.changes] == ["trained", "trained", "rolled back", "promoted"]


@pytest.mark.parametrize(
    ("moved_to", "expected"), [("3", ("1", "2", "3")), ("1", ("1",)), ("2", ("1", "2")), (None, ())]
)
def test_a_champion_that_was_moved_in_the_registry_by_hand_is_taken_for_what_it_is(
    moved_to: str | None, expected: tuple[str, ...]
) -> None:
    assert line("1", "2").found(moved_to, NOON).line == expected


def test_the_line_comes_back_from_its_tag_and_the_tag_stays_small() -> None:
    long = line(*(str(number) for number in range(1, 500)))

    assert ChampionHistory.from_json(long.as_json()) == long
    assert long.current == "499"
    assert len(long.as_json()) < 5000
    assert ChampionHistory.from_json(None) == ChampionHistory()
