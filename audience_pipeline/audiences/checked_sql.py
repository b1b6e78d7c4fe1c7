"""Writes a parsed condition anew as SQL, node by node, and refuses every node that it does not know."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from sqlglot import exp

from audience_pipeline.audiences.fields import Field
from audience_pipeline.audiences.gathered import gathered
from audience_pipeline.audiences.words import nearest, odd_letters, shown

MAX_NUMBER = 1e15
MAX_TEXT = 1_000
MAX_WILDCARDS = 5
SHARE = "0 to 1"
"""The unit of fields that people think of in percent."""
FEW = 12
"""Names that a message lists where none is near."""

FUNCTIONS = ("abs", "coalesce", "contains", "ends_with", "length", "lower", "starts_with", "upper")
_COMPARISONS: Mapping[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_ARITHMETIC: Mapping[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_QUOTES = "; a text stands in single quotes: 'shoes'"
_NUMBER = re.compile(r"\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class _Value:
    """A part of the condition: its SQL, what kind of value it is, and where it comes from."""

    sql: str
    kind: str
    field: Field | None = None
    text: str | None = None
    """The text of a string or number literal."""


_UNKNOWN = _Value("null", "unknown")


class Writer:
    """Walks the tree once, checks each node and writes it; goes on after a mistake to find the others."""

    def __init__(self, fields: Mapping[str, Field], called: str = "field") -> None:
        self.fields = fields
        self.called = called
        self.used: set[str] = set()
        self.problems: list[str] = []
        self.terms = 1
        self._writers: Mapping[type[exp.Expression], Callable[..., _Value]] = {
            exp.And: self._connected,
            exp.Or: self._connected,
            exp.Not: self._negated,
            exp.Paren: lambda node: self.value(node.this),
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda node: _Value("true" if node.this else "false", "boolean"),
            exp.Null: lambda _: _Value("null", "null"),
            exp.Cast: self._date,
            exp.Neg: self._minus,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Is: self._is,
            exp.Like: self._like,
            exp.ILike: self._like,
            exp.Lower: lambda node: self._call("lower", node, "text", "text"),
            exp.Upper: lambda node: self._call("upper", node, "text", "text"),
            exp.Length: lambda node: self._call("length", node, "text", "number"),
            exp.Abs: lambda node: self._call("abs", node, "number", "number"),
            exp.StartsWith: lambda node: self._call("starts_with", node, "text", "boolean"),
            exp.EndsWith: lambda node: self._call("ends_with", node, "text", "boolean"),
            exp.Contains: lambda node: self._call("contains", node, "text", "boolean"),
            exp.Coalesce: self._coalesce,
            **dict.fromkeys(_COMPARISONS, self._compared),
            **dict.fromkeys(_ARITHMETIC, self._computed),
        }

    def problem(self, message: str) -> _Value:
        """Note a mistake; the answer fits wherever a value is wanted, so that one mistake is told once."""
        if message not in self.problems:
            self.problems.append(message)
        return _UNKNOWN

    def value(self, node: exp.Expression) -> _Value:
        """The SQL of a node and its kind; an unknown value after a mistake."""
        writer = self._writers.get(type(node))
        if writer is None:
            what = node.this if isinstance(node, exp.Anonymous) else type(node).__name__.lower()
            return self.problem(
                f"{shown(str(what))} cannot be used in a condition; the functions are {', '.join(FUNCTIONS)}"
            )
        return writer(node)

    def _of(self, node: exp.Expression, *names: str) -> list[exp.Expression]:
        """The named children; anything else that the node carries is a form that was not checked."""
        if extra := [name for name, value in node.args.items() if value and name not in names]:
            self.problem(
                f"this form of {type(node).__name__.lower()} is not supported ({', '.join(sorted(extra))})"
            )
        return [node.args[name] for name in names if isinstance(node.args.get(name), exp.Expression)]

    def _connected(self, node: exp.Expression) -> _Value:
        word = " and " if isinstance(node, exp.And) else " or "
        parts = [
            self._wanted(self.value(part), "boolean", word.strip())
            for part in gathered(list(node.flatten()), exp.NEQ if isinstance(node, exp.And) else exp.EQ)
        ]
        different = dict.fromkeys(part.sql for part in parts)
        self.terms += len(different) - 1
        return _Value(f"({word.join(different)})", "boolean")

    def _negated(self, node: exp.Expression) -> _Value:
        return _Value(f"(not {self._wanted(self.value(node.this), 'boolean', 'not').sql})", "boolean")

    def _column(self, node: exp.Expression) -> _Value:
        identifier = node.this
        if not isinstance(identifier, exp.Identifier) or len([v for v in node.args.values() if v]) != 1:
            return self.problem(
                f"write a {self.called} by its name alone, without a table: {shown(node.name)}"
            )
        name = identifier.name if identifier.args.get("quoted") else identifier.name.lower()
        field = self.fields.get(name)
        if field is None:
            return self.problem(
                f"unknown {self.called} {shown(identifier.name)}{odd_letters(name)}"
                f"{self._meant(name) or ('' if '_' in name else _QUOTES)}"
            )
        self.used.add(name)
        return _Value(f'"{name}"', field.kind, field=field)

    def _meant(self, name: str) -> str:
        near = nearest(name, self.fields)
        return near if near or len(self.fields) > FEW else f"; there are {', '.join(self.fields)}"

    def _literal(self, node: exp.Expression) -> _Value:
        text = str(node.this)
        if node.args.get("is_string"):
            if len(text) > MAX_TEXT:
                return self.problem(f"a text has {len(text):,} characters, more than {MAX_TEXT:,}")
            return _Value("'" + text.replace("'", "''") + "'", "text", text=text)
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)) or abs(float(text)) > MAX_NUMBER:
            return self.problem(f"{shown(text)} is not a number between -1e15 and 1e15")
        return _Value(text, "number", text=text)

    def _date(self, node: exp.Expression) -> _Value:
        target, literal = node.args.get("to"), node.this
        is_date = isinstance(target, exp.DataType) and target.this == exp.DataType.Type.DATE
        if not is_date or not isinstance(literal, exp.Literal) or not literal.args.get("is_string"):
            return self.problem("types cannot be changed in a condition; a day is written date '2026-01-31'")
        return self._day(str(literal.this))

    def _minus(self, node: exp.Expression) -> _Value:
        inner = self._wanted(self.value(node.this), "number", "-")
        return _Value(f"(- {inner.sql})", "number", text=f"-{inner.text}" if inner.text else None)

    def _compared(self, node: exp.Expression) -> _Value:
        sign = _COMPARISONS[type(node)]
        left, right = self._alike([self.value(part) for part in self._of(node, "this", "expression")], sign)
        if left.kind == "boolean" and sign not in ("=", "<>"):
            self.problem(f"a yes-or-no value cannot be compared by {sign}: use = or <>")
        return _Value(f"({left.sql} {sign} {right.sql})", "boolean")

    def _computed(self, node: exp.Expression) -> _Value:
        sign = _ARITHMETIC[type(node)]
        parts = [node.this, node.expression]
        left, right = (self._wanted(self.value(part), "number", sign) for part in parts)
        if sign == "/" and right.kind != "unknown" and not (right.text and float(right.text)):
            return self.problem("a condition can divide only by a number other than 0")
        # As doubles the result cannot overflow an integer type and stop the whole refresh.
        return _Value(f"({left.sql}::double {sign} {right.sql}::double)", "number")

    def _between(self, node: exp.Expression) -> _Value:
        value, low, high = self._alike(
            [self.value(part) for part in self._of(node, "this", "low", "high")], "between"
        )
        return _Value(f"({value.sql} between {low.sql} and {high.sql})", "boolean")

    def _in(self, node: exp.Expression) -> _Value:
        self._of(node, "this", "expressions")
        options = node.args.get("expressions")
        if not options:
            return self.problem("in needs a list of values: in ('a', 'b')")
        value, *values = self._alike([self.value(part) for part in (node.this, *options)], "in")
        if any(
            option.text is None and option.kind not in ("unknown", "boolean", "date") for option in values
        ):
            self.problem("in takes a list of plain values: in ('a', 'b')")
        return _Value(f"({value.sql} in ({', '.join(option.sql for option in values)}))", "boolean")

    def _is(self, node: exp.Expression) -> _Value:
        left, right = (self.value(part) for part in self._of(node, "this", "expression"))
        if right.kind == "boolean" and right.sql in ("true", "false"):
            left = self._wanted(left, "boolean", "is")
        elif right.kind != "null":
            return self.problem("is can be followed by null, true or false only (or not before them)")
        return _Value(f"({left.sql} is {right.sql})", "boolean")

    def _like(self, node: exp.Expression) -> _Value:
        word = "ilike" if isinstance(node, exp.ILike) else "like"
        self._of(node, "this", "expression", "negate")
        left, right = (self._wanted(self.value(part), "text", word) for part in (node.this, node.expression))
        if right.text is None and right.kind != "unknown":
            self.problem(f"{word} needs a pattern in quotes: {word} 'shoe%'")
        if right.text and right.text.count("%") > MAX_WILDCARDS:
            self.problem(f"a pattern of {word} may have {MAX_WILDCARDS} % at most")
        sql = f"({left.sql} {word} {right.sql})"
        return _Value(f"(not {sql})" if node.args.get("negate") else sql, "boolean")

    def _call(self, name: str, node: exp.Expression, takes: str, gives: str) -> _Value:
        children = self._of(
            node, *(("this",) if name in ("lower", "upper", "length", "abs") else ("this", "expression"))
        )
        values = [self._wanted(self.value(child), takes, name) for child in children]
        return _Value(f"{name}({', '.join(value.sql for value in values)})", gives)

    def _coalesce(self, node: exp.Expression) -> _Value:
        self._of(node, "this", "expressions")
        values = self._alike([self.value(part) for part in (node.this, *node.expressions)], "coalesce")
        return _Value(f"coalesce({', '.join(value.sql for value in values)})", values[0].kind)

    def _wanted(self, value: _Value, kind: str, by: str) -> _Value:
        if value.kind not in (kind, "unknown"):
            name = value.field.name if value.field else "a " + value.kind
            return self.problem(f"{by} needs a {_called(kind)}, and {name} is a {_called(value.kind)}")
        return value

    def _alike(self, values: list[_Value], by: str) -> list[_Value]:
        """Values of one kind: text beside a day becomes a day, and a field meets values it can take."""
        field = next((value.field for value in values if value.field), None)
        kinds = [value.kind for value in values if value.kind not in ("unknown", "null")]
        kind = field.kind if field else "date" if "date" in kinds else next(iter(kinds), "unknown")
        return [self._beside(value, kind, field, by) for value in values]

    def _beside(self, value: _Value, kind: str, field: Field | None, by: str) -> _Value:
        if value.kind == "null":
            return self.problem(f"nothing equals null: write {field.name if field else 'the field'} is null")
        if kind == "date" and value.kind == "text" and value.text is not None:
            return self._day(value.text)
        if value.kind not in (kind, "unknown") and kind != "unknown":
            name = field.name if field else f"one side of {by}"
            return self.problem(
                f"{name} is a {_called(kind)} and cannot be compared with a {_called(value.kind)}"
            )
        if field and field.unit == SHARE and value.text and value.kind == "number" and float(value.text) > 1:
            percent = float(value.text)
            example = f": write {percent / 100:g} for {percent:g} %" if percent <= 100 else ""
            return self.problem(f"{field.name} lies between 0 and 1{example}")
        if not field or value.text is None or by not in ("=", "<>", "in"):
            return value
        if field.allowed and value.text not in field.allowed:
            choices = ", ".join(field.allowed)
            return self.problem(f"{field.name} is never {shown(value.text)}; it is one of {choices}")
        return value

    def _day(self, text: str) -> _Value:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return self.problem(f"{shown(text)} is not a day: write '2026-01-31'")
        return _Value(f"date '{day.isoformat()}'", "date")


def _called(kind: str) -> str:
    return {"boolean": "yes or no", "date": "day"}.get(kind, kind)
