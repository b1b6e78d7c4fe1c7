"""Memberships as delivered move into files; receipts of removals and erasures; views for analysts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

COMMENTS = {
    "landings": "Files that have landed, each once",
    "refreshes": "As-of dates whose tables are complete",
    "platform_audiences": "Audiences on platforms, as they were last seen there",
    "deliveries": "Attempts to make a platform hold the wanted people; counts are people",
    "batches": "Requests to platforms; each is written before it is sent",
    "delivered_members": "Of version 0002: read and emptied at first use, see delivered_snapshots",
    "consent_log": "Heads of the log of consent: its entries lie in files, chained by hashes",
}
PLATFORM_AUDIENCE = """
CREATE VIEW "PlatformAudience" AS
SELECT
  audiences.platform,
  audiences.account,
  audiences.audience AS name,
  audiences.remote_id AS audience_id,
  audiences.remote_name,
  (audiences.match_rate_low + audiences.match_rate_high) / 2 AS match_rate,
  audiences.match_rate_low,
  audiences.match_rate_high,
  audiences.match_rate_how,
  audiences.size_high AS size,
  audiences.size_low,
  audiences.size_high,
  COALESCE(snapshots.people, 0) AS people_delivered,
  (
    SELECT MAX(COALESCE(deliveries.finished_at, deliveries.started_at))
    FROM deliveries
    WHERE deliveries.platform = audiences.platform
      AND deliveries.account = audiences.account
      AND deliveries.audience = audiences.audience
      AND deliveries.state IN ('unchanged', 'settled', 'processing')
  ) AS last_sync,
  audiences.state,
  audiences.status,
  audiences.read_at
FROM platform_audiences AS audiences
LEFT JOIN delivered_snapshots AS snapshots
  ON snapshots.platform = audiences.platform
  AND snapshots.account = audiences.account
  AND snapshots.audience = audiences.audience
"""
AUDIENCE_SYNC_LOG = """
CREATE VIEW "AudienceSyncLog" AS
SELECT
  counted.delivery_id,
  counted.platform,
  counted.account,
  counted.audience,
  counted.as_of,
  counted.sync_timestamp,
  counted.state,
  counted.users_wanted,
  counted.users_added,
  counted.users_removed,
  counted.users_refused,
  counted.errors,
  CASE
    WHEN counted.match_rate IS NULL THEN '{}'
    ELSE '{"' || counted.platform || '": '
      || CAST(ROUND(CAST(counted.match_rate AS NUMERIC), 4) AS TEXT) || '}'
  END AS match_rate_by_platform
FROM (
  SELECT
    deliveries.delivery_id,
    deliveries.platform,
    deliveries.account,
    deliveries.audience,
    deliveries.as_of,
    COALESCE(deliveries.finished_at, deliveries.started_at) AS sync_timestamp,
    deliveries.state,
    deliveries.wanted AS users_wanted,
    COALESCE(SUM(CASE WHEN batches.action = 'add' AND batches.state IN ('sent', 'settled')
      THEN batches.rows - COALESCE(batches.rejected, 0) END), 0) AS users_added,
    COALESCE(SUM(CASE WHEN batches.action = 'remove' AND batches.state IN ('sent', 'settled')
      THEN batches.rows - COALESCE(batches.rejected, 0) END), 0) AS users_removed,
    COALESCE(SUM(CASE
      WHEN batches.state IN ('sent', 'settled') THEN COALESCE(batches.rejected, 0)
      WHEN batches.state = 'failed' AND NOT EXISTS (
        SELECT 1 FROM batches AS parts WHERE parts.split_from = batches.batch_id
      ) THEN batches.rows END), 0) AS users_refused,
    CASE WHEN deliveries.state IN ('failed', 'incomplete', 'held', 'interrupted')
      THEN NULLIF(deliveries.message, '') END AS errors,
    CASE
      WHEN deliveries.matched IS NOT NULL AND deliveries.sent > 0
        THEN 1.0 * deliveries.matched / deliveries.sent
      ELSE SUM(batches.rows * (batches.match_rate_low + batches.match_rate_high) / 2)
        / SUM(CASE WHEN batches.match_rate_low IS NOT NULL AND batches.match_rate_high IS NOT NULL
          THEN batches.rows END)
    END AS match_rate
  FROM deliveries
  LEFT JOIN batches ON batches.delivery_id = deliveries.delivery_id
  GROUP BY deliveries.delivery_id
) AS counted
"""


def upgrade() -> None:
    """Create tables, columns and views."""
    op.create_table(
        "delivered_snapshots",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column(
            "file",
            sa.Text(),
            nullable=False,
            comment="Parquet file of the people; empty where there is nobody",
        ),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="Of the file"),
        sa.Column(
            "rows", sa.Integer(), nullable=False, comment="In the file: people as sent, some of them twice"
        ),
        sa.Column(
            "people",
            sa.Integer(),
            nullable=False,
            comment="In the audience as far as was confirmed, each once",
        ),
        sa.Column(
            "held",
            sa.JSON(),
            nullable=False,
            comment="Rows by the batch that touched them last, and by state",
        ),
        sa.Column(
            "position", sa.Integer(), nullable=False, comment="Number of changes to the audience so far"
        ),
        sa.Column("through", sa.Integer(), nullable=False, comment="The last change that the file holds"),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "account", "audience", name=op.f("pk_delivered_snapshots")),
        comment="Who may be in an audience: a file, with member_changes applied to it in order",
    )
    op.create_table(
        "erasures",
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "removed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the last platform had let them go",
        ),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When nothing of them was left here",
        ),
        sa.Column(
            "tombstones", sa.Integer(), nullable=False, comment="Keyed marks that keep them from coming back"
        ),
        sa.Column("rows", sa.JSON(), nullable=False, comment="Table to the number of rows that were deleted"),
        sa.Column("state", sa.String(length=16), nullable=False, comment="requested, removed, deleted"),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_erasures")),
        comment="What became of each request to erase people",
    )
    op.create_table(
        "removal_receipts",
        sa.Column("request_id", sa.String(length=64), nullable=False, comment="Where the request landed"),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column(
            "account",
            sa.String(length=64),
            nullable=False,
            comment="Empty where the platform is not configured",
        ),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="opt_out or erase"),
        sa.Column(
            "people", sa.Integer(), nullable=False, comment="Of the request, those who may have been there"
        ),
        sa.Column(
            "variants",
            sa.Integer(),
            nullable=False,
            comment="Sets of identifiers that were ever sent of them",
        ),
        sa.Column("audiences", sa.Integer(), nullable=False, comment="That they were removed from"),
        sa.Column(
            "state",
            sa.String(length=16),
            nullable=False,
            comment="owed, sent, confirmed, verified, refused, not_configured",
        ),
        sa.Column("how", sa.Text(), nullable=False, comment="A sentence: how they were removed, or why not"),
        sa.Column("request_ids", sa.JSON(), nullable=False, comment="Of the platform, for its support"),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "confirmed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the platform had processed the removal",
        ),
        sa.Column(
            "verified_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When it was seen that it took effect",
        ),
        sa.PrimaryKeyConstraint("request_id", "platform", "account", name=op.f("pk_removal_receipts")),
        comment="What became of each request to remove people, on each platform",
    )
    op.create_table(
        "variant_segments",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "file",
            sa.Text(),
            nullable=False,
            comment="Parquet file: customer_id, fingerprint, hashes as sent",
        ),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="Of the file"),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform", "sequence", name=op.f("pk_variant_segments")),
        comment="Files of all identifiers that were ever sent, so that all of them can be removed",
    )
    op.create_table(
        "verifications",
        sa.Column("verification_id", sa.String(length=32), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("audiences", sa.Integer(), nullable=False, comment="That were compared"),
        sa.Column(
            "gaps", sa.JSON(), nullable=False, comment="Sentences, each with the audience that it is about"
        ),
        sa.Column(
            "seen", sa.JSON(), nullable=False, comment="What the next comparison needs to know of this one"
        ),
        sa.PrimaryKeyConstraint("verification_id", name=op.f("pk_verifications")),
        comment="Comparisons of the ledger with what platforms show",
    )
    op.create_index(
        op.f("ix_verifications_platform_account_checked_at"),
        "verifications",
        ["platform", "account", "checked_at"],
        unique=False,
    )
    op.create_table(
        "member_changes",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch_id", sa.String(length=48), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="planned, refused"),
        sa.Column(
            "people", sa.LargeBinary(), nullable=False, comment="Arrow: customer_id, fingerprint, doubtful"
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.batch_id"], name=op.f("fk_member_changes_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint(
            "platform", "account", "audience", "position", name=op.f("pk_member_changes")
        ),
        comment="What was planned or refused since the snapshot; gone when the next one is written",
    )
    op.create_table(
        "refused_members",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=255), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column(
            "fingerprint", sa.String(length=16), nullable=False, comment="Of the identifiers as sent, in hex"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="In the words of the platform"),
        sa.Column("batch_id", sa.String(length=48), nullable=False, comment="The last that they were in"),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.batch_id"], name=op.f("fk_refused_members_batch_id_batches")
        ),
        sa.PrimaryKeyConstraint(
            "platform", "account", "audience", "customer_id", "fingerprint", name=op.f("pk_refused_members")
        ),
        comment="People whom a platform named as refused: not sent again until their identifiers change",
    )
    op.create_index(op.f("ix_refused_members_batch_id"), "refused_members", ["batch_id"], unique=False)
    op.add_column(
        "batches",
        sa.Column(
            "split_from",
            sa.String(length=48),
            server_default="",
            nullable=False,
            comment="The batch that it is a part of, because people in that were refused; else empty",
        ),
    )
    op.add_column(
        "batches",
        sa.Column(
            "settled_order",
            sa.Integer(),
            nullable=True,
            comment="Its outcome among the changes counted in delivered_snapshots",
        ),
    )
    op.create_index(op.f("ix_batches_split_from"), "batches", ["split_from"], unique=False)
    op.execute(PLATFORM_AUDIENCE)
    op.execute(AUDIENCE_SYNC_LOG)
    if op.get_context().dialect.supports_comments:
        for table, comment in COMMENTS.items():
            op.create_table_comment(table, comment)
