"""The heads of the log of consent: what was stated, segment by segment, each chained to the one before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table of heads."""
    op.create_table(
        "consent_log",
        sa.Column(
            "sequence", sa.Integer(), autoincrement=False, nullable=False, comment="From 1, without gaps"
        ),
        sa.Column("origin", sa.String(length=16), nullable=False, comment="statements, request or signals"),
        sa.Column(
            "reference", sa.String(length=64), nullable=False, comment="The landing that it comes from"
        ),
        sa.Column(
            "segment",
            sa.String(length=128),
            nullable=False,
            comment="File of the entries; empty where there are none",
        ),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column(
            "first_hash",
            sa.String(length=64),
            nullable=False,
            comment="Of the first entry; empty without entries",
        ),
        sa.Column(
            "last_hash", sa.String(length=64), nullable=False, comment="What the next entry is chained to"
        ),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("appended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "head", sa.String(length=64), nullable=False, comment="SHA-256 of this row and the head before it"
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_consent_log")),
        sa.UniqueConstraint("origin", "reference", name=op.f("uq_consent_log_origin_reference")),
    )
