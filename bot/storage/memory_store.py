"""Keeps what a layer has to know again after a restart: one body of bytes a layer, the last one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite

from bot.model import Layer
from bot.storage.database import Database
from bot.storage.tables import LayerMemoryRow

_memory: Table = LayerMemoryRow.__table__  # type: ignore[attr-defined]


class MemoryStore:
    """Works one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, layer: Layer, body: bytes, now: float) -> None:
        """Put `body` in the place of what was kept for the layer."""
        async with self._database.write() as connection:
            dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(_memory).values(layer=layer.value, at=now, body=body)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["layer"], set_={"at": now, "body": body})
            )

    async def read(self, layer: Layer) -> bytes | None:
        """What was last kept for the layer; None for nothing."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(_memory.c.body).where(_memory.c.layer == layer.value))).first()
            return bytes(row.body) if row is not None else None
