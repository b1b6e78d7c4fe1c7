"""Definitions that ask a little less: every single change that could make an audience larger.

What protects people (consent, opt-outs) or the shop (competitors) is never among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from audience_pipeline.audiences.definition import Definition, Suppression
from audience_pipeline.audiences.fields import FIELDS, Field
from audience_pipeline.audiences.rephrased import described
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
    leaves,
)
from audience_pipeline.audiences.widening import joined_by_and, longer_windows, looser_numbers, widened

Kind = Literal["widen", "drop", "exclude", "holdout", "suppress"]
MAX_CHANGES = 200
"""Changes of one definition that are thought of; one with a thousand terms has as many."""
_PROTECTED = ("consent", "opted", "opt_out", "optout", "erase", "competitor", "personalisation")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a definition."""

    sentence: str
    """What to do, as an imperative, without a full stop."""
    definition: Definition
    kind: Kind
    place: str
    """Changes of one place are alternatives of each other."""


@dataclass(frozen=True, slots=True)
class _Looser:
    sentence: str
    rule: Rule
    kind: Kind
    place: str


def changes(
    definition: Definition, suppressions: tuple[Suppression, ...], fields: Mapping[str, Field] = FIELDS
) -> tuple[Change, ...]:
    """Every single change that could make an audience larger, in the order of the definition.

    Args:
        definition: the audience.
        suppressions: the suppression rules that apply to it.
        fields: the fields of the profile.
    """
    found: list[Change] = []
    for change in _changes(definition, suppressions, fields):
        found.append(change)
        if len(found) == MAX_CHANGES:
            break
    return tuple(found)


def _changes(
    definition: Definition, suppressions: tuple[Suppression, ...], fields: Mapping[str, Field]
) -> Iterator[Change]:
    for one in _looser(definition.include, "include", fields):
        yield Change(one.sentence, replace(definition, include=one.rule), one.kind, one.place)
    if definition.holdout_percent:
        yield Change(
            f"send the {definition.holdout_percent:g} % who are held out too; lift can then not be measured",
            replace(definition, holdout_percent=0.0),
            "holdout",
            "holdout",
        )
    if definition.exclude is not None:
        branches = definition.exclude.rules if isinstance(definition.exclude, AnyOf) else ()
        for index, branch in enumerate(branches if len(branches) > 1 else ()):
            if not protected(branch):
                left = AnyOf(branches[:index] + branches[index + 1 :])
                yield Change(
                    f"no longer exclude {described(branch)}",
                    replace(definition, exclude=left),
                    "exclude",
                    f"exclude {index}",
                )
        if len(branches) <= 1 and not protected(definition.exclude):
            yield Change(
                f"no longer exclude {described(definition.exclude)}",
                replace(definition, exclude=None),
                "exclude",
                "exclude",
            )
    for rule in suppressions:
        if not protected(rule.include) and not _is_protected(rule.name):
            names = tuple(other.name for other in suppressions if other.name != rule.name)
            yield Change(
                f"no longer suppress {rule.name}, if the campaign is meant for them too",
                replace(definition, suppress=names),
                "suppress",
                f"suppress {rule.name}",
            )


def protected(rule: Rule) -> bool:
    """Whether a rule is about consent, opt-outs or competitors, so that nobody should be told to drop it."""
    names: set[str] = set()
    for leaf in leaves(rule):
        match leaf:
            case Where(criterion):
                names |= criterion.fields
            case In(name) | InSegment(name) | InList(name):
                names.add(name)
            case Did():
                pass
    return any(_is_protected(name) for name in names)


def _is_protected(name: str) -> bool:
    return any(part in name.lower() for part in _PROTECTED)


def _looser(rule: Rule, place: str, fields: Mapping[str, Field]) -> Iterator[_Looser]:
    """Rules that mean everybody whom ``rule`` means, and more."""
    match rule:
        case Where(criterion):
            for sentence, wider in widened(criterion, fields, _is_protected):
                kind: Kind = "drop" if sentence.startswith("take out") else "widen"
                yield _Looser(sentence, Where(wider.criterion), kind, f"{place} {wider.place}")
        case Did():
            yield from _did_less(rule, place)
        case AllOf(rules):
            for index, inner in enumerate(rules):
                for one in _looser(inner, f"{place}.{index}", fields):
                    yield replace(one, rule=AllOf((*rules[:index], one.rule, *rules[index + 1 :])))
                if len(rules) > 1 and not protected(inner) and not _in_parts(inner):
                    rest = rules[:index] + rules[index + 1 :]
                    left = rest[0] if len(rest) == 1 else AllOf(rest)
                    yield _Looser(_without(inner), left, "drop", f"{place}.{index} drop")
        case AnyOf(rules):
            for index, inner in enumerate(rules):
                for one in _looser(inner, f"{place}.{index}", fields):
                    yield replace(one, rule=AnyOf((*rules[:index], one.rule, *rules[index + 1 :])))
        case Not(inner):
            yield from _not_less(inner, place)


def _without(rule: Rule) -> str:
    if isinstance(rule, Not):
        return f"no longer leave out {described(rule.rule)}"
    return f"take out {described(rule)}"


def _in_parts(rule: Rule) -> bool:
    """Whether each part of a rule is taken out by itself: nobody wants to lose all of them at once."""
    if isinstance(rule, Where):
        return joined_by_and(rule.criterion)
    return isinstance(rule, AllOf) and len(rule.rules) > 1


def _not_less(refused: Rule, place: str) -> Iterator[_Looser]:
    match refused:
        case Did(within_days=int(days)):
            for fewer in looser_numbers(days, "days", upwards=False):
                shorter = replace(refused, within_days=int(fewer))
                sentence = f"leave out {described(shorter)} instead of {days}"
                yield _Looser(sentence, Not(shorter), "widen", f"{place} not within")
        case AnyOf(rules) if len(rules) > 1:
            for index, inner in enumerate(rules):
                if not protected(inner):
                    kept = AnyOf(rules[:index] + rules[index + 1 :])
                    sentence = f"no longer leave out {described(inner)}"
                    yield _Looser(sentence, Not(kept), "exclude", f"{place}.{index}")


def _did_less(did: Did, place: str) -> Iterator[_Looser]:
    for times in dict.fromkeys((max(1, did.at_least // 2), 1)):
        if times < did.at_least:
            fewer = replace(did, at_least=times)
            sentence = f"ask for {described(fewer)}, instead of at least {did.at_least:,} times"
            yield _Looser(sentence, fewer, "widen", f"{place} at_least")
    ever = described(replace(did, within_days=None))
    for days in longer_windows(did.within_days) if did.within_days else ():
        sentence = f"look back {days} days instead of {did.within_days} for {ever}"
        yield _Looser(sentence, replace(did, within_days=days), "widen", f"{place} within_days")
    if did.at_most is not None:
        unlimited = replace(did, at_most=None)
        sentence = f"drop the limit of at most {did.at_most:,} times: ask for {described(unlimited)}"
        yield _Looser(sentence, unlimited, "widen", f"{place} at_most")
    if did.where is not None:
        sentence = f"ask for any {did.event}, not only those with {described(Where(did.where))}"
        yield _Looser(sentence, replace(did, where=None), "drop", f"{place} where")
