"""What was said of incidents, and what became of them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "incident_grade",
        sa.Column("incident_id", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.Column("confirmed_cause", sa.String(), nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("confirmed_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("incident_id"),
    )
    op.create_index("ix_incident_grade_closed_at", "incident_grade", ["closed_at"], unique=False)


def downgrade() -> None:
    op.drop_table("incident_grade")
