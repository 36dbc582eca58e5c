"""What became of incidents, on both databases: once each, with the last word of whoever confirmed the cause."""

from __future__ import annotations

from typing import Any

import pytest

from bot.storage import grade_store
from bot.storage.alert_store import AlertStore
from bot.storage.database import Database
from bot.storage.grade_store import GradeStore
from tests.kit.maps import NOW

OUTCOME: dict[str, Any] = {"predicted": ["wéb"], "hit": [], "causes": [["db", 0.5, ["effect"]]]}


async def close(database: Database, incident: int = 1, at: float = NOW, outcome: dict[str, Any] = OUTCOME) -> None:
    async with database.write() as connection:
        await grade_store.put(connection, database, incident, outcome, at)


async def test_an_incident_that_is_over_twice_is_graded_once_by_its_last_outcome(database: Database) -> None:
    store = GradeStore(database)
    await close(database)
    assert await store.confirm(1, "db", "ada", NOW)
    await close(database, at=NOW + 60, outcome=OUTCOME | {"hit": ["wéb"]})

    assert await store.since(0) == [(NOW + 60, OUTCOME | {"hit": ["wéb"]}, "db")]


async def test_the_last_word_about_a_cause_stands_and_every_word_is_kept(database: Database) -> None:
    store = GradeStore(database)
    await close(database)
    for cause in ("db", "cache", "none"):
        assert await store.confirm(1, cause, "ada", NOW)

    assert [cause for _, _, cause in await store.since(0)] == ["none"]
    assert [one.verdict for one in await AlertStore(database).decisions(1)] == ["db", "cache", "none"]


async def test_nobody_confirms_an_incident_that_is_not_over(database: Database) -> None:
    assert not await GradeStore(database).confirm(7, "db", "ada", NOW)
    assert await AlertStore(database).decisions(7) == []


async def test_the_latest_come_first_and_no_more_than_are_read_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        await close(database, number, NOW - number)
    monkeypatch.setattr(grade_store, "MAX_READ", 2)

    assert [at for at, _, _ in await GradeStore(database).since(NOW - 4)] == [NOW - 1, NOW - 2]


async def test_outcomes_go_in_time_and_a_number_given_again_is_another_incidents(database: Database) -> None:
    store, day = GradeStore(database), 86_400.0
    await close(database, 1, NOW - 800 * day)
    await close(database, 2, NOW - 30 * day)
    await store.confirm(2, "db", "ada", NOW - 30 * day)
    await close(database, 2, NOW)

    assert await store.since(0) == [(NOW, OUTCOME, "")]
