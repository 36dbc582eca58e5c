"""The last write of each layer, so that one whose commit broke is not stored twice"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "layer_write",
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("layer"),
    )


def downgrade() -> None:
    op.drop_table("layer_write")
