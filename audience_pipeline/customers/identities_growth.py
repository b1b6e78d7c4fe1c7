"""How many customers became one since an earlier day: what nobody should miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from audience_pipeline.customers.identities import Resolved
from audience_pipeline.customers.identities_decisions import REFUSED
from audience_pipeline.customers.identities_graph import Refusal
from audience_pipeline.identifiers.source_ids import ANONYMOUS


@dataclass(frozen=True, slots=True)
class Growth:
    """Figures of one day beside those of an earlier one."""

    customers_before: int
    joined: int
    """Customers fewer than there were, of those that there were."""
    at_the_limit: int
    """Customers that have as many source ids as are allowed, or whose links were dropped to have no more."""

    @property
    def share_joined(self) -> float:
        """Of the customers before, those that became one with another; 0 where there were none."""
        return self.joined / self.customers_before if self.customers_before else 0.0


def counts(identities: pl.DataFrame, decisions: pl.DataFrame) -> dict[str, Any]:
    """How many source ids, browsers, customers and merged people there are, and ``links`` by kind,
    decision and reason; JSON values.
    """
    browser = pl.col("source_id").str.starts_with(ANONYMOUS)
    sizes = identities.filter(~browser).group_by("customer_id").len()
    links = (
        decisions.group_by("decision", "kind", "reason")
        .agg(pl.len().cast(pl.Int64).alias("links"))
        .sort("decision", "links", "kind", "reason", descending=[False, True, False, False])
    )
    return {
        "source_ids": identities.height,
        "browsers": identities.filter(browser).height,
        "customers": sizes.height,
        "merged_people": sizes.filter(pl.col("len") > 1).height,
        "links": links.to_dicts(),
    }


def growth(resolved: Resolved, before: pl.DataFrame | None, component: int) -> Growth:
    """Compare who is who with an earlier day.

    Args:
        resolved: of the day.
        before: ``source_id, customer_id`` of the earlier day; None where there is none.
        component: the most source ids that a customer may have.
    """
    identities = resolved.identities
    named = identities.filter(~pl.col("source_id").str.starts_with(ANONYMOUS))
    sizes = named.group_by("customer_id").len()
    dropped = resolved.decisions.filter(pl.col("reason") == REFUSED[Refusal.TOO_LARGE])
    full = pl.concat(
        [sizes.filter(pl.col("len") >= component).select("customer_id"), dropped.select("customer_id")]
    )
    there, joined = 0, 0
    if before is not None:
        were = before.select(pl.col("customer_id").alias("source_id").unique())
        are = were.join(identities, on="source_id", how="left").select(
            pl.coalesce("customer_id", "source_id").alias("customer_id")
        )
        there, joined = were.height, were.height - are["customer_id"].n_unique()
    return Growth(
        customers_before=there,
        joined=joined,
        at_the_limit=full["customer_id"].drop_nulls().n_unique(),
    )
