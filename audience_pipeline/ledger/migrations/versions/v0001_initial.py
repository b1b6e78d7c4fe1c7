"""The first tables: landings, refreshes, platform audiences, deliveries, batches and members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.String(length=32), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="running, unchanged, settled, processing, incomplete, held, failed, interrupted",
        ),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("to_add", sa.Integer(), nullable=False),
        sa.Column("to_remove", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("matched", sa.Integer(), nullable=True, comment="Null where the platform does not say"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        op.f("ix_deliveries_platform_account_audience_started_at"),
        "deliveries",
        ["platform", "account", "audience", "started_at"],
        unique=False,
    )
    op.create_table(
        "landings",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column(
            "landing_id", sa.String(length=16), nullable=False, comment="First 16 hex digits of file_sha256"
        ),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="Order of landing, from 1"),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("rows_landed", sa.Integer(), nullable=False),
        sa.Column("rows_known", sa.Integer(), nullable=False, comment="Already landed from an earlier file"),
        sa.Column("rows_repeated", sa.Integer(), nullable=False, comment="Days that the file holds twice"),
        sa.Column("rows_quarantined", sa.Integer(), nullable=False),
        sa.Column("first_date", sa.Date(), nullable=True),
        sa.Column("last_date", sa.Date(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("landed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "landing_id", name=op.f("pk_landings")),
        sa.UniqueConstraint("kind", "file_sha256", name=op.f("uq_landings_kind_file_sha256")),
        sa.UniqueConstraint("sequence", name=op.f("uq_landings_sequence")),
    )
    op.create_table(
        "platform_audiences",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column(
            "remote_id",
            sa.String(length=128),
            nullable=True,
            comment="Null while the audience is not known to exist there",
        ),
        sa.Column("remote_name", sa.String(length=255), nullable=False),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="creating, filling (first fill under way), active",
        ),
        sa.Column("status", sa.Text(), nullable=False, comment="In the words of the platform"),
        sa.Column("size_low", sa.Integer(), nullable=True),
        sa.Column("size_high", sa.Integer(), nullable=True),
        sa.Column("match_rate_low", sa.Float(), nullable=True),
        sa.Column("match_rate_high", sa.Float(), nullable=True),
        sa.Column("match_rate_how", sa.Text(), nullable=False, comment="How the match rate was obtained"),
        sa.Column(
            "read_at", sa.DateTime(timezone=True), nullable=True, comment="When the platform was last asked"
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "account", "audience", name=op.f("pk_platform_audiences")),
    )
    op.create_table(
        "refreshes",
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("landing_sequence", sa.Integer(), nullable=False, comment="The last landing that it saw"),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("as_of", name=op.f("pk_refreshes")),
    )
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.String(length=48), nullable=False, comment="The idempotency key"),
        sa.Column("delivery_id", sa.String(length=32), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(length=8), nullable=False, comment="add or remove"),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.String(length=8),
            nullable=False,
            comment="planned (outcome unknown), sent (being processed), settled, failed",
        ),
        sa.Column("accepted", sa.Integer(), nullable=True),
        sa.Column("rejected", sa.Integer(), nullable=True),
        sa.Column("matched", sa.Integer(), nullable=True),
        sa.Column("match_rate_low", sa.Float(), nullable=True),
        sa.Column("match_rate_high", sa.Float(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.String(length=128), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False, comment="Reason of refusal to number of people"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.delivery_id"], name=op.f("fk_batches_delivery_id_deliveries")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_delivery_id"), "batches", ["delivery_id"], unique=False)
    op.create_index(op.f("ix_batches_state"), "batches", ["state"], unique=False)
    op.create_table(
        "delivered_members",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False, comment="Of the identifiers as sent"),
        sa.Column(
            "identifiers",
            sa.JSON(),
            nullable=False,
            comment="What was sent: hashes, so that it can be removed",
        ),
        sa.Column(
            "state",
            sa.String(length=8),
            nullable=False,
            comment="adding, added, doubtful, removing: all may be there",
        ),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.String(length=48), nullable=True, comment="The batch that touched it last"),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.batch_id"], name=op.f("fk_delivered_members_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint(
            "platform", "account", "audience", "customer_id", "fingerprint", name=op.f("pk_delivered_members")
        ),
    )
    op.create_index(op.f("ix_delivered_members_batch_id"), "delivered_members", ["batch_id"], unique=False)
