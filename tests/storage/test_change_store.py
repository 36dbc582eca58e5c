"""Change events on both databases: once each, by service and time, newest first, and not for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.model import Change, ChangeKind
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database

NOW = 1_795_400_000.0
CHANGE = Change(
    NOW - 60.125, "payments", ChangeKind.CONFIG, "größer 🔴", "github", "acme/17", "https://ci.example", "ada"
)


@pytest.fixture
def store(database: Database) -> ChangeStore:
    return ChangeStore(database, most=5)


def change(number: int, ago: float = 60.0, service: str = "payments") -> Change:
    return replace(CHANGE, id=str(number), at=NOW - ago, service=service)


async def ids(store: ChangeStore, *services: str, since: float = 0.0, until: float = NOW) -> list[str]:
    return [one.change.id for one in await store.page(services, since, until, 100)]


async def test_a_change_comes_back_as_it_was(store: ChangeStore) -> None:
    assert await store.add([CHANGE], NOW) == {("github", "acme/17")}
    (found,) = await store.page((), 0, NOW, 10)

    assert found.change == CHANGE


async def test_a_change_told_of_again_is_one_and_stays_as_it_was_told_first(store: ChangeStore) -> None:
    await store.add([CHANGE], NOW)

    assert await store.add([replace(CHANGE, title="another"), change(2), change(2)], NOW) == {("github", "2")}
    assert await store.add([replace(CHANGE, source="gitlab")], NOW) == {("gitlab", "acme/17")}
    assert sorted(one.change.title for one in await store.page((), 0, NOW, 10)) == [CHANGE.title] * 3


async def test_nothing_is_added_for_nothing(store: ChangeStore) -> None:
    assert await store.add([], NOW) == set()


async def test_many_at_once_are_all_stored(store: ChangeStore) -> None:
    changes = [change(number, ago=number) for number in range(1_234)]

    assert len(await store.add(changes, NOW)) == 1_234
    assert len(await store.add(changes, NOW)) == 0


async def test_several_who_tell_of_the_same_at_once_get_each_change_once(store: ChangeStore) -> None:
    changes = [change(number) for number in range(600)]
    found = await asyncio.gather(*(store.add(order, NOW) for order in (changes, changes[::-1], changes[300:])))

    assert sum(map(len, found)) == 600


async def test_changes_are_read_by_service_and_time_newest_first(store: ChangeStore) -> None:
    await store.add(
        [change(1, 300), change(2, 200), change(3, 100), change(4, 150, "web"), change(5, 120, "ledger")], NOW
    )

    assert await ids(store) == ["3", "5", "4", "2", "1"]
    assert await ids(store, "payments", since=NOW - 200) == ["3", "2"]
    assert await ids(store, "payments", "web", until=NOW - 150) == ["4", "2", "1"]


async def test_pages_neither_repeat_nor_skip_changes_of_one_moment(store: ChangeStore) -> None:
    await store.add([change(number, ago=60 if number % 2 else 120) for number in range(7)], NOW)
    found: list[str] = []
    place = None
    while page := await store.page((), 0, NOW, 2, place):
        found += [one.change.id for one in page]
        place = (page[-1].change.at, page[-1].number)

    assert sorted(found) == [str(number) for number in range(7)]


async def test_a_service_that_has_another_id_by_now_keeps_its_changes(store: ChangeStore) -> None:
    await store.add([change(1), change(2, service="web")], NOW)
    await store.rename({"payments": "payments.shop@prod"})

    assert await ids(store, "payments.shop@prod") == ["1"]
    assert await ids(store, "payments") == []


async def test_what_is_too_old_goes_and_of_too_many_the_oldest(store: ChangeStore) -> None:
    await store.add([change(number, ago=number) for number in range(10)], NOW)

    assert await store.expire(NOW - 7) == (2, 3)
    assert await ids(store) == ["0", "1", "2", "3", "4"]
    assert await store.expire(NOW - 7) == (0, 0)


async def test_each_source_says_when_it_last_told_of_a_change(store: ChangeStore) -> None:
    await store.add([CHANGE, change(2)], NOW)
    await store.add([replace(CHANGE, source="flux")], NOW + 5)

    assert await store.sources() == {"github": {"last": NOW, "changes": 2}, "flux": {"last": NOW + 5, "changes": 1}}
