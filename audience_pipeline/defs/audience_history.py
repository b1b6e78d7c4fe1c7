"""How large audiences are from day to day: sizes, a history of each, what is unusual, a page of all."""

from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl

from audience_pipeline.audiences.sizes import newest_before, sizes
from audience_pipeline.defs.audience_page import page_path, write_page
from audience_pipeline.defs.audiences import MOST_NAMED, defined
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.delivery import audience_partitions
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import LANDING_SEQUENCE, landing_sequence, table_path
from audience_pipeline.delivery.brake import (
    DOUBLING_PEOPLE,
    HOW_TO_CONFIRM,
    LARGE_NUMBER,
    LARGE_SHARE,
    people,
)
from audience_pipeline.settings import Settings

HISTORY = dg.AssetKey("audience_history")


def audience_history_definitions(settings: Settings, calendar: AsOfCalendar) -> dg.Definitions:
    """audience_sizes by as-of date, audience_history by audience, and the check of their changes."""
    history = dg.AssetSpec(
        HISTORY,
        description="Size of each audience over time: one event per as-of date on which it changed.",
        partitions_def=audience_partitions,
        group_name="audiences",
        kinds={"parquet"},
        deps=["audience_sizes"],
    )

    @dg.asset(
        group_name="audiences",
        partitions_def=calendar.daily,
        deps=["audience_memberships"],
        kinds={"polars", "parquet", "html"},
        owners=["team:growth"],
    )
    def audience_sizes(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> dg.MaterializeResult[pl.DataFrame]:
        """How many members each audience has on the as-of date, who came and who went since the date
        before; and the page of all audiences. One row per audience.
        """
        as_of = date.fromisoformat(context.partition_key)
        found = sizes_on(settings.lake, as_of)
        _record_history(context, found)
        with ledger.open() as opened:
            page = write_page(settings, opened, as_of, defined(settings).definitions, found, unusual(found))
        seen = landing_sequence(settings.lake, context.partition_key, "audience_memberships")
        return dg.MaterializeResult(
            value=found,
            metadata={
                LANDING_SEQUENCE: seen,
                "audiences": found.height,
                "changed": _changed(found).height,
                "page": dg.MetadataValue.path(str(page)),
            },
        )

    @dg.asset_check(
        asset="audience_memberships",
        name="audience_sizes_are_as_usual",
        description="No audience is empty, and none changed by more than a delivery would do unasked.",
    )
    def audience_sizes_are_as_usual(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        as_of = date.fromisoformat(context.partition_key) if context.has_partition_key else _newest(settings)
        if as_of is None:
            return dg.AssetCheckResult(passed=True, description="no date has been worked out yet")
        return size_check(sizes_on(settings.lake, as_of), page_path(settings, as_of))

    return dg.Definitions(assets=[history, audience_sizes], asset_checks=[audience_sizes_are_as_usual])


def sizes_on(lake: Path, as_of: date) -> pl.DataFrame:
    """``SIZES_SCHEMA`` of a date, compared with the newest earlier one."""
    today = table_path(lake, "audience_memberships", as_of.isoformat())
    return sizes(today, newest_before(today.parent, as_of))


def unusual(found: pl.DataFrame) -> dict[str, str]:
    """Audience to what is odd about its size and what to do; audiences that are as usual are left out.

    An audience is odd when it is empty, and when it changed so much that a delivery would wait for somebody
    to confirm (``delivery.brake``). It is unknown here who of them may be sent, so a delivery may decide
    otherwise.

    Args:
        found: ``SIZES_SCHEMA``.
    """
    said = {}
    for row in found.iter_rows(named=True):
        size, before, added, removed = row["size"], row["size_before"], row["added"], row["removed"]
        what = _what(size, before, added, removed) if before is not None else ""
        if not size and not what:
            what = "nobody is in it"
        if what:
            remedy = f"audience-pipeline audiences preview {row['audience']} shows what each condition leaves"
            held = f"; a delivery may wait for {HOW_TO_CONFIRM}" if before and size else ""
            said[row["audience"]] = f"{what}: {remedy}{held}"
    return said


def _newest(settings: Settings) -> date | None:
    """The newest date with memberships: what a check that is run by itself looks at."""
    newest = newest_before(settings.lake / "audience_memberships", date.max)
    return date.fromisoformat(newest.stem) if newest else None


def _what(size: int, before: int, added: int, removed: int) -> str:
    if before and not size:
        return f"nobody is left of {people(before)}"
    if before and removed == before:
        return f"all {people(before)} have been replaced by others"
    if before and added >= DOUBLING_PEOPLE and size >= 2 * before:
        return f"it has at least doubled, from {before:,} to {people(size)}"
    for number, word in ((removed, "left"), (added, "came")):
        if before and number > LARGE_NUMBER and number > LARGE_SHARE * before:
            return f"{people(number)} {word}, {100 * number / before:.0f} % of the {before:,} who were there"
    return ""


def size_check(found: pl.DataFrame, page: Path) -> dg.AssetCheckResult:
    """The check of all sizes of a date; it warns and holds nothing up."""
    odd = unusual(found)
    named = [f"{audience}: {sentence}" for audience, sentence in list(odd.items())[:MOST_NAMED]]
    if len(odd) > MOST_NAMED:
        named.append(f"and {len(odd) - MOST_NAMED} more")
    table = pl.DataFrame(
        {"audience": list(odd), "what": list(odd.values())}, schema={"audience": pl.String, "what": pl.String}
    )
    return dg.AssetCheckResult(
        passed=not odd,
        severity=dg.AssetCheckSeverity.WARN,
        description=" | ".join(named) or f"the sizes of {found.height:,} are as usual",
        metadata={
            "audiences": found.height,
            "empty_audiences": found.filter(pl.col("size") == 0).height,
            "unusual_audiences": len(odd),
            "unusual": small_table(table),
            "page": dg.MetadataValue.path(str(page)),
        },
    )


def _changed(found: pl.DataFrame) -> pl.DataFrame:
    return found.filter(pl.col("before").is_null() | (pl.col("added") > 0) | (pl.col("removed") > 0))


def _record_history(context: dg.AssetExecutionContext, found: pl.DataFrame) -> None:
    """One event per audience that changed; audiences that stayed as they were leave no trace."""
    changed = _changed(found)
    context.instance.add_dynamic_partitions("audiences", changed["audience"].to_list())
    for row in changed.iter_rows(named=True):
        context.log_event(
            dg.AssetMaterialization(
                HISTORY,
                partition=row["audience"],
                metadata={
                    "as_of": row["as_of"].isoformat(),
                    "size": row["size"],
                    "held_out": row["held_out"],
                    **({"added": row["added"], "removed": row["removed"]} if row["before"] else {}),
                },
            )
        )
