"""Slack's requests, signed as Slack signs them, answered by the real Bolt app on the bot's own port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import Running
from bot.model import Change, ChangeKind
from bot.slack.asker import Asker
from bot.slack.commands import COMMANDS
from bot.slack.desk import Desk, Reply
from tests.kit.alerts import alertmanager
from tests.kit.block_kit import refusal
from tests.kit.bots import REPOSITORY, alertmanager_headers, bot, get, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_requests import Sign
from tests.kit.spans import PROTOBUF, calls

Ready = tuple[Running, FakeSlack]
CATALOG = """\
services:
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, domain: money}
"""


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot that knows web -> payments -> ledger, and its Slack."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with (
        FakeSlack() as slack,
        bot(tmp_path, catalog=tmp_path / "services.yaml", **with_slack(slack.url)) as (running, session),
    ):
        await learn(running, session)
        yield running, slack


async def learn(running: Running, session: aiohttp.ClientSession) -> None:
    async with session.post(
        "/v1/traces", data=calls([("web", "payments"), ("payments", "ledger")], count=9), headers=PROTOBUF
    ):
        pass

    async def known() -> bool:
        return running.view.graph.edge_count == 2

    await until(known, "the map did not learn the pairs")


def valid(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer that Slack would accept."""
    assert refusal(answer["text"], answer["blocks"]) is None
    return answer


async def test_a_service_is_answered_to_the_asker_alone_with_callers_callees_owner_state_and_freshness(
    ready: Ready,
) -> None:
    running, slack = ready
    started = time.perf_counter()
    answer = await slack.slash_command(running.url, "payments")

    assert time.perf_counter() - started < 3
    assert answer.status == 200
    said = valid(answer.json())
    assert said["response_type"] == "ephemeral"
    for fact in (
        "*payments*",
        "🟢 as usual",
        "tier 1",
        "@pay-oncall",
        "*Callers* 1: web (9/h, traces)",
        "*Calls* 1: ledger (9/h, traces)",
        "traces 0 s",
    ):
        assert fact in said["text"].replace("traces 1 s", "traces 0 s"), fact
    assert slack.called("chat.postMessage") == []


async def test_what_was_changed_lately_stands_with_the_service_each_with_its_link_and_harmless(ready: Ready) -> None:
    running, slack = ready
    now = time.time()
    for number, (service, title) in enumerate((("payments", "v42"), ("ledger", "<!channel> *v7*"))):
        change = Change(
            now - 60 * (number + 7), service, ChangeKind.DEPLOY, title, "ci", title, link="https://ci.example/7?a=1&b=2"
        )
        running.view.changes.add(change, now)
    said = valid((await slack.slash_command(running.url, "payments")).json())

    for fact in (
        "*Changes*",
        "• <https://ci.example/7?a=1&amp;b=2|deploy payments: v42 · 7 min ago>",
        "deploy ledger: &lt;!channel&gt;",
    ):
        assert fact in said["text"], said["text"]
    assert "<!channel>" not in str(said)


def buttons_of(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The buttons of an answer by their labels."""
    elements = [one for block in said["blocks"] if block["type"] == "actions" for one in block["elements"]]
    return {one["text"]["text"]: one for one in elements}


async def click(ready: Ready, button: dict[str, Any]) -> dict[str, Any]:
    """What a click is answered with."""
    running, slack = ready
    before = len(slack.responses)
    clicked = await slack.interaction(running.url, {"type": "block_actions", "actions": [button | {"block_id": "b"}]})
    assert clicked.status == 200
    return await answered(slack, before)


async def answered(slack: FakeSlack, before: int) -> dict[str, Any]:
    """The next answer over a response_url."""

    async def come() -> bool:
        return len(slack.responses) > before

    await until(come, "no answer came")
    return valid(slack.responses[before])


async def test_a_slip_of_the_finger_is_answered_and_said(ready: Ready) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, "paymnets")).json())

    assert "showing *payments* (you wrote paymnets)" in said["text"]
    assert "*Callers* 1: web" in said["text"]


async def test_an_unknown_name_gets_the_closest_ones_as_buttons_that_ask_the_same_again(ready: Ready) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, "path web pay")).json())
    found = buttons_of(said)

    assert "No service called 'pay'" in said["text"]
    assert found["payments"]["value"] == "path web payments"
    assert len(found) <= 5

    told = await click(ready, found["payments"])
    assert "*web* → *payments*" in told["text"]
    assert told["replace_original"] is False


async def test_the_incident_messages_button_shows_its_service_even_if_it_is_called_like_a_question(
    ready: Ready,
) -> None:
    told = await click(ready, {"type": "button", "action_id": "topology_show", "value": "payments"})
    assert "*Callers* 1: web" in told["text"]

    told = await click(ready, {"type": "button", "action_id": "topology_show", "value": "health"})
    assert "No service called 'health'" in told["text"]


async def test_deeper_widens_the_answer_hop_by_hop(ready: Ready) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, "web")).json())
    deeper = await click(ready, buttons_of(said)["Deeper"])

    assert "*web* and what is 2 hops around it" in deeper["text"]
    assert "1: payments\n2: ledger" in deeper["text"]
    assert buttons_of(deeper)["Deeper"]["value"] == "around web 3"


async def test_a_shared_answer_goes_to_everybody_with_who_shared_it_and_takes_the_private_one_away(
    ready: Ready,
) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, "blast ledger")).json())
    shared = await click(ready, buttons_of(said)["Share"])

    assert (shared["response_type"], shared["delete_original"]) == ("in_channel", True)
    assert "someone shared `/topology blast ledger`" in shared["text"]
    assert "2 dependents" in shared["text"]
    assert buttons_of(shared) == {}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            "path web ledger",
            ("*web* → *ledger*", "1. web → payments → ledger", "• web → payments: trace · 9 calls, 0.0% failed"),
        ),
        ("path ledger web", ("No calls lead from *ledger* to *web*.",)),
        (
            "blast ledger",
            ("If *ledger* goes down: 2 dependents, 0 hit now", "payments (1 hop,", "@pay-oncall (1)"),
        ),
        ("blast ledger payments", ("If *ledger* and *payments* go down: 1 dependent,",)),
        ("owner payments", ("*Owner*: @pay-oncall", "*Tier*: 1 (services.yaml, read", "*Domain*: money")),
        ("owner ledger", ("no owner known; nearest owned dependent is payments → @pay-oncall",)),
        ("help path", ("`/topology path A B`",)),
        ("path web", ("Say it like this: /topology path A B",)),
    ],
)
async def test_a_question_is_answered_from_the_live_map_at_once(
    ready: Ready, text: str, facts: tuple[str, ...]
) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, text)).json())

    for fact in facts:
        assert fact in said["text"], said["text"]
    assert slack.responses == []


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("diff payments 30m", ("*payments* since <!date^", "every call as it was")),
        ("payments at 9h ago", ("as of <!date^", "No service called 'payments'")),
        ("causes payments", ("No likely cause of trouble at *payments* stands out",)),
        ("health", ("*Map*: 3 services, 2 calls between them", "*Last heard*: trace")),
        ("why 1", ("No incident is known by '1'",)),
        ("payments at 2031-01-01", ("lies in the future",)),
        ("payments at 25:99", ("is no time",)),
    ],
)
async def test_a_question_about_the_past_or_the_store_is_acknowledged_at_once_and_answered_after(
    ready: Ready, text: str, facts: tuple[str, ...]
) -> None:
    running, slack = ready
    started = time.perf_counter()
    acknowledged = await slack.slash_command(running.url, text)
    assert (acknowledged.status, acknowledged.text) == (200, "")
    assert time.perf_counter() - started < 3

    said = await answered(slack, 0)
    assert said["response_type"] == "ephemeral"
    for fact in facts:
        assert fact in said["text"], said["text"]


async def test_the_map_of_then_and_what_is_new_since_are_read_from_what_is_stored(ready: Ready) -> None:
    running, slack = ready
    async with aiohttp.ClientSession(running.url) as session:
        earlier = calls([("cart", "payments")], count=4, at=time.time() - 1_200)
        async with session.post("/v1/traces", data=earlier, headers=PROTOBUF):
            pass

        async def stored() -> bool:
            return bool((await get(session, "/api/v1/diff?from=-1h"))["total"])

        await until(stored, "nothing was stored")
    for number, (text, fact) in enumerate(
        (
            ("diff payments 1h", "*New* 1\n🟢 cart → payments"),
            ("payments at 18 min ago", "*Callers* 1: cart"),
            ("blast payments at 18m", "If *payments* goes down: 1 dependent, 0 hit now"),
        )
    ):
        await slack.slash_command(running.url, text)
        assert fact in (said := await answered(slack, number))["text"], said["text"]


async def test_why_tells_every_decision_of_an_incident_by_number_fingerprint_or_service(ready: Ready) -> None:
    running, slack = ready
    async with aiohttp.ClientSession(running.url) as session:
        async with session.post(
            "/webhooks/alertmanager", json=alertmanager("payments"), headers=alertmanager_headers()
        ) as taken:
            assert taken.status < 300

        async def posted() -> bool:
            return bool(slack.messages("incidents"))

        await until(posted, "the alert made no message")
    for number, wanted in enumerate(("1", "#1", "incident 1", "alert 1", "payments")):
        await slack.slash_command(running.url, f"why {wanted}")
        said = await answered(slack, number)
        assert "*Incident 1* · open · opened <!date^" in said["text"], wanted
        assert "first alert of a new incident" in said["text"], said["text"]


async def test_a_question_that_breaks_is_told_to_whoever_asked(ready: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    running, slack = ready

    async def broken(self: object, text: str, now: float, asker: Asker, **given: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Desk, "answer", broken)
    await slack.slash_command(running.url, "diff payments 1h")
    assert "That went wrong here" in (await answered(slack, 0))["text"]


async def test_questions_beyond_what_can_be_thought_about_at_once_are_asked_to_come_again(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, slack = ready
    gate = asyncio.Event()
    real = Desk.answer

    async def held(self: Desk, text: str, now: float, asker: Asker, **given: Any) -> Reply:
        await gate.wait()
        return await real(self, text, now, asker, **given)

    monkeypatch.setattr(Desk, "answer", held)
    for _ in range(9):
        await slack.slash_command(running.url, "diff payments 1h")
    assert "Please ask again in a moment" in (await answered(slack, 0))["text"]
    gate.set()
    assert "*payments* since" in (await answered(slack, 8))["text"]


@pytest.mark.parametrize("text", ["", "help", "HELP", "?"])
async def test_help_names_what_can_be_asked(ready: Ready, text: str) -> None:
    running, slack = ready
    said = valid((await slack.slash_command(running.url, text)).json())

    for command in COMMANDS:
        assert f"/topology {command.usage}" in said["text"]
        assert f"`/topology {command.usage}`" in (REPOSITORY / "README.md").read_text()


@pytest.mark.parametrize("sign", [Sign.WRONG, Sign.MISSING, Sign.OLD])
async def test_a_request_not_signed_by_slack_now_is_401(ready: Ready, sign: Sign) -> None:
    running, slack = ready

    assert (await slack.slash_command(running.url, "payments", sign=sign)).status == 401
    assert (await slack.slash_command(running.url, "payments&ssl_check=1", sign=sign)).status == 401


async def test_hostile_text_is_answered_without_mentioning_anybody(ready: Ready) -> None:
    running, slack = ready
    for text in ("<!channel>", "<@U000000001>", "x" * 5_000, "\u202e<!here>", "`*_~"):
        said = valid((await slack.slash_command(running.url, text)).json())
        for mention in ("<!", "<@", "\u202e"):
            assert mention not in said["text"] + str(said["blocks"])


async def test_a_link_button_is_acknowledged(ready: Ready) -> None:
    running, slack = ready
    action = {"type": "button", "action_id": "open_link_0", "block_id": "b", "url": "https://runbooks.example"}

    assert (await slack.interaction(running.url, {"type": "block_actions", "actions": [action]})).status == 200


async def test_a_click_whose_answer_would_go_elsewhere_than_slack_is_not_answered(ready: Ready, tmp_path: Path) -> None:
    running, slack = ready
    action = {"type": "button", "action_id": "topology_show", "block_id": "b", "value": "payments"}
    payload = {"type": "block_actions", "actions": [action], "response_url": "http://169.254.169.254/latest/meta-data"}

    assert (await slack.interaction(running.url, payload)).status == 200
    assert slack.responses == []


async def test_without_a_signing_secret_the_door_refuses_all(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path) as (running, _):
        answer = await slack.slash_command(running.url, "payments")

    assert answer.status == 401
    assert "SLACK_SIGNING_SECRET" in answer.json()["detail"]
