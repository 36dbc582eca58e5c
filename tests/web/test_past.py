"""The past over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.kit import spans
from tests.kit.bots import bot, get, until

EARLIER: dict[str, Any] = {"from": "-2h", "to": "-1h"}


def test_an_hour_ago_nothing_was_known_and_now_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            await session.post("/v1/traces", data=spans.calls([("web", "cart")]), headers=spans.PROTOBUF)

            async def known() -> bool:
                return bool((await get(session, "/api/v1/graph"))["edges"])

            await until(known, "the edge")
            then = await get(session, "/api/v1/graph", at="-1h")
            assert (then["nodes"], then["edges"], then["next_cursor"]) == ([], [], None)
            assert (await get(session, "/api/v1/services", at="-1h"))["total"] == 0
            assert (await get(session, "/api/v1/coverage", **EARLIER))["coverage"]["services"] == 0
            await get(session, "/api/v1/services/cart", status=404, at="-1h")
            assert (await get(session, "/api/v1/diff", **EARLIER))["total"] == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "asked", [{"at": "soon"}, {"at": "2999-01-01"}, {"at": "-1h", "from": "-2h"}, {"from": "-1h", "to": "-2h"}]
)
def test_a_time_that_makes_no_sense_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            await get(session, "/api/v1/graph", status=400, **asked)

    asyncio.run(scenario())
