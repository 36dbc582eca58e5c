"""MCP over Streamable HTTP, by the protocol's own client and by clients that do it wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from bot.app import Running
from bot.storage.database import Database
from bot.web.mcp import protocol
from tests.kit.alerts import alertmanager
from tests.kit.bots import alertmanager_headers, bot, get, until
from tests.kit.digests import write
from tests.kit.mcp import BOTH, HANDSHAKE, MODERN, headers, hello, message, modern, post
from tests.web.test_api import SHOP, learn

CATALOG = """
services:
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, domain: money}
"""
VOLATILE = ("as_of", "from", "to", "at", "age_seconds", "seconds_before")
Bot = tuple[Running, aiohttp.ClientSession]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Bot]:
    """A bot that knows a shop, its past and an owner, had one alert, and was told of one change."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    database = Database(f"sqlite:///{tmp_path}/bot.db")
    await database.upgrade()
    await write(database, "web>cart", "cart>ledger", at=[time.time() - 60 * ago for ago in range(60, 120)])
    await database.close()
    async with bot(tmp_path, catalog=tmp_path / "services.yaml", api_rate=10_000, api_burst=100_000) as (
        running,
        session,
    ):
        await learn(session, SHOP, 5)
        change = {"at": time.time() - 60, "service": "ledger", "kind": "deploy", "title": "ledger 1.3"}
        async with session.post(
            "/ingest/changes", data=json.dumps(change), headers={"Content-Type": "application/x-ndjson"}
        ) as answer:
            assert answer.status == 202
        alert = json.dumps(alertmanager("ledger"))
        async with session.post("/webhooks/alertmanager", data=alert, headers=alertmanager_headers()) as answer:
            assert answer.status == 202

        async def opened() -> bool:
            return bool((await get(session, "/api/v1/incidents"))["items"])

        await until(opened, "no incident was opened")
        yield running, session


THEN = f"{time.time() - 3_600:.0f}"
"""A moment that stays where it is, however long two questions lie apart."""
TOOLS: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "search_services": ({"q": "pay"}, "/api/v1/services", {"q": "pay", "limit": "25"}),
    "service": ({"service": "payments"}, "/api/v1/services/payments", {"limit": "25"}),
    "dependents": ({"service": "ledger"}, "/api/v1/services/ledger/dependents", {"depth": "1", "limit": "25"}),
    "dependencies": ({"service": "web", "depth": 3}, "/api/v1/services/web/dependencies", {"depth": "3", "limit": "25"}),
    "path": ({"from": "web", "to": "ledger"}, "/api/v1/path", {"from": "web", "to": "ledger"}),
    "likely_causes": ({"service": "web", "at": THEN}, "/api/v1/services/web/causes", {"at": THEN}),
    "blast_radius": ({"services": ["ledger", "cart"]}, "/api/v1/services/ledger/dependents", {"service": "cart", "limit": "25"}),
    "diff": ({"from": "-1h", "services": ["cart"]}, "/api/v1/diff", {"from": "-1h", "service": "cart", "limit": "25"}),
    "map_at": ({"at": THEN, "services": ["cart"]}, "/api/v1/graph", {"at": THEN, "service": "cart", "limit": "25"}),
    "changes": ({"services": ["ledger"]}, "/api/v1/changes", {"service": "ledger", "limit": "25"}),
    "incidents": ({"state": "open"}, "/api/v1/incidents", {"state": "open", "limit": "25"}),
    "incident": ({"incident": 1}, "/api/v1/incidents/1", {}),
    "owner": ({"service": "payments"}, "/api/v1/services/payments/owner", {}),
}  # fmt: skip


def steady(answer: Any) -> Any:
    """An answer without what is another one a moment later."""
    if isinstance(answer, list):
        return [steady(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    return {name: steady(value) for name, value in answer.items() if name not in VOLATILE}


@pytest.mark.parametrize("mode", ["auto", "legacy", MODERN])
async def test_every_tool_gives_the_very_answer_of_the_api_as_its_schema_says(shop: Bot, mode: str) -> None:
    running, session = shop
    async with Client(f"{running.url}/mcp", mode=mode) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed == TOOLS.keys()
        for name, (arguments, path, parameters) in TOOLS.items():
            found = await client.call_tool(name, arguments)  # the client holds it against the output schema
            assert not found.is_error, (name, found.content)
            assert found.structured_content is not None
            assert json.loads(found.content[0].text) == found.structured_content  # type: ignore[union-attr]
            assert {"as_of", "coverage", "confidence", "confidence_reasons"} <= found.structured_content.keys()
            same = await get(session, path, 200, **parameters)
            assert steady(found.structured_content) == steady(same), name
        now = await client.call_tool("likely_causes", {"service": "web"})

    assert now.structured_content is not None
    assert now.structured_content["items"][0]["id"] == "ledger"  # whose alert it is
    assert now.structured_content["items"][0]["p"] == now.structured_content["confidence"]


async def test_both_eras_are_spoken_with_the_same_endpoint(shop: Bot) -> None:
    running, _ = shop
    async with Client(f"{running.url}/mcp") as new, Client(f"{running.url}/mcp", mode="legacy") as old:
        assert (new.protocol_version, old.protocol_version) == (MODERN, "2025-11-25")
        assert new.server_info is not None
        assert old.server_info is not None
        assert new.server_info.name == old.server_info.name == "topology-bot"
        assert new.instructions == old.instructions
        assert "dependent" in (new.instructions or "")
        asked = [client.call_tool("owner", {"service": "payments"}) for client in (new, old) * 10]
        answers = await asyncio.gather(*asked)

    assert {one.structured_content["owner"]["team"] for one in answers if one.structured_content} == {"Payments"}


async def test_a_service_that_is_searched_for_with_a_slip_of_the_finger_is_suggested(shop: Bot) -> None:
    running, _ = shop
    async with Client(f"{running.url}/mcp") as client:
        found = await client.call_tool("search_services", {"q": "paymetns"})

    assert found.structured_content is not None
    assert (found.structured_content["items"], found.structured_content["suggestions"][0]) == ([], "payments")


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("dependents", {"service": "paymnts"}, "Closest: payments"),
        ("dependents", {"service": "payments", "depth": 10_000}, "depth: want a whole number from 1 to 100"),
        ("dependents", {"service": "payments", "depth": 0}, "depth: want a whole number from 1 to 100"),
        ("dependents", {"service": "payments", "cursor": "odd"}, "cursor: not one that an earlier answer gave"),
        ("dependents", {"service": "payments", "layers": ["smoke"]}, "no layer called smoke; there are"),
        ("service", {"service": "x" * 5_000}, "No service called"),
        ("map_at", {"at": "yesterday-ish"}, "at: 'yesterday-ish' is no time: want ISO 8601, -1h, or 02:50"),
        ("map_at", {"at": "2100-01-01"}, "is in the future"),
        ("diff", {"from": "-1h", "to": "-2h"}, "from has to lie before to"),
        ("diff", {"kind": "odd"}, "kind: want one of new, gone, changed"),
        ("map_at", {"at": "-1m", "direction": "up"}, "direction: want one of callers, callees, both"),
        ("incident", {"incident": 4_711}, "no incident '4711'"),
        ("incident", {"incident": -1}, "no incident '-1'"),
        ("likely_causes", {"service": "payments", "alert": "nobody"}, "no alert 'nobody'"),
        ("path", {"from": "web", "to": "nowhere"}, "No service called 'nowhere'"),
    ],
)  # fmt: skip
async def test_a_question_that_cannot_be_answered_is_a_tools_error_in_words(
    shop: Bot, tool: str, arguments: dict[str, Any], told: str
) -> None:
    running, _ = shop
    async with Client(f"{running.url}/mcp") as client:
        found = await client.call_tool(tool, arguments)

    assert found.is_error
    text = found.content[0].text  # type: ignore[union-attr]
    assert told in text
    assert "Traceback" not in text


async def test_a_tool_that_is_not_there_is_the_protocols_error(shop: Bot) -> None:
    running, _ = shop
    for mode in ("auto", "legacy"):
        async with Client(f"{running.url}/mcp", mode=mode) as client:
            with pytest.raises(MCPError, match="no tool 'sudo' here; there are search_services"):
                await client.call_tool("sudo", {})


# -- the transport -------------------------------------------------------------------------------------------------------------------


async def test_there_is_nothing_to_get_and_no_session_to_delete(shop: Bot) -> None:
    _, session = shop
    for method in ("GET", "DELETE", "PUT"):
        async with session.request(method, "/mcp", headers={"Accept": "text/event-stream"}) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_notification_is_taken_without_a_word(shop: Bot) -> None:
    _, session = shop
    assert await post(session, message("notifications/initialized", None), 202) is None
    assert (
        await post(
            session, modern("notifications/cancelled", None, requestId=1), 202, BOTH | {"MCP-Protocol-Version": MODERN}
        )
        is None
    )
    refused = await post(
        session, modern("notifications/cancelled", None), 400, BOTH | {"MCP-Protocol-Version": "1900-01-01"}
    )
    assert refused["error"]["code"] == protocol.HEADER_MISMATCH


async def test_a_response_to_nothing_is_refused(shop: Bot) -> None:
    _, session = shop
    refused = await post(session, {"jsonrpc": "2.0", "id": 1, "result": {}}, 400)
    assert (refused["id"], refused["error"]["code"]) == (None, protocol.INVALID_REQUEST)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe\x00", b"[" * 200_000, b'{"jsonrpc":"2.0","id":' + b"9" * 6_000 + b"}"]
)
async def test_garbage_is_told_so_and_the_next_message_is_answered(shop: Bot, body: bytes) -> None:
    _, session = shop
    refused = await post(session, body, 400)
    assert refused["error"]["code"] in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST)
    assert (await post(session, message("ping")))["result"] == {}


async def test_a_huge_body_is_not_read(shop: Bot) -> None:
    _, session = shop
    big = message("tools/call", name="owner", arguments={"service": "x" * 300_000})
    refused = await post(session, big, 413)
    assert str(protocol.MAX_MESSAGE) in refused["detail"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"Accept": "text/html"}, 406), ({"Accept": "text/event-stream"}, 406), ({"Accept": "application/json"}, 200),
        ({"Accept": "*/*"}, 200), (BOTH, 200), (BOTH | {"Content-Type": "text/plain"}, 415), (BOTH | {"Content-Encoding": "gzip"}, 415),
        (BOTH | {"Content-Type": "application/json; charset=utf-8"}, 200), (BOTH | {"Mcp-Session-Id": "made-up"}, 200),
        (BOTH | {"Last-Event-ID": "7"}, 200),
    ],
)  # fmt: skip
async def test_what_a_client_takes_and_sends_has_to_be_json(shop: Bot, given: dict[str, str], status: int) -> None:
    _, session = shop
    await post(session, message("ping"), status, given)


@pytest.mark.parametrize("version", HANDSHAKE)
async def test_a_batch_is_answered_where_the_revision_has_them_and_refused_where_not(shop: Bot, version: str) -> None:
    _, session = shop
    values = [message("ping", 1), message("notifications/initialized", None), message("ping", 2)]
    given = BOTH | {"MCP-Protocol-Version": version}
    if version in protocol.BATCHING:
        assert [one["id"] for one in await post(session, values, given=given)] == [1, 2]
        assert await post(session, values[1:2], 202, given) is None
        assert (await post(session, [], 400, given))["error"]["code"] == protocol.INVALID_REQUEST
    else:
        refused = await post(session, values, 400, given)
        assert "batches were taken out" in refused["error"]["message"]


async def test_clients_from_before_the_version_header_are_answered(shop: Bot) -> None:
    _, session = shop
    assert (await post(session, hello("2025-03-26")))["result"]["protocolVersion"] == "2025-03-26"
    assert len((await post(session, message("tools/list")))["result"]["tools"]) == len(TOOLS)
    assert (await post(session, [message("ping")]))[0]["result"] == {}


@pytest.mark.parametrize(
    ("given", "changed", "code", "status"),
    [
        (modern("tools/list"), {}, None, 200),
        (modern("resources/list"), {}, protocol.METHOD_NOT_FOUND, 404),
        (modern("ping"), {}, protocol.METHOD_NOT_FOUND, 404),
        (modern("tools/list"), {"Mcp-Method": "tools/call"}, protocol.HEADER_MISMATCH, 400),
        (modern("tools/list"), {"MCP-Protocol-Version": "2025-11-25"}, protocol.HEADER_MISMATCH, 400),
        (modern("tools/list", version="2040-01-01"), {"MCP-Protocol-Version": "2040-01-01"}, protocol.UNSUPPORTED_VERSION, 400),
        (message("tools/list"), {}, protocol.INVALID_PARAMS, 400),
        (message("tools/list"), {"MCP-Protocol-Version": "2025-11-25"}, None, 200),
        (message("tools/list"), {"MCP-Protocol-Version": "2040-01-01"}, protocol.UNSUPPORTED_VERSION, 400),
        (modern("tools/call", name="owner"), {"Mcp-Name": "incidents"}, protocol.HEADER_MISMATCH, 400),
        (modern("tools/call", name="incidents"), {"Mcp-Name": "=?base64?aW5jaWRlbnRz?="}, None, 200),
        (modern("tools/call", name="incidents"), {"Mcp-Name": "=?base64?!?="}, protocol.HEADER_MISMATCH, 400),
        (modern("tools/call", name="sudo"), {}, protocol.INVALID_PARAMS, 400),
    ],
)  # fmt: skip
async def test_headers_and_message_have_to_agree(
    shop: Bot, given: dict[str, Any], changed: dict[str, str], code: int | None, status: int
) -> None:
    _, session = shop
    reply = await post(session, given, status, headers(given, **changed))

    assert reply["id"] == 1
    assert reply.get("error", {}).get("code") == code


async def test_a_header_that_is_there_twice_is_refused(shop: Bot) -> None:
    _, session = shop
    said = modern("tools/list")
    twice = [*headers(said).items(), ("Mcp-Method", "tools/call"), ("Content-Type", "application/json")]
    async with session.post("/mcp", data=json.dumps(said), headers=twice) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, protocol.HEADER_MISMATCH)


# -- who may ask ---------------------------------------------------------------------------------------------------------------------


async def test_a_web_page_of_another_site_may_not_ask_even_on_this_machine(shop: Bot) -> None:
    running, session = shop
    host = running.url.removeprefix("http://")
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://["):
        refused = await post(session, message("ping"), 403, BOTH | {"Origin": origin})
        assert "Origin" in refused["detail"]
    await post(session, message("ping"), 200, BOTH | {"Origin": f"http://{host}"})


async def test_a_name_that_was_rebound_to_this_machine_gives_itself_away(shop: Bot) -> None:
    _, session = shop
    rebound = BOTH | {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
    assert "only this machine may ask" in (await post(session, message("ping"), 401, rebound))["detail"]
    assert (
        "only this machine may ask"
        in (await post(session, message("ping"), 401, BOTH | {"X-Forwarded-For": "1.2.3.4"}))["detail"]
    )


async def test_tokens_are_the_apis_with_its_scopes(tmp_path: Path) -> None:
    tokens = "agent:read:t-read,shipper:ingest:t-ingest,boss:admin:t-admin"
    async with bot(tmp_path, api_tokens=tokens) as (running, session):
        for given, status in (
            ("", 401),
            ("Bearer wrong", 401),
            ("Bearer t-ingest", 403),
            ("Bearer t-read", 200),
            ("Bearer t-admin", 200),
        ):
            await post(session, message("ping"), status, BOTH | ({"Authorization": given} if given else {}))
        async with session.post("/mcp", json=message("ping")) as answer:
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        page = BOTH | {"Authorization": "Bearer t-read", "Origin": "https://evil.example"}
        await post(session, message("ping"), 403, page)
        http = httpx2.AsyncClient(headers={"Authorization": "Bearer t-read"})
        async with http, Client(streamable_http_client(f"{running.url}/mcp", http_client=http)) as client:
            assert not (await client.call_tool("incidents", {})).is_error
        with pytest.raises(Exception) as refused:  # noqa: PT011  (whatever the client makes of 401)
            async with Client(f"{running.url}/mcp"):
                pass
        assert refused.group_contains(MCPError) or isinstance(refused.value, MCPError)


async def test_the_pace_is_the_apis_and_a_batch_is_as_many_questions_as_it_has(tmp_path: Path) -> None:
    async with bot(tmp_path, api_rate=0.001, api_burst=4) as (_, session):
        await get(session, "/api/v1/services")
        batch = [message("ping", number) for number in range(3)]
        assert len(await post(session, batch)) == 3
        refused = await post(session, message("ping"), 429)

    assert "questions a second" in refused["detail"]


async def test_calls_are_counted_by_tool(shop: Bot) -> None:
    _, session = shop
    await post(session, message("tools/call", name="owner", arguments={"service": "payments"}))
    await post(session, message("tools/call", name="owner", arguments={"service": "nobody"}))
    await post(session, message("tools/call", name="sudo", arguments={}))
    async with session.get("/metrics") as answer:
        text = await answer.text()

    assert 'topology_bot_mcp_calls_total{outcome="answered",tool="owner"}' in text
    assert 'topology_bot_mcp_calls_total{outcome="refused",tool="owner"}' in text
    assert "sudo" not in text
