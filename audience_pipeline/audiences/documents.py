"""YAML files as plain trees with line numbers; anchors, aliases, tags and oversized files are refused.

Scalars stay text, as written: no ``yes`` becomes true and no ``1:30`` becomes ninety.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from audience_pipeline.audiences.words import shown

MAX_BYTES = 512 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 40
_INDENT = re.compile(r"[ \t]*")
# The one written in C reads twenty files in the time in which the other reads one.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file; line 0 speaks of the whole file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class DocumentError(Exception):
    """A file that cannot be read as a plain YAML document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value as written."""

    text: str
    line: int
    empty: bool
    """Nothing, ``~`` or ``null`` without quotes."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping; keys are unique."""

    entries: Mapping[str, Node]
    line: int
    key_lines: Mapping[str, int]


Node = Scalar | Items | Entries


def read_document(file: str, content: bytes) -> Node:
    """The one document of a YAML file.

    Raises:
        DocumentError: the first thing that is not plain YAML; the message never repeats the content.
    """
    if len(content) > MAX_BYTES:
        raise _error(
            file, 0, f"the file has {len(content):,} bytes, more than {MAX_BYTES:,}: use several files"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _error(file, 0, "the file is not UTF-8 text: save it as UTF-8") from None
    try:
        return _Builder(file).document(text)
    except yaml.MarkedYAMLError as error:
        lines = text.split("\n")
        line = min(error.problem_mark.line + 1, len(lines)) if error.problem_mark else 0
        indent = _INDENT.match(lines[line - 1]) if line else None
        tabbed = indent is not None and "\t" in indent[0]
        what = "a tab is used for indentation" if tabbed else "indentation or a quote is wrong"
        raise _error(file, line, f"the file cannot be read as YAML: {what} here or just before") from None
    except yaml.YAMLError:
        raise _error(file, 0, "the file contains characters that YAML does not allow") from None


def _error(file: str, line: int, message: str) -> DocumentError:
    return DocumentError(Problem(file, line, message))


class _Builder:
    """Builds the tree from events with a stack of open nodes, so that nesting cannot exhaust Python's."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: list[tuple[yaml.Event, list[Node]]] = []
        self.root: list[Node] = []
        self.nodes = 0

    def document(self, text: str) -> Node:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                raise self.error(event, "a second document begins (---): one definition per file")
            self._take(event)
        if not self.root:
            raise _error(self.file, 0, "the file is empty")
        return self.root[0]

    def error(self, event: yaml.Event, message: str) -> DocumentError:
        return _error(self.file, _line(event), message)

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self.error(event, "aliases (*name) are not allowed: write the value again")
        if isinstance(event, yaml.NodeEvent):
            if event.anchor is not None:
                raise self.error(event, "anchors (&name) are not allowed: write the value where it is needed")
            if getattr(event, "tag", None) is not None:
                raise self.error(event, "tags (!name) are not allowed: remove it")
            self.nodes += 1
            if self.nodes > MAX_NODES:
                raise self.error(event, f"the file has more than {MAX_NODES:,} values")
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append((event, []))
            if len(self.open) > MAX_DEPTH:
                raise self.error(event, f"the file is nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            started, children = self.open.pop()
            self._add(
                self._mapping(started, children)
                if isinstance(started, yaml.MappingStartEvent)
                else Items(tuple(children), _line(started))
            )
        elif isinstance(event, yaml.ScalarEvent):
            plain_nothing = not event.style and event.value in ("", "~", "null", "Null", "NULL")
            self._add(Scalar(event.value, _line(event), plain_nothing or not event.value.strip()))

    def _add(self, node: Node) -> None:
        (self.open[-1][1] if self.open else self.root).append(node)

    def _mapping(self, started: yaml.Event, children: list[Node]) -> Entries:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise self.error(started, "a key must be plain text")
            if key.text in entries:
                raise _error(self.file, key.line, f"the key {shown(key.text)} occurs twice")
            entries[key.text] = value
            lines[key.text] = key.line
        return Entries(entries, next(iter(lines.values()), _line(started)), lines)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
