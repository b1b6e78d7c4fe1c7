"""Rules of definition files: who is meant, with every name in them looked up."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from audience_pipeline.audiences.activity import EVENTS, PROPERTIES
from audience_pipeline.audiences.criteria import Criterion, CriterionError, compile_where
from audience_pipeline.audiences.documents import Entries, Node, Scalar
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.keys import (
    DID_KEYS,
    GROUP_KEYS,
    MAX_DAYS,
    MAX_SEGMENT,
    MAX_TIMES,
    RULE_KEYS,
)
from audience_pipeline.audiences.nodes import NodeReader, WrongValueError, items, name, text, whole
from audience_pipeline.audiences.rules import AllOf, AnyOf, Did, In, InList, InSegment, Not, Rule, Where
from audience_pipeline.audiences.words import nearest, odd_letters, shown

UPLOAD = "audience-pipeline audiences upload"
_NOBODY = Where(Criterion("false", frozenset()))
NOT_COMPOSED = "an audience cannot be named here"


@dataclass(frozen=True, slots=True)
class Known:
    """What the rules of a workspace may name."""

    fields: Mapping[str, Field] = field(default_factory=lambda: FIELDS)
    audiences: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    segments: frozenset[str] | None = None
    """None: no segments are known yet, and only the form of their names is checked."""


class RuleReader:
    """Reads the rules of one file.

    Attributes:
        lines: the line in which an audience is referred to first, by its name.
        waits_for: lists that hold nobody until they are uploaded, which only suppression rules may name.
    """

    def __init__(self, reader: NodeReader, known: Known, *, composed: bool = True) -> None:
        """Read with ``reader``; audiences may be referred to only where ``composed``."""
        self.nodes = reader
        self.known = known
        self.composed = composed
        self.lines: dict[str, int] = {}
        self.waits_for: set[str] = set()

    def rule(self, node: Node) -> Rule | None:
        """One rule; None where it has a mistake, which is noted."""
        if not isinstance(node, Entries):
            raise WrongValueError(f"a rule is expected here, with one of {', '.join(RULE_KEYS)}")
        self.nodes.check_keys(node, RULE_KEYS)
        if len(node.entries) != 1:
            raise WrongValueError(
                "a rule has exactly one key: put several rules as a list under all: or any:"
            )
        key = next(iter(node.entries))
        return self._rule_of(key, node) if key in RULE_KEYS else None

    def _rule_of(self, key: str, node: Entries) -> Rule | None:
        inner: Rule | None
        match key:
            case "where":
                return self.nodes.value(node, key, self._where)
            case "not":
                inner = self.nodes.value(node, key, self.rule)
                return Not(inner) if inner else None
            case "did" | "did_not":
                inner = self.nodes.value(node, key, self._did)
                return Not(inner) if inner and key == "did_not" else inner
            case "in" | "not_in":
                inner = self.nodes.value(node, key, self._group)
                return Not(inner) if inner and key == "not_in" else inner
            case _:
                nodes = self.nodes.value(node, key, items)
                if nodes is None:
                    return None
                if not nodes:
                    raise WrongValueError(f"{key} is an empty list: it needs at least one rule")
                rules: tuple[Rule, ...] = tuple(self.nodes.each(nodes, self.rule))
                return AllOf(rules) if key == "all" else AnyOf(rules)

    def _where(self, node: Node) -> Where | None:
        criterion = self._condition(node, self.known.fields, "field")
        return Where(criterion) if criterion else None

    def _condition(self, node: Node, fields: Mapping[str, Field], called: str) -> Criterion | None:
        try:
            return compile_where(text(node), fields, called=called)
        except CriterionError as error:
            for message in error.problems:
                self.nodes.problem(node.line, message)
            return None

    def _did(self, node: Node) -> Did | None:
        if not isinstance(node, Entries):
            raise WrongValueError(
                f"what was done is expected here, as {{event: product_view, within_days: 30}}; "
                f"the keys are {', '.join(DID_KEYS)}"
            )
        self.nodes.check_keys(node, DID_KEYS)
        before = len(self.nodes.problems)
        at_least = self._number(node, "at_least", MAX_TIMES) or 1
        did = Did(
            event=self.nodes.value(node, "event", _event) or "",
            at_least=at_least,
            at_most=self._number(node, "at_most", MAX_TIMES),
            within_days=self._number(node, "within_days", MAX_DAYS),
            where=self.nodes.value(
                node, "where", lambda inner: self._condition(inner, PROPERTIES, "property"), required=False
            ),
        )
        if did.at_most is not None and did.at_most < at_least:
            self.nodes.problem(
                node.key_lines["at_most"], f"at_most is {did.at_most:,}, less than at_least ({at_least:,})"
            )
        return did if len(self.nodes.problems) == before else None

    def _number(self, node: Entries, key: str, most: int) -> int | None:
        return self.nodes.value(node, key, lambda inner: whole(inner, key, 1, most), required=False)

    def _group(self, node: Node) -> Rule | None:
        if isinstance(node, Scalar):
            return self._by_name(name(node), node.line)
        if not isinstance(node, Entries) or len(node.entries) != 1:
            raise WrongValueError(
                "a name is expected here, or one of {audience: NAME}, {list: NAME}, {segment: NAME}"
            )
        self.nodes.check_keys(node, GROUP_KEYS)
        key = next(iter(node.entries))
        line = node.key_lines[key]
        if key == "segment":
            segment = self.nodes.value(node, key, _segment)
            return self._segment(segment, line) if segment else None
        found = self.nodes.value(node, key, name) if key in GROUP_KEYS else None
        if found is None:
            return None
        if key == "audience":
            return self._audience(found, line)
        if found not in self.known.lists and not self.composed and not nearest(found, self.known.lists):
            self.waits_for.add(found)
            return _NOBODY
        if found not in self.known.lists:
            remedy = f"; upload it: {UPLOAD} {found} FILE"
            return self._nothing(f"there is no uploaded list {found}", found, self.known.lists, line, remedy)
        return InList(found)

    def _by_name(self, found: str, line: int) -> Rule | None:
        listed = found in self.known.lists
        if listed and found in self.known.audiences and self.composed:
            self.nodes.problem(
                line,
                f"{found} is an audience and an uploaded list: "
                f"write {{audience: {found}}} or {{list: {found}}}",
            )
            return None
        if listed:
            return InList(found)
        if found in self.known.audiences and self.composed:
            return self._audience(found, line)
        both = (self.known.audiences if self.composed else frozenset()) | self.known.lists
        what = "audience or uploaded list" if self.composed else "uploaded list"
        remedy = "" if self.composed else f"; {NOT_COMPOSED}"
        if self.known.segments is not None and found in self.known.segments:
            remedy = f"; write {{segment: {found}}}"
        return self._nothing(f"there is no {what} {found}", found, both, line, remedy)

    def _audience(self, found: str, line: int) -> Rule | None:
        if not self.composed:
            self.nodes.problem(line, f"{NOT_COMPOSED}: write the conditions of {found} instead")
            return None
        if found not in self.known.audiences:
            return self._nothing(f"there is no audience {found}", found, self.known.audiences, line)
        self.lines.setdefault(found, line)
        return In(found)

    def _segment(self, found: str, line: int) -> Rule | None:
        segments = self.known.segments
        if segments is not None and found not in segments:
            there = ", ".join(shown(one, MAX_SEGMENT) for one in sorted(segments))
            known = f"; there are {there}" if segments else ""
            said = f"there is no segment {shown(found)}{odd_letters(found)}"
            return self._nothing(said, found, segments, line, known)
        return InSegment(found)

    def _nothing(
        self, said: str, found: str, names: Collection[str], line: int, remedy: str = ""
    ) -> Rule | None:
        self.nodes.problem(line, f"{said}{nearest(found, names)}{remedy}")
        return None


def _event(node: Node) -> str:
    found = text(node)
    if found not in EVENTS:
        near = f"{odd_letters(found)}{nearest(found, EVENTS)}"
        raise WrongValueError(f"unknown event {shown(found)}{near}; the events are {', '.join(EVENTS)}")
    return found


def _segment(node: Node) -> str:
    found = unicodedata.normalize("NFC", text(node))
    if len(found) > MAX_SEGMENT:
        raise WrongValueError(f"the name of a segment has at most {MAX_SEGMENT} characters")
    return found
