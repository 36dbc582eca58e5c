"""The databases under test: a file of SQLite, and a database on a PostgreSQL of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.storage.database import Database
from tests.kit.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of this process."""
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database, first of the one kind, then of the other."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/contract.db"
        return
    running: Postgres = request.getfixturevalue("server")
    address = await running.create()
    yield address
    await running.drop(address)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """A database with its tables."""
    made = Database(url)
    await made.upgrade()
    yield made
    await made.close()
