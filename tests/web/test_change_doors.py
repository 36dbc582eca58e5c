"""Change events over HTTP: taken in, kept over a restart, and named where they explain an alert."""

from __future__ import annotations

import gzip
import io
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit import spans
from tests.kit.bots import bot, get, until

NDJSON = {"Content-Type": "application/x-ndjson"}


async def post(session: aiohttp.ClientSession, body: bytes, **headers: str) -> tuple[int, Any]:
    async with session.post("/ingest/changes", data=io.BytesIO(body), headers=NDJSON | headers) as answer:
        return answer.status, await answer.json()


def deploy(service: str = "ledger", ago: float = 240.0, title: str = "v2.1") -> bytes:
    return json.dumps(
        {"at": time.time() - ago, "service": service, "kind": "deploy", "title": title, "author": "ada"}
    ).encode()


async def test_a_change_before_the_trouble_is_evidence_and_survives_a_restart(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        now = time.time()
        for minutes in range(20, -1, -1):
            body = spans.calls(
                [("web", "cart"), ("cart", "ledger")], count=20, at=now - 60 * minutes, failed=minutes < 2
            )
            async with session.post("/v1/traces", data=body, headers=spans.PROTOBUF):
                pass
        status, answer = await post(session, gzip.compress(deploy() + b"\nnonsense"), **{"Content-Encoding": "gzip"})
        assert (status, answer["accepted"], answer["rejected"]) == (202, 1, 1)
        assert answer["errors"] == [{"line": 2, "why": "not a JSON object"}]

        async def learnt() -> bool:
            return sum(one.served("ledger") for one in running.view.windows.values()) >= 420

        await until(learnt, "the calls")
        doctor = await get(session, "/api/v1/doctor")
        assert doctor["telemetry"]["changes"]["accepted"] == 1
    async with bot(tmp_path) as (_, session):
        found = await get(session, "/api/v1/services/web/causes")

    assert found["named"] == "ledger"
    assert "changed 4 min before: deploy: v2.1 by ada" in found["items"][0]["evidence"]


async def test_the_same_change_again_counts_once(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        sent = deploy()
        for _ in range(3):
            assert (await post(session, sent))[0] == 202
        assert len(running.view.changes) == 1


async def test_what_is_too_large_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        status, _ = await post(session, deploy() + b"\n" + b" " * 5_000_000)
        assert status == 413
        status, _ = await post(session, gzip.compress(b"\n" * 50_000_000), **{"Content-Encoding": "gzip"})
        assert status == 413
        status, _ = await post(session, b"no gzip", **{"Content-Encoding": "gzip"})
        assert status == 400
        assert len(running.view.changes) == 0
