"""From Istio's counters in a Prometheus to edges with the true counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.layers.ipc import IpcLayer
from bot.pull.prometheus import PrometheusPull
from tests.pull.openmetrics import Target
from tests.pull.test_true_counts import MINUTES, START, stored

ISTIO = {
    "source_workload": "web", "source_canonical_service": "web", "source_workload_namespace": "shop",
    "destination_canonical_service": "payments", "destination_workload": "payments",
    "destination_workload_namespace": "shop", "destination_service": "payments.shop.svc.cluster.local",
    "request_protocol": "http", "grpc_response_status": "",
}  # fmt: skip


@pytest.mark.parametrize("repeats", [1, 2], ids=["asked once", "asked twice"])
async def test_calls_both_proxies_counted_are_counted_once_and_failures_are_known(repeats: int, tmp_path: Path) -> None:
    def labels(reporter: str, code: str) -> dict[str, str]:
        return ISTIO | {"reporter": reporter, "response_code": code}

    client, server = Target("10.0.0.1:15020", START, 15.0), Target("10.0.0.2:15020", START, 15.0)
    calls = failures = 0
    for step in range(160):
        at = START + step * 15.0
        for target, reporter in ((client, "source"), (server, "destination")):
            target.count(labels(reporter, "200"), step % 4)
            target.count(labels(reporter, "503"), step % 7 == 0)
        if MINUTES[0] <= at < MINUTES[-1] + 60:
            calls += step % 4 + (step % 7 == 0)
            failures += step % 7 == 0
        client.scrape(at + 1.0)
        server.scrape(at + 4.0)
    layer = IpcLayer(START)

    async with stored([client, server], tmp_path) as pull:
        real = PrometheusPull(pull.url)
        for minute in MINUTES:
            for _ in range(repeats):
                reading = await asyncio.to_thread(real.read_minute, minute, frozenset(("istio_requests_total",)))
                layer.add_increases(reading.rows, minute + 90.0)
    windows = layer.collect(MINUTES[-1] + 90.0).windows

    found = [window["web.shop", "payments.shop"] for window in windows.values()]
    assert sum(one.calls for one in found) == calls
    assert sum(one.errors for one in found) == failures
    assert {len(window) for window in windows.values()} == {1}
