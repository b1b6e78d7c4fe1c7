"""Conditions over the profile: user text in, checked SQL out. Nothing of the text reaches the database.

A condition is tokenised, limited, parsed by sqlglot, and every node is compared with what is allowed; the SQL
that DuckDB sees is written anew from the checked tree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from audience_pipeline.audiences.checked_sql import FUNCTIONS, Writer
from audience_pipeline.audiences.fields import Field
from audience_pipeline.audiences.words import shown

MAX_CHARACTERS = 500_000
MAX_TOKENS = 60_000
MAX_TERMS = 1_000
"""Different ones: comparisons of one field with many values by ``=`` or ``<>`` are one. More take minutes."""
MAX_DEPTH = 50
MAX_ARITHMETIC = 100

_TOKENS = frozenset({
    TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER, TokenType.DATE, TokenType.COMMA,
    TokenType.L_PAREN, TokenType.R_PAREN, TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.IN,
    TokenType.BETWEEN, TokenType.IS, TokenType.NULL, TokenType.TRUE, TokenType.FALSE, TokenType.LIKE,
    TokenType.ILIKE, TokenType.EQ, TokenType.NEQ, TokenType.GT, TokenType.GTE, TokenType.LT, TokenType.LTE,
    TokenType.PLUS, TokenType.DASH, TokenType.STAR, TokenType.SLASH,
})  # fmt: skip
_OPERATORS = frozenset({TokenType.PLUS, TokenType.DASH, TokenType.STAR, TokenType.SLASH})
_TURNED = re.compile("[\u202a-\u202e\u2066-\u2069]")
_DIALECT = Dialect.get_or_raise("duckdb")


class CriterionError(ValueError):
    """A condition that is not accepted; ``problems`` says everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A checked condition: SQL that is a boolean over the profile, and the fields that it reads."""

    sql: str
    fields: frozenset[str]


def compile_where(text: str, fields: Mapping[str, Field], *, called: str = "field") -> Criterion:
    """Check a condition and write it anew as DuckDB SQL.

    Args:
        text: a boolean SQL expression over ``fields``.
        fields: the fields that may be used, by name.
        called: what messages call one of them.

    Raises:
        CriterionError: with every problem found; messages never repeat what looks like an identifier.
    """
    tree = _parse(text)
    writer = Writer(fields, called)
    try:
        value = writer.value(tree)
    except RecursionError:
        raise CriterionError(
            ["the condition is nested too deeply: split it into several under all: or any:"]
        ) from None
    if writer.terms > MAX_TERMS:
        writer.problem(
            f"the condition has {writer.terms:,} different terms, more than {MAX_TERMS:,}: use in (...), or "
            "an uploaded list"
        )
    if value.kind not in ("boolean", "unknown"):
        writer.problem(f"the condition is a {value.kind}, not a yes or no: compare it with something")
    if writer.problems:
        raise CriterionError(writer.problems)
    return Criterion(value.sql, frozenset(writer.used))


def _parse(text: str) -> exp.Expression:
    if len(text) > MAX_CHARACTERS:
        raise CriterionError([f"the condition has {len(text):,} characters, more than {MAX_CHARACTERS:,}"])
    if "\x00" in text:
        raise CriterionError(["the condition contains a null character: remove it"])
    if _TURNED.search(text):
        raise CriterionError(
            ["the condition holds invisible signs that turn the direction of text: type it again"]
        )
    try:
        tokens = _DIALECT.tokenize(text)
        _limit(tokens)
        trees = _DIALECT.parser().parse(tokens, text)
    except SqlglotError as error:
        raise CriterionError([f"the condition cannot be read as SQL: {_reason(error)}"]) from None
    except RecursionError:
        raise CriterionError(["the condition is nested too deeply"]) from None
    if len(trees) != 1 or trees[0] is None:
        raise CriterionError(["the condition is empty"])
    return trees[0]


def _reason(error: SqlglotError) -> str:
    details = getattr(error, "errors", None) or [{}]
    # The message itself repeats the text around the place, which may hold an address.
    place = f" (character {details[0]['col']} of line {details[0]['line']})" if details[0].get("line") else ""
    return f"a quote, a bracket or an operand is missing or too many{place}"


def _limit(tokens: list[Token]) -> None:
    problems = []
    refused = dict.fromkeys(shown(token.text) for token in tokens if token.token_type not in _TOKENS)
    if refused:
        some = ", ".join(list(refused)[:5])
        problems.append(
            f"{some} cannot be used in a condition: only fields, values, comparisons, and, or, not, in, "
            f"between, is null, like, + - * / and the functions {', '.join(FUNCTIONS)}"
        )
    kinds = [token.token_type for token in tokens]
    if len(tokens) > MAX_TOKENS:
        problems.append(f"the condition has {len(tokens):,} words and signs, more than {MAX_TOKENS:,}")
    if sum(kind in _OPERATORS for kind in kinds) > MAX_ARITHMETIC:
        problems.append(f"the condition has more than {MAX_ARITHMETIC} of + - * /")
    deepest = depth = run = 0
    for kind in kinds:
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        run = run + 1 if kind in (TokenType.NOT, TokenType.DASH) else 0
        deepest = max(deepest, depth + run)
    if deepest > MAX_DEPTH:
        problems.append(f"the condition is nested {deepest:,} deep, more than {MAX_DEPTH}")
    if problems:
        raise CriterionError(problems)
