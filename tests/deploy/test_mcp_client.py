"""The configuration of an MCP client that we hand out works as it is written, but for the address and the token."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.kit.bots import REPOSITORY, bot, environment

README = (REPOSITORY / "README.md").read_text()


def configured(url: str, token: str) -> dict[str, Any]:
    """Both ways to reach a bot, with its address and token filled in."""
    text = (REPOSITORY / "deploy" / "mcp-client.json").read_text()
    filled = text.replace("http://127.0.0.1:8080", url).replace("${TOPOLOGY_BOT_TOKEN}", token)
    return dict(json.loads(filled)["mcpServers"])


async def test_both_ways_reach_a_bot_with_its_token(tmp_path: Path) -> None:
    async with bot(tmp_path, api_tokens="agent:read:t-read") as (running, _):
        servers = configured(running.url, "t-read")
        over_http, started = servers["topology"], servers["topology-stdio"]
        async with (
            httpx2.AsyncClient(headers=over_http["headers"]) as http,
            Client(streamable_http_client(over_http["url"], http_client=http)) as client,
        ):
            assert not (await client.call_tool("search_services", {})).is_error
        assert started["command"] == "topology-bot"
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "bot", *started["args"]], cwd=str(REPOSITORY),
            env=environment(tmp_path, 1, **started["env"]),
        )  # fmt: skip
        async with Client(parameters) as client:
            assert not (await client.call_tool("search_services", {})).is_error


def test_the_readme_shows_the_same_configuration() -> None:
    handed_out = json.loads((REPOSITORY / "deploy" / "mcp-client.json").read_text())["mcpServers"]
    shown = [json.loads(block.split("```")[0]) for block in README.split("```json\n")[1:]]
    servers = {name: one for block in shown for name, one in block.get("mcpServers", {}).items()}

    assert servers == handed_out
