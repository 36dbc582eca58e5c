"""From what telemetry says of machines to the machine in the answer, through the doors of a running bot."""

from __future__ import annotations

import json
import time
from pathlib import Path

import aiohttp

from tests.kit.bots import bot, until


async def test_addresses_that_name_their_machines_put_them_on_the_map(tmp_path: Path) -> None:
    now = time.time()
    records: list[dict[str, object]] = [
        {"ip": f"10.0.0.{number}", "service": name, "start": now - 60, "end": None, "kind": "service", "node": node}
        for number, (name, node) in enumerate([("web", "n1"), ("pay", "n1"), ("cart", "n2")])
    ]
    async with bot(tmp_path) as (running, session):
        await _post(session, records)

        async def known() -> bool:
            return len(running.view.places.shared(["web", "pay", "cart"], time.time())) == 2

        await until(known, "nobody took note of the machines", 20)
        found = running.view.places.shared(["web", "pay", "cart"], time.time())
        assert found == {"node:n1": {"web": 1.0, "pay": 1.0}, "node:n2": {"cart": 1.0}}


async def _post(session: aiohttp.ClientSession, records: list[dict[str, object]]) -> None:
    body = "\n".join(json.dumps(one) for one in records)
    async with session.post(
        "/ingest/identities", data=body, headers={"content-type": "application/x-ndjson"}
    ) as answered:
        assert answered.status == 202
