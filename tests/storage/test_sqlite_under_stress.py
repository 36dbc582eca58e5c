"""SQLite where it hurts: several processes, a kill in the middle, a full disk, a file that may only be read."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bot.model import Layer, Node
from bot.storage.database import Database
from bot.storage.map_store import MapStore, StoredEdge
from tests.kit.bots import REPOSITORY
from tests.kit.maps import NOW, minute, tally
from tests.kit.migrations import HEAD

EDGES = [(f"s{number}", "hub") for number in range(40)]

# Writes whole batches until it is stopped, and says after each that it stands.
WRITER = """
import asyncio, resource, sys
from tests.storage.test_sqlite_under_stress import write_batch
from bot.storage.database import Database

async def main(path, rounds, limit):
    database = Database(f"sqlite:///{path}")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for number in range(rounds):
        await write_batch(database)
        print(number + 1, flush=True)
    await database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


async def write_batch(database: Database) -> None:
    """One call on each of forty edges, in one transaction."""
    stored = [StoredEdge(Layer.TRACE, edge, NOW, NOW, 60.0) for edge in EDGES]
    nodes = [Node(service) for service in ("hub", *(caller for caller, _ in EDGES))]
    await MapStore(database).write(Layer.TRACE, nodes, stored, {minute(): {edge: tally(1) for edge in EDGES}}, NOW)


async def counted(database: Database) -> set[float]:
    """The counts of the forty edges: one and the same number where only whole batches were stored."""
    store = MapStore(database)
    await store.edges()
    return {found.calls async for _, _, found in store.windows(Layer.TRACE, 0)}


def writer(path: Path, rounds: int = 1_000_000, limit: int = 0) -> subprocess.Popen[str]:
    command: Sequence[str] = (sys.executable, "-W", "error", "-c", WRITER, str(path), str(rounds), str(limit))
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def new_database(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    await database.upgrade()
    return database


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# -- several at once -------------------------------------------------------------------------------------------------


async def test_two_processes_that_write_at_once_never_find_the_database_locked(tmp_path: Path) -> None:
    database = await new_database(tmp_path / "bot.db")
    processes = [writer(tmp_path / "bot.db", rounds=40) for _ in range(2)]
    for _ in range(40):
        await write_batch(database)
    ends = [await asyncio.to_thread(process.communicate, timeout=60) for process in processes]

    assert [(process.returncode, errors) for process, (_, errors) in zip(processes, ends, strict=True)] == [(0, "")] * 2
    assert await counted(database) == {120.0}
    await database.close()


async def test_a_long_write_of_another_process_is_waited_for(tmp_path: Path) -> None:
    database = await new_database(tmp_path / "bot.db")
    with sqlite3.connect(tmp_path / "bot.db", isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(1.0, other.execute, "COMMIT")
        await write_batch(database)
    other.close()

    assert await counted(database) == {1.0}
    await database.close()


async def test_readers_see_whole_batches_while_another_process_writes(tmp_path: Path) -> None:
    database = await new_database(tmp_path / "bot.db")
    process = writer(tmp_path / "bot.db", rounds=60)
    seen = set()
    while process.poll() is None:
        found = await counted(database)
        assert len(found) <= 1
        seen |= found
    _, errors = process.communicate()

    assert errors == ""
    assert len(seen) > 1
    assert await counted(database) == {60.0}
    await database.close()


# -- killed ----------------------------------------------------------------------------------------------------------


async def test_killed_again_and_again_in_the_middle_of_writing_it_keeps_whole_batches_and_every_acknowledged_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bot.db"
    await (await new_database(path)).close()
    chance = random.Random(5)
    acknowledged = 0
    for _ in range(5):
        process = writer(path)
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)  # it writes
        await asyncio.sleep(chance.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        said, _ = await asyncio.to_thread(process.communicate)
        acknowledged += 1 + said.count("\n")
        database = Database(f"sqlite:///{path}")
        [total] = await counted(database)
        async with database.read() as connection:
            assert await connection.scalar(text("PRAGMA integrity_check")) == "ok"
        await database.close()
        # At most one batch per life was stored and not said to be any more.
        assert acknowledged <= total <= acknowledged + 1
        acknowledged = int(total)

    assert acknowledged >= 5


# -- no room, no right -----------------------------------------------------------------------------------------------


async def test_a_full_disk_is_an_error_and_stores_nothing_by_halves(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    database = await new_database(path)
    await write_batch(database)
    process = writer(path, limit=path.stat().st_size + 300_000)
    said, errors = await asyncio.to_thread(process.communicate, timeout=60)

    assert process.returncode == 1
    assert "disk I/O error" in errors or "database or disk is full" in errors
    assert await counted(database) == {1.0 + said.count("\n")}
    await write_batch(database)
    assert await counted(database) == {2.0 + said.count("\n")}
    await database.close()


async def test_a_file_that_may_not_be_written_is_an_error_that_says_so_and_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await (await new_database(path)).close()
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("this user (root, usually) may write everywhere")
    before = path.read_bytes()
    database = Database(f"sqlite:///{path}")
    with pytest.raises(OperationalError, match="readonly database"):
        await write_batch(database)
    assert await counted(database) == set()
    await database.close()

    assert path.read_bytes() == before


# -- reading only ----------------------------------------------------------------------------------------------------


async def test_reading_a_database_at_rest_leaves_every_file_as_it_was(tmp_path: Path) -> None:
    database = await new_database(tmp_path / "bot.db")
    await write_batch(database)
    await database.close()
    before = files(tmp_path)
    reader = Database(f"sqlite:///{tmp_path}/bot.db", read_only=True)
    assert await reader.version() == HEAD
    assert await counted(reader) == {1.0}
    await reader.close()

    assert before.keys() == {"bot.db"}
    assert files(tmp_path) == before


async def test_reading_while_a_bot_writes_sees_its_last_batch_and_does_not_disturb_it(tmp_path: Path) -> None:
    database = await new_database(tmp_path / "bot.db")
    await write_batch(database)
    reader = Database(f"sqlite:///{tmp_path}/bot.db", read_only=True)
    assert await counted(reader) == {1.0}
    await write_batch(database)
    assert await counted(reader) == {2.0}
    await reader.close()
    await write_batch(database)

    assert await counted(database) == {3.0}
    await database.close()


async def test_what_a_killed_bot_left_in_its_log_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await (await new_database(path)).close()
    process = writer(path)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.communicate)
    assert (tmp_path / "bot.db-wal").stat().st_size > 0
    reader = Database(f"sqlite:///{path}", read_only=True)
    [total] = await counted(reader)
    await reader.close()

    assert total >= 1
