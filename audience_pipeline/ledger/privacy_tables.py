"""The tables of consent, removals and erasures: what a regulator may ask for. No personal data is in them."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Integer, String, Table, Text, UniqueConstraint

from audience_pipeline.ledger.columns import UtcDateTime, metadata

consent_log = Table(
    "consent_log",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False, comment="From 1, without gaps"),
    Column("origin", String(16), nullable=False, comment="statements, request or signals"),
    Column("reference", String(64), nullable=False, comment="The landing that it comes from"),
    Column("segment", String(128), nullable=False, comment="File of the entries; empty where there are none"),
    Column("entries", Integer, nullable=False),
    Column("first_hash", String(64), nullable=False, comment="Of the first entry; empty without entries"),
    Column("last_hash", String(64), nullable=False, comment="What the next entry is chained to"),
    Column("file_sha256", String(64), nullable=False),
    Column("appended_at", UtcDateTime, nullable=False),
    Column("head", String(64), nullable=False, comment="SHA-256 of this row and the head before it"),
    UniqueConstraint("origin", "reference"),
    comment="Heads of the log of consent: its entries lie in files, chained by hashes",
)

removal_receipts = Table(
    "removal_receipts",
    metadata,
    Column("request_id", String(64), primary_key=True, comment="Where the request landed"),
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True, comment="Empty where the platform is not configured"),
    Column("kind", String(8), nullable=False, comment="opt_out or erase"),
    Column("people", Integer, nullable=False, comment="Of the request, those who may have been there"),
    Column("variants", Integer, nullable=False, comment="Sets of identifiers that were ever sent of them"),
    Column("audiences", Integer, nullable=False, comment="That they were removed from"),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="owed, sent, confirmed, verified, refused, not_configured",
    ),
    Column("how", Text, nullable=False, comment="A sentence: how they were removed, or why not"),
    Column("request_ids", JSON, nullable=False, comment="Of the platform, for its support"),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("confirmed_at", UtcDateTime, comment="When the platform had processed the removal"),
    Column("verified_at", UtcDateTime, comment="When it was seen that it took effect"),
    comment="What became of each request to remove people, on each platform",
)

erasures = Table(
    "erasures",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("removed_at", UtcDateTime, comment="When the last platform had let them go"),
    Column("deleted_at", UtcDateTime, comment="When nothing of them was left here"),
    Column("tombstones", Integer, nullable=False, comment="Keyed marks that keep them from coming back"),
    Column("rows", JSON, nullable=False, comment="Table to the number of rows that were deleted"),
    Column("state", String(16), nullable=False, comment="requested, removed, deleted"),
    comment="What became of each request to erase people",
)
