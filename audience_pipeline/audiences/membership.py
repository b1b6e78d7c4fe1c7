"""Which customers each audience selects on a date, and who of them is held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.errors import EvaluationError
from audience_pipeline.audiences.evaluation import Evaluator, evaluator
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.holdouts import DEFAULT_SALT, held_out, person_hashes
from audience_pipeline.audiences.masks import Mask, PackedMasks

__all__ = [
    "DEFAULT_SALT",
    "MEMBERSHIP_SCHEMA",
    "NotEvaluated",
    "Selection",
    "attempts",
    "holdout",
    "memberships",
    "selected",
    "selections",
    "with_references",
]

MEMBERSHIP_SCHEMA = pl.Schema({"audience": pl.String, "customer_id": pl.String, "holdout": pl.Boolean})


@dataclass(frozen=True, slots=True)
class Selection:
    """How one audience came about: masks over the rows of the profile."""

    audience: Definition
    included: Mask
    excluded: Mask
    """Who meets ``exclude``, included or not."""
    suppressed: Mapping[str, Mask]
    """Per suppression rule that applies, who meets it."""

    @property
    def suppressed_by_any(self) -> Mask:
        """Who meets a suppression rule."""
        return reduce(np.logical_or, self.suppressed.values(), np.zeros_like(self.included))

    @property
    def members(self) -> Mask:
        """Who is in the audience."""
        return self.included & ~self.excluded & ~self.suppressed_by_any


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """An audience whose members are not known."""

    audience: Definition
    reason: str
    """A sentence about the part of the definition that cannot be answered, without its values."""


def selections(
    profile: pl.DataFrame | pl.LazyFrame | Path,
    definitions: Definitions,
    names: Sequence[str] | None = None,
    *,
    activity: Activity | None = None,
    lists: Mapping[str, pl.Series] | None = None,
    fields: Mapping[str, Field] = FIELDS,
) -> Iterator[Selection]:
    """Evaluate audiences over a profile, each after those that it refers to.

    Args:
        profile: one row per customer; of a file only what is needed is read.
        definitions: the audiences of the workspace.
        names: the audiences wanted; those that they refer to are evaluated besides. All without it.
        activity: what the customers of this profile did.
        lists: the customer ids that each uploaded list names.
        fields: the fields of the profile.

    Raises:
        EvaluationError: an audience cannot be evaluated.
    """
    for found in attempts(profile, definitions, names, activity=activity, lists=lists, fields=fields):
        if isinstance(found, NotEvaluated):
            raise EvaluationError(f"the audience {found.audience.name} cannot be evaluated: {found.reason}")
        yield found


def attempts(
    profile: pl.DataFrame | pl.LazyFrame | Path,
    definitions: Definitions,
    names: Sequence[str] | None = None,
    *,
    activity: Activity | None = None,
    lists: Mapping[str, pl.Series] | None = None,
    fields: Mapping[str, Field] = FIELDS,
) -> Iterator[Selection | NotEvaluated]:
    """As ``selections``; an audience that cannot be evaluated says so, and the others are evaluated."""
    chosen = with_references(definitions, definitions.names if names is None else names)
    referred = frozenset().union(*(audience.references for audience in chosen))
    with evaluator(profile, chosen, activity=activity, lists=lists, fields=fields) as asked:
        members = PackedMasks(asked.rows)
        for audience in chosen:
            try:
                selection = selected(audience, chosen, asked, members)
            except EvaluationError as error:
                yield NotEvaluated(audience, str(error))
                continue
            if audience.name in referred:
                members.keep(audience.name, selection.members)
            yield selection


def selected(
    audience: Definition, definitions: Definitions, asked: Evaluator, members: Mapping[str, Mask]
) -> Selection:
    """Evaluate one audience.

    Raises:
        EvaluationError: one of its rules, or of the suppression rules that apply, cannot be answered.
    """
    return Selection(
        audience,
        asked.mask(audience.include, members),
        asked.mask(audience.exclude, members) if audience.exclude else np.zeros(asked.rows, dtype=np.bool_),
        {rule.name: asked.mask(rule.include, members) for rule in definitions.suppressions_of(audience)},
    )


def memberships(
    profile: pl.DataFrame,
    definitions: Definitions,
    *,
    activity: Activity | None = None,
    lists: Mapping[str, pl.Series] | None = None,
    salt: str = DEFAULT_SALT,
) -> pl.DataFrame:
    """The members of every audience as one long table, for few audiences or few customers.

    Args:
        profile: the ``customer_profile`` of a date.
        definitions: the audiences.
        activity: what the customers of this profile did.
        lists: the customer ids that each uploaded list names.
        salt: what makes the holdouts of this workspace its own.

    Returns:
        ``audience, customer_id, holdout``, sorted by audience and customer.
    """
    frames = [
        profile.filter(pl.Series(selection.members)).select(
            pl.lit(selection.audience.name).alias("audience"),
            "customer_id",
            holdout(pl.col("person_key"), selection.audience, salt=salt).alias("holdout"),
        )
        for selection in selections(profile, definitions, activity=activity, lists=lists)
    ]
    everyone = pl.concat([pl.DataFrame(schema=MEMBERSHIP_SCHEMA), *frames])
    return everyone.sort("audience", "customer_id")


def holdout(person_key: pl.Expr, audience: Definition, *, salt: str = DEFAULT_SALT) -> pl.Expr:
    """Whether people are held out of an audience, as ``holdouts`` says."""

    def drawn(keys: pl.Series) -> pl.Series:
        return pl.Series(held_out(person_hashes(keys), audience.name, audience.holdout_percent, salt=salt))

    return person_key.map_batches(drawn, return_dtype=pl.Boolean, is_elementwise=True)


def with_references(definitions: Definitions, names: Sequence[str]) -> Definitions:
    """Some audiences and all that they are composed of, each after those that it refers to."""
    by_name = {audience.name: audience for audience in definitions}
    wanted: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names += (by_name.get(name) or definitions[name]).references
    return Definitions(
        tuple(audience for audience in definitions if audience.name in wanted), definitions.suppressions
    )
