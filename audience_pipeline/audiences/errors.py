"""What can go wrong when audiences are evaluated, stored and read."""

from __future__ import annotations


class EvaluationError(Exception):
    """A rule could not be answered over this profile."""


class MembershipError(Exception):
    """Stored memberships cannot be read; the message says what to refresh."""
