"""Which team a person chose, on both databases."""

from __future__ import annotations

import pytest

from bot.storage import team_store
from bot.storage.database import Database
from bot.storage.team_store import TeamStore


async def test_the_last_choice_of_each_person_stands(database: Database) -> None:
    store = TeamStore(database)
    assert await store.team("U1") == ""
    for user, team in (("U1", "Päyments"), ("U2", "Search"), ("U1", "Ledger")):
        await store.choose(user, team, 1.0)

    assert [await store.team(user) for user in ("U1", "U2", "U3")] == ["Ledger", "Search", ""]


async def test_beyond_the_cap_those_who_chose_longest_ago_are_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team_store, "MAX_PEOPLE", 2)
    store = TeamStore(database)
    for number in range(4):
        await store.choose(f"U{number}", "Search", float(number))

    assert [await store.team(f"U{number}") for number in range(4)] == ["", "", "Search", "Search"]
