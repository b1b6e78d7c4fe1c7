"""Which customers each audience selects on a date, and who of them is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from audience_pipeline.audiences.definition import Definition, Definitions
from audience_pipeline.audiences.evaluation import Mask, ProfileTable, profile_table
from audience_pipeline.audiences.rules import AllOf, AnyOf, In, Not, Rule, Where, fields_of

MEMBERSHIP_SCHEMA = pl.Schema({"audience": pl.String, "customer_id": pl.String, "holdout": pl.Boolean})
DEFAULT_SALT = "audience-pipeline"


@dataclass(frozen=True, slots=True)
class Selection:
    """How one audience came about: three masks over the rows of the profile."""

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


def selections(
    profile: pl.DataFrame, definitions: Definitions, names: Sequence[str] | None = None
) -> Iterator[Selection]:
    """Evaluate audiences over a profile, each after those that it refers to.

    Args:
        profile: one row per customer.
        definitions: the audiences of the workspace.
        names: the audiences wanted; those that they refer to are evaluated besides. All without it.
    """
    wanted = _with_references(definitions, definitions.names if names is None else names)
    rules = [
        rule
        for audience in definitions
        if audience.name in wanted
        for rule in (
            audience.include,
            *([audience.exclude] if audience.exclude else []),
            *(suppression.include for suppression in definitions.suppressions_of(audience)),
        )
    ]
    fields = frozenset().union(*(fields_of(rule) for rule in rules))
    referred = frozenset().union(*(definitions[name].references for name in wanted))
    members: dict[str, Mask] = {}
    with profile_table(profile, fields) as table:
        for audience in definitions:
            if audience.name not in wanted:
                continue
            nobody = np.zeros(table.rows, dtype=np.bool_)
            selection = Selection(
                audience,
                _mask(audience.include, table, members),
                _mask(audience.exclude, table, members) if audience.exclude else nobody,
                {
                    rule.name: _mask(rule.include, table, members)
                    for rule in definitions.suppressions_of(audience)
                },
            )
            if audience.name in referred:
                members[audience.name] = selection.members
            yield selection


def memberships(profile: pl.DataFrame, definitions: Definitions, *, salt: str = DEFAULT_SALT) -> pl.DataFrame:
    """The members of every audience.

    Args:
        profile: the ``customer_profile`` of a date.
        definitions: the audiences.
        salt: what makes the holdouts of this workspace its own. Changing it draws all holdouts anew.

    Returns:
        ``audience, customer_id, holdout``, sorted by audience and customer.
    """
    customers = profile["customer_id"]
    frames = [
        pl.DataFrame({"customer_id": customers.filter(pl.Series(selection.members))}).select(
            pl.lit(selection.audience.name).alias("audience"),
            "customer_id",
            holdout(pl.col("customer_id"), selection.audience, salt=salt).alias("holdout"),
        )
        for selection in selections(profile, definitions)
    ]
    everyone = pl.concat([pl.DataFrame(schema=MEMBERSHIP_SCHEMA), *frames])
    return everyone.sort("audience", "customer_id")


def holdout(customer_id: pl.Expr, audience: Definition, *, salt: str = DEFAULT_SALT) -> pl.Expr:
    """Whether a customer is held out of an audience: the same answer on every day and every machine.

    The first eight bytes of SHA-256 over salt, audience and customer (joined by U+001F), as a share of all
    that they can be, lie below the percentage. A greater percentage keeps the people of a smaller one.
    """
    limit = round(audience.holdout_percent * 2**64 / 100)
    begun = hashlib.sha256(f"{salt}\x1f{audience.name}\x1f".encode())

    def is_drawn(customer: str) -> bool:
        digest = begun.copy()
        digest.update(customer.encode())
        return int.from_bytes(digest.digest()[:8]) < limit

    def drawn(ids: pl.Series) -> pl.Series:
        return pl.Series([limit > 0 and is_drawn(customer) for customer in ids.to_list()], dtype=pl.Boolean)

    return customer_id.map_batches(drawn, return_dtype=pl.Boolean, is_elementwise=True)


def _with_references(definitions: Definitions, names: Sequence[str]) -> frozenset[str]:
    wanted: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names += definitions[name].references
    return frozenset(wanted)


def _mask(rule: Rule, table: ProfileTable, members: Mapping[str, Mask]) -> Mask:
    match rule:
        case Where(criterion):
            return table.matches(criterion)
        case In(audience):
            return members[audience]
        case AllOf(rules):
            return reduce(np.logical_and, (_mask(inner, table, members) for inner in rules))
        case AnyOf(rules):
            return reduce(np.logical_or, (_mask(inner, table, members) for inner in rules))
        case Not(inner):
            return ~_mask(inner, table, members)
