"""Opens the database: SQLite (the embedded default) or PostgreSQL, with the same two verbs, `read` and `write`.

SQLite: WAL, every commit synced to disk (an acknowledged alert survives a power cut), one writing connection whose pool
makes writers queue in order instead of meeting `database is locked`, readers that never block it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import ConfigError

_MIGRATIONS = Path(__file__).parent / "migrations"


def _async_url(url: str) -> URL:
    """`sqlite:///PATH` and `postgresql://…`, with or without a driver's name -> the async driver's URL."""
    try:
        parsed = make_url(re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url))
    except ArgumentError:
        raise ConfigError("DATABASE_URL: want sqlite:///PATH or postgresql://user:password@host/database") from None
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    return parsed.set(drivername="postgresql+asyncpg")


class Database:
    """The engines and their transactions. `read_only` opens an existing SQLite file without ever writing to it."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = _async_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if not self.is_sqlite:
            self._writer = self._reader = create_async_engine(self.url, pool_size=8, max_overflow=4, pool_pre_ping=True)
            return
        path = Path(self.url.database or "")
        if not self.url.database or self.url.database == ":memory:":
            raise ConfigError("DATABASE_URL: an in-memory SQLite would lose every alert; give a path")
        if read_only and not path.exists():
            raise ConfigError(f"no database at {path}: is the bot's DATABASE_URL the same, and has it run?")
        if not path.parent.is_dir():
            raise ConfigError(f"DATABASE_URL: there is no directory {path.parent}")
        pragmas = ("busy_timeout=15000", "foreign_keys=ON")
        durable = ("journal_mode=WAL", "synchronous=FULL")
        self._reader = self._sqlite_engine("BEGIN", 4, (*pragmas, "query_only=ON"))
        self._writer = self._reader if read_only else self._sqlite_engine("BEGIN IMMEDIATE", 1, (*pragmas, *durable))

    def _sqlite_engine(self, begin: str, pool_size: int, pragmas: tuple[str, ...]) -> AsyncEngine:
        engine = create_async_engine(
            self.url, poolclass=AsyncAdaptedQueuePool, pool_size=pool_size, max_overflow=0, pool_timeout=60
        )

        @event.listens_for(engine.sync_engine, "connect")
        def _connected(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # this program says BEGIN itself, see below
            cursor = connection.cursor()
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it is stored when the block ends, or nothing."""
        async with self._writer.begin() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One consistent look."""
        async with self._reader.begin() as connection:
            yield connection

    async def upgrade(self) -> str:
        """Bring the tables to this program's version; says which. Replicas that start together take turns."""
        async with self._writer.connect() as connection:
            if not self.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_lock(727274)"))
                await connection.commit()
            try:
                await connection.run_sync(_run_upgrade)
                await connection.commit()
            finally:
                if not self.is_sqlite:
                    await connection.execute(text("SELECT pg_advisory_unlock(727274)"))
                    await connection.commit()
        return await self.version()

    async def version(self) -> str:
        """The migration the tables are at. Raises `ConfigError` where there are no tables."""
        try:
            async with self.read() as connection:
                return str(await connection.scalar(text("SELECT version_num FROM alembic_version")))
        except SQLAlchemyError:
            raise ConfigError("the database has no tables yet: run `topology-bot db upgrade`") from None

    async def ping(self) -> None:
        """Raise `DatabaseUnavailable` where the database does not answer."""
        try:
            async with self.read() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError, sqlite3.Error) as error:
            raise DatabaseUnavailable(type(error).__name__) from None

    async def close(self) -> None:
        """Let all connections go."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


class DatabaseUnavailable(ConfigError):
    """The database does not answer; carries the driver's error type, never its text (which may hold the URL)."""


def _run_upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
