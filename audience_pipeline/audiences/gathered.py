"""Many comparisons of one field made one: what a program writes is answered as fast as what people write."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

MANY = 12
"""Values from which a list is made; below, a condition stays as it was written."""


def gathered(terms: Sequence[exp.Expression], comparison: type[exp.Expression]) -> list[exp.Expression]:
    """The terms of an ``or`` with ``a = 1 or a = 2 or ...`` made one ``a in (1, 2, ...)``.

    It means the same, also where ``a`` is empty. Of the terms of an ``and``, ``a <> 1 and a <> 2 and ...``
    becomes ``not a in (1, 2, ...)``.

    Args:
        terms: what is connected.
        comparison: ``exp.EQ`` where it is an ``or``, ``exp.NEQ`` where it is an ``and``.
    """
    values: dict[tuple[str, bool], dict[tuple[str, bool], exp.Expression]] = {}
    names = [_name(term, comparison) for term in terms]
    for name, term in zip(names, terms, strict=True):
        if name is not None:
            value = (str(term.expression.this), bool(term.expression.args.get("is_string")))
            values.setdefault(name, {})[value] = term.expression
    left: list[exp.Expression] = []
    made: set[tuple[str, bool]] = set()
    for name, term in zip(names, terms, strict=True):
        if name is None or len(values[name]) < MANY:
            left.append(term)
        elif name not in made:
            made.add(name)
            one = exp.In(this=term.this, expressions=list(values[name].values()))
            left.append(exp.Not(this=one) if comparison is exp.NEQ else one)
    return left


def _name(term: exp.Expression, comparison: type[exp.Expression]) -> tuple[str, bool] | None:
    """The field of a term that compares a field with a value; None of any other term."""
    if not isinstance(term, comparison) or not isinstance(term.expression, exp.Literal):
        return None
    column = term.this
    if not isinstance(column, exp.Column) or not isinstance(column.this, exp.Identifier):
        return None
    if len([value for value in column.args.values() if value]) != 1:
        return None
    return column.name, bool(column.this.args.get("quoted"))
