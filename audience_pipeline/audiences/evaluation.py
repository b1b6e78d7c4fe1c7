"""Rules answered over a profile, its activity and uploaded lists.

Each distinct condition is computed once, however many audiences share it, and is kept as one bit per
customer, so that thousands of conditions on a million customers fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from audience_pipeline.audiences.activity_counts import ActivityCounts
from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.audiences.criteria import Criterion
from audience_pipeline.audiences.definition import Definitions
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.masks import Mask, Packed, packed, unpacked
from audience_pipeline.audiences.profile_table import ProfileTable, profile_table
from audience_pipeline.audiences.rules import (
    AllOf,
    AnyOf,
    Did,
    In,
    InList,
    InSegment,
    Not,
    Rule,
    Where,
    fields_of,
    leaves,
)
from audience_pipeline.audiences.words import shown

__all__ = ["EvaluationError", "Evaluator", "Mask", "ProfileTable", "evaluator", "profile_table"]

Condition = Where | InSegment | InList | Did
"""A rule that no other rule is part of; the members of audiences are known without a question."""


class Evaluator:
    """Answers any rule over one profile. Row n of every mask is row n of the profile."""

    def __init__(
        self, table: ProfileTable, counts: ActivityCounts | None, lists: Mapping[str, pl.Series]
    ) -> None:
        self._table, self._counts, self._lists = table, counts, lists
        self._answers: dict[Condition, Packed | EvaluationError] = {}
        self.rows = table.rows

    @property
    def computed(self) -> int:
        """How many conditions were computed; one that is asked for again is not computed again."""
        return len(self._answers)

    def mask(self, rule: Rule, members: Mapping[str, Mask]) -> Mask:
        """The customers whom a rule means.

        Args:
            rule: one of the rules that the evaluator was made with, or another one of their fields.
            members: the members of the audiences that the rule refers to.

        Raises:
            EvaluationError: a condition cannot be answered; the message never repeats a value.
        """
        match rule:
            case AllOf(rules):
                return reduce(np.logical_and, (self.mask(inner, members) for inner in rules))
            case AnyOf(rules):
                return reduce(np.logical_or, (self.mask(inner, members) for inner in rules))
            case Not(inner):
                return ~self.mask(inner, members)
            case In(audience):
                if audience not in members:
                    raise EvaluationError(
                        f"it refers to the audience {audience}, whose members are not known"
                    )
                return members[audience]
            case Where() | InSegment() | InList() | Did():
                return self._answer(rule)

    def _answer(self, condition: Condition) -> Mask:
        if condition not in self._answers:
            try:
                self._answers[condition] = packed(self._computed(condition))
            except EvaluationError as error:
                self._answers[condition] = error
        answer = self._answers[condition]
        if isinstance(answer, EvaluationError):
            raise answer
        return unpacked(answer, self.rows)

    def _computed(self, condition: Condition) -> Mask:
        match condition:
            case Where(criterion):
                return self._table.matches(criterion)
            case InSegment(segment):
                found = self._table.matches(Criterion("segment = ?", frozenset({"segment"})), [segment])
                if not found.any():
                    # A model that was trained anew may have dropped the name: where it is excluded, everybody
                    # whom it was to keep out would come in.
                    raise EvaluationError(f"nobody is in a segment {shown(segment)} on this date")
                return found
            case InList(name):
                if name not in self._lists:
                    raise EvaluationError(
                        f"there is no list {name}: audience-pipeline audiences upload makes one"
                    )
                named = self._lists[name]
                if named.dtype == pl.Boolean:
                    return named.to_numpy()
                if named.is_empty():
                    return np.zeros(self.rows, dtype=np.bool_)
                return self._table.customers.is_in(named.implode()).to_numpy()
            case Did():
                if self._counts is None:
                    raise EvaluationError("it asks what customers did, and their activity was not loaded")
                return self._counts.mask(condition)


@contextmanager
def evaluator(
    profile: pl.DataFrame | pl.LazyFrame | Path,
    rules: Definitions | Iterable[Rule],
    *,
    activity: Activity | None = None,
    lists: Mapping[str, pl.Series] | None = None,
    fields: Mapping[str, Field] = FIELDS,
) -> Iterator[Evaluator]:
    """Get ready to answer rules over a profile.

    A rule that reads a field which the profile lacks cannot be answered.

    Args:
        profile: one row per customer: ``customer_id`` and fields; of a file only what is needed is read.
        rules: what will be asked: the rules, or the definitions with their suppression rules.
        activity: what the customers of this profile did, row for row.
        lists: the customers whom each uploaded list names: their ids, or a truth value per row.
        fields: the fields of the profile.
    """
    asked = list(rules_of(rules) if isinstance(rules, Definitions) else rules)
    conditions = {leaf for rule in asked for leaf in leaves(rule)}
    needed = frozenset().union(*(fields_of(rule) for rule in asked))
    if any(isinstance(condition, InSegment) for condition in conditions):
        needed |= {"segment"}
    dids = frozenset(condition for condition in conditions if isinstance(condition, Did))
    with profile_table(profile, needed, fields) as table:
        if activity is not None and activity.rows != table.rows:
            raise EvaluationError("the activity was loaded for another profile: load it for this one")
        counts = ActivityCounts(activity, table.connection, dids) if activity is not None else None
        yield Evaluator(table, counts, lists or {})


def rules_of(definitions: Definitions) -> Iterator[Rule]:
    """Every rule of a workspace: what audiences include and exclude, and what is suppressed."""
    for audience in definitions:
        yield audience.include
        if audience.exclude is not None:
            yield audience.exclude
    for suppression in definitions.suppressions:
        yield suppression.include
