"""Who was champion after whom, so that "the one before" has a meaning."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

MOST_CHAMPIONS = 40
"""Champions that are remembered; a tag of the registry holds no more than some thousand characters."""
MOST_CHANGES = 30


class NoSuchChampionError(Exception):
    """There is no champion to go back to; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of champion."""

    at: str
    """Time, UTC, ISO."""
    version: str
    """The champion from then on."""
    how: str
    """``trained``, ``promoted``, ``rolled back`` or ``found`` (moved by hand in the registry)."""


@dataclass(frozen=True, slots=True)
class ChampionHistory:
    """The line of champions, the current one last, and the latest changes.

    A rollback takes the last one off the line, so that another rollback goes one further back and never
    in a circle.
    """

    line: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def current(self) -> str | None:
        """The champion's version."""
        return self.line[-1] if self.line else None

    def promoted(self, version: str, at: str, how: str = "trained") -> ChampionHistory:
        """With a new champion; itself where that one is champion already."""
        if version == self.current:
            return self
        return self._with((*self.line, version)[-MOST_CHAMPIONS:], at, how)

    def rolled_back(self, at: str, to: str | None = None) -> ChampionHistory:
        """With the champion before, or an earlier one; itself where ``to`` is champion already.

        Raises:
            NoSuchChampionError: There is none before, or ``to`` never was.
        """
        if to is not None and to == self.current:
            return self
        before = self.line[:-1]
        if not before:
            one = f"version {self.current}" if self.line else "the first model"
            raise NoSuchChampionError(f"there is no champion before {one}")
        if to is None:
            return self._with(before, at, "rolled back")
        if to not in before:
            raise NoSuchChampionError(
                f"version {to} was not champion before version {self.current}; earlier champions: "
                f"{', '.join(dict.fromkeys(reversed(before)))}. "
                f"audience-pipeline ltv promote {to} makes it champion all the same"
            )
        return self._with(self._up_to(to), at, "rolled back")

    def found(self, champion: str | None, at: str) -> ChampionHistory:
        """Brought up to date with the champion that the registry names, whoever has changed it."""
        if champion is None:
            return replace(self, line=())
        if champion == self.current:
            return self
        if champion in self.line:
            return self._with(self._up_to(champion), at, "found")
        return self.promoted(champion, at, "found")

    def _up_to(self, version: str) -> tuple[str, ...]:
        last = max(place for place, one in enumerate(self.line) if one == version)
        return self.line[: last + 1]

    def _with(self, line: tuple[str, ...], at: str, how: str) -> ChampionHistory:
        return ChampionHistory(line, (*self.changes, Change(at, line[-1], how))[-MOST_CHANGES:])

    def as_json(self) -> str:
        """For a tag of the registry."""
        return json.dumps({"line": self.line, "changes": [asdict(change) for change in self.changes]})

    @classmethod
    def from_json(cls, text: str | None) -> ChampionHistory:
        """The inverse of :meth:`as_json`; empty from None."""
        if text is None:
            return cls()
        data: dict[str, Any] = json.loads(text)
        return cls(tuple(data["line"]), tuple(Change(**change) for change in data["changes"]))
