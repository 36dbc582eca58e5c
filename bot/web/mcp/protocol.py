"""MCP as a server of read-only tools has to speak it: a JSON-RPC message in, the reply to it out, whatever carried them.

Two eras of the protocol are spoken. Up to 2025-11-25 a client shakes hands (`initialize`) and then asks; from 2026-07-28 on every
request says in its `_meta` which revision it is of, and nothing is remembered from one to the next. Nothing is remembered here in
either: no tool depends on what was asked before, so there are no sessions, and nothing to be lost.

What is lost: notifications, which ask for nothing. Specification: modelcontextprotocol.io/specification/{2026-07-28,2025-11-25}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from bot import __version__
from bot.errors import BotError
from bot.web.mcp.tools import Tools, UnknownTool

Json = dict[str, Any]
MODERN = ("2026-07-28",)
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SUPPORTED = (*MODERN, *HANDSHAKE)
BATCHING = frozenset(("2025-03-26", "2024-11-05"))
"""Revisions in which several messages may come as one array."""
MAX_MESSAGE = 256 * 1024
"""Bytes of one message: a question is a few hundred."""
MAX_BATCH = 20

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

_META = "io.modelcontextprotocol/"
_VERSION, _CAPABILITIES, _SERVER = f"{_META}protocolVersion", f"{_META}clientCapabilities", f"{_META}serverInfo"
_SAME_FOR_MILLISECONDS = 300_000
_MAX_ID = 200
_SERVER_INFO = {"name": "topology-bot", "title": "topology-bot: which service calls which", "version": __version__}
_INSTRUCTIONS = (
    "A live map of which service calls which, seen by up to three layers (network, ipc, trace). A dependency of a service is "
    "what it calls; a dependent is what calls it. Names are found by id, alias or bare name; search_services finds them by a part. "
    "Before you take an answer for a fact, read its `confidence` (0 to 1, of the least sure thing in it; null where nothing is "
    "graded), `confidence_reasons` and `coverage` (which layers reported, how long ago, who is silent): an item that is `estimated` "
    "was inferred, a likely cause is a ranking with a probability `p`, and what is not on the map may exist all the same. "
    "Everything is read-only."
)


class ProtocolError(BotError):
    """A message that cannot be answered, as JSON-RPC's error has it; the text says what to do."""

    def __init__(self, code: int, text: str, data: Json | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.data = data


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or a notification where `id` is None."""

    id: str | int | None
    method: str
    params: Mapping[str, Any]

    @property
    def version(self) -> object:
        """The revision that the message itself says it is of; None where it says none."""
        meta = self.params.get("_meta")
        return meta.get(_VERSION) if isinstance(meta, dict) else None


def decode(body: bytes) -> Any:
    """The JSON of a body. Raises ProtocolError."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProtocolError(PARSE_ERROR, "this is not JSON; want one JSON-RPC 2.0 message") from None


def read(value: object) -> Message:
    """A decoded value as a message. Raises ProtocolError."""
    if isinstance(value, list):
        raise ProtocolError(INVALID_REQUEST, "batches were taken out of the protocol in 2025-06-18; send one message")
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'want one JSON-RPC 2.0 message: {"jsonrpc": "2.0", "id": 1, "method": …}')
    method, params, identifier = value.get("method"), value.get("params"), value.get("id")
    if not isinstance(method, str):
        raise ProtocolError(INVALID_REQUEST, "method: want a text; this server asks nothing, so it takes no responses")
    if "id" in value and (isinstance(identifier, bool) or not isinstance(identifier, str | int)):
        raise ProtocolError(INVALID_REQUEST, "id: want a text or a whole number")
    if len(str(identifier)[: _MAX_ID + 1]) > _MAX_ID:
        raise ProtocolError(INVALID_REQUEST, f"id: longer than {_MAX_ID}")
    if params is not None and not isinstance(params, dict):
        raise ProtocolError(INVALID_PARAMS, "params: want an object")
    return Message(identifier, method, params or {})


def failure(identifier: str | int | None, error: ProtocolError) -> Json:
    """The reply to a message that cannot be answered."""
    told: Json = {"code": error.code, "message": str(error)}
    return {"jsonrpc": "2.0", "id": identifier, "error": told | ({"data": error.data} if error.data else {})}


def unsupported(version: object) -> ProtocolError:
    """A revision that is not spoken here, with those that are."""
    said = version[:40] if isinstance(version, str) else None
    supported = list(SUPPORTED)
    return ProtocolError(
        UNSUPPORTED_VERSION, f"protocol version {said!r} is not one of {', '.join(supported)}",
        {"supported": supported, "requested": said},
    )  # fmt: skip


class Protocol:
    """Answers messages with the help of `tools`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def reply(self, message: Message) -> Json | None:
        """The reply to one message, an error among them; None for a notification."""
        if message.id is None:
            return None
        try:
            modern = message.version is not None and message.method != "initialize"
            result = await (self._modern(message) if modern else self._handshaken(message))
        except ProtocolError as error:
            return failure(message.id, error)
        return {"jsonrpc": "2.0", "id": message.id, "result": result}

    async def batch(self, values: list[Any]) -> list[Json]:
        """The replies to several messages at once, as revisions up to 2025-03-26 had them. Raises ProtocolError."""
        if not 0 < len(values) <= MAX_BATCH:
            raise ProtocolError(INVALID_REQUEST, f"a batch has from 1 to {MAX_BATCH} messages")
        replies: list[Json | None] = []
        for value in values:
            try:
                message = read(value)
                if message.method == "initialize":
                    raise ProtocolError(INVALID_REQUEST, "initialize is no part of a batch")
                replies.append(await self.reply(message))
            except ProtocolError as error:
                replies.append(failure(None, error))
        return [reply for reply in replies if reply is not None]

    async def _handshaken(self, message: Message) -> Json:
        if message.method == "initialize":
            return _initialized(message)
        if message.method == "ping":
            return {}
        return await self._answered(message)

    async def _modern(self, message: Message) -> Json:
        version, meta = message.version, message.params["_meta"]
        if not isinstance(version, str):
            raise ProtocolError(INVALID_PARAMS, f"_meta: {_VERSION} has to be a text")
        if not isinstance(meta.get(_CAPABILITIES), dict):
            raise ProtocolError(INVALID_PARAMS, f"_meta: {_CAPABILITIES} is missing; an empty object will do")
        if version not in MODERN:
            raise unsupported(version)
        stamp: Json = {"resultType": "complete", "_meta": {_SERVER: _SERVER_INFO}}
        kept = {"ttlMs": _SAME_FOR_MILLISECONDS, "cacheScope": "public"}
        if message.method == "server/discover":
            return {"supportedVersions": list(SUPPORTED), **_introduction()} | stamp | kept
        answered = await self._answered(message)
        return answered | stamp | (kept if message.method == "tools/list" else {})

    async def _answered(self, message: Message) -> Json:
        if message.method == "tools/list":
            if message.params.get("cursor"):
                raise ProtocolError(INVALID_PARAMS, "cursor: the tools come on one page")
            return {"tools": self._tools.listed()}
        if message.method == "tools/call":
            name, arguments = message.params.get("name"), message.params.get("arguments")
            if not isinstance(name, str):
                raise ProtocolError(INVALID_PARAMS, "name: want the name of a tool")
            if arguments is not None and not isinstance(arguments, dict):
                raise ProtocolError(INVALID_PARAMS, "arguments: want an object")
            try:
                return await self._tools.call(name, arguments or {})
            except UnknownTool as error:
                raise ProtocolError(INVALID_PARAMS, str(error)) from None
        raise ProtocolError(METHOD_NOT_FOUND, f"no method {message.method[:80]!r} here: this server has tools, no more")


def _introduction() -> Json:
    return {"capabilities": {"tools": {}}, "instructions": _INSTRUCTIONS}


def _initialized(message: Message) -> Json:
    """The server's half of the handshake: the client's own revision, or the newest that has a handshake."""
    wanted = message.params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise ProtocolError(INVALID_PARAMS, "protocolVersion: want a text, as 2025-11-25")
    agreed = wanted if wanted in HANDSHAKE else HANDSHAKE[0]
    return {"protocolVersion": agreed, "serverInfo": _SERVER_INFO, **_introduction()}
