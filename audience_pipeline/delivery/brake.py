"""The brake: which changes of an audience wait until a person has looked at them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

LARGE_SHARE = 0.3
LARGE_NUMBER = 1_000
"""More than this share and more than this number of people, removed or added at once, are a large change."""
DOUBLING_PEOPLE = 100
"""A change that adds fewer people than this may double an audience unasked.

Small, young audiences double within days, and nobody would go on reading a question a day. A hundred is also
about what platforms ask for before they show an ad to an audience at all: fewer people do little harm alone.
"""
REFRESH_AFTER = 0.9
"""Share of a membership's life on the platform after which a person is sent again at the latest."""
HOW_TO_CONFIRM = "`audiences sync --yes`, or `confirm: true` in the launch"


@dataclass(frozen=True, slots=True)
class Caution:
    """How carefully platforms are told."""

    large_share: float = LARGE_SHARE
    large_number: int = LARGE_NUMBER
    refresh_after: float = REFRESH_AFTER


CAUTION = Caution()


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an audience before planning."""

    remote_id: str | None = None
    """None: it does not exist on the platform."""
    completed: int | None = None
    """People of the last completed delivery, from which on the brake watches; None before the first."""
    foreign: bool = False
    """It exists, but this ledger did not make it: nobody knows whom it holds."""
    newest_as_of: date | None = None
    shown_name: str = ""
    """Its name on the platform, where it exists."""
    retired: bool = False
    """No definition asks for it any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """What would happen to an audience. Counts are people."""

    wanted: int
    there: int
    """Who may be on the platform now, without those whose removal was let through already."""
    leaving: int
    """Of those there."""
    without_consent: int
    """Of those leaving."""
    new: int

    @property
    def by_choice(self) -> int:
        """People who leave although they consent: their removal can wait for an answer."""
        return self.leaving - self.without_consent


def reason_to_hold(
    standing: Standing, change: Change, *, remote_name: str, as_of: date, caution: Caution = CAUTION
) -> str:
    """Why a person should look at this change first, and what to do then; empty when there is no need.

    An audience that no definition asks for waits as long as somebody is there who would have to leave. Of
    the others, one that has completed a delivery waits when the change

    - would empty it, whatever its size: everybody there would leave;
    - would at least double it and add ``DOUBLING_PEOPLE`` or more;
    - would remove or add more than ``large_share`` of it and more than ``large_number`` people.

    People without consent are never held up and never a reason: an audience may become empty through them.
    """
    if standing.retired:
        return _of_a_retired_audience(change)
    if standing.foreign and change.wanted:
        return (
            f"Held: an audience named '{remote_name}' exists that was not made from this ledger, so nobody "
            "knows whom it holds. Rename or delete it on the platform; or confirm, and it is deleted and "
            f"made anew ({HOW_TO_CONFIRM})."
        )
    if standing.newest_as_of is not None and as_of < standing.newest_as_of:
        return (
            f"Held: the audience was delivered as of {standing.newest_as_of} already, and {as_of} is older. "
            f"Deliver the newest state, or confirm to go back ({HOW_TO_CONFIRM})."
        )
    if standing.completed is None:
        return ""
    what = _what_is_too_much(standing.completed, change, caution)
    remedy = f"Look at what changed in the data or in the definition, then confirm ({HOW_TO_CONFIRM})."
    return f"Held: {what} {remedy}" if what else ""


def _of_a_retired_audience(change: Change) -> str:
    if not change.by_choice:
        return ""
    return (
        f"Held: no definition asks for it any more, and {people(change.by_choice)} would be removed. "
        f"Confirm to empty it ({HOW_TO_CONFIRM}), or restore the file of its definition."
    )


def _what_is_too_much(completed: int, change: Change, caution: Caution) -> str:
    # Measured against the last completed delivery, so that a killed run cannot make the rest look large.
    before = max(change.there, completed)
    if change.by_choice and change.leaving == change.there:
        after = f"{people(change.wanted)} would take their place" if change.wanted else "nobody would be left"
        return f"it would empty the audience: {people(change.by_choice)} would be removed and {after}."
    if change.new >= DOUBLING_PEOPLE and change.wanted >= 2 * before:
        return (
            f"it would at least double the audience: {people(change.new)} would be added, and {before:,} "
            "are there now."
        )
    for number, word in ((change.by_choice, "removed"), (change.new, "added")):
        if number > caution.large_number and number > caution.large_share * before:
            return (
                f"{people(number)} would be {word}, and {before:,} are there now, which is more than "
                f"{caution.large_share:.0%} and more than {people(caution.large_number)} at once."
            )
    return ""


def people(number: int) -> str:
    """A number of people in words: '1 person', '2,000 people'."""
    return "1 person" if number == 1 else f"{number:,} people"
