"""The tables of the ledger. Every moment is stored as UTC; every table can be read with plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on both sides of the database, UTC inside it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a naive moment: nobody knows what it means."""
        if value is not None and value.tzinfo is None:
            raise ValueError("The ledger stores moments with a time zone; this one has none.")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """SQLite forgets the zone, Postgres answers in that of the session."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

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
)

refreshes = Table(
    "refreshes",
    metadata,
    Column("as_of", Date, primary_key=True),
    Column("landing_sequence", Integer, nullable=False, comment="The last landing that it saw"),
    Column("completed_at", UtcDateTime, nullable=False),
    Column("details", JSON, nullable=False),
)

platform_audiences = Table(
    "platform_audiences",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("audience", String(255), primary_key=True),
    Column("remote_id", String(128), comment="Null while the audience is not known to exist there"),
    Column("remote_name", String(255), nullable=False),
    Column("state", String(16), nullable=False, comment="creating, filling (first fill under way), active"),
    Column("status", Text, nullable=False, comment="In the words of the platform"),
    Column("size_low", Integer),
    Column("size_high", Integer),
    Column("match_rate_low", Float),
    Column("match_rate_high", Float),
    Column("match_rate_how", Text, nullable=False, comment="How the match rate was obtained"),
    Column("read_at", UtcDateTime, comment="When the platform was last asked"),
    Column("created_at", UtcDateTime, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String(32), primary_key=True),
    Column("platform", String(16), nullable=False),
    Column("account", String(64), nullable=False),
    Column("audience", String(255), nullable=False),
    Column("as_of", Date, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column(
        "state",
        String(16),
        nullable=False,
        comment="running, unchanged, settled, processing, incomplete, held, failed, interrupted",
    ),
    Column("wanted", Integer, nullable=False),
    Column("to_add", Integer, nullable=False),
    Column("to_remove", Integer, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("matched", Integer, comment="Null where the platform does not say"),
    Column("message", Text, nullable=False),
    Index(None, "platform", "account", "audience", "started_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", String(48), primary_key=True, comment="The idempotency key"),
    Column("delivery_id", ForeignKey("deliveries.delivery_id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("action", String(8), nullable=False, comment="add or remove"),
    Column("rows", Integer, nullable=False),
    Column(
        "state",
        String(8),
        nullable=False,
        comment="planned (outcome unknown), sent (being processed), settled, failed",
    ),
    Column("accepted", Integer),
    Column("rejected", Integer),
    Column("matched", Integer),
    Column("match_rate_low", Float),
    Column("match_rate_high", Float),
    Column("request_id", Text, nullable=False),
    Column("remote_id", String(128), nullable=False),
    Column("reasons", JSON, nullable=False, comment="Reason of refusal to number of people"),
    Column("message", Text, nullable=False),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Index(None, "delivery_id"),
    Index(None, "state"),
)

delivered_members = Table(
    "delivered_members",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("audience", String(255), primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("fingerprint", String(32), primary_key=True, comment="Of the identifiers as sent"),
    Column("identifiers", JSON, nullable=False, comment="What was sent: hashes, so that it can be removed"),
    Column("state", String(8), nullable=False, comment="adding, added, doubtful, removing: all may be there"),
    Column("delivered_at", UtcDateTime, nullable=False),
    Column("batch_id", ForeignKey("batches.batch_id"), comment="The batch that touched it last"),
    Index(None, "batch_id"),
)

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
)
