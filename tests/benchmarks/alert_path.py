"""From webhook to message, and answers over HTTP, on a map of 10,000 services and 100,000 edges.

The bot runs as its own process over SQLite, the fake Slack as another; everything is stored before it is acknowledged.
Beside it Debian's Alertmanager, which stores and enriches nothing, tells a sink about a third as many alerts at the same rate.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.benchmarks import big_map
from tests.kit.alerts import alertmanager, rfc3339
from tests.kit.bots import REPOSITORY, alertmanager_headers, free_port, slack_environment, start_process, until
from tests.kit.processes import alertmanager as alertmanager_process

ALERTS = 280  # within the burst that one workspace is given (see bot.slack.pace)
RATE = 20.0
QUERIES = 400


async def main() -> None:
    """Print every figure beside its target."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        edges = await big_map.write(base / "bot.db")
        port = free_port()
        log = base / "slack.jsonl"
        slack = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.fake_slack", "--port", str(port), "--log", str(log)], cwd=REPOSITORY
        )
        try:
            await _measure(base, edges, f"http://127.0.0.1:{port}/api/", log)
        finally:
            slack.terminate()
            slack.wait(10)


async def _measure(base: Path, edges: list[tuple[str, str]], slack_url: str, log: Path) -> None:
    started = time.perf_counter()
    bot = await start_process(
        base, base / "bot.log", TOPOLOGY_BOT_CHANNEL="#incidents", TOPOLOGY_BOT_SLACK_BURST="1000000",
        **big_map.UNHURRIED, **slack_environment(slack_url),
    )  # fmt: skip
    try:
        print(f"start-up with 10,000 services / 100,000 edges: {time.perf_counter() - started:.2f} s (target 5 s)")
        async with aiohttp.ClientSession(bot.url) as session:
            await asyncio.sleep(big_map.SETTLED_SECONDS)
            callees = [callee for _, callee in edges]
            hubs = [name for name, _ in Counter(callees).most_common(20)]
            await _queries(session, random.Random(1).sample(callees, QUERIES), "random services")
            await _queries(session, hubs * 10, "the 20 biggest hubs")
            await _alerts(session, random.Random(2).sample(sorted(set(callees)), ALERTS), log)
        memory = int(
            next(
                line for line in Path(f"/proc/{bot.process.pid}/status").read_text().splitlines() if "VmRSS" in line
            ).split()[1]
        )
        print(f"resident memory: {memory / 1024:.0f} MiB (target 400 MB)")
    finally:
        bot.stop()
    await _alertmanager()


async def _queries(session: aiohttp.ClientSession, services: list[str], what: str) -> None:
    times, sizes = [], []
    for service in services:
        started = time.perf_counter()
        async with session.get(f"/api/v1/services/{service}/dependents", params={"depth": "3"}) as answer:
            answer.raise_for_status()
            sizes.append((await answer.json())["total"])
        times.append(time.perf_counter() - started)
    found = f"median {statistics.median(sizes):.0f} dependents"
    print(f"dependents to depth 3 over HTTP, {what} ({found}): {_percentiles(times)} (target p99 20 ms)")


async def _alerts(session: aiohttp.ClientSession, services: list[str], log: Path) -> None:
    sent: dict[str, float] = {}
    begun = time.perf_counter()
    pending = []
    for number, service in enumerate(services):
        await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
        body = alertmanager(
            service,
            annotations={"summary": f"benchmark {number:05d}"},
            fingerprint=f"{number:016x}",
            group=f"g{number}",
            labels={"env": f"e{number}"},  # each its own incident: the map would explain most of them by another
        )
        sent[f"benchmark {number:05d}"] = time.time()
        pending.append(asyncio.create_task(_post(session, body)))
    await asyncio.gather(*pending)
    arrived = await until(lambda: _arrived(log, sent), "not every alert arrived in Slack", 120)
    times = [arrived[summary] - at for summary, at in sent.items()]
    what = f"webhook received -> accepted by Slack at {RATE:.0f}/s, {len(times)} alerts"
    print(f"{what}: {_percentiles(times)} (target p50 30 ms, p99 120 ms)")


async def _alertmanager() -> None:
    """A third as many alerts through Debian's Alertmanager and its own Slack notifier, to a sink that only notes the time."""
    arrived: dict[str, float] = {}

    async def sink(request: web.Request) -> web.Response:
        arrived.setdefault(str((await request.json())["attachments"][0]["title"]), time.time())
        return web.Response(text="ok")

    application = web.Application()
    application.router.add_post("/slack", sink)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack = {
        "api_url": f"http://127.0.0.1:{runner.addresses[0][1]}/slack",
        "channel": "#x",
        "title": "{{ .CommonLabels.service }}",
    }
    sent: dict[str, float] = {}
    async with alertmanager_process({"slack_configs": [slack]}) as url, aiohttp.ClientSession(url) as session:
        begun = time.perf_counter()
        for number in range(ALERTS // 3):
            await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
            name = f"svc-{number:05d}"
            sent[name] = time.time()
            body = [{"labels": {"alertname": "HighErrorRate", "service": name}, "startsAt": rfc3339(time.time())}]
            async with session.post("/api/v2/alerts", json=body) as answer:
                answer.raise_for_status()
        await asyncio.sleep(2)
    await runner.cleanup()
    times = [arrived[name] - at for name, at in sent.items() if name in arrived]
    print(f"beside it, Alertmanager's own Slack notifier, {len(times)} alerts: {_percentiles(times)}")


async def _post(session: aiohttp.ClientSession, body: object) -> None:
    async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
        answer.raise_for_status()


async def _arrived(log: Path, sent: dict[str, float]) -> dict[str, float]:
    """When each alert's first message was accepted; {} until all were."""
    arrived: dict[str, float] = {}
    for line in log.read_text().splitlines() if log.exists() else []:
        entry = json.loads(line)
        for summary in sent:
            if summary in entry["text"]:
                arrived.setdefault(summary, entry["at"])
                break
    return arrived if len(arrived) == len(sent) else {}


def _percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"


if __name__ == "__main__":
    asyncio.run(main())
