"""The App Home tab: opened, filled with what concerns whoever opened it, and never more than Slack takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.app import Running
from bot.catalog.entries import CatalogEntry
from bot.model import Message, Owner
from bot.slack.budget import fit
from bot.slack.home import Home
from bot.slack.home_views import MAX_TEAMS, incidents, map_health, team_services, teams
from bot.slack.views import Block, section
from tests.kit.block_kit import MAX_VIEW_BLOCKS, mentions, objections
from tests.kit.bots import bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.maps import NOW, MapMaker
from tests.slack.test_aliases import alert
from tests.slack.test_command_views import NAMES
from tests.slack.test_commands import CATALOG, learn

Ready = tuple[Running, FakeSlack]
USER = "U000000001"


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot that knows web -> payments -> ledger and that the team Payments owns payments."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **with_slack(slack.url)) as (running, session),
    ):
        await learn(running, session)
        yield running, slack


async def opened(ready: Ready, **changes: Any) -> list[Any]:
    """The tab after somebody opened it."""
    running, slack = ready
    slack.workspace.homes.clear()
    event = {"type": "app_home_opened", "user": USER, "channel": "D000000001", "tab": "home", "event_ts": "1.1"}
    assert (await slack.event(running.url, event | changes)).status == 200
    return await shown(slack)


async def shown(slack: FakeSlack) -> list[Any]:
    async def published() -> bool:
        return USER in slack.workspace.homes

    await until(published, "no tab was published")
    return slack.workspace.homes[USER]


def text(blocks: Sequence[Any]) -> str:
    return "\n".join(str(block.get("text", {}).get("text", "")) for block in blocks)


def menu_of(blocks: Sequence[Any]) -> dict[str, Any]:
    (menu,) = [one["accessory"] for one in blocks if one.get("accessory", {}).get("type") == "static_select"]
    assert isinstance(menu, dict)
    return menu


async def choose(ready: Ready, option: Any) -> None:
    running, slack = ready
    slack.workspace.homes.clear()
    action = {"type": "static_select", "action_id": "home_team", "block_id": "b", "selected_option": option}
    assert (await slack.home_click(running.url, {"actions": [action], "view": {"type": "home"}})).status == 200


async def test_a_quiet_day_is_told_as_one_with_the_maps_size(ready: Ready) -> None:
    said = text(await opened(ready))
    for fact in (
        "*Open incidents*\n🟢 none",
        "*Services of your team*",
        "3 services, 2 calls between them",
        "last heard: trace",
    ):
        assert fact in said


async def test_an_open_incident_has_a_button_whose_answer_comes_directly(ready: Ready) -> None:
    running, slack = ready
    await alert(ready, "payments", "Boom")
    blocks = await opened(ready)
    assert "🔴 *Boom* · since <!date^" in text(blocks)

    (why,) = [block["accessory"] for block in blocks if block.get("accessory", {}).get("value") == "why 1"]
    await slack.home_click(running.url, {"actions": [why | {"block_id": "b"}], "view": {"type": "home"}})

    async def answered() -> bool:
        return "D000000001" in slack.workspace.channels and bool(slack.messages("D000000001"))

    await until(answered, "no answer came")
    assert "*Incident 1* · open" in slack.messages("D000000001")[0].text


async def test_a_chosen_team_is_remembered_and_its_services_are_shown(ready: Ready) -> None:
    await choose(ready, menu_of(await opened(ready))["options"][0])
    assert "*Services of Payments*" in text(await shown(ready[1]))

    again = await opened(ready)
    assert "🟢 payments · tier 1" in text(again)
    assert menu_of(again)["initial_option"]["value"] == "Payments"


async def test_somebodys_digests_are_on_his_tab_and_begin_and_end_there(ready: Ready) -> None:
    async def click(value: str) -> str:
        (found,) = [one["accessory"] for one in shown_now if one.get("accessory", {}).get("value") == value]
        ready[1].workspace.homes.clear()
        await ready[1].home_click(ready[0].url, {"actions": [found | {"block_id": "b"}], "view": {"type": "home"}})
        return text(await shown(ready[1]))

    shown_now = await opened(ready)
    assert "*Your digests*\nnone" in text(shown_now)
    assert "1. `all services` to you at 09:00 UTC, next <!date^" in await click("digest subscribe me")
    shown_now = await opened(ready)
    assert "*Your digests*\nnone" in await click("digest unsubscribe 1")
    answers = [post.text for post in ready[1].messages("D000000001")]
    assert (len(answers), answers[-1]) == (2, "Digest 1 is ended.")


@pytest.mark.parametrize("option", [{"value": "<!channel>"}, {}, None, "x", {"value": None}])
async def test_a_team_that_is_none_is_not_remembered(ready: Ready, option: Any) -> None:
    await choose(ready, option)

    assert "*Services of your team*" in text(await opened(ready))
    assert ready[1].workspace.mentions == []


async def test_the_tab_of_the_conversation_publishes_nothing_and_a_refused_one_is_tried_at_the_next_opening(
    ready: Ready,
) -> None:
    running, slack = ready
    event = {"type": "app_home_opened", "user": USER, "channel": "D000000001", "tab": "messages", "event_ts": "1.1"}
    await slack.event(running.url, event)
    slack.fail_next("views.publish", "http_500")
    await slack.event(running.url, event | {"tab": "home"})

    async def refused() -> bool:
        return len(slack.called("views.publish")) == 1

    await until(refused, "nothing was published")
    assert "*Open incidents*" in text(await opened(ready))
    assert len(slack.called("views.publish")) == 2


class Nothing:
    """A store with nothing in it."""

    async def open_incidents(self, limit: int) -> list[dict[str, Any]]:
        return []

    async def health(self) -> dict[str, Any]:
        return {"problems": [], "layers": {}, "map": {"services": 0, "edges": 0}}

    async def team(self, user: str) -> str:
        return ""

    async def choose_team(self, user: str, team: str, now: float) -> None:
        raise AssertionError("nobody chose")


async def test_another_room_adds_a_section_of_its_own() -> None:
    published: list[tuple[str, Any]] = []

    async def publish(user: str, blocks: Sequence[Any]) -> None:
        published.append((user, blocks))

    async def subscriptions(user: str, now: float) -> list[Block]:
        return [section(f"*Digests* of {user}")]

    await Home(MapMaker("a>b").view, Nothing(), publish, [subscriptions]).opened(USER, NOW)
    ((user, blocks),) = published
    assert (user, f"*Digests* of {USER}" in text(blocks)) == (USER, True)


def test_of_many_teams_those_that_own_most_are_in_the_menu() -> None:
    small = [CatalogEntry(owner=Owner(f"team-{number}")) for number in range(100)]
    found = teams([*small, CatalogEntry(owner=Owner("zz")), CatalogEntry(owner=Owner("zz")), CatalogEntry()])
    assert (len(found), found[-1]) == (MAX_TEAMS, "zz")


@settings(max_examples=60, deadline=None)
@given(words=st.lists(NAMES, min_size=1, max_size=60))
def test_no_name_breaks_the_tab_or_mentions_anybody(words: list[str]) -> None:
    found = [
        {"id": number, "state": "open", "title": word, "opened_at": NOW, "environment": word}
        for number, word in enumerate(words)
    ]
    services = [{"id": word, "state": "failing", "why": word, "tier": word} for word in words]
    choices = teams(CatalogEntry(owner=Owner(word)) for word in words)
    layers = {word: {"age_seconds": 1.0} for word in words}
    health = {"problems": words, "layers": layers, "map": {"services": 1, "edges": 1}}
    mine = team_services(choices, words[0], {"items": services, "total": 99})

    blocks = (*incidents(found, True), *mine, *map_health(health))
    fitted = [dict(block) for block in fit(Message("App Home", blocks)).blocks]
    assert list(objections(fitted, MAX_VIEW_BLOCKS)) == []
    assert mentions(fitted) == []
