"""A time somebody types is his own clock's, where Slack says which that is; and only a member of the workspace gives orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.app import Running
from bot.moments import parse
from bot.slack import people
from bot.slack.people import People
from tests.kit.bots import bot, with_slack
from tests.kit.fake_slack import TOKEN, FakeSlack
from tests.kit.maps import NOW
from tests.kit.slack_channel import TEAM
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


def client(slack: FakeSlack) -> People:
    return People(AsyncWebClient(TOKEN, base_url=slack.url, retry_handlers=[]))


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


async def test_a_person_is_not_asked_for_again_and_again(slack: FakeSlack) -> None:
    slack.workspace.zones[USER] = "Europe/Berlin"
    found = client(slack)
    assert [str((await found.of(USER)).zone) for _ in range(3)] == ["Europe/Berlin"] * 3
    assert len(slack.called("users.info")) == 1


@pytest.mark.parametrize("trouble", ["missing_scope", "user_not_found", "http_500", "drop", "ratelimited"])
async def test_where_slack_does_not_say_it_is_utc(slack: FakeSlack, trouble: str) -> None:
    slack.fail_next("users.info", trouble)
    found = client(slack)
    assert (await found.of(USER)).zone is UTC
    asked = len(slack.called("users.info"))
    assert (await found.of(USER)).zone is UTC
    assert len(slack.called("users.info")) == asked


@pytest.mark.parametrize("zone", ["", "Not/AZone", "../../etc/passwd", "/etc/passwd", "x" * 300])
async def test_a_zone_that_is_none_is_utc(slack: FakeSlack, zone: str) -> None:
    slack.workspace.zones[USER] = zone
    assert (await client(slack).of(USER)).zone is UTC


async def test_somebody_who_is_no_user_is_not_asked_for(slack: FakeSlack) -> None:
    assert [(await client(slack).of(one)).zone for one in ("", "x", "U1&token=2", "<@U000000001>")] == [UTC] * 4
    assert slack.called("users.info") == []


async def test_no_more_people_are_remembered_than_there_is_room_for(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_PEOPLE", 2)
    found = client(slack)
    for number in (1, 2, 3, 1):
        await found.of(f"U00000000{number}")
    assert len(slack.called("users.info")) == 4


async def test_a_member_of_the_workspace_may_give_orders_in_his_own_name(slack: FakeSlack) -> None:
    slack.workspace.people[USER] = {"profile": {"display_name": "Ada", "email": "ada@example.org"}}
    ada = await client(slack).of(USER)

    assert (ada.barred, ada.email, str(ada)) == ("", "ada@example.org", "Ada (U000000001)")


async def test_without_its_scope_an_address_is_not_known_and_orders_are_taken_all_the_same(slack: FakeSlack) -> None:
    slack.workspace.people[USER] = {"profile": {"email": "ada@example.org"}}
    slack.workspace.scopes.discard("users:read.email")

    assert ((await client(slack).of(USER)).email, (await client(slack).of(USER)).barred) == ("", "")


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"is_bot": True}, "Only people"),
        ({"deleted": True}, "Only people"),
        ({"is_restricted": True}, "Guests"),
        ({"is_ultra_restricted": True}, "Guests"),
        ({"team_id": "T999999999"}, "members of this workspace"),
        ({"is_stranger": True}, "members of this workspace"),
        ({"team_id": "T999999999", "enterprise_user": {"teams": ["T888888888"]}}, "members of this workspace"),
    ],
)
async def test_others_may_not(slack: FakeSlack, told: dict[str, Any], why: str) -> None:
    slack.workspace.people[USER] = told

    assert why in (await client(slack).of(USER)).barred


async def test_somebody_of_the_same_organisation_who_is_in_this_workspace_may(slack: FakeSlack) -> None:
    slack.workspace.people[USER] = {"team_id": "T999999999", "enterprise_user": {"teams": ["T888888888", TEAM]}}

    assert (await client(slack).of(USER)).barred == ""


@pytest.mark.parametrize("method", ["users.info", "auth.test"])
async def test_where_slack_does_not_say_who_somebody_is_he_may_not(slack: FakeSlack, method: str) -> None:
    slack.fail_next(method, "http_500")

    assert (await client(slack).of(USER)).barred


def test_a_clock_time_is_the_last_one_in_the_zone_across_its_changes_to_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 29, 12, 0, tzinfo=berlin).timestamp()
    assert datetime.fromtimestamp(parse("23:30", now, berlin), berlin) == datetime(2026, 3, 28, 23, 30, tzinfo=berlin)
    assert parse("2026-03-29 12:00", now, berlin) == now
    assert parse("1970-01-01", NOW, berlin) == -3_600.0
