"""The tables of deliveries: audiences on platforms, batches, and who is where."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from audience_pipeline.ledger.columns import UtcDateTime, metadata

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
    comment="Audiences on platforms, as they were last seen there",
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
    comment="Attempts to make a platform hold the wanted people; counts are people",
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
    Column(
        "split_from",
        String(48),
        nullable=False,
        server_default="",
        comment="The batch that it is a part of, because people in that were refused; else empty",
    ),
    Column("settled_order", Integer, comment="Its outcome among the changes counted in delivered_snapshots"),
    Column("planned_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("settled_at", UtcDateTime),
    Index(None, "delivery_id"),
    Index(None, "state"),
    Index(None, "split_from"),
    comment="Requests to platforms; each is written before it is sent",
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
    comment="Of version 0002: read and emptied at first use, see delivered_snapshots",
)

delivered_snapshots = Table(
    "delivered_snapshots",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("audience", String(255), primary_key=True),
    Column("file", Text, nullable=False, comment="Parquet file of the people; empty where there is nobody"),
    Column("sha256", String(64), nullable=False, comment="Of the file"),
    Column("rows", Integer, nullable=False, comment="In the file: people as sent, some of them twice"),
    Column("people", Integer, nullable=False, comment="In the audience as far as was confirmed, each once"),
    Column("held", JSON, nullable=False, comment="Rows by the batch that touched them last, and by state"),
    Column("position", Integer, nullable=False, comment="Number of changes to the audience so far"),
    Column("through", Integer, nullable=False, comment="The last change that the file holds"),
    Column("written_at", UtcDateTime, nullable=False),
    comment="Who may be in an audience: a file, with member_changes applied to it in order",
)

member_changes = Table(
    "member_changes",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("audience", String(255), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("batch_id", ForeignKey("batches.batch_id"), nullable=False),
    Column("kind", String(8), nullable=False, comment="planned, refused"),
    Column("people", LargeBinary, nullable=False, comment="Arrow: customer_id, fingerprint, doubtful"),
    comment="What was planned or refused since the snapshot; gone when the next one is written",
)

variant_segments = Table(
    "variant_segments",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("file", Text, nullable=False, comment="Parquet file: customer_id, fingerprint, hashes as sent"),
    Column("sha256", String(64), nullable=False, comment="Of the file"),
    Column("rows", Integer, nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
    comment="Files of all identifiers that were ever sent, so that all of them can be removed",
)

refused_members = Table(
    "refused_members",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("account", String(64), primary_key=True),
    Column("audience", String(255), primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("fingerprint", String(16), primary_key=True, comment="Of the identifiers as sent, in hex"),
    Column("reason", Text, nullable=False, comment="In the words of the platform"),
    Column("batch_id", ForeignKey("batches.batch_id"), nullable=False, comment="The last that they were in"),
    Column("refused_at", UtcDateTime, nullable=False),
    Index(None, "batch_id"),
    comment="People whom a platform named as refused: not sent again until their identifiers change",
)

verifications = Table(
    "verifications",
    metadata,
    Column("verification_id", String(32), primary_key=True),
    Column("platform", String(16), nullable=False),
    Column("account", String(64), nullable=False),
    Column("checked_at", UtcDateTime, nullable=False),
    Column("audiences", Integer, nullable=False, comment="That were compared"),
    Column("gaps", JSON, nullable=False, comment="Sentences, each with the audience that it is about"),
    Column("seen", JSON, nullable=False, comment="What the next comparison needs to know of this one"),
    Index(None, "platform", "account", "checked_at"),
    comment="Comparisons of the ledger with what platforms show",
)
