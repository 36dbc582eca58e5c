"""Likely causes over HTTP: spans come in, an alert fires, and the answer names who is at fault."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp

from tests.kit import alerts, spans
from tests.kit.bots import alertmanager_headers, bot, get, until

MINUTES = 20


async def _play(session: aiohttp.ClientSession, failing: bool) -> None:
    """Twenty minutes of web > cart > ledger-db and web > login; in the last two ledger-db's calls fail."""
    now = time.time()
    for ago in range(MINUTES, -1, -1):
        at = now - 60 * ago
        for pairs in ([("web", "cart"), ("cart", "ledger-db")], [("web", "login")]):
            error = failing and ago < 2 and len(pairs) == 2
            body = spans.calls(pairs, count=20, at=at, failed=error)
            async with session.post("/v1/traces", data=body, headers=spans.PROTOBUF) as answer:
                assert answer.status == 200


async def test_an_alert_s_cause_is_found_by_the_alert_s_own_number(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        await _play(session, failing=True)

        async def learnt() -> bool:
            found = running.view.windows
            return sum(one.served("ledger-db") for one in found.values()) >= 20 * MINUTES

        await until(learnt, "twenty minutes of calls")
        body = alerts.alertmanager("web", started=time.time() - 60)
        async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
            assert answer.status == 202

        async def stored() -> list[dict[str, object]]:
            incidents = (await get(session, "/api/v1/incidents"))["items"]
            return (await get(session, f"/api/v1/incidents/{incidents[0]['id']}"))["alerts"] if incidents else []

        (alert,) = await until(stored, "the incident")
        by_alert = await get(session, "/api/v1/services/web/causes", alert=str(alert["id"]))
        now = await get(session, "/api/v1/services/web/causes")
        nothing = await get(session, "/api/v1/services/login/causes", about="HighLatency")
        await get(session, "/api/v1/services/web/causes", status=404, alert="nonsense")
        await get(session, "/api/v1/services/nobody/causes", status=404)

    for found in (by_alert, now):
        assert found["named"] == "ledger-db", found
        assert found["items"][0]["p"] > 0.3
        assert any("fail" in sentence for sentence in found["items"][0]["evidence"])
        assert found["ruled_out"] == ["login"]
    assert nothing["named"] is None
    assert nothing["why_none"]
