"""From a door to the log: one id, stored first, kept as long as it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from bot import change_intake
from bot.change_intake import ChangeIntake
from bot.errors import Overloaded
from bot.model import Change, ChangeKind
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database
from tests.changes.bodies import node
from tests.kit.maps import MapMaker

NOW = 1_795_400_000.0
DAY = 86_400.0


def change(service: str = "payments", ago: float = 60.0, number: int = 1) -> Change:
    return Change(NOW - ago, service, ChangeKind.DEPLOY, f"deploy {number}", "test", str(number))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/changes.db")
    await made.upgrade()
    yield made
    await made.close()


async def stored(intake: ChangeIntake) -> list[tuple[str, str]]:
    return [(one.change.id, one.change.service) for one in await intake.store.page((), 0, NOW + DAY, 100)]


async def test_a_change_is_put_under_the_id_that_the_map_has(database: Database) -> None:
    view = MapMaker("web>payments.shop@prod").view
    view.graph.names.add(node("payments", "shop", "prod"))
    intake = ChangeIntake(ChangeStore(database), view, 90 * DAY)

    assert await intake.take("test", [change("payments@production")], NOW) == 1
    assert await stored(intake) == [("1", "payments.shop@prod")]
    assert [one.id for one in view.changes.of("payments.shop@prod", 0, NOW)] == ["1"]


async def test_what_was_told_of_before_its_service_was_on_the_map_is_found_when_it_is(database: Database) -> None:
    view = MapMaker().view
    intake = ChangeIntake(ChangeStore(database), view, 90 * DAY)
    await intake.take("test", [change()], NOW)
    view.graph.add_node(node("payments", "shop", "prod"))
    await intake.tend(NOW)

    assert await stored(intake) == [("1", "payments.shop@prod")]
    assert [one.id for one in view.changes.of("payments.shop@prod", 0, NOW)] == ["1"]


async def test_a_clock_that_is_ahead_changes_nothing_in_the_future(database: Database) -> None:
    view = MapMaker().view
    await ChangeIntake(ChangeStore(database), view, 90 * DAY).take("test", [change(ago=-200)], NOW)

    assert [one.at for one in view.changes.of("payments", 0, NOW)] == [NOW]


async def test_the_last_day_is_read_back_at_the_start(database: Database) -> None:
    first = ChangeIntake(ChangeStore(database), MapMaker().view, 90 * DAY)
    await first.take("test", [change(), change(ago=2 * DAY, number=2)], NOW)
    view = MapMaker().view
    view.graph.add_node(node("payments", "shop", "prod"))
    reader = Database(str(database.url), read_only=True)
    await ChangeIntake(ChangeStore(reader), view, 90 * DAY).load(NOW)
    await reader.close()

    assert [one.id for one in view.changes.of("payments", 0, NOW)] == ["1"]


async def test_what_is_longer_ago_than_the_retention_goes(database: Database) -> None:
    intake = ChangeIntake(ChangeStore(database), MapMaker().view, 2 * DAY)
    await intake.take("test", [change(), change(ago=3 * DAY, number=2)], NOW)
    await intake.tend(NOW)

    assert await stored(intake) == [("1", "payments")]


async def test_what_could_not_be_stored_is_not_shown_and_may_be_told_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = MapMaker().view
    intake = ChangeIntake(ChangeStore(database), view, 90 * DAY)

    async def broken(*_: object) -> None:
        raise SQLAlchemyError

    with monkeypatch.context() as patched:
        patched.setattr(intake.store, "add", broken)
        with pytest.raises(SQLAlchemyError):
            await intake.take("test", [change()], NOW)
    assert len(view.changes) == 0
    assert await intake.take("test", [change()], NOW) == 1


async def test_a_database_that_does_not_keep_up_is_said(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_intake, "MAX_UNDER_WAY", 0)
    with pytest.raises(Overloaded, match="wait to be stored"):
        await ChangeIntake(ChangeStore(database), MapMaker().view, DAY).take("test", [change()], NOW)
