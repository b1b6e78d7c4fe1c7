"""Who is who as of a date, and the history of customers under one id."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.customers.identities import Resolved, resolve
from audience_pipeline.customers.identities_decisions import REFUSED
from audience_pipeline.customers.identities_growth import Growth, counts, growth
from audience_pipeline.customers.identities_limits import IdentityLimits
from audience_pipeline.customers.identities_links import Landed
from audience_pipeline.customers.mapped import has_merges, merged_activity, merged_orders
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.lake import dataset, ensure_dataset, newest_landing
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, table_path, write_table
from audience_pipeline.ledger import landings
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.settings import Settings
from audience_pipeline.sources.contract import Kind

DECISIONS = "identity_decisions"
USUAL = "merges_are_as_usual"
LANDED = [kind.dataset for kind in Kind]
"""What says who is who: the dependencies of whoever resolves."""


def identity_limits(settings: Settings) -> IdentityLimits:
    """When an identifier is that of too many: section ``identities`` of ``audience.yaml``."""
    return IdentityLimits(**settings.config.identities.model_dump(exclude={"brake_percent"}))


def resolved_as_of(settings: Settings, ledger: Ledger, as_of: date) -> Resolved:
    """Who is who by everything that has landed and is dated up to a day."""
    sequences = {landing.landing_id: landing.sequence for landing in landings.committed(ledger)}
    return resolve(landed_of(settings), as_of, sequences, identity_limits(settings))


def landed_of(settings: Settings) -> Landed:
    """All that has landed."""
    for kind in Kind:
        ensure_dataset(settings.lake, kind)
    return Landed(**{kind.value: dataset(settings.lake, kind) for kind in Kind})


def customers_orders(settings: Settings, orders: pl.LazyFrame, identities: pl.LazyFrame) -> pl.LazyFrame:
    """Orders under the ids of customers."""
    ensure_dataset(settings.lake, Kind.TRANSACTIONS)
    return merged_orders(orders, dataset(settings.lake, Kind.TRANSACTIONS), identities)


@contextmanager
def histories(
    settings: Settings, identities: pl.DataFrame, orders: pl.LazyFrame, activity: pl.LazyFrame
) -> Iterator[tuple[pl.LazyFrame, pl.LazyFrame]]:
    """Orders and activity under the ids of customers, for whoever reads them again and again.

    Where somebody is merged they are written once, and are gone when the work is done.
    """
    known = identities.lazy()
    merged = customers_orders(settings, orders, known), merged_activity(activity, known)
    if not has_merges(known):
        yield merged
        return
    work = settings.lake / ".work"
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="histories-", dir=work) as folder:
        files = [Path(folder) / name for name in ("orders.parquet", "activity.parquet")]
        for table, file in zip(merged, files, strict=True):
            table.sink_parquet(file)
        yield pl.scan_parquet(files[0]), pl.scan_parquet(files[1])


def earlier_partition(settings: Settings, as_of: date) -> Path | None:
    """The identities of the newest earlier date that there are any of."""
    folder = table_path(settings.lake, "identities", as_of.isoformat()).parent
    earlier = [path for path in folder.glob("*.parquet") if path.stem < as_of.isoformat()]
    return max(earlier, default=None)


def identities_asset(settings: Settings, calendar: AsOfCalendar) -> dg.AssetsDefinition:
    """identities, one partition per as-of date."""

    @dg.asset(
        group_name="customers",
        partitions_def=calendar.daily,
        deps=LANDED,
        kinds={"scipy", "polars", "parquet"},
        owners=["team:data"],
        check_specs=[
            dg.AssetCheckSpec(
                USUAL,
                asset="identities",
                description="Few customers became one since the date before, and none has as many ids as are "
                "allowed: identities.brake_percent and identities.component in audience.yaml.",
            )
        ],
    )
    def identities(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> Iterator[dg.MaterializeResult[pl.DataFrame]]:
        """Who is who: the ids under which the sources know a person, and the one customer that they are. One
        row per id of a source; why they are one, or are not, stands in identity_decisions.
        """
        as_of = date.fromisoformat(context.partition_key)
        with ledger.open() as opened:
            seen = newest_landing(opened)
            resolved = resolved_as_of(settings, opened, as_of)
        write_table(table_path(settings.lake, DECISIONS, context.partition_key), resolved.decisions, seen)
        before = earlier_partition(settings, as_of)
        grown = growth(
            resolved,
            pl.read_parquet(before, columns=["source_id", "customer_id"]) if before else None,
            identity_limits(settings).component,
        )
        yield dg.MaterializeResult(
            value=resolved.identities,
            metadata={LANDING_SEQUENCE: seen, **_figures(resolved)},
            check_results=[_check(grown, settings.config.identities.brake_percent, before)],
        )

    return identities


def _figures(resolved: Resolved) -> dict[str, Any]:
    found = counts(resolved.identities, resolved.decisions)
    links = pl.DataFrame(found.pop("links"))
    refused = dict.fromkeys(REFUSED.values(), 0)
    for row in links.filter(pl.col("decision") == "refused").to_dicts() if links.height else []:
        refused[row["reason"]] += row["links"]
    return {
        **found,
        "refused_links": sum(refused.values()),
        **{f"refused: {reason}": number for reason, number in refused.items()},
        **({"by_kind_and_reason": small_table(links)} if links.height else {}),
    }


def _check(grown: Growth, brake_percent: float, before: Path | None) -> dg.AssetCheckResult:
    said = []
    if grown.share_joined * 100 > brake_percent:
        said.append(
            f"{grown.joined:,} of {grown.customers_before:,} customers of "
            f"{before.stem if before else 'before'} have become one with another ({grown.share_joined:.1%}, "
            f"the brake is at {brake_percent:g} %): see audience-pipeline customers merges"
        )
    if grown.at_the_limit:
        said.append(
            f"{grown.at_the_limit:,} customers have as many ids as are allowed, or would have more: a shared "
            "address or card may be behind it; see audience-pipeline customers merges"
        )
    return dg.AssetCheckResult(
        check_name=USUAL,
        passed=not said,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(said)
        or (f"{grown.joined:,} customers became one with another since {before.stem}" if before else "")
        or "There is no earlier date to compare with.",
        metadata={
            "joined": grown.joined,
            "share_joined": round(grown.share_joined, 6),
            "at_the_limit": grown.at_the_limit,
        },
    )
