"""The JSON API over HTTP: shapes, parameters, problems, tokens."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit.bots import bot, get, until
from tests.kit.spans import PROTOBUF, calls

EDGE_KEYS = {
    "caller",
    "callee",
    "layers",
    "confidence",
    "confidence_reasons",
    "freshness",
    "estimated",
    "via",
    "first_seen",
    "last_seen",
}
SHOP = [("web", "checkout"), ("web", "cart"), ("checkout", "payments"), ("payments", "ledger"), ("cart", "ledger")]


async def learn(session: aiohttp.ClientSession, pairs: list[tuple[str, str]], services: int) -> None:
    async with session.post("/v1/traces", data=calls(pairs, count=4, at=time.time() - 30), headers=PROTOBUF) as answer:
        assert answer.status == 200

    async def known() -> bool:
        return bool((await get(session, "/api/v1/services"))["total"] == services)

    await until(known, "the map did not learn the pairs")


async def test_answers_have_the_shapes_others_rely_on(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await learn(session, SHOP, 5)
        one = await get(session, "/api/v1/services/payments")
        dependents = await get(session, "/api/v1/services/ledger/dependents")
        dependencies = await get(session, "/api/v1/services/web/dependencies")
        path = await get(session, "/api/v1/path?from=web&to=ledger")

    assert one["id"] == "payments"
    assert set(one["callers"][0]) == EDGE_KEYS
    assert one["callers"][0]["layers"]["trace"]["calls"] == 4
    assert set(one["callers"][0]["layers"]["trace"]["latency_ms"]) == {"p50", "p95", "p99"}
    assert {item["id"]: (item["hops"], item["path"]) for item in dependents["items"]} == {
        "payments": (1, ["payments", "ledger"]),
        "cart": (1, ["cart", "ledger"]),
        "checkout": (2, ["checkout", "payments", "ledger"]),
        "web": (2, ["web", "cart", "ledger"]),
    }
    assert {"id", "hops", "path", "share", "state", "tier", "domain", "owner"} <= set(dependents["items"][0])
    assert {item["state"] for item in dependents["items"]} == {"at_risk"}
    assert [(item["id"], item["path"]) for item in dependencies["items"] if item["id"] == "ledger"] == [
        ("ledger", ["web", "cart", "ledger"])
    ]
    assert [item["path"] for item in path["items"]] == [
        ["web", "cart", "ledger"],
        ["web", "checkout", "payments", "ledger"],
    ]
    for answer in (one, dependents, dependencies, path):
        assert answer["as_of"].endswith("Z")
        assert answer["coverage"]["services"] >= 1
        assert "trace" in answer["coverage"]["layers"]


async def test_depth_limit_and_cursor_page_through_everything_once(tmp_path: Path) -> None:
    pairs = [(f"caller-{number:02d}", "hub") for number in range(25)]
    async with bot(tmp_path) as (_, session):
        await learn(session, pairs, 26)
        seen: list[str] = []
        cursor = ""
        while True:
            page = await get(session, "/api/v1/services/hub/dependents", limit="10", cursor=cursor, depth="1")
            seen += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = page["next_cursor"]

    assert seen == [caller for caller, _ in pairs]


async def test_an_unknown_service_is_404_with_the_closest_names(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await learn(session, SHOP, 5)
        problem = await get(session, "/api/v1/services/paymnts/dependents", status=404)

    assert problem["suggestions"][0] == "payments"
    assert problem["status"] == 404


@pytest.mark.parametrize(
    "query",
    [
        {"depth": "x"},
        {"depth": "0"},
        {"limit": "1e9"},
        {"layers": "smoke"},
        {"min_confidence": "2"},
        {"cursor": "x"},
        {"dpeth": "1"},
    ],
)
async def test_a_wrong_parameter_is_400_and_named(tmp_path: Path, query: dict[str, str]) -> None:
    async with bot(tmp_path) as (_, session):
        await learn(session, [("web", "cart")], 2)
        problem = await get(session, "/api/v1/services/cart/dependents", status=400, **query)

    assert next(iter(query)) in problem["detail"]


async def test_a_missing_route_is_a_problem_document(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session), session.get("/api/v1/nothing") as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")


async def test_there_is_no_path_where_nobody_calls(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await learn(session, SHOP, 5)

        assert (await get(session, "/api/v1/path", caller="ledger", callee="web"))["items"] == []
        assert "from=SERVICE" in (await get(session, "/api/v1/path", status=400))["detail"]


TOKENS = "reader:read:read-token,collector:ingest:ingest-token,boss:admin:admin-token"


@pytest.mark.parametrize(
    ("token", "reads", "ingests"),
    [
        ("read-token", 200, 403),
        ("ingest-token", 403, 200),
        ("admin-token", 200, 200),
        ("other", 401, 401),
        ("", 401, 401),
    ],
)
async def test_tokens_may_do_what_their_scopes_say(tmp_path: Path, token: str, reads: int, ingests: int) -> None:
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}"} if token else {}
    async with bot(tmp_path, api_tokens=TOKENS) as (_, session):
        for path in ("/api/v1/services", "/metrics", "/messages", "/api/v1/doctor"):
            async with session.get(path, headers=headers) as answer:
                assert answer.status == reads, path
        async with session.post("/v1/traces", data=calls([("a", "b")]), headers=PROTOBUF | headers) as answer:
            assert answer.status in (ingests, 401 if ingests == 401 else ingests)
        async with session.get("/healthz") as answer:
            assert answer.status == 200


async def test_a_browser_may_give_the_token_as_a_password(tmp_path: Path) -> None:
    basic = base64.b64encode(b"me:read-token").decode()
    async with bot(tmp_path, api_tokens=TOKENS) as (_, session):
        async with session.get("/messages") as answer:
            assert 'Basic realm="topology-bot"' in answer.headers["WWW-Authenticate"]
        async with session.get("/messages", headers={"Authorization": f"Basic {basic}"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Host": "evil.example"},
        {"Host": "127.evil.example"},
        {"Origin": "https://evil.example"},
    ],
    ids=["proxy", "forwarded", "rebound name", "rebound 127", "other site"],
)
async def test_without_tokens_only_this_machine_may_ask(tmp_path: Path, headers: dict[str, str]) -> None:
    async with bot(tmp_path) as (_, session), session.get("/api/v1/services", headers=headers) as answer:
        assert answer.status == 401


async def test_the_page_has_a_strict_policy_and_is_not_sent_twice(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        async with session.get("/messages") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            tag = answer.headers["ETag"]
            assert "/v1/traces" in await answer.text()
        async with session.get("/messages", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
        async with session.get("/preview", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "/messages")
        async with session.get("/static/preview.css") as answer:
            assert answer.status == 200
        async with session.get("/static/../app.py") as answer:
            assert answer.status == 404


async def test_the_doctor_says_what_arrived_and_what_to_mend(tmp_path: Path) -> None:
    async with bot(tmp_path, pagerduty_secrets="") as (_, session):
        before = await get(session, "/api/v1/doctor")
        await learn(session, SHOP, 5)
        after = await get(session, "/api/v1/doctor")

    assert any("no telemetry has ever arrived" in problem for problem in before["problems"])
    assert not any("telemetry" in problem for problem in after["problems"])
    assert after["problems"] == ["alert source pagerduty has no secret, so it refuses all"]
    assert after["telemetry"]["otlp"]["accepted"] == len(SHOP) * 8
    assert after["map"] == {"services": 5, "edges": 5}
    assert after["database"]["kind"] == "sqlite"


async def test_metrics_count_what_came_in_and_what_was_left_out(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await learn(session, SHOP, 5)
        async with session.post("/v1/traces", data=calls([("a", "b")], at=1.0e9), headers=PROTOBUF):
            pass
        async with session.get("/metrics") as answer:
            text = await answer.text()

    assert 'topology_bot_telemetry_accepted_total{source="otlp"}' in text
    assert 'topology_bot_telemetry_dropped_total{reason="rejected",source="otlp"}' in text
    assert "topology_bot_map_services 5.0" in text


async def test_the_map_is_there_again_after_a_restart(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        await learn(session, SHOP, 5)
    async with bot(tmp_path) as (_, session):
        found = await get(session, "/api/v1/services/payments")

    assert [edge["caller"] for edge in found["callers"]] == ["checkout"]
    assert found["callers"][0]["layers"]["trace"]["calls"] == 4
