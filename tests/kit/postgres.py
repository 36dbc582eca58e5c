"""A private PostgreSQL from Debian's programs: its own folder, its own port, gone when the tests are."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from tests.kit.bots import free_port
from tests.kit.debian import require_postgresql

_ATTEMPTS = 3
_DURABLE_ENOUGH = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server. Every test gets a database of its own on it."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        """The address of one of its databases, whether it exists or not."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def create(self) -> str:
        """The address of a new, empty database."""
        name = f"test{next(self._numbers)}"
        await self._run(f"CREATE DATABASE {name}")
        return self.url(name)

    async def drop(self, url: str) -> None:
        """Let a database go, with whoever is still connected."""
        await self._run(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; skips where PostgreSQL is not installed."""
    programs = require_postgresql()
    folder = Path(tempfile.mkdtemp(prefix="topology-bot-pg-"))
    data = str(folder / "data")
    try:
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        _run([f"{programs}/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], folder)
        port = _start(programs, data, folder)
        try:
            yield Postgres(port)
        finally:
            _run([f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(programs: Path, data: str, folder: Path) -> int:
    """Start it on a free port; one that was taken in the meantime is exchanged for another."""
    for attempt in range(_ATTEMPTS):
        port = free_port()
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {_DURABLE_ENOUGH}"
        try:
            _run([f"{programs}/pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start"], folder)
        except subprocess.CalledProcessError:
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            return port
    raise AssertionError("no attempt was made")


def _run(command: Sequence[str], folder: Path) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    # Not captured: the server inherits these, and a pipe would never end.
    subprocess.run(command, cwd=folder, user=user, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
