"""What may stand in a definition file: keys, values and rules, each checked so that all mistakes show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from audience_pipeline.audiences.documents import DocumentError, Entries, Node, Problem, Scalar, read_document
from audience_pipeline.audiences.keys import (
    APPLIES,
    AUDIENCE_KEYS,
    REFRESHES,
    SUPPRESSION_FILE_KEYS,
    SUPPRESSION_KEYS,
    WHEN_NAMED,
)
from audience_pipeline.audiences.nodes import NodeReader, WrongValueError, is_name, items, name, percent, text
from audience_pipeline.audiences.rule_reader import Known, RuleReader
from audience_pipeline.audiences.rules import Rule
from audience_pipeline.audiences.words import nearest, odd_letters, shown
from audience_pipeline.platforms.contract import Platform


@dataclass(slots=True)
class ReadAudience:
    """What could be read of an audience file; ``values`` fits ``Definition`` when ``complete``."""

    name: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """The line of each key, and of the first reference to an audience as ``in <name>``."""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class ReadSuppression:
    """What could be read of a suppression rule; ``rule`` is None where it has mistakes."""

    name: str
    line: int
    rule: Rule | None = None
    description: str = ""
    everywhere: bool = True
    waits_for: frozenset[str] = frozenset()


class FileReader:
    """Reads one file and adds what is wrong with it to a list of problems."""

    def __init__(self, file: str, content: bytes, problems: list[Problem]) -> None:
        self.nodes = NodeReader(file, problems)
        self.root: Node | None = None
        try:
            self.root = read_document(file, content)
        except DocumentError as error:
            problems.append(error.problem)

    @property
    def name(self) -> str:
        """The name that an audience file gives itself, before anything is checked; empty without one."""
        found = self.root.entries.get("name") if isinstance(self.root, Entries) else None
        return found.text if isinstance(found, Scalar) and is_name(found.text) else ""

    def audience(self, known: Known, suppressions: Iterable[str]) -> ReadAudience:
        """The one audience of the file.

        Args:
            known: what its rules may name.
            suppressions: the suppression rules of the workspace.
        """
        before = len(self.nodes.problems)
        entries = self._keys(AUDIENCE_KEYS)
        if entries is None:
            return ReadAudience()
        rules = RuleReader(self.nodes, known)
        value = self.nodes.value
        values = {
            "name": value(entries, "name", name) or "",
            "description": value(entries, "description", text),
            "include": value(entries, "include", rules.rule),
            "exclude": value(entries, "exclude", rules.rule, required=False),
            "suppress": value(
                entries, "suppress", lambda node: self._suppress(node, tuple(suppressions)), required=False
            ),
            "platforms": value(entries, "platforms", self._platforms),
            "refresh": value(entries, "refresh", _refresh, required=False) or "daily",
            "holdout_percent": value(entries, "holdout_percent", percent, required=False) or 0.0,
        }
        lines = {**entries.key_lines, **{f"in {other}": line for other, line in rules.lines.items()}}
        return ReadAudience(str(values["name"]), values, lines, len(self.nodes.problems) == before)

    def suppressions(self, known: Known) -> list[ReadSuppression]:
        """The rules of a suppression file."""
        entries = self._keys(SUPPRESSION_FILE_KEYS)
        nodes = self.nodes.value(entries, "rules", items) if entries else None
        read = []
        for node in nodes or ():
            if not isinstance(node, Entries):
                self.nodes.problem(
                    node.line, f"a suppression rule has the keys {', '.join(SUPPRESSION_KEYS)}"
                )
                continue
            if found := self._suppression(node, known):
                read.append(found)
        return read

    def _suppression(self, node: Entries, known: Known) -> ReadSuppression | None:
        before = len(self.nodes.problems)
        self.nodes.check_keys(node, SUPPRESSION_KEYS)
        reader = RuleReader(self.nodes, known, composed=False)
        called = self.nodes.value(node, "name", name)
        description = self.nodes.value(node, "description", text)
        rule: Rule | None = self.nodes.value(node, "include", reader.rule)
        applies = self.nodes.value(node, "applies", _applies, required=False)
        if not called:
            return None
        if rule is None or description is None or len(self.nodes.problems) > before:
            return ReadSuppression(called, node.line)
        waits_for = frozenset(reader.waits_for)
        return ReadSuppression(called, node.line, rule, description, applies != WHEN_NAMED, waits_for)

    def _keys(self, keys: Iterable[str]) -> Entries | None:
        if self.root is None:
            return None
        if not isinstance(self.root, Entries):
            said = f"the file must consist of keys and values; the keys are {', '.join(keys)}"
            self.nodes.problem(self.root.line, said)
            return None
        self.nodes.check_keys(self.root, keys)
        return self.root

    def _suppress(self, node: Node, rules: tuple[str, ...]) -> tuple[str, ...]:
        def known(inner: Node) -> str:
            found = name(inner)
            if found not in rules:
                there = ", ".join(sorted(rules)) or "none: write them in _suppression.yaml"
                raise WrongValueError(
                    f"there is no suppression rule {found}{nearest(found, rules)}; the rules are {there}"
                )
            return found

        return tuple(dict.fromkeys(self.nodes.each(items(node), known)))

    def _platforms(self, node: Node) -> tuple[Platform, ...]:
        there = [platform.value for platform in Platform]
        if not items(node):
            raise WrongValueError(f"platforms is empty: name some of {', '.join(there)}")

        def known(inner: Node) -> str:
            found = text(inner)
            if found not in there:
                said = f"unknown platform {shown(found)}{odd_letters(found)}{nearest(found, there)}"
                raise WrongValueError(f"{said}; there are {', '.join(there)}")
            return found

        names = self.nodes.each(items(node), known)
        return tuple(platform for platform in Platform if platform.value in names)


def _applies(node: Node) -> str:
    if text(node) not in APPLIES:
        raise WrongValueError(f"applies is one of {', '.join(APPLIES)}")
    return text(node)


def _refresh(node: Node) -> str:
    if text(node) not in REFRESHES:
        raise WrongValueError(f"refresh is one of {', '.join(REFRESHES)}")
    return text(node)
