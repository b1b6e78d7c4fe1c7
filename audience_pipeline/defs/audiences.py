"""Audience memberships as of a date."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.audiences.activity_counts import asked_by
from audience_pipeline.audiences.activity_table import Activity
from audience_pipeline.audiences.definition import DefinitionErrors, Definitions
from audience_pipeline.audiences.documents import Problem
from audience_pipeline.audiences.evaluation import rules_of
from audience_pipeline.audiences.membership import NotEvaluated, attempts
from audience_pipeline.audiences.rules import Did, leaves
from audience_pipeline.audiences.sizes import newest_before, sizes
from audience_pipeline.audiences.sound import Sound, load_sound
from audience_pipeline.audiences.stored import People, distinct_members, stored
from audience_pipeline.defs.activity_files import activity_as_of, store_activity
from audience_pipeline.defs.audience_page import page_path
from audience_pipeline.defs.calendar import AsOfCalendar
from audience_pipeline.defs.list_files import store_list_members
from audience_pipeline.defs.numbers import numbering_of
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.standing import write_standing
from audience_pipeline.defs.storage import (
    LANDING_SEQUENCE,
    landing_sequence,
    table_metadata,
    table_path,
    write_table,
)
from audience_pipeline.defs.vocabulary import vocabulary
from audience_pipeline.ledger import refreshes
from audience_pipeline.settings import Settings
from audience_pipeline.sources.lists import list_names

EMPTY, EVALUATED = "no_audience_is_empty", "every_audience_was_evaluated"
MOST_NAMED = 20
"""Audiences that the sentence of a check names."""


def audience_assets(settings: Settings, calendar: AsOfCalendar) -> list[dg.AssetsDefinition]:
    """audience_memberships, one partition per as-of date."""

    @dg.asset(
        group_name="audiences",
        partitions_def=calendar.daily,
        deps=["customer_profile", "customer_activity", "identities", "identifiers"],
        kinds={"duckdb", "parquet"},
        owners=["team:growth"],
        check_specs=[
            dg.AssetCheckSpec(
                EMPTY,
                asset="audience_memberships",
                description="An audience without members usually means a condition that nobody can meet.",
            ),
            dg.AssetCheckSpec(
                EVALUATED,
                asset="audience_memberships",
                description="Every definition could be read and every condition answered. An audience of "
                "which one could not has no members on this date, and deliveries leave it as it is.",
            ),
        ],
    )
    def audience_memberships(
        context: dg.AssetExecutionContext, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        """Who is in which audience on the as-of date, and who of them is held out so that lift can be
        measured. One row per audience: its members as a bitmap of customer numbers.
        """
        found = defined(settings)
        definitions = found.definitions
        as_of = date.fromisoformat(context.partition_key)
        seen = landing_sequence(settings.lake, context.partition_key, "customer_profile")
        members, failed = evaluated(settings, definitions, as_of)
        path = table_path(settings.lake, "audience_memberships", context.partition_key)
        # Written here and not by the I/O manager: the refresh is complete only once the table is there.
        write_table(path, members, seen, compression="uncompressed")
        write_standing(settings, context.partition_key, sound=not found.problems)
        not_evaluated = {one.audience.name: one.reason for one in failed} | dict(found.mistakes)
        details = {
            "run_id": context.run.run_id,
            "audiences": members["audience"].to_list(),
            "not_evaluated": not_evaluated,
        }
        with ledger.open() as opened:
            refreshes.record(opened, as_of, seen, details)
        changed = sizes(path, newest_before(path.parent, as_of))
        return dg.MaterializeResult(
            metadata={
                **table_metadata(settings.lake, path, context.partition_key),
                LANDING_SEQUENCE: seen,
                "audiences": members.height,
                "members": int(members["size"].sum()),
                "people": distinct_members(members),
                "page": dg.MetadataValue.path(str(page_path(settings, as_of))),
                **_changes(changed),
            },
            check_results=[_emptiness(changed), _completeness(not_evaluated, found.nameless)],
        )

    return [audience_memberships]


def defined(settings: Settings) -> Sound:
    """The audiences of the workspace whose definitions have no mistake, and what is wrong with the others.

    Raises:
        dg.Failure: nothing can be used: there are none, all have mistakes, or the suppression rules do; an
            empty folder must not look like a wish to empty every audience.
    """
    try:
        found = load_sound(settings.audiences, **vocabulary(settings, with_segments=False))
    except DefinitionErrors as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if not len(found.definitions):
        raise dg.Failure("\n".join(map(str, found.problems)), allow_retries=False)
    return found


def evaluated(
    settings: Settings, definitions: Definitions, as_of: date
) -> tuple[pl.DataFrame, Sequence[NotEvaluated]]:
    """The memberships of a date (``stored.STORED_SCHEMA``), and the audiences that could not be evaluated.

    Raises:
        dg.Failure: the profile has the numbers of a numbering that does not exist any more.
    """
    profile = table_path(settings.lake, "customer_profile", as_of.isoformat())
    people = pl.read_parquet(profile, columns=["customer_id", "person_key", "customer_no"])
    numbering = numbering_of(settings.lake, people)
    if numbering is None:
        raise dg.Failure(
            f"the profile of {as_of} has customer numbers that do not exist any more: materialise "
            "customer_profile of that date again",
            allow_retries=False,
        )
    return stored(
        attempts(
            profile,
            definitions,
            activity=activity_for(settings, definitions, as_of),
            lists=lists_for(settings, definitions, people["customer_id"], as_of),
            fields=vocabulary(settings, with_segments=False)["fields"],
        ),
        People.of(people),
        numbering,
        salt=settings.config.audiences.holdout_salt,
    )


def activity_for(settings: Settings, definitions: Definitions, as_of: date) -> Activity | None:
    """What customers did up to a date, as far as definitions ask for it; None where they do not.

    All of it is stored on the way, so that a preview of the newest date may ask for anything else.
    """
    asked = [leaf for rule in rules_of(definitions) for leaf in leaves(rule) if isinstance(leaf, Did)]
    if not asked:
        return None
    store_activity(settings.lake, as_of)
    return activity_as_of(settings.lake, as_of, asked_by(asked))


def lists_for(
    settings: Settings, definitions: Definitions, customers: pl.Series, as_of: date
) -> Mapping[str, pl.Series]:
    """The customers whom the uploaded lists name that definitions ask for.

    A list that a suppression rule waits for names nobody. One that has gone is missing.
    """
    waiting = frozenset().union(*(rule.waits_for for rule in definitions.suppressions))
    nobody = {name: customers.clear() for name in waiting}
    there = definitions.lists & set(list_names(settings.lake))
    if not there:
        return nobody
    return nobody | store_list_members(settings, as_of, there)


def _changes(found: pl.DataFrame) -> Mapping[str, Any]:
    """Sizes, and who came and went since the newest earlier date."""
    table = found.select("audience", "size", "held_out", "added", "removed")
    known = found.filter(pl.col("before").is_not_null())
    return {
        "sizes": small_table(table),
        "held_out": int(found["held_out"].sum()),
        **({"compared_with": str(known["before"][0])} if known.height else {}),
        "added": int(known["added"].sum()),
        "removed": int(known["removed"].sum()),
    }


def _emptiness(found: pl.DataFrame) -> dg.AssetCheckResult:
    empty = found.filter(pl.col("size") == 0)["audience"].to_list()
    return dg.AssetCheckResult(
        check_name=EMPTY,
        passed=not empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"without members: {_named(empty)}" if empty else "all have members",
        metadata={"empty_audiences": len(empty)},
    )


def _completeness(not_evaluated: Mapping[str, str], nameless: Sequence[Problem]) -> dg.AssetCheckResult:
    said = [f"{name}: {reason}" for name, reason in not_evaluated.items()] + [str(one) for one in nameless]
    more = [f"and {len(said) - MOST_NAMED} more"] if len(said) > MOST_NAMED else []
    return dg.AssetCheckResult(
        check_name=EVALUATED,
        passed=not said,
        severity=dg.AssetCheckSeverity.ERROR,
        description=" | ".join(said[:MOST_NAMED] + more) or "every audience was evaluated",
        metadata={"not_evaluated": len(said)},
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
