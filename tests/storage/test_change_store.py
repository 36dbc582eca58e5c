"""Change events on disk, on both databases."""

from __future__ import annotations

from bot.model import Change
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database

NOW = 1_700_000_000.0


def change(at: float, title: str = "v2") -> Change:
    return Change(f"{title} {at}", at, "payments", "deploy", title, "https://ci.example/7", "ada")


async def test_each_change_is_kept_once_and_the_latest_are_read(database: Database) -> None:
    store = ChangeStore(database)
    await store.add([change(NOW - 30), change(NOW - 10)])
    await store.add([change(NOW - 20), change(NOW - 10)])

    assert await store.latest(NOW - 100, 10) == [change(NOW - 30), change(NOW - 20), change(NOW - 10)]
    assert await store.latest(NOW - 100, 2) == [change(NOW - 20), change(NOW - 10)]
    assert await store.latest(NOW - 15, 10) == [change(NOW - 10)]


async def test_old_changes_go(database: Database) -> None:
    store = ChangeStore(database)
    await store.add([change(NOW - 30), change(NOW - 10)])
    await store.expire(NOW - 20)
    assert await store.latest(0, 10) == [change(NOW - 10)]


async def test_thousands_at_once(database: Database) -> None:
    store = ChangeStore(database)
    many = [change(NOW - number) for number in range(2_500)]
    await store.add(many)
    assert len(await store.latest(0, 5_000)) == 2_500
