"""Strict JSON as Google reads it: messages, enumerations by name or number, 64-bit numbers as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field."""

    field: str
    description: str
    reason: str


Reader = Callable[[Any, str, list[Violation]], Any]
"""Reads a value found at a path; notes what is wrong and then returns None."""


def snake(name: str) -> str:
    """``userData`` as ``user_data``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _invalid(path: str, kind: str) -> Violation:
    return Violation(path, f"Invalid value at '{path}' ({kind})", "INVALID_ARGUMENT")


def text(value: Any, path: str, violations: list[Violation]) -> str | None:
    """A string."""
    if isinstance(value, str):
        return value
    violations.append(_invalid(path, "TYPE_STRING"))
    return None


def boolean(value: Any, path: str, violations: list[Violation]) -> bool | None:
    """A truth value."""
    if isinstance(value, bool):
        return value
    violations.append(_invalid(path, "TYPE_BOOL"))
    return None


def integer(bits: int) -> Reader:
    """A whole number of 32 or 64 bits, as number or digits, in range."""
    limit = 2 ** (bits - 1)

    def read(value: Any, path: str, violations: list[Violation]) -> int | None:
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit:
            return value
        violations.append(_invalid(path, f"TYPE_INT{bits}"))
        return None

    return read


def duration(value: Any, path: str, violations: list[Violation]) -> float | None:
    """Seconds from ``"7776000s"``."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}(\.\d{1,9})?s", value):
        return float(value[:-1])
    violations.append(_invalid(path, "type.googleapis.com/google.protobuf.Duration"))
    return None


def timestamp(value: Any, path: str, violations: list[Violation]) -> float | None:
    """Seconds since the epoch from RFC 3339 with ``Z`` or an offset."""
    if isinstance(value, str) and re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", value
    ):
        try:
            # Python reads at most six digits of a second.
            return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value)).timestamp()
        except ValueError:
            pass
    violations.append(_invalid(path, "type.googleapis.com/google.protobuf.Timestamp"))
    return None


def anything(value: Any, _path: str, _violations: list[Violation]) -> Any:
    """A part of the message that the sandbox knows by name alone."""
    return value


def enumeration(values: type[IntEnum]) -> Reader:
    """A member by name or by number."""
    numbers = {int(value): value for value in values}

    def read(value: Any, path: str, violations: list[Violation]) -> IntEnum | None:
        if isinstance(value, str) and value in values.__members__:
            return values[value]
        if isinstance(value, int) and not isinstance(value, bool) and value in numbers:
            return numbers[value]
        violations.append(
            Violation(path, f"Invalid value at '{path}' (enum {values.__name__})", "INVALID_ENUM_VALUE")
        )
        return None

    return read


def repeated(item: Reader) -> Reader:
    """A list."""

    def read(value: Any, path: str, violations: list[Violation]) -> list[Any] | None:
        if not isinstance(value, list):
            violations.append(_invalid(path, "repeated field"))
            return None
        return [item(part, f"{path}[{place}]", violations) for place, part in enumerate(value)]

    return read


def message(fields: Mapping[str, Reader], one_of: tuple[str, ...] = ()) -> Reader:
    """An object of known fields, camelCase or as in the proto; of ``one_of`` at most one may be set.

    Reads into a dictionary by camelCase name; a field that is null counts as absent.
    """
    known = {
        spelling: (name, snake(name), reader)
        for name, reader in fields.items()
        for spelling in (name, snake(name))
    }

    def read(value: Any, path: str, violations: list[Violation]) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            violations.append(_invalid(path, "message"))
            return None
        found: dict[str, Any] = {}
        for spelling, part in value.items():
            entry = known.get(spelling)
            if entry is None:
                where = f" at '{path}'" if path else ""
                violations.append(
                    Violation(
                        path,
                        f'Invalid JSON payload received. Unknown name "{spelling}"{where}: '
                        "Cannot find field.",
                        "INVALID_ARGUMENT",
                    )
                )
                continue
            name, proto_name, reader = entry
            if part is not None:
                found[name] = reader(part, f"{path}.{proto_name}" if path else proto_name, violations)
        if len(one_of) > 1 and sum(name in found for name in one_of) > 1:
            violations.append(_invalid(path, "oneof field is set more than once"))
        return found

    return read


def rendered(value: Any, *, numbers: bool) -> Any:
    """An answer with enumerations as names, or as numbers when asked so."""
    if isinstance(value, IntEnum):
        return int(value) if numbers else value.name
    if isinstance(value, dict):
        return {name: rendered(part, numbers=numbers) for name, part in value.items()}
    if isinstance(value, list):
        return [rendered(part, numbers=numbers) for part in value]
    return value
