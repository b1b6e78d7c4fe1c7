"""Errors as Google's APIs report them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any

from audience_pipeline.sandbox.google_schema import Violation

DOMAIN = "datamanager.googleapis.com"
VIOLATIONS_LIMIT = 100
_ids = count(1)


def request_id() -> str:
    """An id to quote to support."""
    return f"t-{next(_ids):08x}"


class GoogleError(Exception):
    """An error with its HTTP status, canonical code and reason."""

    def __init__(
        self,
        http: int,
        text: str,
        status: str = "INVALID_ARGUMENT",
        reason: str = "INVALID_ARGUMENT",
        *,
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.http = http
        self.text = text
        self.status = status
        self.reason = reason
        self.violations = violations
        self.metadata = metadata


def invalid(violations: Sequence[Violation]) -> GoogleError:
    """The whole request fails because of some fields."""
    return GoogleError(400, "There was a problem with the request.", violations=violations)


def wrong(field: str, reason: str, description: str = "") -> GoogleError:
    """The whole request fails because of one field."""
    return invalid([Violation(field, description or reason.replace("_", " ").capitalize() + ".", reason)])


def strict(value: Any, known: Collection[str]) -> dict[str, Any]:
    """An object of known names only.

    Raises:
        GoogleError: 400.
    """
    if not isinstance(value, dict):
        raise GoogleError(400, "Invalid JSON payload received.")
    unknown = set(value) - set(known)
    if unknown:
        text = f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
        raise GoogleError(400, text)
    return value


def envelope(error: GoogleError) -> dict[str, Any]:
    """The body of an error answer."""
    trace = request_id()
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.reason,
            "domain": DOMAIN,
            "metadata": dict(error.metadata or {"requestId": trace}),
        },
        {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": trace},
    ]
    if error.violations:
        fields = [
            {"field": violation.field, "description": violation.description, "reason": violation.reason}
            for violation in error.violations[:VIOLATIONS_LIMIT]
        ]
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": fields})
    return {"error": {"code": error.http, "message": error.text, "status": error.status, "details": details}}
