"""MCP over standard input and output: one message a line, both ways, for as long as the client keeps its end open.

Comes in: lines, from a client that started this program. Goes out: a line for each request, in the order in which they are answered.
What is lost: requests that the client takes back (`notifications/cancelled`), and lines longer than a message may be, which are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from bot.web.mcp import protocol
from bot.web.mcp.protocol import BATCHING, HANDSHAKE, Message, Protocol, ProtocolError

MAX_AT_ONCE = 8


class Stdio:
    """One client's conversation. `write` takes a line without its end."""

    def __init__(self, answering: Protocol, write: Callable[[bytes], None]) -> None:
        self._protocol = answering
        self._write = write
        self._version = HANDSHAKE[-1]
        self._running: dict[str | int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(MAX_AT_ONCE)

    async def run(self, lines: asyncio.StreamReader) -> None:
        """Until the client closes its end; what it asked before that is still answered. `lines` has `MAX_MESSAGE` as its limit."""
        async with asyncio.TaskGroup() as group:
            while (line := await self._line(lines)) is not None:
                if line.strip():
                    await self._take(line, group)

    async def _take(self, line: bytes, group: asyncio.TaskGroup) -> None:
        try:
            value = protocol.decode(line)
            if isinstance(value, list) and self._version in BATCHING:
                self._say(await self._protocol.batch(value))
                return
            message = protocol.read(value)
        except ProtocolError as error:
            self._say(protocol.failure(None, error))
            return
        if message.id is None:
            self._heed(message)
            return
        if message.method == "initialize":  # what comes next is of the revision that this agrees on
            await self._answer(message)
            return
        await self._room.acquire()
        task = group.create_task(self._answer(message))
        self._running[message.id] = task
        task.add_done_callback(lambda done: self._over(message, done))

    async def _answer(self, message: Message) -> None:
        reply = await self._protocol.reply(message)
        if message.method == "initialize" and reply is not None and "result" in reply:
            self._version = reply["result"]["protocolVersion"]
        self._say(reply)

    def _over(self, message: Message, task: asyncio.Task[None]) -> None:
        self._room.release()
        if message.id is not None and self._running.get(message.id) is task:
            del self._running[message.id]

    def _heed(self, message: Message) -> None:
        wanted = message.params.get("requestId")
        if message.method == "notifications/cancelled" and isinstance(wanted, str | int) and wanted in self._running:
            self._running[wanted].cancel()

    def _say(self, reply: Any) -> None:
        if reply:
            self._write(msgspec.json.encode(reply))

    async def _line(self, lines: asyncio.StreamReader) -> bytes | None:
        """The next line; None once there is none."""
        skipped = False
        while True:
            try:
                line = await lines.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                line = end.partial
                if not line and not skipped:
                    return None
            except asyncio.LimitOverrunError as error:
                await lines.readexactly(error.consumed)
                skipped = True
                continue
            if not skipped:
                return line
            told = ProtocolError(protocol.INVALID_REQUEST, f"a message longer than {protocol.MAX_MESSAGE} bytes")
            self._say(protocol.failure(None, told))
            skipped = False
