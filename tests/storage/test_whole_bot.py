"""The whole bot on each of the databases; what they promise one by one is in the other modules here."""

from __future__ import annotations

import time
from pathlib import Path

from tests.kit.alerts import alertmanager
from tests.kit.bots import alertmanager_headers, bot, get, until
from tests.kit.spans import PROTOBUF, calls


async def test_the_whole_bot_runs_on_it(url: str, tmp_path: Path) -> None:
    started = time.time() - 300
    async with bot(tmp_path, database_url=url) as (running, session):
        async with session.post("/v1/traces", data=calls([("web", "cart")], count=5), headers=PROTOBUF) as answer:
            assert answer.status == 200

        async def learnt() -> bool:
            return running.view.graph.edge_count == 1

        await until(learnt, "the map did not learn the pair")
        for status, sign in (("firing", "🔴"), ("resolved", "✅")):
            body = alertmanager("cart", status=status, started=started)
            async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
                assert answer.status == 202

            async def sent(sign: str = sign) -> bool:
                rows = [row for row in await running.outbox.latest(5) if row.parent_key is None]
                return [(row.message.text[0], row.state) for row in rows] == [(sign, "sent")]

            await until(sent, f"no message with {sign}")
    async with bot(tmp_path, database_url=url) as (_, session):
        found = await get(session, "/api/v1/services/cart")
        assert found["callers"][0]["layers"]["trace"]["calls"] == 5
