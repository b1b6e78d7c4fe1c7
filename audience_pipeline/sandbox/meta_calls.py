"""One call to the Graph API: its parameters, read strictly, and its errors."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from audience_pipeline.sandbox.wire import parse_json
from audience_pipeline.sandbox.world import World

ALWAYS_ALLOWED = ("access_token", "appsecret_proof", "appsecret_time", "format", "pretty", "debug", "locale")


class GraphError(Exception):
    """An error as the Graph API reports it."""

    def __init__(
        self,
        code: int,
        text: str,
        *,
        subcode: int | None = None,
        status: int = 400,
        transient: bool = False,
        fields: Collection[str] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text if text.startswith("(#") else f"(#{code}) {text}"
        self.subcode = subcode
        self.status = status
        self.transient = transient
        self.fields = fields
        self.headers: dict[str, str] = {}


def missing_object(method: str, node: str) -> GraphError:
    """The object does not exist, or not for this token."""
    return GraphError(
        100,
        f"Unsupported {method.lower()} request. Object with ID '{node}' does not exist, cannot be loaded due "
        "to missing permissions, or does not support this operation.",
        subcode=33,
    )


@dataclass(frozen=True, slots=True)
class GraphCall:
    """One call, its method overrides applied. In a form every parameter is text, maybe JSON text."""

    world: World
    method: str
    node: str
    parameters: dict[str, Any] = field(repr=False)
    address: str

    def allow(self, names: Collection[str]) -> None:
        """Refuse a parameter that the edge does not know.

        Raises:
            GraphError: 100, naming them.
        """
        unknown = sorted(set(self.parameters) - set(names))
        if unknown:
            raise GraphError(
                100, f"Param {unknown[0]} is not a known parameter of {self.node}.", fields=unknown
            )

    def text(self, name: str) -> str | None:
        """A parameter of text."""
        value = self.parameters.get(name)
        if value is not None and not isinstance(value, str):
            raise GraphError(100, f"Param {name} must be a string.", fields=[name])
        return value

    def need(self, name: str) -> str:
        """A parameter of text that must not be missing or empty."""
        value = self.text(name)
        if not value:
            raise GraphError(100, f"The parameter {name} is required.", fields=[name])
        return value

    def choice(self, name: str, values: Collection[str]) -> str | None:
        """A parameter with a closed set of values."""
        value = self.text(name)
        if value is not None and value not in values:
            raise GraphError(100, f"Param {name} must be one of {{{', '.join(values)}}}.", fields=[name])
        return value

    def flag(self, name: str) -> bool:
        """A truth value; false when absent."""
        value = self.parameters.get(name, False)
        if value in {True, "true", "1"}:
            return True
        if value in {False, "false", "0"}:
            return False
        raise GraphError(100, f"Param {name} must be a boolean.", fields=[name])

    def integer(self, name: str) -> int | None:
        """A whole number, as number or digits."""
        value = self.parameters.get(name)
        return None if value is None else as_integer(value, name)

    def structure(self, name: str) -> Any:
        """An object or a list, as such or as JSON text; None when absent."""
        value = self.parameters.get(name)
        if isinstance(value, str):
            try:
                value = parse_json(value)
            except ValueError:
                raise GraphError(100, f"Param {name} is not valid JSON.", fields=[name]) from None
        if value is not None and not isinstance(value, dict | list):
            raise GraphError(100, f"Param {name} must be an object or an array.", fields=[name])
        return value

    def names(self, name: str) -> list[str]:
        """A list of names: JSON, or separated by commas."""
        value = self.parameters.get(name)
        if isinstance(value, str) and not value.startswith("["):
            return [part.strip() for part in value.split(",") if part.strip()]
        value = self.structure(name) or []
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise GraphError(100, f"Param {name} must be a list of names.", fields=[name])
        return value


def as_integer(value: object, name: str) -> int:
    """A whole number, as number or digits.

    Raises:
        GraphError: 100.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    raise GraphError(100, f"Param {name} must be an integer.", fields=[name])
