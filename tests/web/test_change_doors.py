"""The doors of change events over HTTP: refused, stored, repeated, found again."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from bot.errors import Overloaded
from bot.web.change_doors import CHANGES_LIMIT
from tests.changes import bodies
from tests.changes.bodies import SECRET, packed, signed
from tests.kit import spans
from tests.kit.bots import bot, get, until

NDJSON = {"Content-Type": "application/x-ndjson"}
SECRETS = {f"{source}_secrets": SECRET for source in ("github", "gitlab", "argocd", "flux", "pagerduty_change")}
NOTHING: Mapping[str, str] = {}
BEARER = {"Authorization": f"Bearer {SECRET}"}


def line(**changes: Any) -> dict[str, Any]:
    return {"at": time.time() - 60, "service": "payments", "kind": "deploy", "title": "payments 1.3"} | changes


def lines(*records: object) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in records)


async def ingest(
    session: aiohttp.ClientSession, body: bytes, status: int = 202, headers: Mapping[str, str] = NOTHING
) -> dict[str, Any]:
    async with session.post("/ingest/changes", data=body, headers={**NDJSON, **headers}) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json(content_type=None)
        return found


async def titles(session: aiohttp.ClientSession, **given: str) -> list[str]:
    return [one["title"] for one in (await get(session, "/api/v1/changes", 200, **given))["items"]]


def delivery(source: str) -> tuple[bytes, dict[str, str]]:
    """A delivery of each source that is signed and whole."""
    match source:
        case "github":
            body = packed(bodies.github())
            return body, signed("X-Hub-Signature-256", body) | {"X-GitHub-Event": "deployment_status"}
        case "gitlab":
            return packed(bodies.gitlab()), {"X-Gitlab-Token": SECRET}
        case "argocd":
            return packed(bodies.argocd()), BEARER
        case "flux":
            body = packed(bodies.flux(message="Deployment/apps/payments configured"))
            return body, signed("X-Signature", body)
        case _:
            return packed(bodies.pagerduty()), {}


SOURCES = ["argocd", "flux", "github", "gitlab", "pagerduty"]


async def test_changes_in_our_own_words_are_stored_and_found_newest_first(tmp_path: Path) -> None:
    at = time.time()
    async with bot(tmp_path) as (running, session):
        body = lines(
            line(at=at - 120, title="first", link="https://ci.example/1", author="ada"),
            line(at=at - 60, title="second"),
        )
        receipt = await ingest(session, body)
        answer = await get(session, "/api/v1/changes", service="payments")

        assert receipt == {"accepted": 2, "rejected": 0, "ignored": {}, "errors": []}
        assert [one["title"] for one in answer["items"]] == ["second", "first"]
        assert answer["items"][1] | {"at": "", "id": ""} == {
            "at": "", "service": "payments", "kind": "deploy", "title": "first", "link": "https://ci.example/1", "author": "ada",
            "source": "ingest", "id": "",
        }  # fmt: skip
        assert [one.title for one in running.view.changes.of("payments", 0, at)] == ["first", "second"]


async def test_a_body_is_taken_as_far_as_it_can_be_used(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        body = lines(line(), {"service": "payments"}, line(kind="rollout")) + b"\n{\n"
        receipt = await ingest(session, gzip.compress(body), 202, {"Content-Encoding": "gzip"})

        assert (receipt["accepted"], receipt["rejected"]) == (1, 3)
        assert [one["line"] for one in receipt["errors"]] == [2, 3, 4]
        assert await titles(session) == ["payments 1.3"]


async def test_a_change_told_of_twice_is_one_also_after_a_restart(tmp_path: Path) -> None:
    body = lines(line(at=time.time() - 60))
    async with bot(tmp_path) as (_, session):
        await ingest(session, body)
        assert (await ingest(session, body))["ignored"] == {"repeated": 1}
    async with bot(tmp_path) as (running, session):
        assert (await ingest(session, body))["ignored"] == {"repeated": 1}
        assert len(running.view.changes) == len(await titles(session)) == 1


async def test_the_ingest_door_wants_the_scope_ingest(tmp_path: Path) -> None:
    async with bot(tmp_path, api_tokens="ci:ingest:t1,reader:read:t2") as (_, session):
        await ingest(session, lines(line()), 401)
        await ingest(session, lines(line()), 403, {"Authorization": "Bearer t2"})
        await ingest(session, lines(line()), 202, {"Authorization": "Bearer t1"})


HOSTILE: list[tuple[bytes, dict[str, str], int]] = [
    (bytes(CHANGES_LIMIT + 1), {}, 413),
    (gzip.compress(bytes(100 * 1024 * 1024)), {"Content-Encoding": "gzip"}, 413),
    (b"no gzip", {"Content-Encoding": "gzip"}, 400),
    (b"", {"Content-Encoding": "br"}, 415),
]


@pytest.mark.parametrize("source", ["ingest", *SOURCES])
async def test_hostile_bodies_are_refused_and_write_nothing(tmp_path: Path, source: str) -> None:
    path = "/ingest/changes" if source == "ingest" else f"/webhooks/changes/{source}"
    async with bot(tmp_path, **SECRETS) as (running, session):
        for body, more, status in HOSTILE:
            headers = (
                {"X-Gitlab-Token": SECRET, "X-GitHub-Event": "deployment"} | signed("X-Hub-Signature-256", body) | more
            )
            headers |= BEARER if source != "ingest" else NDJSON
            async with session.post(path, data=io.BytesIO(body), headers=headers) as answer:
                assert (answer.status, answer.content_type) == (status, "application/problem+json"), more
        assert len(running.view.changes) == 0


@pytest.mark.parametrize("source", SOURCES)
async def test_a_signed_delivery_is_stored_and_again_is_a_repeat(tmp_path: Path, source: str) -> None:
    body, headers = delivery(source)
    async with bot(tmp_path, **SECRETS) as (_, session):
        found = []
        for _ in range(2):
            async with session.post(f"/webhooks/changes/{source}", data=body, headers=headers) as answer:
                found.append((answer.status, (await answer.json())["status"]))

        assert found == [(202, "stored"), (200, "repeated")]
        (item,) = (await get(session, "/api/v1/changes", 200, **{"from": "2026-11-01T00:00:00Z"}))["items"]
        assert (item["source"], item["service"].partition("@")[0]) == (
            source,
            "shop.apps" if source == "argocd" else "payments.apps" if source == "flux" else "payments",
        )
        doctor = await get(session, "/api/v1/doctor")
        assert doctor["changes"][source]["count"] == 1


async def test_a_burst_of_deliveries_is_taken_whole_and_each_change_once(tmp_path: Path) -> None:
    async with bot(tmp_path, **SECRETS) as (_, session):

        async def deliver(number: int) -> int:
            body = packed(bodies.github(id=number // 2))
            headers = signed("X-Hub-Signature-256", body) | {"X-GitHub-Event": "deployment_status"}
            async with session.post("/webhooks/changes/github", data=body, headers=headers) as answer:
                return answer.status

        found = await asyncio.gather(*map(deliver, range(2, 202)))
        doctor = await get(session, "/api/v1/doctor")

    assert Counter(found) == {202: 100, 200: 100}
    assert doctor["changes"]["github"]["count"] == 100


@pytest.mark.parametrize("source", SOURCES)
async def test_a_delivery_with_a_wrong_secret_or_none_is_refused(tmp_path: Path, source: str) -> None:
    body, _ = delivery(source)
    wrong = (
        signed("X-Hub-Signature-256", body, "wrong")
        | signed("X-Signature", body, "wrong")
        | {"X-Gitlab-Token": "wrong"}
    )
    wrong_body = body.replace(SECRET.encode(), b"wrong")
    async with bot(tmp_path, **SECRETS) as (running, session):
        with structlog.testing.capture_logs() as logs:
            for headers in ({}, wrong, wrong | {"Authorization": "Bearer wrong"}):
                async with session.post(f"/webhooks/changes/{source}", data=wrong_body, headers=headers) as answer:
                    assert answer.status == 401
                    assert SECRET not in await answer.text()
        assert len(running.view.changes) == 0
    assert [one["source"] for one in logs if one["event"] == "change refused"] == [source] * 3
    assert SECRET not in str(logs)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_without_a_secret_refuses_all_unless_it_may_be_unsigned(tmp_path: Path, source: str) -> None:
    body, headers = delivery(source)
    path = f"/webhooks/changes/{source}"
    async with bot(tmp_path) as (_, session), session.post(path, data=body, headers=headers) as answer:
        assert answer.status == 401
        assert "no secret is set" in (await answer.json(content_type=None))["detail"]
    event = {name: value for name, value in headers.items() if name == "X-GitHub-Event"}
    async with bot(tmp_path, allow_unsigned=(f"changes/{source}",)) as (_, session):
        async with session.post(path, data=body, headers=event | {"X-Forwarded-For": "203.0.113.9"}) as answer:
            assert answer.status == 401
        async with session.post(path, data=body, headers=event) as answer:
            assert answer.status == 202


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"payload": 7, "app": 7, "object_kind": "deployment"}',
]


@pytest.mark.parametrize("source", SOURCES)
async def test_a_broken_body_is_400_and_says_what_is_wrong(tmp_path: Path, source: str) -> None:
    async with bot(tmp_path, allow_unsigned=(f"changes/{source}",)) as (running, session):
        for body in [*BROKEN, b'{"object_kind": "deployment", "status": "success", "project": []}']:
            headers = {"X-GitHub-Event": "deployment"}
            async with session.post(f"/webhooks/changes/{source}", data=body, headers=headers) as answer:
                if source == "gitlab" and body == BROKEN[-1]:
                    continue  # a deployment in no state
                assert (answer.status, answer.content_type) == (400, "application/problem+json"), body[:40]
                assert len((await answer.json(content_type=None))["detail"]) > 10
        assert len(running.view.changes) == 0


async def test_an_event_that_says_nothing_of_a_change_is_taken(tmp_path: Path) -> None:
    body = b'{"zen": "Keep it logically awesome."}'
    headers = signed("X-Hub-Signature-256", body) | {"X-GitHub-Event": "ping"}
    async with (
        bot(tmp_path, **SECRETS) as (_, session),
        session.post("/webhooks/changes/github", data=body, headers=headers) as answer,
    ):
        assert (answer.status, await answer.json()) == (
            200,
            {"status": "ignored", "why": "ping says nothing of a deployment"},
        )


async def test_an_unknown_source_is_404_and_names_those_there_are(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session), session.post("/webhooks/changes/jenkins", json={}) as answer:
        assert answer.status == 404
        assert "argocd, flux, github, gitlab, pagerduty" in (await answer.json(content_type=None))["detail"]


async def test_where_too_many_bodies_wait_the_sender_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> int:
        raise Overloaded("100000 changes wait to be stored")

    monkeypatch.setattr("bot.change_intake.ChangeIntake.take", full)
    async with (
        bot(tmp_path) as (_, session),
        session.post("/ingest/changes", data=lines(line()), headers=NDJSON) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_pages_follow_each_other_and_times_and_services_narrow_them(tmp_path: Path) -> None:
    at = time.time()
    async with bot(tmp_path) as (_, session):
        await ingest(
            session,
            lines(
                *(line(at=at - 100 - number, title=str(number)) for number in range(5)),
                line(service="web", title="web", at=at - 3_000),
            ),
        )
        first = await get(session, "/api/v1/changes", limit="2", service="payments")
        second = await get(session, "/api/v1/changes", limit="3", service="payments", cursor=first["next_cursor"])

        assert [one["title"] for page in (first, second) for one in page["items"]] == ["0", "1", "2", "3", "4"]
        assert second["next_cursor"] is None
        assert await titles(session, **{"from": "-1h", "to": "-30m"}) == ["web"]
        assert await titles(session, service="web,ledger") == ["web"]
        for given in ({"cursor": "x"}, {"cursor": "WzEsInEiXQ"}, {"from": "-1m", "to": "-1h"}, {"kind": "new"}):
            await get(session, "/api/v1/changes", 400, **given)


async def test_a_service_shows_its_changes(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        running.view.graph.add_node(bodies.node("payments", "shop", "prod"))
        await ingest(session, lines(line(service="payments@production")))
        found = await get(session, "/api/v1/services/payments")

        assert [one["title"] for one in found["changes"]] == ["payments 1.3"]
        assert found["changes"][0]["service"] == "payments.shop@prod"


async def test_a_version_that_telemetry_has_not_seen_before_is_a_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.changes.releases.LEARNING_SECONDS", 60.0)
    now = time.time()
    catalog = tmp_path / "services.yaml"
    catalog.write_text("services:\n  - {id: payments, aliases: [pay-svc]}\n")
    async with bot(tmp_path, catalog=str(catalog)) as (running, session):

        async def report(version: str, ago: float) -> None:
            body = spans.calls([("web", "pay-svc")], at=now - ago, more={"service.version": version})
            async with session.post("/v1/traces", data=body, headers=spans.PROTOBUF) as answer:
                assert answer.status == 200

        async def known() -> bool:
            return "payments" in running.view.graph

        await report("v42", 240)
        await until(known, "the service is not on the map")
        await report("v43", 30)

        async def told() -> bool:
            return bool(await titles(session, service="payments"))

        await until(told, "no deploy was seen")
        items = (await get(session, "/api/v1/changes"))["items"]
        doctor = await get(session, "/api/v1/doctor")

    assert sorted((one["service"], one["kind"], one["title"], one["source"]) for one in items) == [
        ("payments", "deploy", "version v43, before v42", "telemetry"),
        ("web", "deploy", "version v43, before v42", "telemetry"),
    ]
    assert doctor["changes"]["telemetry"]["count"] == 2
