"""The map's history: how fast a moment is, how fast two days are compared, how much room it takes.

`python -m tests.benchmarks.history [HOURS]`: 10,000 services, 100,000 edges, each seen by all three layers, 5,000 of these
300,000 counted in every minute of the last HOURS (default 3; a day of it is 7.2 million), and all of them in two days. On
SQLite, and for room and writing on PostgreSQL too, where that is installed. The targets are printed beside the figures.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import text

from bot.catalog.entries import EMPTY
from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.history import History
from bot.model import EdgeKey, Layer, Node, Tally
from bot.names import NameIndex
from bot.storage.blocks import DAY, HOUR, MINUTE
from bot.storage.database import Database
from bot.storage.history_store import HistoryStore
from bot.storage.map_store import MapStore, StoredEdge
from tests.benchmarks.big_map import edges
from tests.kit.postgres import postgres

SERVICES, EDGES, A_MINUTE = 10_000, 100_000, 5_000
MINUTES_A_DAY, HOURS_A_MONTH = 7_200_000, 30 * 24 * EDGES
QUESTIONS = 60
START = 1_700_006_400 + 3 * DAY  # the first second of a day
chance = random.Random(7)


async def main() -> None:
    """Print every figure beside its target."""
    hours = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        database = Database(f"sqlite:///{path}")
        before = path.stat().st_size if path.exists() else 0
        await _fill("SQLite", database, hours, lambda: _sqlite_size(database, path, before))
        await _ask(database, hours)
        await database.close()
    with postgres() as server:
        database = Database(await server.create())
        await _fill("PostgreSQL", database, min(hours, 1), lambda: _postgres_size(database))
        await database.close()


# -- writing ---------------------------------------------------------------------------------------------------------


async def _fill(name: str, database: Database, hours: int, size: Callable[[], object]) -> None:
    await database.upgrade()
    store, history = MapStore(database), HistoryStore(database)
    every = [(layer, edge) for layer in Layer for edge in edges(SERVICES, EDGES)]
    nodes = [Node(f"svc-{number:05d}", name=f"svc-{number:05d}") for number in range(SERVICES)]
    for day, kept in ((2, every[100:]), (1, every[:-100])):
        await _write(store, nodes, kept, START - day * DAY, changed=0.002 if day == 1 else 0.0)
    await history.roll_up(START + 120, 0, 0)
    empty = await size()  # type: ignore[misc]
    writes = []
    for minute in range(hours * 60):
        began = time.perf_counter()
        await _write(store, [], chance.sample(every, A_MINUTE), START + 60 * minute)
        writes.append(time.perf_counter() - began)
    minutes = await size()  # type: ignore[misc]
    began = time.perf_counter()
    rolled = await history.roll_up(START + hours * HOUR + 300, 0, 0)
    took = time.perf_counter() - began
    blocks = await size()  # type: ignore[misc]
    rows = hours * 60 * A_MINUTE
    by_level = await _block_sizes(database)
    print(f"{name}: a minute of {A_MINUTE} edges is written in {_percentiles(writes)}")
    print(f"{name}: {rolled} blocks made in {took:.1f} s, {took / rolled * 1000:.0f} ms each")
    row, block = (minutes - empty) / rows, (blocks - minutes) / rows
    day = MINUTES_A_DAY * (row + by_level[MINUTE] / rows)
    print(f"{name}: {row:.0f} bytes a minute row, {block:.0f} in all blocks made of it; ")
    print(f"{name}: a day of {MINUTES_A_DAY:,} minute rows with their blocks: {day / 1e9:.2f} GB (target 2 GB)")
    all_day = by_level[DAY] / (2 * 3 * EDGES)
    print(f"{name}: {all_day:.1f} bytes an edge in a block of all; a month of hours in which every edge is used: "
          f"{3 * HOURS_A_MONTH * all_day / 1e9:.1f} GB (target 10 GB)")  # fmt: skip


async def _write(
    store: MapStore, nodes: list[Node], counted: list[tuple[Layer, EdgeKey]], minute: int, changed: float = 0.0
) -> None:
    """One minute of traffic, in which a share of the edges does otherwise than usual."""
    for layer in Layer:
        mine = [edge for one, edge in counted if one is layer]
        stored = [StoredEdge(layer, edge, float(minute), minute + 60.0, float(HOUR)) for edge in mine]
        counts = {edge: _tally(layer, edge, 10.0 if chance.random() < changed else 1.0) for edge in mine}
        await store.write(layer, nodes, stored, {minute: counts}, float(minute))


def _tally(layer: Layer, edge: EdgeKey, slower: float) -> Tally:
    """One edge's minute: as usual for this edge, give or take a tenth. Latencies in four buckets, errors on every tenth."""
    usual = hash(edge)
    made = Tally()
    made.sampled = int((60 + usual % 300) * chance.uniform(0.9, 1.1) * slower)
    made.calls = float(made.sampled)
    made.errors = float(made.sampled // 50) if usual % 10 == 0 else 0.0
    if layer is Layer.NETWORK:
        made.bytes = made.calls * chance.randrange(200, 20_000)
        return made
    made.latency_us = float(made.sampled * chance.randrange(500, 50_000))
    for step, share in enumerate((0.6, 0.25, 0.1, 0.05)):
        made.histogram[1 + usual % 10 + step] = float(int(made.calls * share))
    return made


async def _sqlite_size(database: Database, path: Path, before: int) -> int:
    async with database._writer.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    return path.stat().st_size - before


async def _postgres_size(database: Database) -> int:
    async with database.read() as connection:
        found = await connection.scalar(
            text("SELECT SUM(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'edge_%'")
        )
    return int(found or 0)


async def _block_sizes(database: Database) -> dict[int, int]:
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT seconds, SUM(LENGTH(body)) FROM edge_block GROUP BY seconds"))
        return {seconds: int(size) for seconds, size in rows}


# -- asking ----------------------------------------------------------------------------------------------------------


async def _ask(database: Database, hours: int) -> None:
    view = MapView(LiveGraph(NameIndex()), {}, EMPTY)
    history = History(view, HistoryStore(database))
    began = time.perf_counter()
    await history.refresh()
    gc.collect()
    gc.freeze()  # as `serve` does with what it loads (see `bot.app`)
    gc.set_threshold(50_000, 20, 100)
    print(f"the index of all edges is read in {time.perf_counter() - began:.2f} s, once")
    asked, answered = [], []
    held: list[float] = []
    for _ in range(QUESTIONS):
        moment = START + chance.uniform(HOUR, hours * HOUR)
        history._views.clear()
        with _watched(held):
            began = time.perf_counter()
            past = await history.at(moment)
            asked.append(time.perf_counter() - began)
        service = f"svc-{chance.randrange(SERVICES):05d}"
        began = time.perf_counter()
        answers.dependents(past, service, moment, Query())
        answered.append(time.perf_counter() - began)
    print(f"at(T): {_percentiles(asked)} (target p99 250 ms)")
    print(f"the dependents of a service then, in a view nobody has asked yet: {_percentiles(answered)}")
    compared = []
    for _ in range(5):
        began = time.perf_counter()
        with _watched(held):
            changes = await history.diff((START - 2 * DAY, START - DAY), (START - DAY, START))
        compared.append(time.perf_counter() - began)
    print(f"diff of two days, {len(changes)} changes: {_percentiles(compared)} (target 1 s)")
    print(f"longest the event loop was held: {max(held) * 1000:.0f} ms (target 50 ms)")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


class _watched:  # noqa: N801
    """Notes how late a task that wants to run every few milliseconds is."""

    def __init__(self, held: list[float]) -> None:
        self._held = held

    def __enter__(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def __exit__(self, *_: object) -> None:
        self._task.cancel()

    async def _watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            self._held.append(time.perf_counter() - began - 0.002)


def _percentiles(taken: list[float]) -> str:
    ordered = sorted(taken)

    def at() -> Iterator[str]:
        for share in (0.5, 0.99):
            yield f"p{share * 100:.0f} {ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000:.0f} ms"

    return ", ".join(at())


if __name__ == "__main__":
    asyncio.run(main())
