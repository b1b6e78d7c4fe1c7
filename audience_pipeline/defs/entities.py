"""Publishes the entities that users know as tables in the ledger's database, for plain SQL."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl

from audience_pipeline.audiences.composition import COMPOSED_OF
from audience_pipeline.audiences.definition import DefinitionErrors, Definitions
from audience_pipeline.audiences.sizes import newest_before
from audience_pipeline.audiences.sound import load_sound
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource
from audience_pipeline.defs.storage import table_path
from audience_pipeline.defs.vocabulary import vocabulary
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.results import entities as rows_of
from audience_pipeline.segments import model as segment_models
from audience_pipeline.settings import Settings

Rows = list[dict[str, Any]]


def entities_asset(settings: Settings) -> dg.AssetsDefinition:
    """The asset ``entities``, without partitions: it always publishes the newest state."""

    @dg.asset(
        group_name="results",
        deps=["audience_memberships", "segment_scorecards", "customer_profile", "ltv_model", "segment_model"],
        kinds={"sql"},
        owners=["team:analytics"],
    )
    def entities(ledger: LedgerResource) -> dg.MaterializeResult:
        """Audiences, segments, what was discovered, value models: one table each in the ledger's database,
        under the names that users know, replaced whole. PlatformAudience and AudienceSyncLog are views there.
        """
        with ledger.open() as opened:
            made = publish_entities(settings, opened)
        counts = pl.DataFrame({"table": list(made), "rows": list(made.values())})
        return dg.MaterializeResult(metadata={"tables": len(made), "rows_by_table": small_table(counts)})

    return entities


def publish_entities(settings: Settings, ledger: Ledger) -> Mapping[str, int]:
    """Replace the tables of entities in one transaction; gives the number of rows of each."""
    from audience_pipeline.ledger import deliveries, overview, published

    known = vocabulary(settings, with_segments=False)
    try:
        definitions = load_sound(settings.audiences, **known).definitions
    except DefinitionErrors:
        # What is wrong with them is said where they are used; what is known of segments and models counts.
        definitions = Definitions(())
    with ledger.reading() as connection:
        there = deliveries.audiences(connection)
        newest = overview.newest_deliveries(connection)
    tables: dict[str, Rows] = {
        **_of_the_newest_date(settings, definitions, known["fields"]),
        "AISegmentDiscovery": rows_of.discoveries(_segment_models(settings), _scorecards(settings)),
        "LTVModel": _value_models(settings),
        "LTVAudience": rows_of.ltv_audiences(definitions, known["fields"], there, newest),
    }
    now = datetime.now(UTC)
    with ledger.begin() as connection:
        published.publish(
            connection,
            {name: [{**row, "published_at": now} for row in rows] for name, rows in tables.items()},
        )
    return {name: len(rows) for name, rows in tables.items()}


def _of_the_newest_date(
    settings: Settings, definitions: Definitions, fields: Mapping[str, Any]
) -> dict[str, Rows]:
    newest = newest_before(settings.lake / "audience_memberships", date.max)
    if newest is None:
        audiences = rows_of.unified_audiences(definitions, fields, {}, date.min)
        return {"UnifiedAudience": audiences, "AudienceSegment": []}
    as_of = date.fromisoformat(newest.stem)
    stored = pl.read_parquet(newest, columns=["audience", "size", "held_out", "members"])
    sizes = {name: (size, held) for name, size, held, _ in stored.iter_rows()}
    profile = table_path(settings.lake, "customer_profile", newest.stem)
    there = pl.read_parquet_schema(profile)
    wanted = ["customer_id", "customer_no", *COMPOSED_OF, *rows_of.PREDICTED]
    people = pl.read_parquet(profile, columns=[name for name in wanted if name in there])
    found = {card["segment"] for card in _scorecards(settings)}
    return {
        "UnifiedAudience": rows_of.unified_audiences(definitions, fields, sizes, as_of),
        "AudienceSegment": rows_of.segments(
            people, dict(stored.select("audience", "members").iter_rows()), found, as_of
        ),
    }


def _scorecards(settings: Settings) -> Rows:
    newest = newest_before(settings.lake / "segment_scorecards", date.max)
    return pl.read_parquet(newest).to_dicts() if newest else []


def _segment_models(settings: Settings) -> dict[date, segment_models.SegmentModel]:
    files = sorted((settings.lake / "segment_model").glob("????-??-??.json"))
    return {date.fromisoformat(path.stem): segment_models.load(path) for path in files}


def _value_models(settings: Settings) -> Rows:
    from audience_pipeline.ltv import registry
    from audience_pipeline.ltv.store import MODEL_NAME, exists

    if not exists(settings.mlflow_uri):
        return []
    return [
        {
            "version": version.version,
            "training_date": None if version.as_of == date.max else version.as_of,
            "state": "withdrawn" if version.withdrawn else ", ".join(version.aliases),
            "feature_importance": _importance(settings, version.version),
            "accuracy_metrics": dict(version.metrics),
            "model_artifact_path": f"models:/{MODEL_NAME}/{version.version}",
        }
        for version in registry.versions(settings.mlflow_uri)
    ]


def _importance(settings: Settings, version: str) -> dict[str, dict[str, float]] | None:
    from audience_pipeline.ltv import registry

    try:
        report = registry.read(settings.mlflow_uri, settings.models, version).report
    except registry.UnusableModelError:
        return None
    found: dict[str, dict[str, float]] = {}
    for row in report.get("importances", []):
        found.setdefault(row["model"], {})[row["feature"]] = row["gain"]
    return found
