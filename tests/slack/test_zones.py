"""A time somebody types is his own clock's, where Slack says which that is; and the answer says how it was read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import Running
from bot.moments import parse
from bot.slack import zones
from bot.slack.zones import Zones
from tests.kit.bots import bot, with_slack
from tests.kit.fake_slack import TOKEN, FakeSlack
from tests.kit.maps import NOW
from tests.slack.test_commands import answered, learn

Ready = tuple[Running, FakeSlack]
USER = "U000000001"


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, session):
        slack.workspace.zones[USER] = "Asia/Kolkata"
        await learn(running, session)
        yield running, slack


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as running:
        yield running


def client(slack: FakeSlack) -> Zones:
    return Zones(AsyncWebClient(TOKEN, base_url=slack.url, retry_handlers=[]))


async def ask(ready: Ready, text: str) -> str:
    running, slack = ready
    before = len(slack.responses)
    await slack.slash_command(running.url, text)
    return str((await answered(slack, before))["text"])


async def test_a_clock_time_is_the_askers_own_and_the_answer_says_so(ready: Ready) -> None:
    said = await ask(ready, "payments at 02:50")
    at = parse("02:50", datetime.now(UTC).timestamp(), ZoneInfo("Asia/Kolkata"))

    assert f"<!date^{int(at)}^" in said
    assert "02:50 read in Asia/Kolkata" in said
    assert "02:50 read in Asia/Kolkata" in await ask(ready, "diff payments 02:50")


async def test_a_time_that_means_the_same_everywhere_needs_no_zone(ready: Ready) -> None:
    for text in ("payments at 9h ago", "payments at 2026-11-22T02:50Z", "payments at 2026-11-22T02:50-05:00"):
        assert "read in" not in await ask(ready, text)
    assert ready[1].called("users.info") == []


async def test_a_person_is_asked_for_once_a_day(slack: FakeSlack) -> None:
    slack.workspace.zones[USER] = "Europe/Berlin"
    found = client(slack)
    assert [str(await found.of(USER)) for _ in range(3)] == ["Europe/Berlin"] * 3
    assert len(slack.called("users.info")) == 1


@pytest.mark.parametrize("trouble", ["missing_scope", "user_not_found", "http_500", "drop", "ratelimited"])
async def test_where_slack_does_not_say_it_is_utc(slack: FakeSlack, trouble: str) -> None:
    slack.fail_next("users.info", trouble)
    found = client(slack)
    assert await found.of(USER) is UTC
    asked = len(slack.called("users.info"))
    assert await found.of(USER) is UTC
    assert len(slack.called("users.info")) == asked


@pytest.mark.parametrize("zone", ["", "Not/AZone", "../../etc/passwd", "/etc/passwd", "x" * 300])
async def test_a_zone_that_is_none_is_utc(slack: FakeSlack, zone: str) -> None:
    slack.workspace.zones[USER] = zone
    assert await client(slack).of(USER) is UTC


async def test_somebody_who_is_no_user_is_not_asked_for(slack: FakeSlack) -> None:
    assert [await client(slack).of(one) for one in ("", "x", "U1&token=2", "<@U000000001>")] == [UTC] * 4
    assert slack.called("users.info") == []


async def test_no_more_people_are_remembered_than_there_is_room_for(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zones, "_PEOPLE", 2)
    found = client(slack)
    for number in (1, 2, 3, 1):
        await found.of(f"U00000000{number}")
    assert len(slack.called("users.info")) == 4


def test_a_clock_time_is_the_last_one_in_the_zone_across_its_changes_to_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 29, 12, 0, tzinfo=berlin).timestamp()
    assert datetime.fromtimestamp(parse("23:30", now, berlin), berlin) == datetime(2026, 3, 28, 23, 30, tzinfo=berlin)
    assert parse("2026-03-29 12:00", now, berlin) == now
    assert parse("1970-01-01", NOW, berlin) == -3_600.0
