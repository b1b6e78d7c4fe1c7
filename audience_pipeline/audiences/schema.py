"""What may stand in a definition file: keys, values and rules, each checked so that all mistakes show."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from audience_pipeline.audiences.criteria import CriterionError, compile_where
from audience_pipeline.audiences.documents import (
    DocumentError,
    Entries,
    Items,
    Node,
    Problem,
    Scalar,
    read_document,
)
from audience_pipeline.audiences.fields import FIELDS
from audience_pipeline.audiences.rules import AllOf, AnyOf, In, Not, Rule, Where
from audience_pipeline.audiences.words import nearest, odd_letters, shown
from audience_pipeline.platforms.contract import Platform

AUDIENCE_KEYS = (
    "name", "description", "include", "exclude", "suppress", "platforms", "refresh", "holdout_percent",
)  # fmt: skip
RULE_KEYS = ("all", "any", "not", "where", "in", "not_in")
SUPPRESSION_KEYS = ("name", "description", "include")
REFRESHES = ("daily",)
MAX_HOLDOUT = 50
T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PERCENT = re.compile(r"\d{1,3}(\.\d{1,6})?")


class _Wrong(Exception):  # noqa: N818 -- it never leaves this module
    """A value that is not what its place asks for."""


@dataclass(slots=True)
class ReadAudience:
    """What could be read of an audience file; ``values`` fits ``Definition`` when ``complete``."""

    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    complete: bool = False


class FileReader:
    """Reads one file and adds what is wrong with it to a list of problems."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.lines: dict[str, int] = {}

    def problem(self, line: int, message: str) -> None:
        """Note a mistake in a line of the file."""
        self.problems.append(Problem(self.file, line, message))

    def audience(self, content: bytes) -> ReadAudience:
        """The one audience of a file."""
        before = len(self.problems)
        read = ReadAudience(lines=self.lines)
        entries = self._document(content, AUDIENCE_KEYS)
        if entries is None:
            return read
        self.lines |= entries.key_lines
        read.name = self._value(entries, "name", _name) or ""
        read.values = {
            "name": read.name,
            "description": self._value(entries, "description", _text),
            "include": self._value(entries, "include", self._rule),
            "exclude": self._value(entries, "exclude", self._rule, required=False),
            "suppress": self._value(entries, "suppress", self._suppress, required=False),
            "platforms": self._value(entries, "platforms", self._platforms),
            "refresh": self._value(entries, "refresh", _refresh, required=False) or "daily",
            "holdout_percent": self._value(entries, "holdout_percent", _percent, required=False) or 0.0,
        }
        read.complete = len(self.problems) == before
        return read

    def suppressions(self, content: bytes) -> dict[str, tuple[str, Rule] | None]:
        """The rules of a suppression file, name to description and rule; None for one with mistakes."""
        entries = self._document(content, ("rules",))
        nodes = self._value(entries, "rules", _items) if entries else None
        read: dict[str, tuple[str, Rule] | None] = {}
        for node in nodes or ():
            if not isinstance(node, Entries):
                self.problem(node.line, f"a suppression rule has the keys {', '.join(SUPPRESSION_KEYS)}")
                continue
            self._check_keys(node, SUPPRESSION_KEYS)
            name = self._value(node, "name", _name)
            description = self._value(node, "description", _text)
            include: Rule | None = self._value(node, "include", partial(self._rule, composed=False))
            if name in read:
                self.problem(node.line, f"the suppression rule {name} occurs twice")
            elif name:
                read[name] = (description, include) if description and include else None
        return read

    def _document(self, content: bytes, keys: Sequence[str]) -> Entries | None:
        try:
            node = read_document(self.file, content)
        except DocumentError as error:
            self.problems.append(error.problem)
            return None
        if not isinstance(node, Entries):
            self.problem(
                node.line, f"the file must consist of keys and values; the keys are {', '.join(keys)}"
            )
            return None
        self._check_keys(node, keys)
        return node

    def _check_keys(self, node: Entries, keys: Sequence[str]) -> None:
        for key in node.entries:
            if key not in keys:
                allowed = f"; allowed here are {', '.join(keys)}"
                said = f"unknown key {shown(key)}{odd_letters(key)}{nearest(key, keys)}"
                self.problem(node.key_lines[key], said + allowed)

    def _value(
        self, entries: Entries, key: str, read: Callable[[Node], T], *, required: bool = True
    ) -> T | None:
        node = entries.entries.get(key)
        if node is None:
            if required:
                self.problem(entries.line, f"{key} is missing")
            return None
        if isinstance(node, Scalar) and node.empty:
            remedy = "" if required else ": give one or remove it"
            self.problem(entries.key_lines[key], f"{key} has no value{remedy}")
            return None
        return self._read(node, read)

    def _read(self, node: Node, read: Callable[[Node], T]) -> T | None:
        """Go on after a mistake, so that the others are found too."""
        try:
            return read(node)
        except _Wrong as wrong:
            self.problem(node.line, str(wrong))
            return None

    def _each(self, nodes: Sequence[Node], read: Callable[[Node], T | None]) -> list[T]:
        return [value for node in nodes if (value := self._read(node, read)) is not None]

    def _suppress(self, node: Node) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._each(_items(node), _name)))

    def _platforms(self, node: Node) -> tuple[Platform, ...]:
        known = [platform.value for platform in Platform]
        names = self._each(_items(node), _text)
        if not _items(node):
            raise _Wrong(f"platforms is empty: name some of {', '.join(known)}")
        if unknown := [name for name in names if name not in known]:
            said = f"unknown platform {shown(unknown[0])}{nearest(unknown[0], known)}"
            raise _Wrong(f"{said}; there are {', '.join(known)}")
        return tuple(platform for platform in Platform if platform.value in names)

    def _rule(self, node: Node, *, composed: bool = True) -> Rule | None:
        keys = RULE_KEYS if composed else tuple(key for key in RULE_KEYS if key not in ("in", "not_in"))
        if not isinstance(node, Entries):
            raise _Wrong(f"a rule is expected here, with one of {', '.join(keys)}")
        self._check_keys(node, keys)
        if len(node.entries) != 1:
            raise _Wrong("a rule has exactly one key: put several rules as a list under all: or any:")
        key = next(iter(node.entries))
        return self._rule_of(key, node, partial(self._rule, composed=composed)) if key in keys else None

    def _rule_of(self, key: str, node: Entries, rule: Callable[[Node], Rule | None]) -> Rule | None:
        match key:
            case "where":
                return self._value(node, key, self._where)
            case "not":
                inner: Rule | None = self._value(node, key, rule)
                return Not(inner) if inner else None
            case "in" | "not_in":
                name = self._value(node, key, _name)
                if name is None:
                    return None
                self.lines.setdefault(f"in {name}", node.key_lines[key])
                return In(name) if key == "in" else Not(In(name))
            case _:
                items = self._value(node, key, _items)
                if items is None:
                    return None
                if not items:
                    raise _Wrong(f"{key} is an empty list: it needs at least one rule")
                rules: tuple[Rule, ...] = tuple(self._each(items, rule))
                return AllOf(rules) if key == "all" else AnyOf(rules)

    def _where(self, node: Node) -> Where | None:
        try:
            return Where(compile_where(_text(node), FIELDS))
        except CriterionError as error:
            for message in error.problems:
                self.problem(node.line, message)
            return None


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise _Wrong("text is expected here")
    return node.text.strip()


def _name(node: Node) -> str:
    what = ""
    if isinstance(node, Scalar):
        if _NAME.fullmatch(node.text):
            return node.text
        what = f"{shown(node.text)} is not a name{odd_letters(node.text)}: "
    raise _Wrong(f"{what}a name has 1 to 63 of a-z, 0-9 and _ and begins with a letter")


def _items(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, Items):
        raise _Wrong("a list is expected here: [one, two], or lines that begin with -")
    return node.items


def _refresh(node: Node) -> str:
    if _text(node) not in REFRESHES:
        raise _Wrong(f"refresh is one of {', '.join(REFRESHES)}")
    return _text(node)


def _percent(node: Node) -> float:
    text = _text(node)
    if not _PERCENT.fullmatch(text) or float(text) > MAX_HOLDOUT:
        raise _Wrong(f"holdout_percent is a number from 0 to {MAX_HOLDOUT}")
    return float(text)
