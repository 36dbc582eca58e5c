"""The map's history: blocks, what was last seen when, late counts, what the catalogue said; bytes and details of edges"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HISTOGRAM = tuple(f"h{index:02d}" for index in range(16))
_OLD_COUNTS = ("calls", "errors", "sampled", "latency_us", *_HISTOGRAM)
_LEVELS = (60, 3_600, 86_400)


def upgrade() -> None:
    op.create_table("edge_late", *_counted(), sqlite_with_rowid=False)
    op.create_table(
        "edge_block",
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seconds", "start"),
    )
    op.create_table(
        "edge_seen",
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("at"),
    )
    op.create_table(
        "unrolled",
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seconds", "start"),
    )
    kept = op.create_table(
        "kept_from",
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seconds"),
    )
    op.bulk_insert(kept, [{"seconds": level, "start": 0} for level in _LEVELS])
    op.create_table(
        "property_change",
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("service", "at"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_on_sqlite()
    else:
        _alter_on_postgresql()
    # What is stored already has no blocks yet: every minute of it still has to be rolled up.
    op.execute("INSERT INTO unrolled (seconds, start, token) SELECT DISTINCT 60, start, 0 FROM edge_window")


def _counted() -> Sequence[SchemaItem]:
    return (
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("edge_id", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.Float(), nullable=True),
        sa.Column("errors", sa.Float(), nullable=True),
        sa.Column("sampled", sa.BigInteger(), nullable=True),
        sa.Column("latency_us", sa.Float(), nullable=True),
        sa.Column("bytes", sa.Float(), nullable=True),
        *(sa.Column(name, sa.Float(), nullable=True) for name in _HISTOGRAM),
        sa.PrimaryKeyConstraint("start", "edge_id"),
    )


def _rebuild_on_sqlite() -> None:
    """SQLite cannot alter a column: the tables are made anew, and the rows copied."""
    op.create_table("edge_window_new", *_counted(), sqlite_with_rowid=False)
    kept = ", ".join(_OLD_COUNTS)
    filled = ", ".join(f"NULLIF({name}, 0)" for name in _OLD_COUNTS)
    op.execute(
        f"INSERT INTO edge_window_new (start, edge_id, {kept}) SELECT start, edge_id, {filled} FROM edge_window"  # noqa: S608
    )
    op.drop_table("edge_window")
    op.rename_table("edge_window_new", "edge_window")
    op.create_table(
        "edge_new",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("layer", sa.String(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("callee", sa.String(), nullable=False),
        sa.Column("first_seen", sa.Float(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.Column("interval", sa.Float(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("layer", "caller", "callee"),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO edge_new (id, layer, caller, callee, first_seen, last_seen, interval, detail) "
        "SELECT id, layer, caller, callee, first_seen, last_seen, interval, '{}' FROM edge"
    )
    op.drop_table("edge")
    op.rename_table("edge_new", "edge")
    op.create_index("ix_edge_callee", "edge", ["callee"], unique=False)
    op.create_index("ix_edge_last_seen", "edge", ["last_seen"], unique=False)


def _alter_on_postgresql() -> None:
    # Every write takes numbers from the sequence for edges that turn out to be there: four bytes would be used up in a year.
    op.execute("ALTER TABLE edge ALTER COLUMN id TYPE BIGINT, ADD COLUMN detail JSON NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE edge ALTER COLUMN detail DROP DEFAULT")
    op.execute("ALTER SEQUENCE edge_id_seq AS BIGINT")
    freed = ", ".join(f"ALTER COLUMN {name} DROP NOT NULL" for name in _OLD_COUNTS)
    op.execute(f"ALTER TABLE edge_window ALTER COLUMN edge_id TYPE BIGINT, ADD COLUMN bytes DOUBLE PRECISION, {freed}")


def downgrade() -> None:
    raise NotImplementedError("a history cannot be fitted into the tables before it; restore a copy of the database")
