"""The alert doors over HTTP: refused, stored, repeated."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from bot.app import Running
from tests.kit.alerts import alertmanager, pagerduty, pagerduty_headers
from tests.kit.bots import PAGERDUTY_SECRET, TOKEN, alertmanager_headers, bot, get, until

DOOR = "/webhooks/alertmanager"


async def posted(running: Running, count: int = 1) -> list[str]:
    async def texts() -> list[str]:
        found = [row.message.text for row in await running.outbox.latest(100) if row.state == "sent"]
        return found if len(found) >= count else []

    return list(await until(texts, f"{count} messages were not posted"))


async def written(running: Running) -> tuple[int, int]:
    """(deliveries, messages) in the database."""
    return sum(int(one["deliveries"]) for one in (await running.alerts.sources()).values()), len(
        await running.outbox.latest(100)
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {base64.b64encode(b'am:wrong').decode()}"},
        {"Authorization": f"Token {TOKEN}"},
    ],
    ids=["unsigned", "wrong token", "wrong password", "wrong scheme"],
)
async def test_an_unsigned_alert_is_refused_and_writes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    with structlog.testing.capture_logs() as logs:
        async with bot(tmp_path) as (running, session):
            with structlog.testing.capture_logs() as logs:
                async with session.post(DOOR, json=alertmanager(), headers=headers) as answer:
                    assert (answer.status, answer.content_type) == (401, "application/problem+json")

            assert await written(running) == (0, 0)
    refused = [entry for entry in logs if entry["event"] == "webhook refused"]
    assert [entry["source"] for entry in refused] == ["alertmanager"]
    assert TOKEN not in str(logs)


@pytest.mark.parametrize(
    "given", [f"Bearer {TOKEN}", "Basic " + base64.b64encode(f"alertmanager:{TOKEN}".encode()).decode()]
)
async def test_bearer_and_basic_auth_are_accepted(tmp_path: Path, given: str) -> None:
    async with bot(tmp_path) as (running, session):
        async with session.post(DOOR, json=alertmanager(), headers={"Authorization": given}) as answer:
            assert answer.status == 202

        assert "payments" in (await posted(running))[0]


async def test_a_source_without_a_secret_refuses_all(tmp_path: Path) -> None:
    async with bot(tmp_path, alertmanager_tokens="", pagerduty_secrets="") as (running, session):
        for source in ("alertmanager", "pagerduty"):
            async with session.post(
                f"/webhooks/{source}", json=alertmanager(), headers=alertmanager_headers()
            ) as answer:
                assert answer.status == 401
                assert "no secret is set" in (await answer.json(content_type=None))["detail"]
        assert await written(running) == (0, 0)


async def test_unsigned_alerts_pass_from_this_machine_where_allowed_but_not_through_a_proxy(tmp_path: Path) -> None:
    async with bot(tmp_path, alertmanager_tokens="", allow_unsigned=("alertmanager",)) as (_, session):
        async with session.post(DOOR, json=alertmanager(), headers={"X-Forwarded-For": "203.0.113.9"}) as answer:
            assert answer.status == 401
        async with session.post(DOOR, json=alertmanager()) as answer:
            assert answer.status == 202


async def test_an_unknown_source_is_404_and_names_those_there_are(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session), session.post("/webhooks/nagios", json={}) as answer:
        assert answer.status == 404
        assert "alertmanager, pagerduty" in (await answer.json(content_type=None))["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"alerts": "no"}', b'{"version":"4","groupKey":"g"}', b"\xff\xfe", b"[" * 100_000],
)
async def test_a_signed_but_broken_body_is_400_and_writes_nothing(tmp_path: Path, body: bytes) -> None:
    async with bot(tmp_path) as (running, session):
        async with session.post(DOOR, data=body, headers=alertmanager_headers()) as answer:
            assert (answer.status, answer.content_type) == (400, "application/problem+json")
            assert len((await answer.json(content_type=None))["detail"]) > 10
        assert await written(running) == (0, 0)


async def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    async with (
        bot(tmp_path) as (_, session),
        session.post(DOOR, data=io.BytesIO(bytes(9 * 1024 * 1024)), headers=alertmanager_headers()) as answer,
    ):
        assert answer.status == 413


async def test_a_gzip_bomb_is_413(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        body, headers = gzip.compress(bytes(100 * 1024 * 1024)), {**alertmanager_headers(), "Content-Encoding": "gzip"}
        async with session.post(DOOR, data=body, headers=headers) as answer:
            assert answer.status == 413


async def test_the_same_delivery_twice_is_one_message(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        body = alertmanager(started=1_795_400_000)
        statuses = []
        for _ in range(3):
            async with session.post(DOOR, json=body, headers=alertmanager_headers()) as answer:
                statuses.append((answer.status, (await answer.json())["status"]))
        await posted(running)

        assert statuses == [(202, "stored"), (200, "repeated"), (200, "repeated")]
        assert await written(running) == (1, 1)


async def test_pagerduty_signatures_count_over_the_raw_body_and_any_live_secret_will_do(tmp_path: Path) -> None:
    async with bot(tmp_path, pagerduty_secrets=f"older-secret,{PAGERDUTY_SECRET}") as (running, session):
        body = pagerduty()
        tampered = body.replace(b"payments", b"checkout")
        async with session.post("/webhooks/pagerduty", data=tampered, headers=pagerduty_headers(body)) as answer:
            assert answer.status == 401
        async with session.post(
            "/webhooks/pagerduty", data=body, headers=pagerduty_headers(body, webhook="W1")
        ) as answer:
            assert answer.status == 202

        text = (await posted(running))[0]
        assert "payments" in text
        assert "PagerDuty #1234" in text


async def test_a_pagerduty_ping_is_stored_and_says_nothing_to_anybody(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        body = json.dumps(
            {
                "event": {
                    "id": "1",
                    "event_type": "pagey.ping",
                    "resource_type": "pagey",
                    "occurred_at": "2026-01-01T00:00:00Z",
                    "data": {"type": "ping", "message": "Hello"},
                }
            }
        ).encode()
        async with session.post("/webhooks/pagerduty", data=body, headers=pagerduty_headers(body)) as answer:
            assert answer.status == 202
        await asyncio.sleep(0.3)

        assert await written(running) == (1, 0)


async def test_a_flood_of_webhooks_is_answered_and_the_bot_stays_up(tmp_path: Path) -> None:
    """Two hundred at once, half of them forged: every honest one is stored, nothing else is."""

    async def send(session: aiohttp.ClientSession, number: int) -> int:
        headers: Any = alertmanager_headers("forged" if number % 2 else TOKEN)
        async with session.post(DOOR, json=alertmanager(service=f"svc-{number}"), headers=headers) as answer:
            return answer.status

    async with bot(tmp_path) as (running, session):
        statuses = await asyncio.gather(*(send(session, number) for number in range(200)))

        assert sorted(set(statuses)) == [202, 401]
        assert statuses.count(202) == 100
        await posted(running, 100)
        assert await written(running) == (100, 100)
        assert (await get(session, "/readyz"))["status"] == "ready"
