"""POST `/mcp`: MCP over Streamable HTTP, in its smallest form: one message in a request's body, one JSON answer. No sessions and no
streams, so GET and DELETE are 405, as the specification has it for such a server.

Who may ask is decided as for the API (`bot.web.auth.Gate`, scope `read`, the same pace); a web page of another origin may not.
"""

from __future__ import annotations

import base64
import binascii

from aiohttp import web

from bot.errors import UnsupportedMediaType
from bot.web.auth import Forbidden, Gate, from_another_site
from bot.web.body import read
from bot.web.mcp import protocol
from bot.web.mcp.protocol import BATCHING, MODERN, SUPPORTED, Message, Protocol, ProtocolError
from bot.web.problem import json_response, problem

PATH = "/mcp"
_VERSION, _METHOD, _NAME = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
_ASSUMED = "2025-03-26"
"""What a request without the header is of: the revisions before 2025-06-18 had none."""
_STATUS = {protocol.METHOD_NOT_FOUND: 404}
_ACCEPTABLE = ("application/json", "application/*", "*/*")


class McpDoor:
    """The route."""

    def __init__(self, answering: Protocol, gate: Gate) -> None:
        self._protocol = answering
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post(PATH, self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """One message."""
        if from_another_site(request):
            raise Forbidden("the Origin is not this bot's own: web pages of other sites may not ask")
        self._gate.check(request, "read")
        if not _takes_json(request):
            return problem(
                406, "not-acceptable", "the answer is JSON: send Accept: application/json, text/event-stream"
            )
        if (
            request.content_type != "application/json"
            or request.headers.get("Content-Encoding", "identity") != "identity"
        ):
            raise UnsupportedMediaType("want Content-Type: application/json, not compressed")
        body = await read(request, protocol.MAX_MESSAGE)
        version = request.headers.get(_VERSION, _ASSUMED)
        try:
            value = protocol.decode(body)
            if isinstance(value, list) and version in BATCHING:
                return await self._batch(request, value)
            message = protocol.read(value)
        except ProtocolError as error:
            return json_response(protocol.failure(None, error), 400)
        return await self._message(request, message, version)

    async def _message(self, request: web.Request, message: Message, version: str) -> web.Response:
        try:
            _agreed(request, message, version)
        except ProtocolError as error:
            return json_response(protocol.failure(message.id, error), 400)
        reply = await self._protocol.reply(message)
        if reply is None:
            return web.Response(status=202)
        if "error" not in reply or version not in MODERN:
            return json_response(reply)
        return json_response(reply, _STATUS.get(reply["error"]["code"], 400))

    async def _batch(self, request: web.Request, values: list[object]) -> web.Response:
        for _ in values[1 : protocol.MAX_BATCH]:
            self._gate.check(request, "read")  # each of them is a question
        replies = await self._protocol.batch(values)
        return json_response(replies) if replies else web.Response(status=202)


def _takes_json(request: web.Request) -> bool:
    accept = ",".join(request.headers.getall("Accept", ["*/*"]))
    return any(one.partition(";")[0].strip().lower() in _ACCEPTABLE for one in accept.split(","))


def _agreed(request: web.Request, message: Message, version: str) -> None:
    """Check that a message's headers say the same as the message. Raises ProtocolError."""
    if message.method == "initialize":  # which revision is spoken is what it is about
        return
    for name in (_VERSION, _METHOD, _NAME):
        if len(request.headers.getall(name, [])) > 1:
            raise ProtocolError(protocol.HEADER_MISMATCH, f"{name} is there more than once")
    said = message.version
    if said is not None and said != request.headers.get(_VERSION):
        raise ProtocolError(protocol.HEADER_MISMATCH, f"{_VERSION} is not what the message's _meta says")
    if version not in SUPPORTED:
        raise protocol.unsupported(version)
    if version not in MODERN or message.id is None:
        return
    if said is None:
        raise ProtocolError(protocol.INVALID_PARAMS, f"_meta: a request of {version} says its protocolVersion there")
    if request.headers.get(_METHOD) != message.method:
        raise ProtocolError(protocol.HEADER_MISMATCH, f"{_METHOD} is not the message's method")
    called = message.params.get("name")
    if message.method == "tools/call" and isinstance(called, str) and _decoded(request.headers.get(_NAME)) != called:
        raise ProtocolError(protocol.HEADER_MISMATCH, f"{_NAME} is not the name of the tool in the message")


def _decoded(value: str | None) -> str | None:
    """A header's text; what does not fit in a header comes as `=?base64?…?=`."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[len("=?base64?") : -len("?=")], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
