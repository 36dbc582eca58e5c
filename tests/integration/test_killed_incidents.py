"""A bot that is killed -9 again and again while incidents begin, spread and end: Slack ends up as if nobody had touched it.

The suite kills a few times; `make kills KILLS=200` as often as one likes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.test_slack_delivery import DOOR, slack_process
from tests.kit.alerts import alertmanager
from tests.kit.bots import alertmanager_headers, slack_environment, start_process, until

__all__ = ["slack_process"]

KILLS = int(os.environ.get("KILLS", "6"))
_A_ROUND = 4


class Story:
    """One incident's life as its sender tells it: a service fires, another of the same group, then both end."""

    def __init__(self, number: int) -> None:
        self.first, self.second = f"first-{number}", f"second-{number}"
        self.told = 0
        started, group = time.time() - 60, f"group-{number}"
        both = ((self.first, started), (self.second, started + 10))
        fires = [alertmanager(one, group=group, started=at) for one, at in both]
        ends = [alertmanager(one, "resolved", group=group, started=at) for one, at in both]
        self._parts = [*fires, ends[0] | {"alerts": [*ends[0]["alerts"], *ends[1]["alerts"]]}]

    @property
    def over(self) -> bool:
        return self.told == len(self._parts)

    async def go_on(self, session: aiohttp.ClientSession) -> None:
        """Tell the next part; what is not acknowledged is told again next time."""
        async with session.post(DOOR, json=self._parts[self.told], headers=alertmanager_headers()) as answer:
            if answer.status in (200, 202):
                self.told += 1


async def test_slack_ends_up_as_if_the_bot_had_never_died(tmp_path: Path, slack_process: tuple[str, Path]) -> None:
    url, log = slack_process
    environment = slack_environment(url) | {"TOPOLOGY_BOT_SLACK_BURST": "100000"}  # the pace is tested elsewhere
    chance, kills = random.Random(KILLS), 0
    stories: list[Story] = []
    while kills < KILLS:
        stories += [Story(len(stories) + more) for more in range(_A_ROUND)]
        process = await start_process(tmp_path, tmp_path / "bot.log", **environment)
        killing = asyncio.create_task(_kill(process, chance.uniform(0.02, 0.8)))
        async with aiohttp.ClientSession(process.url) as session:
            waiting = [one for one in stories if not one.over]
            while waiting and not killing.done():
                try:
                    await chance.choice(waiting).go_on(session)
                except aiohttp.ClientError:
                    break
                waiting = [one for one in stories if not one.over]
        await killing
        kills += 1
    process = await start_process(tmp_path, tmp_path / "bot.log", **environment)
    try:
        async with aiohttp.ClientSession(process.url) as session:
            for one in stories:
                while not one.over:
                    await one.go_on(session)
            await until(lambda: _quiet(session), "the outbox does not empty", 120)
    finally:
        process.stop()
    _check(log, stories)


async def _kill(process: Any, after: float) -> None:
    await asyncio.sleep(after)
    process.kill()


async def _quiet(session: aiohttp.ClientSession) -> bool:
    async with session.get("/api/v1/incidents", params={"limit": "1000"}) as answer:
        states = {one["state"] for one in (await answer.json())["items"]}
    async with session.get("/api/v1/doctor") as answer:
        outbox = (await answer.json())["outbox"]
    return states == {"resolved"} and outbox["waiting"] == 0


def _check(log: Path, stories: list[Story]) -> None:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    posts = [line for line in lines if line["what"] == "post"]
    assert {key: count for key, count in Counter(line["key"] for line in posts).items() if count != 1} == {}
    shown = {line["ts"]: line["text"] for line in lines}  # the last that was said is what stands there
    roots = {line["text"].split("*")[1]: line["ts"] for line in posts if not line["thread_ts"]}
    assert roots.keys() == {one.first for one in stories}
    for one in stories:
        root = roots[one.first]
        assert shown[root].startswith(f"✅ *{one.first}* and 1 more recovered"), shown[root]
        thread = "\n".join(shown[line["ts"]] for line in posts if line["thread_ts"] == root)
        assert thread.count("🏁 Resolved") == 1
        assert thread.count(f"🔔 *{one.second}* alerts, too") == 1
