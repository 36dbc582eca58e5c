"""Alembic's entry: runs the migrations on the connection it is given, or autogenerates against the tables."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from bot.storage import dependency_tables, digest_tables, manners_tables, tables

_TABLES = (tables.COUNTS, digest_tables.__doc__, dependency_tables.__doc__, manners_tables.__doc__)
assert all(_TABLES)  # the imports are what fills the metadata  # noqa: S101

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=context.config.attributes["connection"].dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
