"""Changes from many sources: who told of one, when, and a place among those of the same moment"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("change_id", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "change_id"),
    )
    op.execute(
        "INSERT INTO change_events (source, change_id, at, received_at, service, kind, title, link, author) "
        "SELECT 'ingest', id, at, at, service, kind, title, link, author FROM change_event ORDER BY at, id"
    )
    op.create_index("ix_change_events_at", "change_events", ["at", "id"], unique=False)
    op.create_index("ix_change_events_service", "change_events", ["service", "at", "id"], unique=False)
    op.drop_table("change_event")


def downgrade() -> None:
    op.create_table(
        "change_event",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("link", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        "INSERT INTO change_event (id, at, service, kind, title, link, author) "
        "SELECT source || ' ' || change_id, at, service, kind, title, link, author FROM change_events"
    )
    op.create_index("ix_change_event_at", "change_event", ["at"], unique=False)
    op.drop_table("change_events")
