"""Values of a definition file, read so that one mistake does not hide the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from audience_pipeline.audiences.documents import Entries, Items, Node, Problem, Scalar
from audience_pipeline.audiences.keys import MAX_HOLDOUT, NAME_PATTERN, NAME_RULE
from audience_pipeline.audiences.words import nearest, odd_letters, shown

T = TypeVar("T")
_NAME = re.compile(NAME_PATTERN)
_PERCENT = re.compile(r"\d{1,3}(\.\d{0,20})?([eE][-+]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"(\d{1,9})(\.0{0,20})?", re.ASCII)


class WrongValueError(Exception):
    """A value that is not what its place asks for; a ``NodeReader`` makes it a problem."""


class NodeReader:
    """Reads values of one file and adds what is wrong with them to a list of problems."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems

    def problem(self, line: int, message: str) -> None:
        """Note a mistake in a line of the file."""
        self.problems.append(Problem(self.file, line, message))

    def check_keys(self, node: Entries, keys: Iterable[str]) -> None:
        """Note keys that are not among ``keys``."""
        known = tuple(keys)
        for key in node.entries:
            if key not in known:
                said = f"unknown key {shown(key)}{odd_letters(key)}{nearest(key, known)}"
                self.problem(node.key_lines[key], f"{said}; allowed here are {', '.join(known)}")

    def value(
        self, entries: Entries, key: str, read: Callable[[Node], T], *, required: bool = True
    ) -> T | None:
        """The value of a key; None where there is none or it is wrong, which is noted."""
        node = entries.entries.get(key)
        if node is None:
            if required:
                self.problem(entries.line, f"{key} is missing")
            return None
        if isinstance(node, Scalar) and node.empty:
            remedy = "" if required else ": give one or remove it"
            self.problem(entries.key_lines[key], f"{key} has no value{remedy}")
            return None
        return self.read(node, read)

    def read(self, node: Node, read: Callable[[Node], T]) -> T | None:
        """The value of a node; None where it is wrong, which is noted."""
        try:
            return read(node)
        except WrongValueError as wrong:
            self.problem(node.line, str(wrong))
            return None

    def each(self, nodes: Sequence[Node], read: Callable[[Node], T | None]) -> list[T]:
        """The values of nodes, without those that are wrong."""
        return [value for node in nodes if (value := self.read(node, read)) is not None]


def text(node: Node) -> str:
    """A text without blanks around it."""
    if not isinstance(node, Scalar):
        raise WrongValueError("text is expected here")
    return node.text.strip()


def name(node: Node) -> str:
    """A name of an audience, list or rule."""
    what = ""
    if isinstance(node, Scalar):
        if _NAME.fullmatch(node.text):
            return node.text
        what = f"{shown(node.text)} is not a name{odd_letters(node.text)}: "
    raise WrongValueError(what + NAME_RULE)


def is_name(candidate: str) -> bool:
    """Whether a text may be the name of an audience, list or rule."""
    return _NAME.fullmatch(candidate) is not None


def items(node: Node) -> tuple[Node, ...]:
    """The members of a list."""
    if not isinstance(node, Items):
        raise WrongValueError("a list is expected here: [one, two], or lines that begin with -")
    return node.items


def whole(node: Node, key: str, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``."""
    found = _WHOLE.fullmatch(text(node))
    if found is None or not least <= int(found[1]) <= most:
        raise WrongValueError(f"{key} is a whole number from {least} to {most:,}")
    return int(found[1])


def percent(node: Node) -> float:
    """A share that is held out, in percent."""
    said = text(node)
    if not _PERCENT.fullmatch(said) or float(said) > MAX_HOLDOUT:
        raise WrongValueError(f"holdout_percent is a number from 0 to {MAX_HOLDOUT}")
    return float(said)
