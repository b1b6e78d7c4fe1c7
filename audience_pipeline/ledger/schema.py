"""The tables of the ledger. Every moment is stored as UTC; every table can be read with plain SQL."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Date, Integer, String, Table, Text, UniqueConstraint

from audience_pipeline.ledger.columns import UtcDateTime, metadata
from audience_pipeline.ledger.delivery_tables import (
    batches,
    delivered_members,
    delivered_snapshots,
    deliveries,
    member_changes,
    platform_audiences,
    refused_members,
    variant_segments,
    verifications,
)
from audience_pipeline.ledger.privacy_tables import consent_log, erasures, removal_receipts

__all__ = [
    "UtcDateTime",
    "batches",
    "consent_log",
    "delivered_members",
    "delivered_snapshots",
    "deliveries",
    "erasures",
    "landings",
    "member_changes",
    "metadata",
    "platform_audiences",
    "refreshes",
    "refused_members",
    "removal_receipts",
    "variant_segments",
    "verifications",
]

landings = Table(
    "landings",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("landing_id", String(16), primary_key=True, comment="First 16 hex digits of file_sha256"),
    Column("sequence", Integer, nullable=False, comment="Order of landing, from 1"),
    Column("file_name", Text, nullable=False),
    Column("file_sha256", String(64), nullable=False),
    Column("rows_read", Integer, nullable=False),
    Column("rows_landed", Integer, nullable=False),
    Column("rows_known", Integer, nullable=False, comment="Already landed from an earlier file"),
    Column("rows_repeated", Integer, nullable=False, comment="Days that the file holds twice"),
    Column("rows_quarantined", Integer, nullable=False),
    Column("first_date", Date),
    Column("last_date", Date),
    Column("currency", String(3)),
    Column("report", JSON, nullable=False),
    Column("landed_at", UtcDateTime, nullable=False),
    UniqueConstraint("sequence"),
    UniqueConstraint("kind", "file_sha256"),
    comment="Files that have landed, each once",
)

refreshes = Table(
    "refreshes",
    metadata,
    Column("as_of", Date, primary_key=True),
    Column("landing_sequence", Integer, nullable=False, comment="The last landing that it saw"),
    Column("completed_at", UtcDateTime, nullable=False),
    Column("details", JSON, nullable=False),
    comment="As-of dates whose tables are complete",
)
