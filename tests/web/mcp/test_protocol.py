"""The protocol by itself: messages in, replies out, each as the published schema of its revision has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from mcp_types import methods
from mcp_types.jsonrpc import jsonrpc_message_adapter

from bot.errors import BadRequest, NotFound, Overloaded, RateLimited
from bot.web.mcp import protocol
from bot.web.mcp.protocol import Protocol, ProtocolError
from bot.web.mcp.tools import Tools
from tests.kit.mcp import HANDSHAKE, MODERN, hello, message, modern

COVERAGE = {"services": 0, "reporting": 0, "silent": [], "layers": {}}
FRAME: dict[str, Any] = {
    "as_of": "2026-11-24T00:00:00Z",
    "coverage": COVERAGE,
    "confidence": None,
    "confidence_reasons": [],
}


class Asked:
    """Answers every question alike, and remembers it; raises what it was given, if that is an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.questions: list[tuple[str, dict[str, str], str]] = []
        self._error = error

    async def answer(self, name: str, given: Mapping[str, str], about: str = "") -> dict[str, Any]:
        self.questions.append((name, dict(given), about))
        if self._error is not None:
            raise self._error
        return {"items": [], "total": 0, "next_cursor": None, "suggestions": []} | FRAME


async def said(value: Any, error: Exception | None = None) -> Any:
    """What comes back to one decoded message."""
    try:
        return await Protocol(Tools(Asked(error))).reply(protocol.read(value))
    except ProtocolError as refused:
        return protocol.failure(None, refused)


async def called(name: str, arguments: Any = None, error: Exception | None = None) -> Any:
    return (await said(message("tools/call", name=name, arguments=arguments), error))["result"]


async def question(name: str, **arguments: Any) -> tuple[str, dict[str, str], str]:
    """The question that a tool's arguments become."""
    asked = Asked()
    result = await Tools(asked).call(name, arguments)
    assert not result["isError"], result
    (found,) = asked.questions
    return found


async def refusal(name: str, **arguments: Any) -> str:
    """What a tool says of arguments that nobody is asked with."""
    asked = Asked()
    result = await Tools(asked).call(name, arguments)
    assert (result["isError"], asked.questions, "structuredContent" in result) == (True, [], False)
    return str(result["content"][0]["text"])


@pytest.mark.parametrize("version", HANDSHAKE)
async def test_a_client_that_shakes_hands_gets_the_revision_it_speaks(version: str) -> None:
    reply = await said(hello(version))

    assert reply["result"]["protocolVersion"] == version
    assert reply["result"]["serverInfo"]["name"] == "topology-bot"
    methods.validate_server_result("initialize", version, reply["result"])


async def test_a_client_of_a_revision_nobody_knows_is_offered_the_newest_with_a_handshake() -> None:
    assert (await said(hello("2031-01-01")))["result"]["protocolVersion"] == "2025-11-25"
    assert (await said(message("initialize", protocolVersion=7)))["error"]["code"] == protocol.INVALID_PARAMS


@pytest.mark.parametrize("version", [*HANDSHAKE, MODERN])
@pytest.mark.parametrize("method", ["tools/list", "tools/call", "server/discover", "ping"])
async def test_every_result_is_as_its_revisions_schema_has_it(version: str, method: str) -> None:
    params: dict[str, Any] = {"name": "search_services", "arguments": {}} if method == "tools/call" else {}
    given = modern(method, **params) if version == MODERN else message(method, **params)

    reply = await said(given)

    if (method, version) in methods.SERVER_RESULTS:
        methods.validate_server_result(method, version, reply["result"])
    else:
        assert reply["error"]["code"] == protocol.METHOD_NOT_FOUND


async def test_what_is_discovered_are_all_revisions_and_that_there_are_tools() -> None:
    found = (await said(modern("server/discover")))["result"]

    assert found["supportedVersions"] == [MODERN, *reversed(HANDSHAKE)]
    assert found["capabilities"] == {"tools": {}}
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "topology-bot"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, protocol.INVALID_REQUEST), ("text", protocol.INVALID_REQUEST), (None, protocol.INVALID_REQUEST),
        ([message("ping")], protocol.INVALID_REQUEST), ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, protocol.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, protocol.INVALID_REQUEST), (message("ping", 1.5), protocol.INVALID_REQUEST),  # type: ignore[arg-type]
        (message("ping") | {"id": None}, protocol.INVALID_REQUEST), (message("ping", True), protocol.INVALID_REQUEST),
        (message("ping", "x" * 500), protocol.INVALID_REQUEST), (message("ping") | {"params": []}, protocol.INVALID_PARAMS),
        (message("resources/list"), protocol.METHOD_NOT_FOUND), (message("x" * 5_000), protocol.METHOD_NOT_FOUND),
        (message("tools/call"), protocol.INVALID_PARAMS), (message("tools/call", name="sudo"), protocol.INVALID_PARAMS),
        (message("tools/call", name="owner", arguments=[]), protocol.INVALID_PARAMS),
        (message("tools/list", cursor="x"), protocol.INVALID_PARAMS),
        (modern("tools/list", version=7), protocol.INVALID_PARAMS),
        (modern("tools/list", version="1900-01-01"), protocol.UNSUPPORTED_VERSION),
        (modern("tools/list", version="2025-11-25"), protocol.UNSUPPORTED_VERSION),
        (message("tools/list", _meta={"io.modelcontextprotocol/protocolVersion": MODERN}), protocol.INVALID_PARAMS),
        (modern("ping"), protocol.METHOD_NOT_FOUND),
    ],
)  # fmt: skip
async def test_a_message_that_cannot_be_answered_says_why_in_a_few_words(given: Any, code: int) -> None:
    reply = await said(given)

    assert reply["error"]["code"] == code
    assert 10 < len(reply["error"]["message"]) < 400
    jsonrpc_message_adapter.validate_python(reply)


async def test_a_revision_that_is_not_spoken_is_answered_with_those_that_are() -> None:
    error = (await said(modern("tools/list", version="1900-01-01")))["error"]

    assert error["data"] == {"supported": [MODERN, *reversed(HANDSHAKE)], "requested": "1900-01-01"}


@pytest.mark.parametrize(
    "method", ["notifications/initialized", "notifications/cancelled", "notifications/whatever", "tools/list"]
)
async def test_what_asks_for_nothing_gets_no_reply(method: str) -> None:
    assert await said(message(method, None)) is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"id":' + b"9" * 5_000 + b"}", b"nul"])
def test_what_is_not_json_is_refused_and_nothing_breaks(body: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        protocol.read(protocol.decode(body))

    assert refused.value.code in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST)


# -- tools ---------------------------------------------------------------------------------------------------------------------------


async def test_every_tool_is_read_only_says_what_it_takes_and_what_it_gives() -> None:
    tools = (await said(message("tools/list")))["result"]["tools"]

    assert [tool["name"] for tool in tools] == [
        "search_services", "service", "dependents", "dependencies", "path", "likely_causes", "blast_radius", "diff", "map_at",
        "changes", "incidents", "incident", "owner",
    ]  # fmt: skip
    for tool in tools:
        assert tool["annotations"]["readOnlyHint"] is True
        assert set(tool["inputSchema"]["required"]) <= tool["inputSchema"]["properties"].keys()
        for name, schema in tool["inputSchema"]["properties"].items():
            assert schema["description"], f"{tool['name']}: {name}"
        assert "#/components" not in json.dumps(tool)
        required = set(tool["outputSchema"].get("required", ()))
        for part in tool["outputSchema"].get("allOf", ()):
            required |= set(part.get("required", ()))
        assert {"as_of", "coverage", "confidence", "confidence_reasons"} <= required


async def test_a_tools_arguments_become_the_apis_parameters() -> None:
    assert await question("search_services") == ("services", {"limit": "25"}, "")
    assert await question("search_services", q="pay", tier="1", limit=3) == (
        "services",
        {"q": "pay", "tier": "1", "limit": "3"},
        "",
    )
    assert await question("service", service="pay", at="-1h", hidden=True) == (
        "service", {"at": "-1h", "hidden": "true", "limit": "25"}, "pay",
    )  # fmt: skip
    assert await question("dependents", service="pay") == ("dependents", {"depth": "1", "limit": "25"}, "pay")
    assert await question("dependencies", service="pay", depth=3, layers=["ipc", "trace"]) == (
        "dependencies", {"depth": "3", "layers": "ipc,trace", "limit": "25"}, "pay",
    )  # fmt: skip
    assert await question("path", **{"from": "web", "to": "pay"}) == ("path", {"from": "web", "to": "pay"}, "")
    assert await question("likely_causes", service="pay", about="p99") == ("causes", {"about": "p99"}, "pay")
    assert await question("blast_radius", services=["pay"]) == ("dependents", {"limit": "25"}, "pay")
    assert await question("blast_radius", services=["pay", "cart", "web"], min_confidence=0.5) == (
        "dependents", {"min_confidence": "0.5", "limit": "25", "service": "cart,web"}, "pay",
    )  # fmt: skip
    assert await question("diff", services=["pay"], kind="new") == (
        "diff", {"kind": "new", "limit": "25", "service": "pay"}, "",
    )  # fmt: skip
    assert await question("map_at", at="02:50", services=["pay"], direction="callers", depth=2) == (
        "graph", {"at": "02:50", "direction": "callers", "depth": "2", "limit": "25", "service": "pay"}, "",
    )  # fmt: skip
    assert await question("incident", incident=12) == ("incident", {}, "12")
    assert await question("owner", service="pay") == ("owner", {}, "pay")


async def test_what_models_write_instead_of_numbers_and_lists_is_taken() -> None:
    assert await question("dependents", service="pay", depth="2", limit="7", at=None) == (
        "dependents", {"depth": "2", "limit": "7"}, "pay",
    )  # fmt: skip
    assert await question("dependents", service="pay", depth=2.0, layers="ipc") == (
        "dependents", {"depth": "2", "layers": "ipc", "limit": "25"}, "pay",
    )  # fmt: skip
    assert await question("blast_radius", services="pay") == ("dependents", {"limit": "25"}, "pay")


async def test_arguments_that_make_no_sense_are_named() -> None:
    assert "there are q, tier" in await refusal("search_services", colour="red")
    assert await refusal("dependents") == "dependents needs service"
    assert await refusal("path", to="pay") == "path needs from"
    assert await refusal("map_at", services=["pay"]) == "map_at needs at"
    assert await refusal("service", service=["pay"]) == "service: want a text"
    assert await refusal("service", service="pay", hidden=1) == "hidden: want true or false"
    assert await refusal("service", service="pay", layers=[1]) == "layers: want a list of texts"
    assert await refusal("dependents", service="pay", depth={}) == "depth: want a whole number"
    assert await refusal("dependents", service="pay", depth=True) == "depth: want a whole number"
    assert await refusal("dependents", service="pay", min_confidence=1e300) == "min_confidence: no number that large"
    assert await refusal("blast_radius", services=["pay"] * 51) == "services: at most 50"
    for limit in (0, -1, 201, 10**9, "many", 1.5):
        assert "from 1 to 200" in await refusal("search_services", limit=limit)


async def test_what_was_wrong_with_a_question_is_an_answer_that_says_what_to_do() -> None:
    unknown = await called("owner", {"service": "x"}, NotFound("No service called 'x' on the map. Closest: y.", ("y",)))
    several = await called(
        "owner", {"service": "x"}, NotFound("2 services are called 'x': say which one.", ("x.a", "x.b"))
    )
    wrong = await called("owner", {"service": "x"}, BadRequest("at: 'noon' is no time"))
    fast = await called("owner", {"service": "x"}, RateLimited("more than 5 questions a second; ask again in 3 s", 3))
    full = await called("owner", {"service": "x"}, Overloaded("too much at once", 3))

    texts = [one["content"][0]["text"] for one in (unknown, several, wrong, fast, full)]
    assert texts == [
        "No service called 'x' on the map. Closest: y. search_services finds services by a part of their name.",
        "2 services are called 'x': say which one. Say one of: x.a, x.b. search_services finds services by a part of their name.",
        "at: 'noon' is no time",
        "more than 5 questions a second; ask again in 3 s",
        "too much at once; ask again in 3 s",
    ]
    assert all(one["isError"] and "structuredContent" not in one for one in (unknown, several, wrong, fast))


async def test_a_batch_is_answered_one_by_one_without_what_needs_no_answer() -> None:
    values = [
        message("ping", 1),
        message("notifications/initialized", None),
        message("nonsense", "b"),
        7,
        hello("2025-03-26"),
    ]

    replies = await Protocol(Tools(Asked())).batch(values)

    assert [(one["id"], one.get("error", {}).get("code")) for one in replies] == [
        (1, None), ("b", protocol.METHOD_NOT_FOUND), (None, protocol.INVALID_REQUEST), (None, protocol.INVALID_REQUEST),
    ]  # fmt: skip
    for wrong in ([], [message("ping", number) for number in range(21)]):
        with pytest.raises(ProtocolError, match="from 1 to 20"):
            await Protocol(Tools(Asked())).batch(wrong)
