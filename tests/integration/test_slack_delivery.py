"""From a webhook to a person's channel, with a Slack that fails in every way it can, and a bot that is killed."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.alerts import alertmanager
from tests.kit.bots import (
    REPOSITORY,
    alertmanager_headers,
    bot,
    free_port,
    slack_environment,
    start_process,
    until,
    with_slack,
)
from tests.kit.fake_slack import FakeSlack

DOOR = "/webhooks/alertmanager"


async def send(session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
    async with session.post(DOOR, json=body, headers=alertmanager_headers()) as answer:
        assert answer.status in (200, 202), await answer.text()


async def one_message(slack: FakeSlack, edits: int = 0) -> Any:
    async def there() -> Any:
        posts = slack.messages("incidents")
        return posts if posts and posts[0].edits >= edits else None

    await until(there, "the message did not come", 30)
    await asyncio.sleep(0.3)  # a second one would come now
    posts = slack.messages("incidents")
    assert len(posts) == 1
    return posts[0]


async def test_an_alert_becomes_one_message_and_its_end_edits_it(tmp_path: Path) -> None:
    started = time.time() - 300
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (_, session):
        await send(session, alertmanager("payments", started=started))
        first = await one_message(slack)
        assert first.text.startswith("🔴 *payments* is failing")
        await send(session, alertmanager("payments", status="resolved", started=started))
        last = await one_message(slack, edits=1)

    assert last.ts == first.ts
    assert last.text.startswith("✅ *payments* recovered")


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("http_500", False),
        ("http_503", True),
        ("drop", False),
        ("drop", True),
        ("fatal_error", True),
        ("internal_error", False),
        ("ratelimited", False),
    ],
)
async def test_whatever_slack_does_the_channel_gets_the_message_once(tmp_path: Path, kind: str, accepted: bool) -> None:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (_, session):
        slack.fail_next("chat.postMessage", kind, accepted=accepted)
        await send(session, alertmanager("payments"))

        assert (await one_message(slack)).text.startswith("🔴 *payments*")


async def test_a_revoked_token_loses_nothing_and_shows_in_doctor(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, session):
        slack.token_error = "token_revoked"
        await send(session, alertmanager("payments"))

        async def noticed() -> bool:
            async with session.get("/api/v1/doctor") as answer:
                return any("token_revoked" in problem for problem in (await answer.json())["problems"])

        await until(noticed, "doctor does not say that the token is revoked")

        async def waits() -> bool:
            return (await running.outbox.backlog())[0] == 1

        await until(waits, "the message does not wait in the outbox")
        assert slack.messages("incidents") == []


@pytest.fixture
async def slack_process(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A fake Slack of its own, that lives on while bots die: (API address, log of what it accepted)."""
    port, log = free_port(), tmp_path / "slack.jsonl"
    command = [sys.executable, "-m", "tests.kit.fake_slack", "--port", str(port), "--log", str(log)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    yield f"http://127.0.0.1:{port}/api/", log
    process.terminate()
    process.wait(10)
    process.stdout.close()


async def test_killed_again_and_again_nothing_is_lost_and_nothing_posted_twice(
    tmp_path: Path, slack_process: tuple[str, Path]
) -> None:
    """Alerts keep coming while the bot is killed -9 at random moments. What was acknowledged is posted, once."""
    url, log = slack_process
    environment = slack_environment(url) | {"TOPOLOGY_BOT_SLACK_BURST": "10000"}  # the pace is tested elsewhere
    chance = random.Random(5)
    acknowledged: set[str] = set()
    number = 0
    for _ in range(6):
        process = await start_process(tmp_path, tmp_path / "bot.log", **environment)
        async with aiohttp.ClientSession(process.url) as session:
            until_killed = time.monotonic() + chance.uniform(0.05, 0.5)
            for _ in range(30):
                if time.monotonic() > until_killed:
                    break
                number += 1
                service = f"svc-{number:03d}"
                async with session.post(DOOR, json=alertmanager(service), headers=alertmanager_headers()) as answer:
                    if answer.status == 202:
                        acknowledged.add(service)
        process.kill()
    process = await start_process(tmp_path, tmp_path / "bot.log", **environment)

    async def all_there() -> bool:
        return acknowledged <= _posted(log).keys()

    try:
        await until(all_there, "not every acknowledged alert was posted", 40)
        await asyncio.sleep(0.5)
    finally:
        process.stop()
    counts = _posted(log)

    assert len(acknowledged) > 20
    assert {service: count for service, count in counts.items() if count != 1} == {}


def _posted(log: Path) -> Counter[str]:
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return Counter(line["text"].split("*")[1] for line in lines if line["what"] == "post")
