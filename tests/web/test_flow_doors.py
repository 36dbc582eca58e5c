"""The doors of the network layer, from HTTP to the answering map."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.bots import bot, until

Record = dict[str, Any]


def identity(ip: str, service: str, **more: Any) -> Record:
    return {"ip": ip, "service": service, "start": time.time() - 600, "end": None, "kind": "service"} | more


def flow(client: str, server: str, **more: Any) -> Record:
    start = time.time() - 5
    return {"start": start, "end": start + 1, "src_ip": client, "src_port": 40_000, "dst_ip": server, "dst_port": 443,
            "proto": "tcp", "bytes": 1_000, "packets": 9, "client": "src"} | more  # fmt: skip


async def post(session: aiohttp.ClientSession, path: str, *records: object, **options: Any) -> tuple[int, Any]:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
    body = "\n".join(lines).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    if options.pop("packed", False):
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    async with session.post(path, data=body, headers=headers | options.pop("headers", {})) as answer:
        return answer.status, await answer.json()


async def callers(session: aiohttp.ClientSession, service: str) -> list[Record]:
    async with session.get(f"/api/v1/services/{service}") as answer:
        found = await answer.json()
        return list(found["callers"]) if answer.status == 200 else []


def test_a_connection_is_on_the_map_seconds_after_its_record_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            status, answer = await post(
                session, "/ingest/identities", identity("10.0.0.1", "cart"), identity("10.0.0.2", "payments")
            )
            assert (status, answer) == (202, {"accepted": 2, "rejected": 0, "ignored": {}, "errors": []})
            status, answer = await post(session, "/ingest/flows", flow("10.0.0.1", "10.0.0.2"), packed=True)
            assert (status, answer["accepted"]) == (202, 1)

            (edge,) = await until(lambda: callers(session, "payments"), "the edge on the map")
            assert (edge["caller"], edge["callee"], list(edge["layers"])) == ("cart", "payments", ["network"])
            assert edge["layers"]["network"]["calls"] == 1

    asyncio.run(scenario())


def test_bad_lines_are_named_and_cost_their_neighbours_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            good = flow("10.0.0.1", "10.0.0.2")
            status, answer = await post(
                session, "/ingest/flows", good, "version account-id", good | {"start": 0}, "", good | {"dst_port": -1},
                good | {"start": time.time() + 9_000}, good | {"proto": "icmp", "src_port": None}, good | {"bytes": -5},
            )  # fmt: skip
            assert (status, answer["accepted"], answer["rejected"]) == (202, 2, 5)
            assert answer["ignored"] == {"proto without ports": 1}
            assert [error["line"] for error in answer["errors"]] == [2, 3, 5, 6, 8]
            assert "in the future" in answer["errors"][3]["why"]

            status, answer = await post(
                session, "/ingest/identities", "nonsense", identity("10.0.0.1", ""), identity("10.0.0", "cart"),
                identity("10.0.0.1", "cart", end=5.0), identity("10.0.0.1", "cart", kind="router"),
            )  # fmt: skip
            assert (status, answer["accepted"], answer["rejected"]) == (202, 0, 5)
            assert [error["line"] for error in answer["errors"]] == [1, 2, 3, 4, 5]

    asyncio.run(scenario())


def test_a_body_sent_twice_is_counted_once_and_an_identity_sent_twice_is_a_heartbeat(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (running, session):
            known = [identity("10.0.0.1", "cart"), identity("10.0.0.2", "payments")]
            record = flow("10.0.0.1", "10.0.0.2")
            for _ in range(3):
                assert (await post(session, "/ingest/identities", *known))[1]["accepted"] == 2
                assert (await post(session, "/ingest/flows", record))[1]["accepted"] == 1

            await until(lambda: callers(session, "payments"), "a call counted")
            await asyncio.sleep(0.6)
            (edge,) = await callers(session, "payments")
            assert edge["layers"]["network"]["calls"] == 1
            assert running.ingest.intake.drops()["network layer", "duplicate batch"] == 2

    asyncio.run(scenario())


def test_an_unknown_format_is_refused_with_those_there_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            status, problem = await post(session, "/ingest/flows?format=netflow", {})
            assert status == 400
            assert "this door reads flows" in problem["detail"]

    asyncio.run(scenario())


def test_the_doors_want_the_ingest_scope(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path, api_tokens="reader:read:abc") as (_, session):
            for path in ("/ingest/flows", "/ingest/identities"):
                assert (await post(session, path, {}))[0] == 401
                assert (await post(session, path, {}, headers={"Authorization": "Bearer abc"}))[0] == 403

    asyncio.run(scenario())
