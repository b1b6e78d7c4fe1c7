"""Rules said in words, for sentences that are shown: short, and without anything that looks personal."""

from __future__ import annotations

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from audience_pipeline.audiences.criteria import Criterion
from audience_pipeline.audiences.rules import AllOf, AnyOf, Did, In, InList, InSegment, Not, Rule, Where
from audience_pipeline.audiences.words import shown

LONGEST = 90
"""Characters of a rule that a sentence shows."""
_WITHHELD = "'(withheld)'"


def described(rule: Rule) -> str:
    """A rule in words, at most ``LONGEST`` characters long."""
    text = _described(rule)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _described(rule: Rule) -> str:
    match rule:
        case Where(criterion):
            return condition(criterion)
        case In(name):
            return f"the audience {name}"
        case InSegment(name):
            return f"the segment {shown(name)}"
        case InList(name):
            return f"the list {name}"
        case Did():
            return _did(rule)
        case Not(inner):
            return f"not ({_described(inner)})"
        case AllOf(rules) | AnyOf(rules):
            word = " and " if isinstance(rule, AllOf) else " or "
            # Three are as much as a sentence holds; a definition may have thousands.
            said = word.join(_described(inner) for inner in rules[:3])
            return f"{said}{word}..." if len(rules) > 3 else said


def condition(criterion: Criterion) -> str:
    """A condition as its owner might have written it."""
    if len(criterion.sql) > 20 * LONGEST:
        return f"a long condition on {', '.join(sorted(criterion.fields)[:3])}"
    try:
        tree = parse_one(criterion.sql, dialect="duckdb")
    except (SqlglotError, RecursionError):
        return f"a condition on {', '.join(sorted(criterion.fields)[:3])}"
    return term(tree) or f"a condition on {', '.join(sorted(criterion.fields)[:3])}"


def term(node: exp.Expression) -> str:
    """A part of a condition as text, without needless brackets; nothing where it looks personal."""
    text = bare(node).sql(dialect="duckdb")
    return "" if shown(text) == _WITHHELD or not text.isprintable() else text


def bare(node: exp.Expression) -> exp.Expression:
    """A copy with names unquoted, days as plain text and single terms out of their brackets."""
    root = exp.Paren(this=node.copy())
    for found in list(root.walk()):
        if isinstance(found, exp.Identifier):
            found.set("quoted", False)
        elif isinstance(found, exp.Cast) or (
            found is not root
            and isinstance(found, exp.Paren)
            and (not isinstance(found.this, exp.Connector) or found.parent is root)
        ):
            found.replace(found.this)
    return root.this


def _did(did: Did) -> str:
    words = [did.event]
    if did.at_least != 1 or did.at_most is None:
        words.append("at least once" if did.at_least == 1 else f"at least {did.at_least:,} times")
    if did.at_most is not None:
        words.append(f"at most {did.at_most:,} times")
    if did.within_days is not None:
        words.append(f"within {did.within_days} day{'s' if did.within_days > 1 else ''}")
    if did.where is not None:
        words.append(f"with {condition(did.where)}")
    return " ".join(words)
