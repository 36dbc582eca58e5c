"""Daily digests over a real history and a clock of one's own: when one is written, what it tells, and that it tells it once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.digests import Digests
from bot.history import History
from bot.model import ENTRY, UNATTRIBUTED, Layer, Owner, Subscription
from bot.morning import Morning
from bot.storage.database import Database
from bot.storage.digest_store import DigestStore, LineAnswer
from bot.storage.grade_store import GradeStore, put
from bot.storage.history_store import HistoryStore
from bot.storage.hold_store import HoldStore
from bot.storage.outbox_store import OutboxStore
from tests.kit.digests import DAY, HOUR, MINUTE, write
from tests.kit.maps import MapMaker
from tests.slack.bench import counted
from tests.storage.test_hold_store import Night


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NINE = utc("2026-11-23T08:00:00")
"""Nine in Berlin on a Monday."""
WANTED = Subscription(0, "C1", "U1", NINE - 3 * DAY, 540, "Europe/Berlin")


class Days:
    """A database, and a bot that looks at it whenever it is told to."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store, self.outbox = DigestStore(database), OutboxStore(database)
        self.now = NINE

    async def tick(self, now: float) -> int:
        """A bot that has just been started looks what is due, and stops."""
        history = History(MapMaker().view, HistoryStore(self.database))
        catalog = Catalog({"service-2": CatalogEntry(Owner("Web")), "service-1": CatalogEntry(Owner("Pay"))})
        morning = Morning(MapMaker(catalog=catalog).view, HoldStore(self.database), self.store, lambda: None)
        return await Digests(
            history, self.store, lambda: None, lambda: now, morning.waited, GradeStore(self.database)
        ).tick()

    async def rolled(self, now: float) -> None:
        """Minutes are kept for a day, hours for thirty."""
        await HistoryStore(self.database).roll_up(now, now - DAY, now - 30 * DAY)

    async def texts(self) -> list[str]:
        """All digests written so far, the oldest first."""
        return [row.message.text for row in reversed(await self.outbox.latest(100))]

    async def every(self, hours: float, *edges: str, since: float, until: float, layer: Layer = Layer.TRACE) -> None:
        """Calls again and again."""
        at = [since + hours * HOUR * step for step in range(int((until - since) / (hours * HOUR)))]
        await write(self.database, *edges, at=at, layer=layer, interval=max(60.0, hours * HOUR))


@pytest.fixture
async def days(tmp_path: Path) -> AsyncIterator[Days]:
    database = Database(f"sqlite:///{tmp_path}/days.db")
    await database.upgrade()
    made = Days(database)
    await made.every(8.0, "web>shop", since=NINE - 20 * DAY, until=NINE + 20 * DAY)
    yield made
    await database.close()


async def test_a_digest_is_written_at_its_time_once_however_often_the_bot_is_started(days: Days) -> None:
    await days.store.subscribe(replace(WANTED, created_at=NINE - HOUR))
    await days.every(0.5, "shop>ledger", since=NINE - 5 * HOUR, until=NINE + HOUR)
    before = counted("digests", outcome="sent")

    assert [await days.tick(NINE + ago) for ago in (-60, 0, 20, 3_600)] == [0, 1, 0, 0]
    (text,) = await days.texts()
    assert text.startswith("*Dependencies of all services*: 1 new\n*shop* now calls *ledger*")
    assert "Sun 22 Nov 09:00 to Mon 23 Nov 09:00 (Europe/Berlin)" in text
    assert counted("digests", outcome="sent") == before + 1


async def test_a_bot_that_dies_before_the_day_is_settled_writes_it_when_it_is_back(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    await days.store.subscribe(replace(WANTED, always=True))

    async def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bot.storage.digest_store.put", killed)
        with pytest.raises(KeyboardInterrupt):
            await days.tick(NINE + 10)
    assert await days.texts() == []
    assert (await days.store.subscriptions())[0].last_date == ""

    assert await days.tick(NINE + 600) == 1
    assert len(await days.texts()) == 1


async def test_a_day_without_news_is_silent_unless_it_is_wanted_always(days: Days) -> None:
    await days.store.subscribe(WANTED)
    await days.store.subscribe(replace(WANTED, channel="C2", always=True))

    assert await days.tick(NINE) == 2
    (row,) = await days.outbox.latest(10)
    assert (row.channel, row.message.text.splitlines()[0]) == ("C2", "*Dependencies of all services*: nothing changed")


async def test_what_was_held_in_the_night_is_told_in_the_digest_of_its_team_once(days: Days) -> None:
    await days.store.subscribe(replace(WANTED, team="Web"))
    await days.store.subscribe(replace(WANTED, team="Pay", channel="C2"))
    await days.store.subscribe(replace(WANTED, team="Search", channel="C3"))
    night = Night(days.database)
    for number, state in ((1, "over"), (2, "over"), (3, "posted")):
        await night.hold(number, NINE - number * HOUR, NINE - 0.5 * HOUR, state)

    assert await days.tick(NINE) == 3
    assert await days.tick(NINE + DAY) == 3
    told = {row.channel: row.message.text for row in await days.outbox.latest(10)}
    assert sorted(told) == ["C1", "C2"]
    assert told["C1"].splitlines()[:2] == [
        "*Dependencies of team=Web*: nothing changed", "*Held in quiet hours*: 1 incident, 1 over by itself",
    ]  # fmt: skip
    assert "*service-1*: title 1" in told["C2"]


async def test_an_incident_held_in_the_last_minutes_before_a_digest_is_told_of_by_the_next(days: Days) -> None:
    await days.store.subscribe(replace(WANTED))
    await Night(days.database).hold(1, NINE - 60, NINE + HOUR, "over")

    assert await days.tick(NINE) == 1
    assert await days.texts() == []
    assert await days.tick(NINE + DAY) == 1
    (text,) = await days.texts()
    assert "*Held in quiet hours*: 1 incident" in text


async def test_digests_follow_the_clocks_through_a_change_of_time(days: Days) -> None:
    for moment, period in (
        ("2026-10-24T07:00:00", "Fri 23 Oct 09:00 to Sat 24 Oct 09:00"),
        ("2026-10-25T08:00:00", "Sat 24 Oct 09:00 to Sun 25 Oct 09:00"),
        ("2027-03-28T07:00:00", "Sat 27 Mar 09:00 to Sun 28 Mar 09:00"),
    ):
        channel = f"C{moment[:10]}"
        await days.store.subscribe(replace(WANTED, channel=channel, created_at=utc(moment) - 2 * DAY, always=True))
        await days.store.settle((await days.store.subscriptions(channel))[0], "2026-10-22", None, None, NINE)

        async def written(channel: str = channel) -> list[str]:
            return [row.message.text for row in await days.outbox.latest(100) if row.channel == channel]

        await days.tick(utc(moment) - 60)
        early = await written()
        await days.tick(utc(moment) + 60)
        found = [text for text in await written() if text not in early]
        assert len(found) == 1
        assert period in found[0]


async def test_what_came_in_late_is_told_the_day_after_and_nothing_twice(days: Days) -> None:
    await days.store.subscribe(WANTED)
    await days.every(1.0, "shop>ledger", since=NINE - 9 * HOUR, until=NINE + 2 * DAY)
    await days.tick(NINE)
    await days.rolled(NINE + HOUR)
    # Traces of the afternoon before, from a collector that was cut off; and the calls that followed.
    await days.every(2.0, "shop>mail", since=NINE - 20 * HOUR, until=NINE + 2 * DAY)
    await days.rolled(NINE + DAY)
    await days.tick(NINE + DAY)
    await days.tick(NINE + 2 * DAY)

    told = await days.texts()
    assert ["ledger" in text for text in told] == [True, False]
    assert ["mail" in text for text in told] == [False, True]


async def test_a_missed_day_is_told_by_the_next_digest(days: Days) -> None:
    await days.store.subscribe(WANTED)
    await days.tick(NINE - DAY)
    await days.every(0.1, "shop>ledger", since=NINE - 5 * HOUR, until=NINE - HOUR)
    before = counted("digests", outcome="missed")

    assert await days.tick(NINE + 7 * HOUR) == 1
    assert counted("digests", outcome="missed") == before + 1
    assert await days.texts() == []
    await days.tick(NINE + DAY)
    (text,) = await days.texts()
    assert "now calls *ledger*" in text
    assert "It tells of more than a day" in text


async def test_a_weekly_job_is_not_gone_while_it_sleeps_and_what_ended_is_told_once(days: Days) -> None:
    await days.store.subscribe(replace(WANTED, created_at=NINE - 2 * DAY))
    weeks = [NINE - 24 * DAY + 7 * DAY * week for week in range(3)]
    await write(days.database, "job>shop", at=[week + MINUTE * 9 * step for week in weeks for step in range(9)])
    await days.every(1.0, "shop>mail", since=NINE - 18 * DAY, until=NINE - 1.5 * DAY)
    told = []
    for day in range(0, 12, 2):
        await days.tick(NINE + day * DAY)
        told = [line for text in await days.texts() for line in text.splitlines() if "no longer" in line]
    assert len(told) == 1
    assert told[0].startswith("*shop* no longer calls *mail*")


async def test_a_dependency_that_fails_more_from_now_on_is_told_once_and_an_incident_is_not(days: Days) -> None:
    await days.store.subscribe(WANTED)
    begin, fails = NINE - 11 * DAY, NINE - DAY
    healthy, failing = ([begin + HOUR * step for step in range(*bounds)] for bounds in ((0, 240), (240, 360)))
    await write(days.database, "shop>ledger", "shop>mail", at=healthy, calls=100.0)
    await write(days.database, "shop>ledger", at=failing, calls=100.0, failed=40.0)
    await write(days.database, "shop>mail", at=failing, calls=100.0)
    await write(days.database, "shop>mail", at=[fails + 3 * HOUR + 5 * MINUTE], calls=2_000.0, failed=1_900.0)
    for day in range(3):
        await days.tick(NINE + day * DAY)

    (text,) = await days.texts()
    assert text.startswith(
        "*Dependencies of all services*: 1 changed\n*shop* calls *ledger* · errors 0% → 40% · trace 2,400"
    )


async def test_answers_are_remembered_and_what_is_looked_into_stays_open(days: Days) -> None:
    await days.store.subscribe(WANTED)
    await days.every(0.5, "shop>ledger", "shop>mail", since=NINE - 5 * HOUR, until=NINE + HOUR)
    await days.store.answer("C1", "new\nshop\nledger", LineAnswer("expected", "ann", NINE))
    await days.store.answer("C1", "gone\nshop\nold", LineAnswer("look", "bob", NINE - DAY))
    await days.store.answer("C1", "gone\nshop\nolder", LineAnswer("look", "bob", NINE - 15 * DAY))
    await days.tick(NINE)

    (text,) = await days.texts()
    assert "1 new\n*shop* now calls *mail*" in text
    assert "open: gone shop → old, looked into by bob" in text
    assert "older" not in text


async def test_the_share_that_nobody_could_attribute_is_of_the_services_that_are_asked_about(days: Days) -> None:
    await days.store.subscribe(replace(WANTED, service="shop", always=True))
    await days.store.subscribe(replace(WANTED, channel="C2", service="mail", always=True))
    at = [NINE - 3 * HOUR]
    await write(days.database, "shop>ledger", at=at, layer=Layer.NETWORK, calls=30.0)
    await write(days.database, f"{UNATTRIBUTED}>shop", f"{ENTRY}>shop", at=at, layer=Layer.NETWORK, calls=10.0)
    await write(days.database, "mail>ledger", at=at, layer=Layer.NETWORK, calls=50.0)
    await days.tick(NINE)

    shop, mail = await days.texts()
    assert "25% of connections have an end that nobody could attribute" in shop
    assert "0% of connections" in mail


async def test_a_channel_that_subscribes_twice_in_one_zone_reads_the_history_once(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    for channel in ("C1", "C2", "C3"):
        await days.store.subscribe(replace(WANTED, channel=channel))
    await days.store.subscribe(replace(WANTED, channel="C4", minute=541))
    read, period = [], History.period

    async def reading(self: History, since: float, until: float) -> object:
        read.append(until)
        return await period(self, since, until)

    monkeypatch.setattr(History, "period", reading)
    assert await days.tick(NINE + 120) == 4
    assert read == [NINE, NINE + 60]


async def test_a_zone_that_is_no_more_stops_nobody_elses_digest(days: Days) -> None:
    await days.store.subscribe(replace(WANTED, zone="Europe/Atlantis"))
    await days.store.subscribe(replace(WANTED, always=True))
    before = counted("digests", outcome="failed")

    assert await days.tick(NINE) == 1
    assert counted("digests", outcome="failed") == before + 1


async def test_the_first_digest_of_a_week_says_how_right_the_bot_was_in_the_last(days: Days) -> None:
    await days.store.subscribe(replace(WANTED, always=True))
    said = {
        "predicted": ["web", "shop"],
        "hit": ["web"],
        "missed": ["ads"],
        "causes": [["ledger", 0.8, []]],
        "named": "",
    }
    for number, (ago, confirmed) in enumerate([(9 * DAY, "ledger"), (2 * DAY, "ledger"), (DAY, "")], 1):
        async with days.database.write() as connection:
            await put(connection, days.database, number, said, NINE - ago)
        if confirmed:
            await GradeStore(days.database).confirm(number, confirmed, "ada", NINE - ago)

    for late in (1, 2, 3, 4, 5, 6, 8):  # on neither Monday a digest was sent
        await days.tick(NINE + late * DAY)
    line = "Accuracy, last 7 days:"
    told = [(text.count(line), f"{line} 2 incidents over; " in text) for text in await days.texts()]
    # Tuesday tells of last week, since Monday did not; the next Tuesday has only what ended since.
    assert told[:6] == [(1, True)] + [(0, False)] * 5
    assert told[6] == (0, False)
    (first, *_) = await days.texts()
    assert (
        f"{line} 2 incidents over; 2 of 4 services predicted to fail did, 2 unpredicted; "
        "likely cause right in 1 of 1 confirmed." in first
    )
