"""One customer from many names: source ids that share identifiers are one person, within reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from audience_pipeline.customers.arrays import Ints, Numbers, whole
from audience_pipeline.customers.identities_decisions import DECISIONS_SCHEMA, at, decisions
from audience_pipeline.customers.identities_graph import (
    Links,
    Resolution,
    SourceIds,
    least_by,
    resolve_links,
)
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.identities_links import (
    KINDS,
    MADE_OF,
    Landed,
    Said,
    day_of,
    line_of,
    said,
    sequence_of,
    stands_for_nobody,
)
from audience_pipeline.identifiers.source_ids import ANONYMOUS, is_own

IDENTITIES_SCHEMA = pl.Schema(
    {
        "source_id": pl.String,
        "customer_id": pl.String,
        "person_key": pl.String,
        "first_seen": pl.Date,
        "landing_sequence": pl.Int64,
        "line": pl.Int64,
    }
)
"""One row per source id of a customer, sorted by it; ``first_seen, landing_sequence, line`` are of the first
statement that names it."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who is who on a day, and why."""

    identities: pl.DataFrame
    """``IDENTITIES_SCHEMA``."""
    decisions: pl.DataFrame
    """``DECISIONS_SCHEMA``: a row for each link that joined two source ids and each that was refused."""


def resolve(
    landed: Landed, as_of: date, landings: Mapping[str, int], limits: IdentityLimits | None = None
) -> Resolved:
    """Who is who, by the rows up to a day.

    A customer's id is the shop's own one, of several the oldest, else its oldest source id. Old is what was
    first named in an early landing, then on an early day; so a customer keeps its id when others join it.
    A browser that is linked to nobody is no customer.

    Args:
        landed: the landed tables, in any order of rows.
        as_of: the last day that is read.
        landings: the sequence of each landing id.
        limits: when an identifier is refused for being that of too many.
    """
    known = said(landed, as_of, landings)
    ids = known.seen.sort(sequence_of(pl.col("said")), day_of(pl.col("said")), "source_id")
    if ids.is_empty():
        return Resolved(IDENTITIES_SCHEMA.to_frame(), DECISIONS_SCHEMA.to_frame())
    nodes, links = _numbered(ids, known)
    resolution = resolve_links(nodes, links, limits or IdentityLimits())
    customer, key = _canonical(ids, nodes, resolution)
    names = ids["source_id"]
    table = (
        ids.select(
            "source_id",
            at(names, customer).alias("customer_id"),
            at(names, key).alias("person_key"),
            day_of(pl.col("said")).alias("first_seen"),
            sequence_of(pl.col("said")).alias("landing_sequence"),
            line_of(pl.col("said")).alias("line"),
        )
        .drop_nulls("customer_id")
        .sort("source_id")
    )
    return Resolved(table, decisions(names, customer, nodes, links, resolution, landings))


def _numbered(ids: pl.DataFrame, known: Said) -> tuple[SourceIds, Links]:
    """The same with numbers for texts: of source ids their place among all, the oldest first."""
    places = ids.select("source_id", pl.int_range(pl.len(), dtype=pl.Int64).alias("place"))
    links = known.links.join(places, on="source_id", how="inner")
    value = pl.col("value")
    prefix = pl.col("kind").replace_strict(
        [KINDS.index(kind) for kind in MADE_OF], list(MADE_OF.values()), default="-", return_dtype=pl.String
    )
    links = links.with_columns(
        (pl.col("source_id") == prefix + value).alias("made_of"),
        stands_for_nobody(value).alias("placeholder"),
        (pl.col("kind").cast(pl.String) + value).alias("identifier"),
    )
    name = ids.select("source_id").join(known.names, on="source_id", how="left", maintain_order="left")
    nodes = SourceIds(
        name=Numbers()(name["name"].bin.encode("hex")),
        browser=ids["source_id"].str.starts_with(ANONYMOUS).to_numpy(),
    )
    return nodes, Links(
        source=whole(links["place"]),
        identifier=Numbers()(links["identifier"]),
        kind=whole(links["kind"]),
        said=whole(links["said"]),
        made_of=links["made_of"].to_numpy(),
        placeholder=links["placeholder"].to_numpy(),
    )


def _canonical(ids: pl.DataFrame, nodes: SourceIds, resolution: Resolution) -> tuple[Ints, Ints]:
    """Per source id the number of the one that names its customer, and of the one that the person hangs on.

    The number of source ids where it is nobody's.
    """
    count = len(nodes)
    place, person = np.arange(count), resolution.person
    parts = int(person.max()) + 1
    known = ~nodes.browser
    key = least_by(person[known], place[known], parts, count)
    own = ids.select(is_own("source_id")).to_series().to_numpy()
    customer = least_by(person[own], place[own], parts, count)
    return np.where(customer < count, customer, key)[person], key[person]
