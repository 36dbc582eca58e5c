"""Starts the bot for tests: in this process, or as a process of its own that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bot import app
from bot.config import Settings
from tests.kit import fake_slack

REPOSITORY = Path(__file__).parents[2]
TOKEN = "alertmanager-token-for-tests"
PAGERDUTY_SECRET = "pagerduty-secret-for-tests"


def free_port() -> int:
    """A TCP port on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings of a bot under test: its own database, any free port, quick pairing."""
    values: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "database_url": f"sqlite:///{folder}/bot.db",
        "alertmanager_tokens": TOKEN,
        "pagerduty_secrets": PAGERDUTY_SECRET,
        "trace_settle_seconds": 0.2,
        "log_level": "error",
    }
    return Settings.model_validate(values | changes)


def with_slack(slack_url: str) -> dict[str, Any]:
    """The settings that point a bot at a fake Slack."""
    return {
        "slack_bot_token": fake_slack.TOKEN,
        "slack_signing_secret": fake_slack.SIGNING_SECRET,
        "slack_api_url": slack_url,
    }


def slack_environment(slack_url: str) -> dict[str, str]:
    """The same for a bot process."""
    return {
        "SLACK_BOT_TOKEN": fake_slack.TOKEN,
        "SLACK_SIGNING_SECRET": fake_slack.SIGNING_SECRET,
        "SLACK_API_URL": slack_url,
    }


@asynccontextmanager
async def bot(folder: Path, **changes: Any) -> AsyncIterator[tuple[app.Running, aiohttp.ClientSession]]:
    """A running bot in this process, and an HTTP client of it."""
    async with app.running(settings(folder, **changes)) as running, aiohttp.ClientSession(running.url) as session:
        yield running, session


@dataclass(slots=True)
class BotProcess:
    """The bot as a process of its own."""

    process: subprocess.Popen[bytes]
    url: str

    def kill(self) -> None:
        """`kill -9`: no chance to tidy up."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def environment(folder: Path, port: int, **changes: str) -> dict[str, str]:
    """The environment of a bot process."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TOPOLOGY_BOT_", "SLACK_", "DATABASE_"))
    }
    return (
        clean
        | {
            "TOPOLOGY_BOT_LISTEN": f"127.0.0.1:{port}",
            "DATABASE_URL": f"sqlite:///{folder}/bot.db",
            "TOPOLOGY_BOT_ALERTMANAGER_TOKENS": TOKEN,
            "TOPOLOGY_BOT_TRACE_SETTLE_SECONDS": "0.2",
            "TOPOLOGY_BOT_LOG_LEVEL": "error",
        }
        | changes
    )


async def start_process(folder: Path, log: Path, **changes: str) -> BotProcess:
    """Start `topology-bot serve` and wait until it is ready. Raises TimeoutError with its log where it does not come up."""
    running = launch(folder, log, **changes)
    await ready(running, log, 30)
    return running


def launch(folder: Path, log: Path, **changes: str) -> BotProcess:
    """Start `topology-bot serve`, without waiting for it."""
    port = free_port()
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve"],
            cwd=REPOSITORY,
            env=environment(folder, port, **changes),
            stdout=sink,
            stderr=sink,
        )
    return BotProcess(process, f"http://127.0.0.1:{port}")


async def ready(running: BotProcess, log: Path, patience: float) -> None:
    """Wait until a bot process is ready, `patience` seconds at most. Raises TimeoutError with its log after that."""
    deadline = time.monotonic() + patience
    async with aiohttp.ClientSession(running.url) as session:
        while time.monotonic() < deadline and running.process.poll() is None:
            try:
                async with session.get("/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)
    running.process.kill()
    raise TimeoutError(f"the bot did not come up: {log.read_text()[-2000:]}")


async def until(check: Any, what: str, seconds: float = 15.0) -> Any:
    """Poll an async `check` until it gives something true; that is the result. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        found = await check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.03)


async def get(session: aiohttp.ClientSession, path: str, status: int = 200, **parameters: str) -> Any:
    """The JSON of one route, with its status checked."""
    async with session.get(path, params=parameters) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


def alertmanager_headers(token: str = TOKEN) -> Mapping[str, str]:
    """What Alertmanager sends with `authorization: credentials`."""
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "User-Agent": "Alertmanager/0.34.0"}
