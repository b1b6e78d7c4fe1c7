"""Conditions that ask a little less: a bound moved to a rounded value, or one term of several left out.

A condition is changed in its parsed tree and compiled anew, like any condition that somebody wrote.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from audience_pipeline.audiences.criteria import Criterion, CriterionError, compile_where
from audience_pipeline.audiences.fields import Field
from audience_pipeline.audiences.rephrased import bare, term

LONGEST_CONDITION = 4_000
"""Characters of a condition that is looked into."""
DAYS = (1, 3, 7, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365, 545, 730, 1095, 1825)
"""Windows that people think in."""
_READ_AT_ONCE = 90
_FLIPPED: Mapping[type[exp.Expression], bool] = {exp.LT: True, exp.LTE: True, exp.GT: False, exp.GTE: False}
"""Comparisons with a bound to whether more people fit when the bound grows."""


@dataclass(frozen=True, slots=True)
class Wider:
    """A condition that more people meet."""

    criterion: Criterion
    place: str
    """Which bound or term was changed."""


def widened(
    criterion: Criterion, fields: Mapping[str, Field], kept: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[str, Wider]]:
    """Conditions that everybody meets who meets ``criterion``, and more people besides.

    Args:
        criterion: a checked condition.
        fields: the fields of the profile.
        kept: which fields' terms stay as they are.

    Yields:
        What to do, as an imperative, and the condition.
    """
    if len(criterion.sql) > LONGEST_CONDITION:
        return
    try:
        tree = parse_one(criterion.sql, dialect="duckdb")
    except (SqlglotError, RecursionError):
        return
    for index, node in enumerate(tree.walk()):
        if not _asks_for(node) or (not isinstance(node, exp.Connector) and _reads(node, kept)):
            continue
        if isinstance(node, exp.And) and not isinstance(_parent(node), exp.And):
            yield from _without_a_term(tree, index, node, fields, kept)
        for old, news in _bounds(node, fields):
            for new in news:
                yield from _changed(tree, index, node, old, new, fields)


def joined_by_and(criterion: Criterion) -> bool:
    """Whether ``widened`` leaves out the terms of a condition one by one."""
    if len(criterion.sql) > LONGEST_CONDITION:
        return False
    try:
        return isinstance(bare(parse_one(criterion.sql, dialect="duckdb")), exp.And)
    except (SqlglotError, RecursionError):
        return False


def looser_numbers(value: float, unit: str, *, upwards: bool) -> Sequence[float]:
    """The next one or two rounded values that are greater (or, not ``upwards``, less) than ``value``."""
    if unit == "days" and 0 < value < DAYS[-1]:
        if upwards:
            return _two([day for day in DAYS if day >= 1.25 * value], 1.9 * value, upwards=True)
        return _two([day for day in reversed(DAYS) if day <= 0.8 * value], 0.55 * value, upwards=False)
    if unit == "0 to 1":
        steps = (0.1, 0.2) if upwards else (-0.1, -0.2)
        return [one for step in steps if 0 < (one := round(value + step, 2)) < 1]
    if unit == "year":
        return [5 * math.ceil((value + 4) / 5), 5 * math.ceil((value + 9) / 5)] if upwards else [
            5 * math.floor((value - 4) / 5), 5 * math.floor((value - 9) / 5)
        ]  # fmt: skip
    if unit == "rank":
        return [value + 1 if upwards else value - 1]
    if value <= 0:
        return []
    if value < 10 and value == int(value):
        near = [value + 1, 2 * value] if upwards else [value - 1, value // 2]
        return [float(one) for one in dict.fromkeys(near) if one > 0]
    rounded = [_rounded(value * factor, upwards=upwards) for factor in ((1.5, 2) if upwards else (0.67, 0.5))]
    return [one for one in dict.fromkeys(rounded) if (one > value if upwards else 0 < one < value)]


def longer_windows(days: int) -> Sequence[int]:
    """Windows in which more people have done something: about as long again, and four times as long.

    Only as far as 90 days four times as long: of longer ones a preview would read most of what ever happened.
    """
    longer = looser_numbers(days, "days", upwards=True)
    further = [one for one in DAYS if one >= 3.5 * days and one <= _READ_AT_ONCE]
    return [int(one) for one in dict.fromkeys([*longer, *further[:1]])]


def _two(candidates: Sequence[float], far: float, *, upwards: bool) -> Sequence[float]:
    further = [one for one in candidates if (one >= far if upwards else one <= far)]
    return list(dict.fromkeys([*candidates[:1], *further[:1]]))


def _rounded(value: float, *, upwards: bool) -> float:
    """To 1, 1.5, 2, 2.5 ... of a power of ten; whole numbers below ten."""
    step = 0.5 * math.pow(10, math.floor(math.log10(value)))
    if 1 <= value < 10:
        step = 1.0
    steps = round(value / step, 6)
    return round((math.ceil(steps) if upwards else math.floor(steps)) * step, 6)


def _asks_for(node: exp.Expression) -> bool:
    """Whether the condition can be wanted by way of this node only: no not, no function on the way up."""
    if isinstance(node, exp.Not):
        return False
    above = node.parent
    while above is not None:
        if not isinstance(above, (exp.And, exp.Or, exp.Paren)):
            return False
        above = above.parent
    return True


def _reads(node: exp.Expression, kept: Callable[[str], bool]) -> bool:
    return any(kept(column.name) for column in node.find_all(exp.Column))


def _parent(node: exp.Expression) -> exp.Expression | None:
    above = node.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    return above


def _without_a_term(
    tree: exp.Expression,
    index: int,
    node: exp.And,
    fields: Mapping[str, Field],
    kept: Callable[[str], bool],
) -> Iterator[tuple[str, Wider]]:
    terms = list(node.flatten())
    for number, left_out in enumerate(terms):
        if _reads(left_out, kept):
            continue
        rest = [one.copy() for position, one in enumerate(terms) if position != number]
        criterion = _compiled(_with(tree, index, exp.and_(*rest, copy=False)), fields)
        if criterion is not None:
            shown = term(left_out) or "a term of it"
            yield f"take out {shown}", Wider(criterion, f"{index} term {number}")


def _bounds(
    node: exp.Expression, fields: Mapping[str, Field]
) -> Iterator[tuple[tuple[str, ...], list[exp.Expression]]]:
    """Per bound of a comparison: the path to it, and looser ones in place of the whole node."""
    column = node.this if isinstance(node.this, exp.Column) else None
    field = fields.get(column.name) if column is not None else None
    if field is None:
        return
    if isinstance(node, exp.Between) and not node.args.get("symmetric"):
        for name, upwards in (("low", False), ("high", True)):
            yield (
                (name,),
                [_replaced(node, name, one) for one in _looser(node.args[name], field, upwards=upwards)],
            )
    elif type(node) in _FLIPPED:
        looser = _looser(node.expression, field, upwards=_FLIPPED[type(node)])
        yield ("bound",), [_replaced(node, "expression", one) for one in looser]
    elif isinstance(node, exp.EQ) and field.unit == "rank":
        looser = _looser(node.expression, field, upwards=True)
        yield ("bound",), [exp.LTE(this=node.this.copy(), expression=one) for one in looser]


def _looser(bound: exp.Expression | None, field: Field, *, upwards: bool) -> list[exp.Expression]:
    if isinstance(bound, exp.Cast) and isinstance(bound.this, exp.Literal):
        bound = bound.this
    if not isinstance(bound, exp.Literal):
        return []
    if field.kind == "date":
        return [
            exp.cast(exp.Literal.string(day.isoformat()), "date")
            for day in _days(date.fromisoformat(bound.this), upwards=upwards)
        ]
    if field.kind != "number" or bound.is_string:
        return []
    news = looser_numbers(float(bound.this), field.unit, upwards=upwards)
    if field.unit == "rank":
        news = [one for one in news if f"{one:g}" in field.allowed] if field.allowed else []
    return [exp.Literal.number(f"{one:g}" if one < 1e5 else f"{one:.0f}") for one in news]


def _days(day: date, *, upwards: bool) -> list[date]:
    """About one and three months away, at the edge of a month."""
    found = []
    for distance in (30, 91):
        moved = day + timedelta(days=distance if upwards else -distance)
        last = calendar.monthrange(moved.year, moved.month)[1]
        found.append(moved.replace(day=last if upwards else 1))
    return found


def _replaced(node: exp.Expression, name: str, value: exp.Expression) -> exp.Expression:
    copy = node.copy()
    copy.set(name, value)
    return copy


def _changed(
    tree: exp.Expression,
    index: int,
    old: exp.Expression,
    path: tuple[str, ...],
    new: exp.Expression,
    fields: Mapping[str, Field],
) -> Iterator[tuple[str, Wider]]:
    criterion = _compiled(_with(tree, index, new), fields)
    if criterion is not None:
        field = old.this.name
        sentence = f"widen {term(old) or field} to {term(new) or 'a looser bound'}"
        yield sentence, Wider(criterion, f"{index} {'.'.join(path)}")


def _with(tree: exp.Expression, index: int, new: exp.Expression) -> exp.Expression:
    """The tree with its n-th node (in the order of a walk) replaced."""
    copy = tree.copy()
    for position, node in enumerate(copy.walk()):
        if position == index:
            if node is copy:
                return new
            node.replace(new)
            return copy
    raise AssertionError("the place lies in the tree")


def _compiled(tree: exp.Expression, fields: Mapping[str, Field]) -> Criterion | None:
    try:
        return compile_where(bare(tree).sql(dialect="duckdb"), fields)
    except CriterionError:
        return None
