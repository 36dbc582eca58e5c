"""Daily digests: who gets them, what they were told, and what was answered to it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "digest_subscription",
        sa.Column("id", _ID, nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("always", sa.Boolean(), nullable=False),
        sa.Column("told_until", sa.Float(), nullable=True),
        sa.Column("last_date", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_digest_subscription_channel", "digest_subscription", ["channel"], unique=False)
    op.create_table(
        "digest_answer",
        sa.Column("id", _ID, nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_digest_answer_line", "digest_answer", ["channel", "line", "id"], unique=False)
    op.create_table(
        "digest_told",
        sa.Column("subscription", _ID, nullable=False),
        sa.Column("pair", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("subscription", "pair"),
    )


def downgrade() -> None:
    op.drop_table("digest_told")
    op.drop_table("digest_answer")
    op.drop_table("digest_subscription")
