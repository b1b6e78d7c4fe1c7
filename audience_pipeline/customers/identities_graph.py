"""The arithmetic of identity: which links hold, and which source ids belong together.

Source ids are numbers, the oldest 0. Nothing depends on the order of the links: every choice goes by the
strength of a kind, then by the statement, then by the number of a source id.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from audience_pipeline.customers.arrays import NONE, Ints, ordered, starts
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.identities_links import KINDS

Bools = npt.NDArray[np.bool_]


class Refusal(IntEnum):
    """What became of a link."""

    KEPT = 0
    PLACEHOLDER = 1
    """The value stands for nobody."""
    SHARED = 2
    """Too many have it."""
    NAMES = 3
    """People with different first names have it."""
    BETWEEN = 4
    """Somebody without a name belongs to a person with another first name by a better link."""
    TOO_LARGE = 5
    """With it a customer would have more source ids than anybody has."""


@dataclass(frozen=True, slots=True)
class SourceIds:
    """One row each, the oldest first."""

    name: Ints
    """Equal where the first names are; ``NONE`` where none is known."""
    browser: Bools

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Links:
    """One row for each source id and identifier of it."""

    source: Ints
    identifier: Ints
    """From 0 on."""
    kind: Ints
    """Place in ``KINDS``, of the identifier."""
    said: Ints
    """The first statement; the least is the oldest."""
    made_of: Bools
    """Whether the source id is nothing but this identifier."""
    placeholder: Bools


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who belongs together."""

    person: Ints
    """Per source id: equal where they are one person."""
    refusal: Ints
    """Per link: a ``Refusal``."""
    group: Ints
    """Per link: the identifier, or where people with different first names have it, that of one name."""
    several_names: Bools
    """Per link: whether people with different first names have the identifier."""


def resolve_links(ids: SourceIds, links: Links, limits: IdentityLimits) -> Resolution:
    """Decide on each link, and who belongs together by those that hold."""
    refusal = np.where(links.placeholder, Refusal.PLACEHOLDER, Refusal.KEPT).astype(np.int64)
    refusal[(refusal == Refusal.KEPT) & _too_many(ids, links, limits)] = Refusal.SHARED
    group, several = _by_name(ids, links, refusal == Refusal.KEPT)
    name = ids.name[links.source]
    refusal[(refusal == Refusal.KEPT) & several & (name == NONE)] = Refusal.NAMES
    refusal[_between_names(ids, links, group, refusal == Refusal.KEPT)] = Refusal.BETWEEN
    for weakest in range(len(KINDS) - 1, -1, -1):
        person = _together(len(ids), links.source, group, refusal == Refusal.KEPT)[0]
        large = _too_large(ids, person, limits)
        if not large.any():
            break
        kept = (refusal == Refusal.KEPT) & (links.kind == weakest)
        refusal[kept & large[person[links.source]]] = Refusal.TOO_LARGE
    for kind in range(len(KINDS)):
        # A weak link that went before the kind that was to blame may come back, such as a browser.
        dropped = (refusal == Refusal.TOO_LARGE) & (links.kind == kind)
        if dropped.any():
            refusal[dropped] = Refusal.KEPT
            person = _together(len(ids), links.source, group, refusal == Refusal.KEPT)[0]
            large = _too_large(ids, person, limits)
            refusal[dropped & large[person[links.source]]] = Refusal.TOO_LARGE
    person = _together(len(ids), links.source, group, refusal == Refusal.KEPT)[0]
    return Resolution(person, refusal, group, several)


def least_by(key: Ints, values: Ints, count: int, nothing: int) -> Ints:
    """The least value of each key from 0 to ``count``; ``nothing`` where there is none."""
    found = np.full(count, nothing, dtype=np.int64)
    np.minimum.at(found, key, values)
    return found


def _too_many(ids: SourceIds, links: Links, limits: IdentityLimits) -> Bools:
    """Links whose identifier more source ids have than one person would."""
    count = int(links.identifier.max(initial=-1)) + 1
    browser = ids.browser[links.source]
    known = np.bincount(links.identifier[~browser & ~links.made_of], minlength=count)
    browsers = np.bincount(links.identifier[browser & ~links.made_of], minlength=count)
    most = np.array([getattr(limits, kind) for kind in KINDS], dtype=np.int64)
    of_a_click = (links.kind == KINDS.index("click")) & (
        browsers[links.identifier] > limits.browsers_of_a_click
    )
    many: Bools = (known[links.identifier] > most[links.kind]) | of_a_click
    return many


def _by_name(ids: SourceIds, links: Links, kept: Bools) -> tuple[Ints, Bools]:
    """Identifiers, those of people with different first names taken apart: a number for each name's part."""
    count = int(links.identifier.max(initial=-1)) + 1
    name = ids.name[links.source]
    named = kept & (name != NONE)
    several = _different(links.identifier[named], name[named], count)[links.identifier]
    group = links.identifier.copy()
    apart = several & (name != NONE)
    if apart.any():
        names = int(ids.name.max()) + 1
        _, part = np.unique(links.identifier[apart] * names + name[apart], return_inverse=True)
        group[apart] = count + part
    return group, several


def _between_names(ids: SourceIds, links: Links, group: Ints, kept: Bools) -> Bools:
    """Links of source ids without a name that would bring together people with different first names.

    Those without a name that belong together go with the name of their strongest, then oldest link.
    """
    refused = np.zeros(len(kept), dtype=np.bool_)
    person, parts = _together(len(ids), links.source, group, kept)
    named = ids.name != NONE
    torn = np.flatnonzero(kept & _different(person[named], ids.name[named], parts)[person[links.source]])
    if not len(torn):
        return refused
    source, of = links.source[torn], group[torn]
    count = int(group.max()) + 1
    name = ids.name[source]
    has_name = np.full(count, NONE, dtype=np.int64)
    has_name[of[name != NONE]] = name[name != NONE]
    nameless = name == NONE
    cluster = _together(len(ids), source, of, nameless & (has_name[of] == NONE))[0]
    oldest = least_by(of[~nameless], source[~nameless], count, len(ids))
    touching = np.flatnonzero(nameless & (has_name[of] != NONE))
    by = torn[touching]
    # What a source id is made of is no claim about it, and stronger than any.
    strength = np.where(links.made_of[by], -1, links.kind[by])
    order = ordered(cluster[source[touching]], strength, links.said[by], oldest[of[touching]])
    touching, by = touching[order], by[order]
    belongs, wants = cluster[source[touching]], has_name[of[touching]]
    begins = starts(belongs)
    chosen = np.repeat(wants[begins], np.diff(begins, append=len(belongs)))
    refused[by[wants != chosen]] = True
    return refused


def _different(key: Ints, name: Ints, count: int) -> Bools:
    """Which keys from 0 to ``count`` have more than one name."""
    most = int(name.max(initial=0))
    different: Bools = least_by(key, name, count, most) < most - least_by(key, most - name, count, most)
    return different


def _too_large(ids: SourceIds, person: Ints, limits: IdentityLimits) -> Bools:
    parts = int(person.max(initial=-1)) + 1
    known = np.bincount(person[~ids.browser], minlength=parts)
    browsers = np.bincount(person[ids.browser], minlength=parts)
    large: Bools = (known > limits.component) | (browsers > limits.browsers)
    return large


def _together(count: int, source: Ints, group: Ints, kept: Bools) -> tuple[Ints, int]:
    """The number of each source id's connected component, and one more than the greatest."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = count + int(group.max(initial=-1)) + 1
    rows, columns = source[kept], count + group[kept]
    ones: npt.NDArray[Any] = np.ones(len(rows), dtype=np.int8)
    graph = coo_matrix((ones, (rows, columns)), shape=(size, size))
    parts, label = connected_components(graph, directed=False)
    return label[:count].astype(np.int64), int(parts)
