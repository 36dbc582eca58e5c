"""What was pushed to PagerDuty's service graph, and what became of it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pushed_dependency",
        sa.Column("dependent", sa.String(), nullable=False),
        sa.Column("supporting", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("callee", sa.String(), nullable=False),
        sa.Column("fate", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.Column("habit", sa.Float(), nullable=False),
        sa.Column("layers", sa.String(), nullable=False),
        sa.Column("silence", sa.Float(), nullable=False),
        sa.Column("checked_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("dependent", "supporting"),
    )


def downgrade() -> None:
    op.drop_table("pushed_dependency")
