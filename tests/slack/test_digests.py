"""A daily digest in Slack, from asking for it to what is said of its lines: the whole bot, its outbox, the real Bolt."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.app import Running
from bot.storage.database import Database
from bot.storage.digest_store import DigestStore
from tests.kit.bots import bot, until, with_slack
from tests.kit.digests import CATALOG, remember
from tests.kit.fake_slack import FakeSlack
from tests.slack.test_commands import answered, buttons_of, click

USER, DIRECT = "U000000001", "D000000001"
Ready = tuple[Running, FakeSlack]


@asynccontextmanager
async def running(folder: Path, slack: FakeSlack) -> AsyncIterator[Running]:
    (folder / "services.yaml").write_text(CATALOG)
    async with bot(folder, catalog=folder / "services.yaml", **with_slack(slack.url)) as (running, _):
        yield running


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot with a history, and its Slack."""
    await remember(f"sqlite:///{tmp_path}/bot.db")
    async with FakeSlack() as slack, running(tmp_path, slack) as bot:
        yield bot, slack


async def ask(ready: Ready, text: str, channel: str = "incidents") -> dict[str, Any]:
    running, slack = ready
    before = len(slack.responses)
    await slack.slash_command(running.url, text, channel=channel)
    return await answered(slack, before)


async def test_a_preview_tells_what_is_new_and_nothing_of_a_one_off(ready: Ready) -> None:
    said = await ask(ready, "digest preview")

    assert "*Dependencies of all services*: 2 new" in said["text"]
    assert "*shop* now calls *ledger* · other team's · tier 1 needs 3 · trace 650 · owner Finance" in said["text"]
    assert "*shop* now calls *stripe.com* · external · trace 650 · no owner known" in said["text"]
    assert "mail" not in said["text"]
    assert ready[1].called("chat.postMessage") == []


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("team=finance", ["ledger"]), ("tier=3", ["ledger"]), ("domain=money", ["ledger"]), ("service=stripe.com", ["stripe.com"]),
        ("team=web", ["ledger", "stripe.com"]), ("team=nobody", []), ("service=ledger team=Web", []),
    ],
)  # fmt: skip
async def test_a_preview_keeps_to_what_was_asked_for(ready: Ready, typed: str, told: list[str]) -> None:
    said = await ask(ready, f"digest preview {typed}")

    assert [one for one in ("ledger", "stripe.com") if f"now calls *{one}*" in said["text"]] == told


async def test_a_digest_is_asked_for_listed_and_ended(ready: Ready) -> None:
    ready[1].workspace.zones[USER] = "Asia/Kolkata"
    said = await ask(ready, 'digest subscribe team="Web" at 7:30')
    assert "Digest 1: what is new, gone and changed among the dependencies of *team=Web*" in said["text"]
    assert "here at 07:30 Asia/Kolkata" in said["text"]

    assert "1. `team=Web` here at 07:30 Asia/Kolkata, next <!date^" in (await ask(ready, "digest"))["text"]
    assert "*shop* now calls *ledger*" in (await click(ready, buttons_of(said)["Preview"]))["text"]
    assert "Digest 1 is ended." in (await click(ready, buttons_of(said)["Unsubscribe"]))["text"]
    assert "There is no digest here yet" in (await ask(ready, "digest list"))["text"]
    assert "There is no digest 1 here" in (await ask(ready, "digest unsubscribe 1"))["text"]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("digest subscribe at 25:00", "no time of day"), ("digest subscribe in Mars/Base", "no time zone"),
        ("digest subscribe colour=red", "says nothing here"), ("digest subscribe service=nosuch", "No service called 'nosuch'"),
        ("digest frobnicate", "nothing one can do with digests"), ("digest unsubscribe", "Say which"),
        ("digest subscribe =", "Say it like this"),
    ],
)  # fmt: skip
async def test_what_makes_no_digest_is_refused_in_words(ready: Ready, typed: str, why: str) -> None:
    assert why in (await ask(ready, typed))["text"]
    assert "There is no digest here yet" in (await ask(ready, "digest"))["text"]


async def due_now(url: str, **changes: Any) -> None:
    """Has the first subscription come due a minute ago, in whole minutes of UTC."""
    database = Database(url)
    store = DigestStore(database)
    (kept,) = await store.subscriptions()
    moment = int(time.time() // 60 % 1_440)
    async with database.write() as connection:
        await connection.exec_driver_sql(
            f"UPDATE digest_subscription SET minute = {moment}, zone = 'UTC', created_at = created_at - 7200 WHERE id = {kept.id}"
        )
    await database.close()


async def posted(slack: FakeSlack, channel: str, count: int = 1) -> list[Any]:
    async def come() -> bool:
        return channel in slack.workspace.channels and len(slack.messages(channel)) >= count

    await until(come, "no digest came", 30)
    return slack.messages(channel)


async def settled(running: Running) -> None:
    async def sent() -> bool:
        return [row.state for row in await running.outbox.latest(9)] == ["sent"]

    await until(sent, "the outbox does not know that the digest is out", 30)


async def test_a_digest_that_is_due_is_posted_once_though_the_bot_is_stopped_and_started(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    await remember(url)
    async with FakeSlack() as slack:
        channel = slack.workspace.channel("incidents").id
        async with running(tmp_path, slack) as bot:
            await ask((bot, slack), "digest subscribe")
        await due_now(url)
        for _ in range(3):
            async with running(tmp_path, slack):
                (message,) = await posted(slack, channel)
        assert "*Dependencies of all services*: 2 new" in message.text
        assert len(slack.called("chat.postMessage")) == 1


async def test_what_is_said_of_a_line_is_shown_to_all_and_can_be_taken_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    await remember(url)
    async with FakeSlack() as slack:
        channel = slack.workspace.channel("incidents").id
        async with running(tmp_path, slack) as bot:
            await ask((bot, slack), "digest subscribe")
        await due_now(url)
        async with running(tmp_path, slack) as bot:
            (message,) = await posted(slack, channel)
            await settled(bot)
            said = await press((bot, slack), message, "Expected")
            assert "Noted as expected, and not told again: new shop → ledger." in said["text"]
            await edited(message, "✅ expected (someone)")
            assert "ledger" not in (await ask((bot, slack), "digest preview"))["text"]

            await press((bot, slack), message, "Look into it")
            await edited(message, "🔎 looked into (someone)")
            again = await ask((bot, slack), "digest preview")
            assert "open: new shop → stripe.com, looked into by someone" in again["text"]

            await click((bot, slack), buttons_of(said)["Undo"] | {"action_id": "digest_open_0"})
            assert "*shop* now calls *ledger*" in (await ask((bot, slack), "digest preview"))["text"]
            assert len(slack.messages(channel)) == 1
            assert slack.workspace.mentions == []


async def test_a_persons_digest_comes_directly_once_though_slacks_answer_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    await remember(url)
    async with FakeSlack() as slack:
        async with running(tmp_path, slack) as bot:
            said = await ask((bot, slack), "digest subscribe me team=web")
            assert "to you at 09:00 UTC" in said["text"]
            assert "There is no digest here" in (await ask((bot, slack), "digest"))["text"]
        await due_now(url)
        slack.fail_next("chat.postMessage", "drop", accepted=True)
        async with running(tmp_path, slack) as bot:
            (message,) = await posted(slack, DIRECT)
            await settled(bot)
            await press((bot, slack), message, "Expected", DIRECT)
            await edited(message, "✅ expected (someone)")
            assert "1. `team=web`" in (await ask((bot, slack), "digest", DIRECT))["text"]
            assert "ledger" not in (await ask((bot, slack), "digest preview 1", DIRECT))["text"]
        assert len(slack.messages(DIRECT)) == 1


@pytest.mark.parametrize("value", ["", "new", "new\na", "a\nb\nc\nd", "x" * 1_999])
async def test_a_click_on_what_is_no_line_of_a_digest_is_refused(ready: Ready, value: str) -> None:
    told = await click(ready, {"type": "button", "action_id": "digest_expected_0", "value": value})
    assert "That is no line of a digest" in told["text"]


async def test_a_click_on_a_preview_is_remembered_for_the_channel(ready: Ready) -> None:
    said = await ask(ready, "digest preview service=ledger")
    told = await click(ready, buttons_of(said)["Look into it"])
    assert "Noted: shown as open, with your name" in told["text"]

    again = await ask(ready, "digest preview")
    assert "*shop* now calls *ledger*" not in again["text"]
    assert "open: new shop → ledger, looked into by someone" in again["text"]


async def press(ready: Ready, message: Any, label: str, channel: str = "incidents") -> dict[str, Any]:
    """Click on the first button of that label in a digest that Slack shows."""
    running, slack = ready
    before = len(slack.responses)
    button = next(
        one
        for block in message.blocks
        if block["type"] == "actions"
        for one in block["elements"]
        if one["text"]["text"] == label
    )
    payload = {"actions": [button | {"block_id": "b"}], "container": {"type": "message", "message_ts": message.ts}}
    assert (await slack.interaction(running.url, payload, channel=channel)).status == 200
    return await answered(slack, before)


async def edited(message: Any, fact: str) -> None:
    async def come() -> bool:
        return fact in str(message.blocks)

    await until(come, f"nobody sees {fact}")
