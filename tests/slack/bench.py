"""A sender on a bench: the fake Slack, an outbox in memory and a worker that is in a hurry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.metrics import REGISTRY
from bot.model import Message
from bot.slack.client import SlackSink
from bot.slack.pace import Pace
from bot.slack.policy import Policy
from bot.slack.send import OutboxWorker
from tests.kit.fake_slack import TOKEN, FakeSlack
from tests.kit.memory_outbox import MemoryOutbox

HURRIED = Policy(grace=0.15, first_wait=0.02, longest_wait=0.2, slow_retry=0.2, poll=0.05, call=0.5)
TIMEOUT = 0.25
"""Seconds a call to the fake Slack may take."""


def message(text: str) -> Message:
    """A message as views make them."""
    return Message(text, ({"type": "section", "text": {"type": "mrkdwn", "text": text}},))


def counted(name: str, **labels: str) -> float:
    """A counter's value; 0 where it never counted."""
    return REGISTRY.get_sample_value(f"topology_bot_{name}_total", labels) or 0.0


class Clock:
    """Epoch seconds, which a test can move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Bench:
    """What a test needs at hand. `running` is a worker's life; leaving it early is its death."""

    slack: FakeSlack
    session: aiohttp.ClientSession
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)
    clock: Clock = field(default_factory=Clock)

    def sink(self) -> SlackSink:
        """A fresh client of the fake Slack."""
        return SlackSink(AsyncWebClient(TOKEN, self.slack.url, session=self.session, retry_handlers=[]), TIMEOUT)

    def worker(self, policy: Policy = HURRIED, **changes: Any) -> OutboxWorker:
        """A fresh worker, with the policy and what is to differ from it."""
        return OutboxWorker(self.outbox, self.sink(), Pace(), replace(policy, **changes), self.clock)

    @asynccontextmanager
    async def running(self, worker: OutboxWorker | None = None, **changes: Any) -> AsyncIterator[OutboxWorker]:
        """A worker at work; cancelled, as a killed process would be, at the end."""
        one = worker or self.worker(**changes)
        task = asyncio.create_task(one.run())
        try:
            yield one
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def put(self, key: str, text: str, channel: str = "incidents", parent: str | None = None) -> None:
        """Want a message (or a new content for one)."""
        self.outbox.put(key, channel, message(text), self.clock(), parent)

    def texts(self, channel: str = "incidents") -> list[str]:
        """What the channel reads."""
        return [post.text for post in self.slack.messages(channel)]

    def all_sent(self) -> bool:
        """Nothing is left to do."""
        return all(row.state == "sent" for row in self.outbox.rows.values())


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for a condition. Raises `AssertionError` where it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def open_bench(**options: Any) -> AsyncIterator[Bench]:
    """A bench whose Slack has the channels `incidents` and `ops`."""
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(FakeSlack(channels=("incidents", "ops"), **options))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Bench(slack, session)
