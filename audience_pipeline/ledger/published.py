"""Entities as tables in the ledger's database, so that plain SQL sees them: copies, replaced whole.

They are no part of the memory that must not be lost, so no migration knows them: a table whose columns are
not those of this version is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Column, Connection, Date, Float, Integer, MetaData, String, Table, Text, inspect

from audience_pipeline.ledger.columns import UtcDateTime

_JSON = JSON(none_as_null=True)
entities = MetaData()
"""Apart from the schema of the ledger: what lies here can be thrown away."""


def _entity(name: str, comment: str, *columns: Column[Any]) -> Table:
    return Table(
        name, entities, *columns, Column("published_at", UtcDateTime, nullable=False), comment=comment
    )


unified_audience = _entity(
    "UnifiedAudience",
    "Audiences as they are defined; who is in them lies in the lake",
    Column("name", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("inclusion_criteria", _JSON, nullable=False, comment="The rule, as its file has it"),
    Column("exclusion_criteria", _JSON, comment="Null where nobody is excluded"),
    Column("data_sources", _JSON, nullable=False, comment="Tables that the rules read"),
    Column("sync_config", _JSON, nullable=False, comment="platforms, refresh, holdout_percent, suppress"),
    Column("as_of", Date, comment="Of the members; null where nobody evaluated it yet"),
    Column("members", Integer, comment="Customers in it, held out or not"),
    Column("held_out", Integer),
)
audience_segment = _entity(
    "AudienceSegment",
    "Groups of customers, defined by hand or found by clustering, as of the newest date",
    Column("name", String(255), primary_key=True),
    Column("segment_type", String(16), primary_key=True, comment="manual (an audience) or ai_discovered"),
    Column("as_of", Date, nullable=False),
    Column("size", Integer, nullable=False, comment="Customers"),
    Column("predicted_performance", _JSON, comment="Means of what is predicted; null without a model"),
    Column("composition", _JSON, nullable=False, comment="Field to value to share of the customers, 0 to 1"),
)
ai_segment_discovery = _entity(
    "AISegmentDiscovery",
    "Segments as they were found, month by month",
    Column("month", Date, primary_key=True, comment="First day of the month whose data they were found in"),
    Column("segment_id", String(16), primary_key=True),
    Column("segment", String(255), nullable=False),
    Column("clustering_method", Text, nullable=False),
    Column("segment_characteristics", _JSON, nullable=False, comment="Behaviour to standard deviations"),
    Column("performance_prediction", _JSON, comment="Of the newest month alone: what customers are worth"),
    Column("confidence_score", Float, comment="How alike the groups of bootstrap samples are, up to 1"),
    Column("customers", Integer, nullable=False, comment="By how many all segments of the month were found"),
    Column("share", Float, nullable=False, comment="Of those customers, 0 to 1"),
)
ltv_model = _entity(
    "LTVModel",
    "Versions of the value model",
    Column("version", String(16), primary_key=True),
    Column("training_date", Date, comment="The last day whose data it was trained on"),
    Column("state", String(32), nullable=False, comment="champion, challenger, withdrawn, or empty"),
    Column("feature_importance", _JSON, comment="Feature to share of the gain; null where it cannot be read"),
    Column("accuracy_metrics", _JSON, nullable=False, comment="Of customers whom it never saw"),
    Column("model_artifact_path", Text, nullable=False, comment="Where MLflow keeps it"),
)
ltv_audience = _entity(
    "LTVAudience",
    "Audiences that ask for predicted value, on each platform",
    Column("segment", String(255), primary_key=True, comment="Name of the audience"),
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True, comment="Empty where it was never delivered"),
    Column("segment_criteria", _JSON, nullable=False, comment="The conditions that ask for predicted value"),
    Column("audience_id", String(128), comment="Of the platform"),
    Column("size_low", Integer, comment="The size that the platform shows lies between"),
    Column("size_high", Integer),
    Column("last_sync_date", UtcDateTime, comment="When the newest delivery ended"),
)

Rows = Sequence[Mapping[str, Any]]


def publish(connection: Connection, tables: Mapping[str, Rows]) -> None:
    """Replace the rows of tables; whoever reads sees all of the old ones or all of the new ones.

    Args:
        connection: of ``Ledger.begin``: its transaction makes it all or nothing.
        tables: name of a table of ``entities`` to its rows.
    """
    seen = inspect(connection)
    for name, rows in tables.items():
        table = entities.tables[name]
        if seen.has_table(name):
            there = [column["name"] for column in seen.get_columns(name)]
            if there != [column.name for column in table.columns]:
                table.drop(connection)
                table.create(connection)
        else:
            table.create(connection)
        connection.execute(table.delete())
        if rows:
            connection.execute(table.insert(), [dict(row) for row in rows])
