"""A map of three layers: how fresh, how fast, how large. `python -m tests.benchmarks.three_layers [SERVICES…]`.

The bot runs as its own process over SQLite. Freshness: a span, a flow record and a metric sample of services nobody has
seen arrive at the doors, and the time is taken until the edge answers in the API. Then queries and memory on maps that
grow, ten edges a service, every edge seen by all three layers.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from bot.model import Layer
from tests.benchmarks import big_map
from tests.kit import remote_write, spans
from tests.kit.bots import launch, ready, start_process

ROUNDS = 40
QUERIES = 300


async def main() -> None:
    """Print every figure beside its target."""
    with tempfile.TemporaryDirectory() as folder:
        await _freshness(Path(folder))
    for services in map(int, sys.argv[1:] or ("1000", "10000", "100000")):
        with tempfile.TemporaryDirectory() as folder:
            await _size(Path(folder), services)


async def _freshness(folder: Path) -> None:
    bot = await start_process(folder, folder / "bot.log", TOPOLOGY_BOT_TRACE_SETTLE_SECONDS="2")
    times: dict[str, list[float]] = {"span": [], "flow": [], "metric sample": []}
    try:
        async with aiohttp.ClientSession(bot.url) as session:
            for turn in range(ROUNDS):
                waits = [_span(session, turn), _flow(session, turn), _sample(session, turn)]
                for what, taken in zip(times, await asyncio.gather(*waits), strict=True):
                    times[what].append(taken)
    finally:
        bot.stop()
    for what, each in times.items():
        print(f"from a {what} at the door to its edge in the API: {_percentiles(each)} (target p99 5 s)")


async def _span(session: aiohttp.ClientSession, turn: int) -> float:
    body = spans.calls([(f"web-{turn}", f"cart-{turn}")])
    async with session.post("/v1/traces", data=body, headers={"Content-Type": "application/x-protobuf"}) as answer:
        assert answer.status == 200
    return await _until_seen(session, f"cart-{turn}", time.perf_counter())


async def _flow(session: aiohttp.ClientSession, turn: int) -> float:
    now = time.time()
    caller, callee = f"10.1.0.{turn + 1}", f"10.2.0.{turn + 1}"
    owners = [
        {"ip": ip, "service": name, "start": now - 60, "end": None, "kind": "service"}
        for ip, name in ((caller, f"mobile-{turn}"), (callee, f"login-{turn}"))
    ]
    record = {"start": now, "end": now, "src_ip": caller, "src_port": 40_000, "dst_ip": callee, "dst_port": 443,
              "proto": "tcp", "bytes": 900, "packets": 9, "client": "src"}  # fmt: skip
    for path, records in (("/ingest/identities", owners), ("/ingest/flows", [record])):
        async with session.post(path, data="\n".join(map(json.dumps, records))) as answer:
            assert answer.status == 202
    return await _until_seen(session, f"login-{turn}", time.perf_counter())


async def _sample(session: aiohttp.ClientSession, turn: int) -> float:
    labels = {"client": f"shop-{turn}", "server": f"stock-{turn}"}
    for value in (0.0, 5.0):  # the first sample of a counter is only where it starts from
        started = time.perf_counter()
        body = remote_write.write_request([("traces_service_graph_request_total", labels, time.time(), value)])
        async with session.post("/api/v1/write", data=body, headers=remote_write.HEADERS) as answer:
            assert answer.status < 300
        await asyncio.sleep(0.01)
    return await _until_seen(session, f"stock-{turn}", started)


async def _until_seen(session: aiohttp.ClientSession, service: str, started: float) -> float:
    while time.perf_counter() - started < 30:
        async with session.get(f"/api/v1/services/{service}") as answer:
            if answer.status == 200 and (await answer.json())["callers"]:
                return time.perf_counter() - started
        await asyncio.sleep(0.02)
    raise TimeoutError(f"no edge to {service}")


async def _size(folder: Path, services: int) -> None:
    edges = await big_map.write(folder / "bot.db", services, services * 10, tuple(Layer))
    started = time.perf_counter()
    log = folder / "bot.log"
    bot = launch(folder, log, TOPOLOGY_BOT_MAX_SERVICES="200000", TOPOLOGY_BOT_MAX_EDGES="2000000", **big_map.UNHURRIED)
    await ready(bot, log, 600)
    try:
        print(
            f"{services:,} services, {len(edges):,} edges in three layers: ready in {time.perf_counter() - started:.1f} s"
        )
        async with aiohttp.ClientSession(bot.url) as session:
            await asyncio.sleep(big_map.SETTLED_SECONDS)
            chosen = random.Random(3).sample([callee for _, callee in edges], QUERIES)
            for depth, target in ((1, "3 ms"), (3, "20 ms")):
                times = []
                for service in chosen:
                    started = time.perf_counter()
                    async with session.get(f"/api/v1/services/{service}/dependents?depth={depth}&limit=20") as answer:
                        await answer.read()
                        answer.raise_for_status()
                    times.append(time.perf_counter() - started)
                print(f"  dependents to depth {depth}: {_percentiles(times)} (target p99 {target} at 10,000 services)")
        status = Path(f"/proc/{bot.process.pid}/status").read_text().splitlines()
        memory = int(next(line for line in status if "VmRSS" in line).split()[1])
        print(f"  resident memory: {memory / 1024:.0f} MiB (target 1 GB at 10,000 services)")
    finally:
        bot.kill()  # nothing of it is needed again, and a big map takes long to close


def _percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    return f"p50 {1000 * ordered[len(ordered) // 2]:.0f} ms, p99 {1000 * ordered[int(len(ordered) * 0.99)]:.0f} ms"


if __name__ == "__main__":
    asyncio.run(main())
