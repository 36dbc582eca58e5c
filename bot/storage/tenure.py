"""One bot to a database: a second one would send the same messages and count the same telemetry again.

SQLite: a lock on a file beside the database (flock(2)), which the system lets go when the process ends, however it ends. PostgreSQL: an
advisory lock of a session of its own (postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS); where that session is lost,
the lock is, too, and is taken again. Behind a pooler that hands a session's transactions to several connections it holds nothing.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path

import structlog
from sqlalchemy import func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from bot.errors import ConfigError

_NAME = "topology-bot works this database"
_PATIENCE = 10.0
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)

log = structlog.get_logger(__name__)


class Tenure:
    """One bot's hold on the database at `url` (with the async driver's name)."""

    def __init__(self, url: URL) -> None:
        self._is_sqlite = url.get_backend_name() == "sqlite"
        self._path = Path(f"{url.database}.lock")
        self._file = -1
        self._engine = create_async_engine(url, poolclass=NullPool)
        self._session: AsyncConnection | None = None

    async def take(self) -> None:
        """Hold it. Raises ConfigError where another bot does, or the database does not answer."""
        if not (self._lock_file() if self._is_sqlite else await self._lock_session()):
            raise ConfigError(
                "DATABASE_URL: another bot works this database, and two would send every message twice; end it first, "
                "or give this one a database of its own"
            )

    async def keep(self) -> bool:
        """Whether it is still held, or could be taken again; to be asked every few seconds. While the database does not answer,
        nobody else can take it."""
        if self._is_sqlite or await self._alive():
            return True
        await self._drop_session()
        try:
            return await self._lock_session()
        except ConfigError as error:
            log.warning("the hold on the database is lost until it answers", why=str(error))
            return True

    async def release(self) -> None:
        """Let another bot have it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        await self._drop_session()
        await self._engine.dispose()

    def _lock_file(self) -> bool:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            self._file = -1
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ConfigError(f"DATABASE_URL: cannot lock {self._path}: {error.strerror}") from None
            log.warning("this file system knows no locks: see to it that one bot alone works the database")
        return True

    async def _lock_session(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                self._session = await self._engine.connect()
                taken = await self._session.scalar(select(func.pg_try_advisory_lock(func.hashtextextended(_NAME, 0))))
                await self._session.commit()  # the lock is the session's, not the transaction's
        except (SQLAlchemyError, OSError) as error:
            await self._drop_session()
            raise ConfigError(f"the database does not answer: {type(error).__name__}") from None
        if not taken:
            await self._drop_session()
        return bool(taken)

    async def _alive(self) -> bool:
        """Whether the session that holds the lock still answers."""
        if self._session is None:
            return False
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._session.scalar(select(1))
                await self._session.commit()
        except (SQLAlchemyError, OSError):
            return False
        return True

    async def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            await session.invalidate()
            await session.close()
        except (SQLAlchemyError, OSError) as error:  # it is broken, which is why it goes
            log.info("a session ended badly", why=type(error).__name__)
