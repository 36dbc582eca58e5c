"""A running bot with a small shop in trouble: what tests of the pages open.

web -> checkout -> payments -> payments-db, invoices -> payments, cart beside; payments and its database fail, an alert fires.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bot import app
from tests.kit import alerts, spans
from tests.kit.bots import alertmanager_headers, bot, get, until

CATALOG = """\
services:
  - {id: web, team: Storefront, slack: "#team-storefront", tier: 1, domain: shop, entry_point: true}
  - {id: checkout, team: Checkout, slack: "@checkout-oncall", tier: 1, domain: shop}
  - {id: payments, team: Payments, slack: "@pay-oncall", on_call: Ada, tier: 1, domain: money, runbook: "https://runbooks.example/payments"}
  - {id: payments-db, team: Data, slack: "#team-data", tier: 1, domain: money}
  - {id: invoices, team: Payments, slack: "@pay-oncall", tier: 2, domain: money}
"""
LINKS = "Logs=https://logs.example/?q={service}&from={from}&to={to}"
WAY = (("web", "checkout"), ("checkout", "payments"), ("payments", "payments-db"))
WELL = (("invoices", "payments"), ("web", "cart"))

Shop = tuple[app.Running, aiohttp.ClientSession]


async def tell(session: aiohttp.ClientSession, pairs: Sequence[tuple[str, str]], **how: Any) -> None:
    """Post spans of these calls."""
    async with session.post("/v1/traces", data=spans.calls(pairs, **how), headers=spans.PROTOBUF) as answer:
        assert answer.status == 200, await answer.text()


async def fire(session: aiohttp.ClientSession, service: str = "payments", **changes: Any) -> None:
    """Have an alert fire and wait until its incident is known."""
    body = alerts.alertmanager(service, started=time.time() - 90, **changes)
    async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
        assert answer.status == 202

    async def known() -> bool:
        found = (await get(session, "/api/v1/incidents"))["items"]
        return bool(found) and (await get(session, f"/api/v1/incidents/{found[0]['id']}"))["facts"] is not None

    await until(known, "no incident")


@asynccontextmanager
async def shop(folder: Path, *, failing: bool = True, **changes: Any) -> AsyncIterator[Shop]:
    """The bot, with its shop on the map."""
    catalog = folder / "services.yaml"
    catalog.write_text(CATALOG)
    async with bot(
        folder, **{"catalog": catalog, "links": LINKS, "api_rate": 1_000, "api_burst": 10_000} | changes
    ) as (running, session):
        now = time.time()
        for minutes in (20, 15, 10):
            await tell(session, (*WAY, *WELL), count=40, at=now - 60 * minutes)
        await tell(session, WELL, count=30, at=now - 5)
        await tell(session, WAY, count=30, at=now - 5, failed=failing)

        await until(lambda: _known(running), "the map did not learn the shop")
        if failing:
            await fire(session)
        yield running, session


async def _known(running: app.Running) -> bool:
    now = time.time()
    view = running.view
    counted = [view.counts(edge, now - 120, now + 60).calls for edge in (*WAY, *WELL)]
    return view.graph.edge_count == len(counted) and all(calls >= 30 for calls in counted)
