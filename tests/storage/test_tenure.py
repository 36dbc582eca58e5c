"""One bot to a database, whichever it is and however the other one ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.assembly import hold
from bot.errors import ConfigError
from bot.storage.database import Database
from bot.storage.tenure import Tenure
from tests.kit.bots import bot


async def test_a_second_bot_is_refused_and_says_what_to_do(database: Database) -> None:
    first, second = Tenure(database.url), Tenure(database.url)
    await first.take()
    with pytest.raises(ConfigError, match=r"DATABASE_URL: another bot works this database.*end it first"):
        await second.take()
    assert await first.keep()

    await first.release()
    await second.take()
    assert await second.keep()
    await second.release()


async def test_a_bot_that_is_killed_holds_nothing_any_more(database: Database) -> None:
    """A child that takes the database and is killed without a chance to tidy up."""
    code = (
        "import asyncio, sys; from sqlalchemy import make_url; from bot.storage.tenure import Tenure\n"
        "async def run():\n"
        "    held = Tenure(make_url(sys.argv[1])); await held.take(); print('held', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(run())"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, database.url.render_as_string(hide_password=False), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"held\n"
    mine = Tenure(database.url)
    with pytest.raises(ConfigError):
        await mine.take()

    child.kill()
    await child.wait()
    for _ in range(100):  # PostgreSQL ends the session when it sees that the connection is gone
        try:
            await mine.take()
            break
        except ConfigError:
            await asyncio.sleep(0.05)
    assert await mine.keep()
    await mine.release()


async def test_a_lost_session_is_taken_again_unless_another_bot_was_faster(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.is_sqlite:
        pytest.skip("a file's lock ends with the process alone")
    first, second = Tenure(database.url), Tenure(database.url)
    ended: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", ended.append)

    async def cut() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))

    await first.take()
    await cut()
    await hold(first)
    assert ended == []
    with pytest.raises(ConfigError):
        await second.take()

    await cut()
    await second.take()
    await hold(first)
    assert ended == [signal.SIGKILL]
    await first.release()
    await second.release()


async def test_a_whole_bot_holds_its_database_until_it_has_ended(tmp_path: Path) -> None:
    async with bot(tmp_path):
        with pytest.raises(ConfigError, match="another bot works this database"):
            async with bot(tmp_path):
                pass
    async with bot(tmp_path) as (running, _):
        assert running.url


@pytest.mark.skipif(os.geteuid() == 0, reason="this user (root, usually) may write everywhere")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="DATABASE_URL: cannot lock"):
        asyncio.run(Tenure(Database(f"sqlite:///{tmp_path}/bot.db").url).take())
