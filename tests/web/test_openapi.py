"""The OpenAPI document against the running program: every route is in it, and every answer is as it says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp

from bot.web import openapi
from tests.kit import spans
from tests.kit.bots import bot, get, until


def test_every_route_of_the_program_is_described_and_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (running, _):
            served = {(method, path) for method, path in running.routes if method in ("GET", "POST")}
            described = {(route.method, route.path) for route in openapi.ROUTES}
            assert served == described

    asyncio.run(scenario())


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=240, check=False)


async def _play(session: aiohttp.ClientSession) -> None:
    body = spans.calls(
        [("web", "cart/cart-1.shop"), ("cart/cart-1.shop", "payments/payments-2.shop@east"), ("web", "search")],
        failed=True,
    )
    async with session.post("/v1/traces", data=body, headers=spans.PROTOBUF) as answer:
        assert answer.status == 200

    async def known() -> bool:
        return bool((await get(session, "/api/v1/services"))["total"] >= 4)

    await until(known, "the services")


def test_every_answer_is_as_the_document_says_whatever_is_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path, api_rate=10_000, api_burst=100_000) as (running, session):
            await _play(session)
            command = [
                Path(sys.executable).parent / "schemathesis", "run", f"{running.url}/api/v1/openapi.json",
                "--include-method=GET", "--exclude-path=/api/v1/stream", "--exclude-path=/static", "--exclude-path=/",
                "--max-examples=25", "--phases=examples,coverage,fuzzing", "--seed=7", "--no-color", "--generation-database=none",
                "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            ]  # fmt: skip
            found = await asyncio.to_thread(_run, [str(part) for part in command], tmp_path)
            assert found.returncode == 0, found.stdout[-6_000:] + found.stderr[-2_000:]

    asyncio.run(scenario())
