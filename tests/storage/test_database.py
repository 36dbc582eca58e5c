"""Opening the database: its tables, its transactions, and what it says where something is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from bot.errors import ConfigError
from bot.model import Change, ChangeKind, Layer
from bot.storage import database as database_module
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database, DatabaseUnavailable, storable
from bot.storage.history_store import HistoryStore
from bot.storage.map_store import MapStore, StoredEdge
from tests.kit.bots import free_port
from tests.kit.maps import tally
from tests.kit.migrations import HEAD
from tests.kit.postgres import Postgres

TABLES = {
    "alembic_version", "alert", "change_events", "decision", "delivery", "digest_answer", "digest_subscription", "digest_told",
    "edge", "edge_block", "edge_late", "edge_seen", "edge_window",
    "layer_memory", "layer_write", "pushed_dependency", "incident_hold", "courtesy_word",
    "incident", "alias_word", "home_team", "incident_grade", "kept_from", "outbox", "property_change", "service", "unrolled",
}  # fmt: skip


async def tables(database: Database) -> set[str]:
    async with database.read() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def numbers(database: Database) -> list[int]:
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT n FROM numbers ORDER BY n"))).scalars())


async def with_numbers(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))


async def add(database: Database, *found: int) -> None:
    async with database.write() as connection:
        for number in found:
            await connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})


# -- tables ----------------------------------------------------------------------------------------------------------


async def test_an_empty_database_gets_its_tables_and_an_upgraded_one_stays_as_it_is(url: str) -> None:
    database = Database(url)

    assert await database.upgrade() == HEAD
    assert await tables(database) == TABLES
    assert await database.upgrade() == await database.version() == HEAD
    await database.close()


async def test_the_migrations_make_the_tables_the_code_speaks_of(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, SQLModel.metadata))

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_map_from_before_its_history_was_kept_is_upgraded_with_all_it_holds(url: str) -> None:
    old = Database(url)
    config = Config()
    config.set_main_option("script_location", str(database_module._MIGRATIONS))
    histogram = [f"h{number:02d}" for number in range(16)]
    columns = ", ".join(["start", "edge_id", "calls", "errors", "sampled", "latency_us", *histogram])
    counts = "1700000040, 1, 5, 0, 5, 1.5, " + ", ".join(["0"] * 4 + ["5"] + ["0"] * 11)

    def to_the_first(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO edge (layer, caller, callee, first_seen, last_seen, interval) "
                "VALUES ('trace', 'a', 'b', 1, 2, 60)"
            )
        )
        connection.execute(text(f"INSERT INTO edge_window ({columns}) VALUES ({counts})"))

    async with old.write() as connection:
        await connection.run_sync(to_the_first)
    assert await old.upgrade() == HEAD
    store, history = MapStore(old), HistoryStore(old)
    found = tally(5)
    found.latency_us = 1.5
    await store.write(Layer.TRACE, [], await store.edges(), {1_700_000_040: {("a", "b"): found}}, 0.0)
    await history.roll_up(1_700_100_000, 0, 0)
    [(_, _, again)] = [row async for row in store.windows(Layer.TRACE, 0)]
    [span] = await history.total(1_700_000_040, 1_700_000_100)

    assert (again.calls, again.errors, again.latency_us, again.bytes, again.histogram[4]) == (10, 0, 3, 0, 10)
    assert await store.edges() == [StoredEdge(Layer.TRACE, ("a", "b"), 1, 2, 60)]
    assert span.counts.columns[0].tolist() == [10]
    await old.close()


async def test_changes_told_of_before_they_had_a_source_are_kept(url: str) -> None:
    old = Database(url)
    config = Config()
    config.set_main_option("script_location", str(database_module._MIGRATIONS))

    def to_the_fourth(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(
            text(
                "INSERT INTO change_event (id, at, service, kind, title, link, author) "
                "VALUES ('17', 1700000040, 'payments', 'deploy', 'v2', 'https://ci.example/17', 'ada')"
            )
        )

    def back_and_forth(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        command.upgrade(config, "head")

    async with old.write() as connection:
        await connection.run_sync(to_the_fourth)
    await old.upgrade()
    [kept] = await ChangeStore(old).page((), 0, 1_800_000_000, 10)
    async with old.write() as connection:
        await connection.run_sync(back_and_forth)

    told = Change(1_700_000_040.0, "payments", ChangeKind.DEPLOY, "v2", "ingest", "17", "https://ci.example/17", "ada")
    assert kept.change == told
    assert len(await ChangeStore(old).page((), 0, 1_800_000_000, 10)) == 1
    await old.close()


async def test_replicas_that_start_together_upgrade_in_turn(url: str) -> None:
    replicas = [Database(url) for _ in range(4)]

    assert await asyncio.gather(*(one.upgrade() for one in replicas)) == [HEAD] * 4
    for one in replicas:
        await one.close()


async def test_an_upgrade_that_fails_leaves_nothing_behind_and_nobody_locked_out(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = database_module._run_upgrade

    def half_way(connection: Connection) -> None:
        whole(connection)
        connection.execute(text("SELECT nonsense"))

    database = Database(url)
    monkeypatch.setattr(database_module, "_run_upgrade", half_way)
    with pytest.raises(
        DatabaseUnavailable, match=r"cannot be brought up to date: (OperationalError|UndefinedColumnError)"
    ):
        await database.upgrade()
    assert await tables(database) == set()
    monkeypatch.undo()

    again = Database(url)
    assert await asyncio.wait_for(again.upgrade(), 10) == HEAD
    for one in (database, again):
        await one.close()


async def test_a_database_without_tables_says_what_to_do(url: str) -> None:
    database = Database(url)

    with pytest.raises(ConfigError, match="no tables yet: run `topology-bot db upgrade`"):
        await database.version()
    await database.close()


# -- transactions ----------------------------------------------------------------------------------------------------


async def test_a_write_that_fails_stores_nothing_of_it(database: Database) -> None:
    await with_numbers(database)
    await add(database, 1)
    with pytest.raises(DBAPIError):
        await add(database, 2, 3, 1)

    async def give_up() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO numbers VALUES (4)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await give_up()
    assert await numbers(database) == [1]
    await add(database, 2)
    assert await numbers(database) == [1, 2]


async def test_a_write_that_is_cancelled_stores_nothing_and_lets_the_next_one_in(database: Database) -> None:
    await with_numbers(database)
    begun = asyncio.Event()

    async def slow() -> None:
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO numbers VALUES (1)"))
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(slow())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(add(database, 2), 10)

    assert await numbers(database) == [2]


async def test_what_is_not_written_whole_yet_cannot_be_read(database: Database) -> None:
    await with_numbers(database)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO numbers VALUES (1)"))
        assert await asyncio.wait_for(numbers(database), 10) == []

    assert await numbers(database) == [1]


async def test_fifty_writers_and_readers_at_once_all_get_their_turn(database: Database) -> None:
    await with_numbers(database)
    await asyncio.gather(*(add(database, number) for number in range(50)), *(numbers(database) for _ in range(50)))

    assert await numbers(database) == list(range(50))


async def test_what_is_looked_up_and_then_written_can_be_done_alone(database: Database) -> None:
    await with_numbers(database)

    async def add_the_next() -> None:
        async with database.write() as connection:
            await database.alone(connection, "numbers")
            most = await connection.scalar(text("SELECT max(n) FROM numbers")) or 0
            await asyncio.sleep(0.01)
            await connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": most + 1})

    await asyncio.gather(*(add_the_next() for _ in range(8)))
    assert await numbers(database) == list(range(1, 9))


# -- texts -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(st.characters(exclude_categories=())),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=4)
        ),
        max_leaves=10,
    )
)
def test_what_is_storable_has_no_text_a_database_refuses_and_stays_so(value: Any) -> None:
    found = storable(value)
    shown = repr(found)

    assert storable(found) == found
    assert "\\x00" not in shown.replace("\\\\", "")
    shown.encode()


def test_only_what_no_database_takes_is_left_out() -> None:
    assert storable("a\x00b\ud83dc\udc00 \U0001f534 é\x01\u202e") == "abc \U0001f534 é\x01\u202e"
    assert storable({"a\x00": ["b\ud800", 1, None, b"\x00", 2.5]}) == {"a": ["b", 1, None, b"\x00", 2.5]}


async def test_texts_no_database_takes_do_not_stop_a_statement_and_are_found_again(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE texts (t TEXT)"))
        one = [{"t": "a\x00b\ud800"}]
        await connection.execute(text("INSERT INTO texts VALUES (:t)"), one[0])
        await connection.execute(text("INSERT INTO texts VALUES (:t)"), one * 2)
    async with database.read() as connection:
        found = await connection.execute(text("SELECT t FROM texts WHERE t = :t"), one[0])
        assert list(found.scalars()) == ["ab"] * 3


# -- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("sqlite:////no/where/bot.db", "there is no directory /no/where"),
        ("sqlite://", "would lose every alert"),
        ("sqlite:///:memory:", "would lose every alert"),
        ("nonsense", "want sqlite:///PATH or postgresql://"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_what_to_do(wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Database(wrong)


@pytest.mark.parametrize(
    "written",
    [
        "postgresql://u:p@db:5433/bot",
        "postgres://u:p@db:5433/bot",
        "postgresql+asyncpg://u:p@db:5433/bot",
        "postgresql+psycopg://u:p@db:5433/bot",
    ],
)
def test_postgresql_may_be_written_with_any_driver_or_none(written: str) -> None:
    assert Database(written).url.render_as_string(hide_password=False) == "postgresql+asyncpg://u:p@db:5433/bot"


@pytest.mark.parametrize("written", ["sqlite:///bot.db", "sqlite+aiosqlite:///bot.db", "sqlite+pysqlite:///bot.db"])
def test_sqlite_may_be_written_with_any_driver_or_none(written: str) -> None:
    assert str(Database(written).url) == "sqlite+aiosqlite:///bot.db"


async def test_sslmode_is_understood_as_every_other_client_does(server: Postgres) -> None:
    address = await server.create()
    plain, secure = Database(f"{address}?sslmode=disable"), Database(f"{address}?sslmode=require")

    assert await plain.upgrade() == HEAD
    with pytest.raises(DatabaseUnavailable, match="ConnectionError"):
        await secure.ping()
    for one in (plain, secure):
        await one.close()
    await server.drop(address)


@pytest.mark.parametrize("database_name", ["nowhere", ""])
async def test_a_postgresql_that_does_not_answer_is_named_without_its_address(
    server: Postgres, database_name: str
) -> None:
    address = server.url(database_name) if database_name else f"postgresql://u:hunter2@127.0.0.1:{free_port()}/bot"
    database = Database(address)

    for attempt in (database.ping, database.upgrade, database.version):
        with pytest.raises(DatabaseUnavailable, match=r"InvalidCatalogNameError|ConnectionRefusedError") as raised:
            await attempt()
        assert "hunter2" not in str(raised.value)
        assert "127.0.0.1" not in str(raised.value)
    await database.close()


async def test_a_postgresql_that_comes_back_is_used_again(server: Postgres) -> None:
    """Connections that broke meanwhile are noticed before they are used."""
    address = await server.create()
    database, other = Database(address), Database(address)
    await with_numbers(database)
    async with other.write() as connection:
        statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        await connection.execute(text(statement))
    await add(database, 1)

    assert await numbers(database) == [1]
    for one in (database, other):
        await one.close()
    await server.drop(address)


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "bot.db").write_bytes(b"not a database" * 100)
    database = Database(f"sqlite:///{tmp_path}/bot.db")

    for attempt in (database.ping, database.upgrade, database.version):
        with pytest.raises(DatabaseUnavailable, match="file is not a database"):
            await attempt()
    await database.close()


# -- reading only ----------------------------------------------------------------------------------------------------


async def test_a_database_opened_for_reading_refuses_every_write(url: str, database: Database) -> None:
    await with_numbers(database)
    await add(database, 1)
    reader = Database(url, read_only=True)

    assert await reader.version() == HEAD
    assert await numbers(reader) == [1]
    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        await add(reader, 2)
    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        async with reader.write() as connection:
            await connection.execute(text("CREATE TABLE more (n INTEGER)"))
    await add(database, 3)
    assert await numbers(reader) == [1, 3]
    await reader.close()


def test_reading_needs_a_file_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no database at .*/bot\.db: is the bot's DATABASE_URL the same, and has it run"
    ):
        Database(f"sqlite:///{tmp_path}/bot.db", read_only=True)
    assert list(tmp_path.iterdir()) == []
