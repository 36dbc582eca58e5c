"""Opens the database: SQLite (the embedded default) or PostgreSQL, with the same two verbs, `read` and `write`.

SQLite: WAL, every commit synced to disk (an acknowledged alert survives a power cut), one writing connection whose pool
makes writers queue in order instead of meeting `database is locked`, readers that never block it.

What is lost here: from every text, NUL characters (PostgreSQL takes none) and halves of surrogate pairs (neither database
can encode them). Vendors' texts hold both, and one of them must not keep an alert from being stored.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, func, inspect, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from bot.errors import ConfigError

_MIGRATIONS = Path(__file__).parent / "migrations"
_UNFIT = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:
    """A value, however deep, whose texts both databases take. Numbers, bytes and None are as they were."""
    if isinstance(value, str):
        return _UNFIT.sub("", value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def _async_url(url: str) -> URL:
    """`sqlite:///PATH` and `postgresql://…`, with or without a driver's name -> the async driver's URL."""
    try:
        parsed = make_url(re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url))
    except ArgumentError:
        raise ConfigError("DATABASE_URL: want sqlite:///PATH or postgresql://user:password@host/database") from None
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite")
    query = dict(parsed.query)
    if "sslmode" in query:  # as every other client of PostgreSQL spells it
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


class Database:
    """The engines and their transactions.

    `read_only`: no statement can change anything, and an SQLite file must be there already. (SQLite itself may still
    tidy up what a killed writer left in its log.)
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = _async_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if not self.is_sqlite:
            settings = {"default_transaction_read_only": "on"} if read_only else {}
            self._writer = self._reader = self._engine(
                pool_size=8, max_overflow=4, pool_pre_ping=True, connect_args={"server_settings": settings}
            )
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

    def _engine(self, **options: Any) -> AsyncEngine:
        engine = create_async_engine(self.url, json_serializer=lambda value: json.dumps(storable(value)), **options)

        @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
        def _clean(_connection: object, _cursor: object, statement: str, given: Any, *_more: object) -> tuple[str, Any]:
            return statement, _storable_parameters(given)

        return engine

    def _sqlite_engine(self, begin: str, pool_size: int, pragmas: tuple[str, ...]) -> AsyncEngine:
        engine = self._engine(poolclass=AsyncAdaptedQueuePool, pool_size=pool_size, max_overflow=0, pool_timeout=60)

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

    async def alone(self, connection: AsyncConnection, work: str) -> None:
        """Wait until nobody else is at the same `work`, and keep others from it to the end of the transaction.

        For what is looked up first and written then. SQLite has one writer at a time anyway.
        """
        if not self.is_sqlite:
            await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(work))))

    async def upgrade(self) -> str:
        """Bring the tables to this program's version; says which. Replicas that start together take turns.

        Raises `DatabaseUnavailable` where the database cannot be reached or written.
        """
        try:
            async with self.write() as connection:
                await self.alone(connection, "upgrade")
                await connection.run_sync(_run_upgrade)
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseUnavailable(f"the database cannot be brought up to date: {_kind(error)}") from error
        return await self.version()

    async def version(self) -> str:
        """The migration the tables are at. Raises `ConfigError` where there are no tables."""
        try:
            async with self.read() as connection:
                if await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                    return str(await connection.scalar(text("SELECT version_num FROM alembic_version")))
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseUnavailable(f"the database does not answer: {_kind(error)}") from None
        raise ConfigError("the database has no tables yet: run `topology-bot db upgrade`")

    async def ping(self) -> None:
        """Raise `DatabaseUnavailable` where the database does not answer, or not with our tables."""
        try:
            async with self.read() as connection:
                await connection.execute(text("SELECT version_num FROM alembic_version"))
        except (SQLAlchemyError, OSError) as error:
            raise DatabaseUnavailable(_kind(error)) from None

    async def close(self) -> None:
        """Let all connections go."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


class DatabaseUnavailable(ConfigError):
    """The database does not answer; names the driver's error, never in PostgreSQL's words (which may hold the URL)."""


def _kind(error: BaseException) -> str:
    cause = error.driver_exception if isinstance(error, DBAPIError) and error.driver_exception else error
    name = type(cause).__name__
    return f"{name}: {cause}" if isinstance(cause, sqlite3.Error) else name


def _storable_parameters(given: Any) -> Any:
    """A statement's parameters, or a list of them for one that runs many times."""
    if isinstance(given, list):
        return [_storable_parameters(one) for one in given]
    if isinstance(given, tuple) and any(isinstance(value, str) for value in given):
        return tuple(storable(value) if isinstance(value, str) else value for value in given)
    return given


def _run_upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
