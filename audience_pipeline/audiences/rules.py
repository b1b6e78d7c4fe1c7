"""The tree of a definition: who is meant, in sets of customers. ``not`` is everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from audience_pipeline.audiences.criteria import Criterion


@dataclass(frozen=True, slots=True)
class Where:
    """Customers for whom a condition is true; where it is unknown (an empty field) they are not meant."""

    criterion: Criterion


@dataclass(frozen=True, slots=True)
class In:
    """Members of another audience, its holdout included."""

    audience: str


@dataclass(frozen=True, slots=True)
class InSegment:
    """Customers of a segment, by its name."""

    segment: str


@dataclass(frozen=True, slots=True)
class InList:
    """Customers whom an uploaded list names by any of their identifiers."""

    list_name: str


@dataclass(frozen=True, slots=True)
class Did:
    """Customers who did something so often: between ``at_least`` and ``at_most`` times in the last days."""

    event: str
    """A name of ``activity.EVENTS``, such as ``product_view``, ``email_open`` or ``order``."""
    at_least: int = 1
    at_most: int | None = None
    within_days: int | None = None
    """Days that end with the as-of date and include it; None is ever since."""
    where: Criterion | None = None
    """A condition over the properties of the event (``activity.PROPERTIES``)."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Customers whom every rule means."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Customers whom at least one rule means."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Customers whom the rule does not mean."""

    rule: Rule


Rule = Where | In | InSegment | InList | Did | AllOf | AnyOf | Not


def leaves(rule: Rule) -> Iterator[Where | In | InSegment | InList | Did]:
    """The conditions and references of a rule, in order."""
    match rule:
        case AllOf(rules) | AnyOf(rules):
            for inner in rules:
                yield from leaves(inner)
        case Not(inner):
            yield from leaves(inner)
        case Where() | In() | InSegment() | InList() | Did():
            yield rule


def references(rule: Rule) -> frozenset[str]:
    """The audiences that a rule refers to."""
    return frozenset(leaf.audience for leaf in leaves(rule) if isinstance(leaf, In))


def fields_of(rule: Rule) -> frozenset[str]:
    """The fields of the profile that a rule reads."""
    return frozenset().union(*(leaf.criterion.fields for leaf in leaves(rule) if isinstance(leaf, Where)))
