"""An incident's thread gets a picture, and in a storm the list of all alerts; both come once and stay true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.incidents import illustrating
from tests.kit.alerts import alertmanager
from tests.kit.bots import alertmanager_headers, bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.kit.slack_channel import Post
from tests.pagerduty.test_whole import learn
from tests.slack.test_commands import answered

pytest.importorskip("pygraphviz")


async def alerted(session: aiohttp.ClientSession, **changes: Any) -> None:
    async with session.post(
        "/webhooks/alertmanager", json=alertmanager(**changes), headers=alertmanager_headers()
    ) as answer:
        assert answer.status == 202


async def reply(slack: FakeSlack, has: str) -> Post:
    """The reply in the first thread that has this in a block."""

    async def there() -> Post | None:
        roots = slack.messages("incidents")
        return next((one for root in roots[:1] for one in root.replies if has in str(one.blocks)), None)

    found: Post = await until(there, f"no reply with {has}", 30)
    return found


async def test_the_thread_gets_the_picture_of_what_is_around_the_failing_service(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (_, session):
        await learn(session)
        await alerted(session)
        post = await reply(slack, "slack_file")
        file = slack.workspace.files.all[post.blocks[0]["slack_file"]["id"]]
        assert (file.body or b"").startswith(b"\x89PNG")
        assert post.blocks[0]["alt_text"].startswith("payments is failing")
        assert post.text == post.blocks[0]["alt_text"]


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with (
        FakeSlack() as slack,
        bot(tmp_path, thread_pictures=False, **with_slack(slack.url)) as (running, session),
    ):
        await learn(session)
        await alerted(session)

        async def posted() -> bool:
            return bool(slack.messages("incidents"))

        await until(posted, "there is no message")
        assert await running.outbox.one("incident:1:picture") is None
        assert slack.workspace.files.all == {}


async def test_a_storm_gets_the_list_of_all_its_alerts_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(illustrating, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(illustrating, "MANY_ALERTS", 2)
    monkeypatch.setattr(illustrating, "AGAIN_SECONDS", 0.5)
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (_, session):
        await learn(session)
        first = alertmanager()
        for number in range(4):
            one = {**first["alerts"][0], "fingerprint": f"f{number}"}
            one["labels"] = {**one["labels"], "instance": f"<!channel> {number}"}
            body = {**first, "alerts": [one]}
            async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
                assert answer.status == 202
        post = await reply(slack, "All 4 alerts of incident 1")
        file = next(one for one in slack.workspace.files.all.values() if one.permalink in str(post.blocks))
        assert b"payments\t4 of 4 firing" in (file.body or b"")
        assert slack.workspace.mentions == []


async def test_a_picture_is_asked_for_and_shared_like_every_answer(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, session):
        await learn(session)
        typed = await slack.slash_command(running.url, "map payments")
        assert (typed.status, typed.text) == (200, "")
        said = await answered(slack, 0)
        assert said["response_type"] == "ephemeral"
        assert said["blocks"][0]["slack_file"]["id"] in slack.workspace.files.all
        labels = [
            one["text"]["text"] for block in said["blocks"] if block["type"] == "actions" for one in block["elements"]
        ]
        assert labels == ["Share"]


async def test_the_preview_shows_the_picture_where_there_is_no_slack(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alerted(session)

        async def drawn() -> bool:
            return await running.outbox.one("incident:1:picture") is not None

        await until(drawn, "there is no picture", 20)
        async with session.get("/messages") as answer:
            assert (
                '<img src="/messages/enclosed?key=incident%3A1%3Apicture" alt="payments is failing'
                in await answer.text()
            )
        async with session.get("/messages/enclosed", params={"key": "incident:1:picture"}) as answer:
            assert (answer.status, answer.content_type) == (200, "image/png")
            assert (await answer.read()).startswith(b"\x89PNG")
        for wrong in ("incident:1:root", "nothing", ""):
            async with session.get("/messages/enclosed", params={"key": wrong}) as answer:
                assert answer.status == 404


async def test_a_picture_is_made_anew_only_when_it_is_about_something_else(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await learn(session)
        await alerted(session)

        async def drawn() -> bool:
            return await running.outbox.one("incident:1:picture") is not None

        await until(drawn, "there is no picture", 20)
        await alerted(session, name="HighLatency")
        row = await running.outbox.one("incident:1:picture")
        assert row is not None
        assert row.revision == 1
