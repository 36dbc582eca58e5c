"""`topology-bot mcp`: the tools of an agent over standard input and output, answered by a running bot or else from the database."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from bot import config, logs, offline
from bot.cli.terminal import Answer, Token, Url, api_path, cli, questions_of
from bot.client import Client
from bot.config import Settings
from bot.errors import ConfigError
from bot.web.mcp.protocol import MAX_MESSAGE, Protocol
from bot.web.mcp.stdio import Stdio
from bot.web.mcp.tools import Answers, Tools
from bot.web.questions import Questions

_READ_AGAIN_SECONDS = 30.0


@cli.command(name="mcp")
def serve_tools(url: Url = "", token: Token = "") -> None:
    """Answer an agent's questions over standard input and output (MCP), until its end is closed."""
    logs.configure("auto", "warning")  # standard output belongs to the protocol
    asyncio.run(_serve(url, token))


async def _serve(url: str, token: str) -> None:
    async with AsyncExitStack() as stack:
        answers: Answers
        if url:
            answers = FromBot(Client(url, token))
        else:
            answers = await stack.enter_async_context(from_database(config.load()))
        lines = asyncio.StreamReader(MAX_MESSAGE)
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
            )
        except ValueError:
            raise ConfigError("standard input has to be a pipe or a terminal: an MCP client starts this") from None
        stack.callback(transport.close)
        try:
            await Stdio(Protocol(Tools(answers)), _write).run(lines)
        except* BrokenPipeError:  # the client is gone; what is left in the buffer has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


class FromBot:
    """Answers as a running bot gives them, over its API: one question at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turn = asyncio.Lock()

    async def answer(self, name: str, given: Mapping[str, str], about: str = "") -> Answer:
        """See `Answers`. Raises BotError in the bot's own words."""
        async with self._turn:
            return await asyncio.to_thread(self._client.get, api_path(name, about), given)


class FromDatabase:
    """Answers from the database, which is read again where the last reading is older than half a minute: one question at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()
        self._open = AsyncExitStack()
        self._read: tuple[float, Questions] | None = None
        self._ask_hosts = False

    async def answer(self, name: str, given: Mapping[str, str], about: str = "") -> Answer:
        """See `Answers`. Raises BotError."""
        async with self._turn:
            # Backstage and PagerDuty take their time, and only owners are theirs to say.
            hosts = self._ask_hosts or name == "owner"
            if self._read is None or hosts is not self._ask_hosts or time.monotonic() > self._read[0]:
                await self.close()
                self._ask_hosts = hosts
                parts = await self._open.enter_async_context(offline.reading(self._settings, ask_hosts=hosts))
                self._read = time.monotonic() + _READ_AGAIN_SECONDS, questions_of(parts)
            return await self._read[1].answer(name, given, about)

    async def close(self) -> None:
        """Let go of the database."""
        self._read = None
        await self._open.aclose()


@asynccontextmanager
async def from_database(settings: Settings) -> AsyncIterator[FromDatabase]:
    """Answers from the database, let go of in the end."""
    answers = FromDatabase(settings)
    try:
        yield answers
    finally:
        await answers.close()
