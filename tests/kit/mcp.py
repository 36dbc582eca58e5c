"""Messages of the Model Context Protocol as clients write them, and what comes back over HTTP."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

MODERN = "2026-07-28"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
BOTH = {"Accept": "application/json, text/event-stream"}
CLIENT = {"name": "test", "version": "1"}


def message(method: str, number: int | str | None = 1, **params: Any) -> dict[str, Any]:
    """A request, or a notification where `number` is None."""
    found: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return found if number is None else found | {"id": number}


def modern(method: str, number: int | str | None = 1, version: Any = MODERN, **params: Any) -> dict[str, Any]:
    """The same as 2026-07-28 has it: with its revision and the client's capabilities inside."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": CLIENT,
    }
    return message(method, number, _meta=meta, **params)


def hello(version: str) -> dict[str, Any]:
    """The handshake's first message."""
    return message("initialize", protocolVersion=version, capabilities={}, clientInfo=CLIENT)


def headers(said: dict[str, Any], **more: str) -> dict[str, str]:
    """What a client of 2026-07-28 sends beside a message."""
    found = BOTH | {"MCP-Protocol-Version": MODERN, "Mcp-Method": said["method"]}
    if "name" in said["params"]:
        found["Mcp-Name"] = said["params"]["name"]
    return found | more


async def post(
    session: aiohttp.ClientSession, body: Any, status: int = 200, given: dict[str, str] | None = None
) -> Any:
    """The decoded answer to one POST, with its status checked; None for an empty one."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | (BOTH if given is None else given)
    async with session.post("/mcp", data=data, headers=sent) as answer:
        text = await answer.text()
        assert answer.status == status, text
        assert "Mcp-Session-Id" not in answer.headers
        assert "Traceback" not in text
        return json.loads(text) if text else None
