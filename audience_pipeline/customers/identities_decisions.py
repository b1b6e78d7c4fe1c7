"""Every merge and every refused merge, with the statement that it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from audience_pipeline.customers.arrays import NONE, Ints
from audience_pipeline.customers.identities_graph import (
    Bools,
    Links,
    Refusal,
    Resolution,
    SourceIds,
    least_by,
)
from audience_pipeline.customers.identities_links import KINDS, day_of, line_of, sequence_of

DECISIONS_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "source_id": pl.String,
        "other_id": pl.String,
        "kind": pl.String,
        "decision": pl.String,
        "reason": pl.String,
        "statement_date": pl.Date,
        "landing_id": pl.String,
        "line": pl.Int64,
    }
)
"""``source_id`` has the same identifier of a ``kind`` as ``other_id``, which is the oldest that has it.

A merge is dated by the later of the two statements, which made it possible; a refusal by that of
``source_id``. ``customer_id`` is the customer of ``source_id``; null for a browser of nobody.
"""

SAME = {
    "email": "same e-mail hash",
    "loyalty": "same loyalty card",
    "phone": "same phone hash",
    "device": "same device id",
    "anonymous": "same browser",
    "click": "same click on an ad",
}
REFUSED = {
    Refusal.PLACEHOLDER: "stands for nobody",
    Refusal.SHARED: "too many people have it",
    Refusal.NAMES: "people with different first names have it",
    Refusal.BETWEEN: "a better link leads to a person with another first name",
    Refusal.TOO_LARGE: "the customer would have too many ids",
}


def decisions(
    names: pl.Series,
    customer: Ints,
    nodes: SourceIds,
    links: Links,
    resolution: Resolution,
    landings: Mapping[str, int],
) -> pl.DataFrame:
    """What was decided on each link that two source ids share.

    Args:
        names: the source ids, the oldest first.
        customer: per source id the number of its customer's id; ``len(names)`` where it has none.
        nodes: the source ids as they were resolved.
        links: the links as they were resolved.
        resolution: what became of them.
        landings: the sequence of each landing id.

    Returns:
        ``DECISIONS_SCHEMA``, sorted by customer, source id, other id, kind, decision, reason, statement.
    """
    found = [_merged(links, resolution, len(names)), *_refused(nodes, links, resolution)]
    row, other, statement, reason = (np.concatenate(columns) for columns in zip(*found, strict=True))
    source = links.source[row]
    kind, said = pl.col("kind"), pl.col("said")
    places = list(range(len(KINDS)))
    why = pl.col("reason").replace_strict(list(map(int, REFUSED)), list(REFUSED.values()), default=None)
    return (
        pl.DataFrame(
            {
                "customer_id": at(names, customer[source]),
                "source_id": at(names, source),
                "other_id": at(names, other),
                "kind": links.kind[row],
                "said": statement,
                "reason": reason,
            }
        )
        .select(
            "customer_id",
            "source_id",
            "other_id",
            kind.replace_strict(places, list(KINDS)),
            pl.when(pl.col("reason") == Refusal.KEPT)
            .then(pl.lit("merged"))
            .otherwise(pl.lit("refused"))
            .alias("decision"),
            pl.coalesce(why, kind.replace_strict(places, [SAME[kind] for kind in KINDS])).alias("reason"),
            day_of(said).alias("statement_date"),
            sequence_of(said)
            .replace_strict(list(landings.values()), list(landings), default=None, return_dtype=pl.String)
            .alias("landing_id"),
            line_of(said).alias("line"),
        )
        .filter(pl.col("customer_id").is_not_null() | (pl.col("decision") == "refused"))
        .sort(DECISIONS_SCHEMA.names())
    )


def at(names: pl.Series, places: Ints) -> pl.Series:
    """The texts at some places; null where a place is none of them."""
    place = pl.Series(places)
    return names.gather(place.set((place < 0) | (place >= len(names)), None))


_Rows = tuple[Ints, Ints, Ints, Ints]
"""Places of links, other source ids, statements, what became of them."""


def _merged(links: Links, resolution: Resolution, count: int) -> _Rows:
    kept = np.flatnonzero(resolution.refusal == Refusal.KEPT)
    source, group = links.source[kept], resolution.group[kept]
    groups = int(resolution.group.max(initial=-1)) + 1
    oldest = least_by(group, source, groups, count)
    of_oldest = np.zeros(groups, dtype=np.int64)
    is_oldest = source == oldest[group]
    of_oldest[group[is_oldest]] = links.said[kept[is_oldest]]
    joined, by = kept[~is_oldest], group[~is_oldest]
    statement = np.maximum(links.said[joined], of_oldest[by])
    return joined, oldest[by], statement, np.zeros(len(joined), dtype=np.int64)


def _refused(nodes: SourceIds, links: Links, resolution: Resolution) -> Iterator[_Rows]:
    refusal, group, named = resolution.refusal, resolution.group, nodes.name[links.source] != NONE

    def rows(which: Bools, other: Ints, reason: Refusal) -> _Rows:
        row = np.flatnonzero(which)
        return row, other[row], links.said[row], np.full(len(row), reason, dtype=np.int64)

    sharing = _oldest_other(links.source, links.identifier, refusal >= Refusal.KEPT)
    for reason in (Refusal.PLACEHOLDER, Refusal.SHARED):
        yield rows(refusal == reason, sharing, reason)
    first, its_group = _oldest_named(links, group, named & resolution.several_names)
    apart = resolution.several_names & ~(named & (group == its_group))
    yield rows(apart, first, Refusal.NAMES)
    between = refusal == Refusal.BETWEEN
    yield rows(between, _oldest_other(links.source, group, named), Refusal.BETWEEN)
    large = refusal == Refusal.TOO_LARGE
    grown = _oldest_other(links.source, group, large)
    yield rows(large & (grown != NONE), grown, Refusal.TOO_LARGE)


def _oldest_other(source: Ints, key: Ints, among: Bools) -> Ints:
    """Of each row the oldest other source id with the same key; ``NONE`` where there is none."""
    keys, nobody = int(key.max(initial=-1)) + 1, int(source.max(initial=-1)) + 1
    oldest = least_by(key[among], source[among], keys, nobody)
    later = among & (source != oldest[key])
    second = least_by(key[later], source[later], keys, nobody)
    other = np.where(source == oldest[key], second[key], oldest[key])
    return np.where(other < nobody, other, NONE)


def _oldest_named(links: Links, group: Ints, among: Bools) -> tuple[Ints, Ints]:
    """Of each row the oldest source id with a name that has the identifier, and the group of that one."""
    keys, nobody = int(links.identifier.max(initial=-1)) + 1, int(links.source.max(initial=-1)) + 1
    oldest = least_by(links.identifier[among], links.source[among], keys, nobody)
    its_group = np.full(keys, NONE, dtype=np.int64)
    is_oldest = among & (links.source == oldest[links.identifier])
    its_group[links.identifier[is_oldest]] = group[is_oldest]
    return oldest[links.identifier], its_group[links.identifier]
