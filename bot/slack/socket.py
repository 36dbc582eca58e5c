"""Slack over a WebSocket that the bot opens itself (Socket Mode), for where Slack cannot reach it: no public address is needed.

Comes in: envelopes (docs.slack.dev/apis/events-api/using-socket-mode). Goes out: an acknowledgement of each, with the answer
where Slack takes one. What is lost: envelopes beyond what can be worked at a time, which are counted and which Slack sends again.
Nothing here is signed: the address is given to whoever holds the app-level token, once, so it is a secret and never logged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from bot import metrics
from bot.errors import RetryableDeliveryError

MAX_AT_A_TIME = 100
"""Envelopes being worked on."""

MAX_ENVELOPE = 4 * 1024 * 1024
_HELLO_SECONDS = 30.0
_HEARTBEAT_SECONDS = 20.0
_DRAINED_SECONDS = 15.0
"""After asking for a new connection Slack keeps the old one for some ten seconds."""

_KINDS = ("events_api", "interactive", "slash_commands")

log = structlog.get_logger(__name__)

Work = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""An envelope's payload -> what to answer it with; None for nothing."""


class SocketMode:
    """Keeps one connection, two while the one takes over from the other."""

    def __init__(self, address: Callable[[], Awaitable[str]], work: Work, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._work = work
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the connection ends; to be run again then. Raises DeliveryError, aiohttp.ClientError or TimeoutError where
        none can be made."""
        socket = await self._connect()
        try:
            while await self._serve(socket):
                # The new one first: what Slack sends meanwhile comes on either, and is on neither sent twice.
                old, socket = socket, await self._connect()
                self._start(self._drain(old))
        finally:
            await socket.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        address = await self._address()
        if urlsplit(address).scheme not in ("wss", "ws"):
            raise RetryableDeliveryError("no_socket_address")
        try:
            socket = await self._session.ws_connect(address, heartbeat=_HEARTBEAT_SECONDS, max_msg_size=MAX_ENVELOPE)
        except aiohttp.ClientError as error:  # whose text has the address, ticket and all
            raise RetryableDeliveryError(type(error).__name__) from None
        async with asyncio.timeout(_HELLO_SECONDS):
            hello = await socket.receive()
        if hello.type is not aiohttp.WSMsgType.TEXT or _read(hello.data).get("type") != "hello":
            await socket.close()
            raise RetryableDeliveryError("no_hello")
        log.info("connected to Slack's socket")
        return socket

    async def _drain(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async with asyncio.timeout(_DRAINED_SECONDS):
                while await self._serve(socket):
                    pass
        except TimeoutError:
            pass
        finally:
            await socket.close()

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> bool:
        """Take envelopes in; True once Slack asks for another connection, False when this one has ended."""
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            envelope = _read(message.data)
            if envelope.get("type") == "disconnect":
                reason = str(envelope.get("reason"))[:40]
                log.info("Slack asks for another connection", reason=reason)
                if reason == "link_disabled":
                    raise RetryableDeliveryError("Socket Mode is switched off for the Slack app")
                return True
            self._take(socket, envelope)
        return False

    def _take(self, socket: aiohttp.ClientWebSocketResponse, envelope: Mapping[str, Any]) -> None:
        kind, payload = envelope.get("type"), envelope.get("payload")
        if kind not in _KINDS or not isinstance(payload, Mapping) or not isinstance(envelope.get("envelope_id"), str):
            outcome = "unknown"
        elif len(self._tasks) >= MAX_AT_A_TIME:
            outcome = "too many"
        else:
            outcome = str(kind)
            self._start(self._answer(socket, envelope))
        metrics.SOCKET_ENVELOPES.labels(outcome).inc()

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, envelope: Mapping[str, Any]) -> None:
        answer = await self._work(envelope["payload"])
        acknowledged: dict[str, Any] = {"envelope_id": envelope["envelope_id"]}
        if answer is not None and envelope.get("accepts_response_payload"):
            acknowledged["payload"] = answer
        try:
            await socket.send_json(acknowledged)
        except (aiohttp.ClientError, ConnectionError):  # it has ended meanwhile; Slack sends an event again
            metrics.SOCKET_ENVELOPES.labels("not acknowledged").inc()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            metrics.SOCKET_ENVELOPES.labels("failed").inc()
            log.error("an envelope of Slack's could not be worked", kind=type(error).__name__, exc_info=error)


def _read(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
