"""What is wrong with a request: where, why and what to do; never a value of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    field: str
    """A path such as ``customers[0].transactions[3].transaction_amount``; empty is the whole request."""
    reason: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        """For the answer."""
        return {"field": self.field, "reason": self.reason, "remedy": self.remedy}


class RefusedError(Exception):
    """A request is not answered.

    Attributes:
        status: Of HTTP.
        problems: At least one.
        retry_after: Seconds after which it may be tried again; None where that helps nothing.
    """

    def __init__(self, status: int, problems: Sequence[Problem], retry_after: int | None = None) -> None:
        super().__init__(problems[0].reason)
        self.status, self.problems, self.retry_after = status, list(problems), retry_after


def refused(status: int, field: str, reason: str, remedy: str) -> RefusedError:
    """One problem as an error."""
    return RefusedError(status, [Problem(field, reason, remedy)])
