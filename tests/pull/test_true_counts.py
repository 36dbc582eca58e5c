"""Minutes read from Debian's Prometheus against what was really counted: to the call, whatever happens in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import prometheus_client
import pytest
import requests

from bot.layers.family import Family, Role
from bot.pull.backlog import Puller
from bot.pull.prometheus import PrometheusPull, Row
from tests.kit import debian, processes
from tests.kit.bots import free_port
from tests.pull.openmetrics import METRIC, Target, write_blocks

START = int(time.time() // 7200) * 7200 - 4 * 7200
"""Long enough ago to be in blocks, at a block's beginning."""
MINUTES = range(START + 600, START + 600 + 20 * 60, 60)
Edge = tuple[str, str]


FAMILIES = (Family("calls", (METRIC,), ("source", "destination"), Role.CALLS, lambda _: None),)


@asynccontextmanager
async def stored(targets: Iterable[Target], folder: Path) -> AsyncIterator[PrometheusPull]:
    """A Prometheus that has these samples, and our way to ask it."""
    program = debian.require_prometheus()
    data = folder / "data"
    await write_blocks(targets, data)
    (folder / "prometheus.yml").write_text("{}")

    def command(port: int) -> Sequence[str]:
        return (
            program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=10y", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        )  # fmt: skip

    async with processes._serving(command, folder) as url:
        yield PrometheusPull(url, FAMILIES)


async def read(pull: PrometheusPull, minutes: Iterable[int] = MINUTES) -> dict[int, Counter[Edge]]:
    """Increases by minute and edge, as the server tells them."""
    found: dict[int, Counter[Edge]] = {}
    for minute in minutes:
        reading = await asyncio.to_thread(pull.read_minute, minute, frozenset((METRIC,)))
        assert not reading.again
        assert not reading.refused
        for row in reading.rows:
            edge = (row.labels["source"], row.labels["destination"])
            found.setdefault(row.minute, Counter())[edge] += round(row.increase)
    return found


def total(found: dict[int, Counter[Edge]]) -> Counter[Edge]:
    return sum(found.values(), Counter())


@pytest.mark.parametrize("interval", [15.0, 30.0, 60.0, 90.0])
async def test_minutes_add_up_to_the_calls_however_bursty_and_however_often_scraped(
    interval: float, tmp_path: Path
) -> None:
    chance = random.Random(7)
    targets = [Target(f"10.0.0.{pod}:15020", START + 7.3 * pod, interval) for pod in range(4)]
    truth: Counter[Edge] = Counter()
    for target in targets:
        target.call("web", "payments", 1_000)  # from before we looked
        at = target.first
        while at <= MINUTES[-1] + 60:
            target.scrape(at)
            at += interval
            burst = chance.choice([0, 0, 0, 1, 40])
            if MINUTES[0] < at <= MINUTES[-1] + 60:
                truth["web", "payments"] += burst
            target.call("web", "payments", burst)

    async with stored(targets, tmp_path) as pull:
        assert total(await read(pull)) == truth


async def test_a_call_is_counted_in_the_minute_in_which_it_was_scraped(tmp_path: Path) -> None:
    target = Target("10.0.0.1:15020", START, 15.0)
    target.call("web", "payments", 5)
    for step in range(160):
        if step == 62:  # at 930 s: the first scrape after it is in minute 900..960
            target.call("web", "payments", 3)
        target.scrape(START + step * 15.0)

    async with stored([target], tmp_path) as pull:
        assert await read(pull) == {START + 900: Counter({("web", "payments"): 3})}


async def test_a_restart_takes_nothing_away_and_counts_nothing_twice(tmp_path: Path) -> None:
    target = Target("10.0.0.1:15020", START, 15.0)
    target.call("web", "payments", 10_000)
    scraped: Counter[Edge] = Counter()
    for step in range(160):
        at = START + step * 15.0
        if step in (50, 70):
            target.restart()  # right after a scrape, so that every call was seen
        target.call("web", "payments", 2)
        if MINUTES[0] < at <= MINUTES[-1] + 60:
            scraped["web", "payments"] += 2
        target.scrape(at)

    async with stored([target], tmp_path) as pull:
        assert total(await read(pull)) == scraped


async def test_the_first_call_of_an_edge_is_seen_where_its_proxy_was_scraped_before(tmp_path: Path) -> None:
    old, new = Target("10.0.0.1:15020", START, 15.0), Target("10.0.0.2:15020", START + 1000, 15.0)
    new.call("web", "search", 1_000_000)  # a proxy that ran for a year before this Prometheus found it
    for step in range(160):
        if step == 64:
            old.call("web", "payments")
        old.scrape(START + step * 15.0)
        if step > 70:
            new.scrape(START + step * 15.0)

    async with stored([old, new], tmp_path) as pull:
        assert total(await read(pull)) == Counter({("web", "payments"): 1})


async def test_calls_during_failed_scrapes_come_with_the_next_good_one(tmp_path: Path) -> None:
    target = Target("10.0.0.1:15020", START, 15.0)
    target.call("web", "payments", 5)
    for step in range(160):
        target.call("web", "payments")
        target.scrape(START + step * 15.0, ok=not 60 <= step < 80)  # five minutes of silence

    async with stored([target], tmp_path) as pull:
        found = await read(pull)

    assert total(found) == Counter({("web", "payments"): 80})
    assert found[START + 1140] == Counter({("web", "payments"): 21})  # scraped as that minute ended


async def test_the_last_calls_of_a_pod_that_is_gone_are_counted(tmp_path: Path) -> None:
    target = Target("10.0.0.1:15020", START, 15.0)
    target.call("web", "payments", 5)
    for step in range(67):  # the last scrape is 30 seconds into a minute
        if step == 66:
            target.call("web", "payments", 9)
        target.scrape(START + step * 15.0)

    async with stored([target], tmp_path) as pull:
        assert total(await read(pull)) == Counter({("web", "payments"): 9})


async def test_buckets_grow_like_their_counters_but_for_new_and_restarted_processes(tmp_path: Path) -> None:
    steady, restarted, new = (Target(f"10.0.0.{number}:15020", START, 15.0) for number in range(3))
    for target in (steady, restarted):
        target.call("web", "payments", 50)
    for step in range(160):
        if step == 60:
            restarted.restart()
        if step == 62:
            new.call("web", "payments", 5)
        if step % 3 == 0:
            steady.call("web", "payments")
        for target in (steady, restarted, new):
            target.scrape(START + step * 15.0)
    family = Family("latency", (METRIC,), ("source", "destination"), Role.BUCKET, lambda _: None)

    async with stored([steady, restarted, new], tmp_path) as pull:
        found = await read(PrometheusPull(pull.url, [family]))

    assert total(found) == Counter({("web", "payments"): sum(step % 3 == 0 for step in range(41, 121))})


async def test_a_live_exporter_is_read_through_scrapes_to_the_last_call() -> None:
    """One-second scrapes and two-second windows; a restart of the exporter in the middle."""
    debian.require_prometheus()
    port, window = free_port(), 2
    registry, requests_total = exporter()
    server, thread = prometheus_client.start_http_server(port, "127.0.0.1", registry)
    rule = {"alert": "Never", "expr": "vector(0) > 1"}
    counted = 0
    try:
        async with processes.prometheus(f"127.0.0.1:{port}", rule, "http://127.0.0.1:9") as url:
            await until(url, f"{METRIC} == 5000")
            pull = PrometheusPull(url, FAMILIES, window_seconds=window)
            await asyncio.sleep(window)  # what was there at first sight belongs to no window
            begin = int(time.time())
            for step in range(12):
                if step == 6:
                    await until(url, f"sum({METRIC}) == {5000 + counted}")
                    server.shutdown()
                    await asyncio.to_thread(thread.join)
                    server.server_close()
                    registry, requests_total = exporter(0)
                    server, thread = prometheus_client.start_http_server(port, "127.0.0.1", registry)
                    before = counted
                requests_total.labels("web", "payments").inc(step)
                counted += step
                await asyncio.sleep(0.2)
            await until(url, f"sum({METRIC}) == {counted - before}")
            await asyncio.sleep(2 * window)
            found = await read(pull, range(begin - begin % window, int(time.time()) - window, window))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert total(found) == Counter({("web", "payments"): counted})


def exporter(start: int = 5000) -> tuple[prometheus_client.CollectorRegistry, prometheus_client.Counter]:
    registry = prometheus_client.CollectorRegistry()
    counter = prometheus_client.Counter(METRIC, "Requests", ["source", "destination"], registry=registry)
    counter.labels("web", "payments").inc(start)
    return registry, counter


async def until(url: str, condition: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = await asyncio.to_thread(requests.get, f"{url}/api/v1/query", {"query": condition}, timeout=5)
        if answer.json()["data"]["result"]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never came true: {condition}")


async def test_the_puller_brings_minutes_from_a_real_server_newest_first(tmp_path: Path) -> None:
    target = Target("10.0.0.1:15020", START, 15.0)
    for step in range(160):
        target.call("web", "payments")
        target.scrape(START + step * 15.0)
    taken: list[Row] = []

    async def take(rows: Sequence[Row]) -> None:
        taken.extend(rows)

    async with stored([target], tmp_path) as pull:
        now = START + 1_000.0
        puller = Puller(pull, take, since=START + 600.0, clock=lambda: now)
        pull._found, pull._look_again = frozenset((METRIC,)), time.monotonic() + 60  # discovery looks at real time
        await puller.tick()

    assert puller.state()["backlog"] == []
    assert [(row.minute, row.increase) for row in taken] == [(START + 60 * minute, 4) for minute in range(15, 9, -1)]
