"""What was pushed to PagerDuty's service graph, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.pushed import Fate, Pushed
from bot.storage.database import Database
from bot.storage.dependency_store import KEPT_SECONDS, DependencyStore

NOW = 1_795_400_000.0
ROW = Pushed(
    "PA", "PB", "web", "größe", Fate.OURS, NOW, "D1", "", last_seen=NOW - 30, habit=61.5, layers="ipc,trace",
    silence=7.5, checked_at=NOW,
)  # fmt: skip


@pytest.fixture
def store(database: Database) -> DependencyStore:
    return DependencyStore(database)


async def test_what_is_kept_comes_back_as_it_was_and_the_last_word_on_a_pair_stands(store: DependencyStore) -> None:
    other = replace(ROW, supporting="PC", fate=Fate.INTENDED, number="")
    await store.keep([ROW, other])
    await store.keep([replace(other, fate=Fate.REFUSED, why="pd_circular")])

    assert await store.all() == {ROW.pair: ROW, other.pair: replace(other, fate=Fate.REFUSED, why="pd_circular")}


async def test_more_rows_than_one_statement_takes_are_kept(store: DependencyStore) -> None:
    rows = [replace(ROW, supporting=f"P{number:05d}") for number in range(1_203)]
    await store.keep(rows)

    assert len(await store.all()) == len(rows)


async def test_what_is_forgotten_is_gone_and_the_rest_stays(store: DependencyStore) -> None:
    other = replace(ROW, dependent="PX")
    await store.keep([ROW, other])
    await store.forget([other.pair, ("PY", "PZ")])

    assert list(await store.all()) == [ROW.pair]


async def test_what_nobody_saw_on_the_map_for_a_year_is_let_go_of(store: DependencyStore) -> None:
    await store.keep([ROW, replace(ROW, supporting="PC", last_seen=NOW - KEPT_SECONDS - 1)])
    await store.expire(NOW)

    assert list(await store.all()) == [ROW.pair]
