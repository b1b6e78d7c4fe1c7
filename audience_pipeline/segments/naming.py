"""Readable names for groups, from what sets each apart: the same groups always get the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from audience_pipeline.segments.behaviours import BY_COLUMN, Scale

EVERYBODY = "All customers"
_AVERAGE = "average"
# How far from the average a group must be for a word, and how many words of state it may get. A later row is
# used only where an earlier one gives two groups the same name.
_DETAIL = ((0.5, 2), (0.5, 3), (0.25, 3), (0.1, 3))
_TRAIT_FROM = (1.0, 0.7, 0.4, 0.1)


def names(centres: Sequence[Sequence[float]], scales: Sequence[Scale]) -> tuple[str, ...]:
    """One unique name per group.

    Args:
        centres: per group and behaviour, the standard deviations from the average customer.
        scales: the behaviours, in the order of the centres.
    """
    if len(centres) <= 1:
        return (EVERYBODY,) * len(centres)
    detail = [0] * len(centres)
    given = [_name(centre, scales, level) for centre, level in zip(centres, detail, strict=True)]
    for _ in range(len(_DETAIL) - 1):
        twice = {name for name, count in Counter(given).items() if count > 1}
        detail = [level + (name in twice) for name, level in zip(given, detail, strict=True)]
        given = [_name(centre, scales, level) for centre, level in zip(centres, detail, strict=True)]
    return _told_apart(given)


def _name(centre: Sequence[float], scales: Sequence[Scale], level: int) -> str:
    threshold, most = _DETAIL[level]
    states: list[tuple[float, str]] = []
    traits: list[tuple[float, str]] = []
    noun = "customers"
    for deviation, scale in zip(centre, scales, strict=True):
        behaviour = BY_COLUMN[scale.column]
        word = behaviour.word(deviation, scale.value(deviation))
        if not word:
            continue
        if behaviour.slot == "spend" and abs(deviation) >= threshold:
            noun = word
        elif behaviour.slot == "state" and abs(deviation) >= threshold:
            states.append((abs(deviation), word))
        elif behaviour.slot == "trait" and abs(deviation) >= _TRAIT_FROM[level]:
            traits.append((abs(deviation), word))
    # Behaviours stand in a fixed order, so that equal deviations keep it.
    strongest = [word for _, word in sorted(states, key=lambda pair: -pair[0])[:most]]
    if not strongest and noun == "customers" and not traits:
        strongest = [_AVERAGE]
    trait = [word for _, word in sorted(traits, key=lambda pair: -pair[0])[: 1 + level // 2]]
    name = ", ".join([" ".join([", ".join(strongest), noun]).strip(), *trait])
    return name[0].upper() + name[1:]


def _told_apart(given: Sequence[str]) -> tuple[str, ...]:
    """Letters for groups that no word tells apart, in the order of the groups."""
    counts = Counter(given)
    seen: Counter[str] = Counter()
    result = []
    for name in given:
        seen[name] += 1
        result.append(f"{name}, group {chr(64 + seen[name])}" if counts[name] > 1 else name)
    return tuple(result)
