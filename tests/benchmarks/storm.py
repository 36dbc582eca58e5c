"""A zone of 300 services fails: 5,000 alerts, each its own webhook, against a Slack that enforces its rate limits.

Printed: how many incidents they become, whether every alert is in one, what Slack was told, how long after the last alert all is
said, and what memory it took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tests.kit.alerts import alertmanager
from tests.kit.bots import REPOSITORY, alertmanager_headers, free_port, slack_environment, start_process, until
from tests.kit.spans import PROTOBUF, calls

SERVICES, ALERTS = 300, 5_000
NAMES = tuple(f"Alert{number}" for number in range(17))
_AT_A_TIME = 50


def company(rng: random.Random) -> list[tuple[str, str]]:
    """Calls among the services of the zone: everybody needs one to three others, nobody in a circle."""
    names = [f"svc-{number:03d}" for number in range(SERVICES)]
    return [
        (caller, callee)
        for place, caller in enumerate(names[:-1])
        for callee in rng.sample(names[place + 1 : place + 40], min(len(names) - place - 1, rng.randint(1, 3)))
    ]


async def main(seconds: float) -> None:
    """Play the storm within `seconds`, and print what became of it."""
    with tempfile.TemporaryDirectory() as folder:
        base, port = Path(folder), free_port()
        log = base / "slack.jsonl"
        slack = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.fake_slack", "--port", str(port), "--log", str(log), "--rate-limits"],
            cwd=REPOSITORY,
        )
        try:
            await _play(base, f"http://127.0.0.1:{port}/api/", log, seconds)
        finally:
            slack.terminate()
            slack.wait(10)


async def _play(base: Path, slack_url: str, log: Path, seconds: float) -> None:
    bot = await start_process(
        base, base / "bot.log", TOPOLOGY_BOT_CHANNEL="#incidents", **slack_environment(slack_url),
        TOPOLOGY_BOT_API_RATE="1000", TOPOLOGY_BOT_API_BURST="100000",
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(bot.url) as session:
            await _learn(session)
            began = time.time()
            await _storm(session, seconds)
            last = time.time()
            print(f"{ALERTS} alerts over {SERVICES} services in {last - began:.0f} s")
            await until(lambda: _quiet(session), "the storm is not worked off", 600)
            print(f"all said {time.time() - last:.0f} s after the last alert (target 60 s)")
            await _count(session, log)
        status = Path(f"/proc/{bot.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if "VmHWM" in line).split()[1]
        print(f"most resident memory: {int(peak) / 1024:.0f} MiB (target 1 GB)")
    finally:
        bot.stop()


async def _learn(session: aiohttp.ClientSession) -> None:
    pairs, now = company(random.Random(1)), time.time()
    for minutes in (12, 8, 4):
        await _post(session, "/v1/traces", calls(pairs, count=5, at=now - minutes * 60), PROTOBUF)
    await _post(session, "/v1/traces", calls(pairs, count=10, at=now - 20, failed=True), PROTOBUF)
    await asyncio.sleep(5)


async def _storm(session: aiohttp.ClientSession, seconds: float) -> None:
    rng, gate, began = random.Random(2), asyncio.Semaphore(_AT_A_TIME), time.perf_counter()
    what = [(f"svc-{number:03d}", name) for number in range(SERVICES) for name in NAMES][:ALERTS]
    rng.shuffle(what)

    async def send(number: int, service: str, name: str) -> None:
        await asyncio.sleep(max(0.0, began + seconds * number / ALERTS - time.perf_counter()))
        body = alertmanager(service, name=name, started=time.time() - 5, annotations={"summary": f"{name} {service}"})
        async with gate:
            await _post(session, "/webhooks/alertmanager", json.dumps(body).encode(), alertmanager_headers())

    await asyncio.gather(*(send(number, *one) for number, one in enumerate(what)))


async def _post(session: aiohttp.ClientSession, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Senders do as Alertmanager does: what is refused for now is sent again."""
    headers = {"Content-Type": "application/json"} | dict(headers)
    while True:
        async with session.post(path, data=body, headers=headers) as answer:
            if answer.status != 503:
                answer.raise_for_status()
                return
        await asyncio.sleep(1)


async def _quiet(session: aiohttp.ClientSession) -> bool:
    text = await (await session.get("/metrics")).text()
    waiting = dict(line.rsplit(" ", 1) for line in text.splitlines() if "_waiting " in line and line[0] != "#")
    left = sum(float(waiting.get(f"topology_bot_{what}_waiting", 0)) for what in ("deliveries", "outbox"))
    return left == 0.0


async def _count(session: aiohttp.ClientSession, log: Path) -> None:
    incidents = (await (await session.get("/api/v1/incidents", params={"limit": "200"})).json())["items"]
    inside = 0
    for one in incidents:
        inside += len((await (await session.get(f"/api/v1/incidents/{one['id']}")).json())["alerts"])
    left = sum(one["state"] != "resolved" for one in incidents)
    print(f"{len(incidents)} incidents, folded together into {left}; {inside} alerts are in one")
    text = await (await session.get("/metrics")).text()
    spent = re.findall(r'topology_bot_alert_step_seconds_sum\{step="([^"]+)"\} (\S+)', text)
    print("seconds in steps: " + ", ".join(f"{step} {float(seconds):.1f}" for step, seconds in spent))
    said = Counter(call["what"] for call in map(json.loads, log.read_text().splitlines()))
    print("Slack took: " + ", ".join(f"{count} × {what}" for what, count in said.most_common()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.storm", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    asyncio.run(main(parser.parse_args().seconds))
