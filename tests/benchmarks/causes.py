"""How long likely causes take on a big live map: `python -m tests.benchmarks.causes [SERVICES]`.

A random company of that many services, three calls each, half an hour of minutes in memory. Reading the situation off the
map holds the event loop; ranking it is done in a thread.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time

from bot.catalog.entries import EMPTY
from bot.enrich.causes.ranking import rank
from bot.enrich.live_situation import situation
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.layers.windows import Windows, minute_of
from bot.model import Layer, Node, Tally
from bot.names import NameIndex

MINUTES = 30
ASKED = 50


def main() -> None:
    """Print both times."""
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    now = time.time()
    view, names = _company(services, now)
    gc.freeze()  # as the bot does with what it has loaded
    reading, ranking, sizes = [], [], []
    for service in random.Random(5).sample(names[: services // 2], ASKED):
        started = time.perf_counter()
        found = situation(view, service, now)
        read = time.perf_counter()
        rank(found)
        reading.append(1_000 * (read - started))
        ranking.append(1_000 * (time.perf_counter() - read))
        sizes.append(len(found.services))
    print(f"{services:,} services; {statistics.median(sizes):.0f} of them around an alert (median)")
    for what, times in (
        ("read off the map", reading),
        ("ranked", ranking),
        ("both", [a + b for a, b in zip(reading, ranking, strict=True)]),
    ):
        ordered = sorted(times)
        print(f"  {what}: p50 {ordered[len(ordered) // 2]:.0f} ms, worst {ordered[-1]:.0f} ms (target 100 ms for both)")


def _company(services: int, now: float) -> tuple[MapView, list[str]]:
    rng = random.Random(1)
    names = [f"svc-{number:05d}" for number in range(services)]
    edges = [
        (name, names[rng.randrange(place + 1, services)]) for place, name in enumerate(names[:-1]) for _ in range(3)
    ]
    graph, windows = LiveGraph(NameIndex(), services + 10, len(edges) + 10), Windows(Layer.IPC, max_tallies=10**8)
    for name in names:
        graph.add_node(Node(name, name=name))
    for ago in range(MINUTES, -1, -1):
        minute, counts = minute_of(now) - 60 * ago, []
        for edge in edges:
            tally = Tally()
            tally.calls = tally.histogram[6] = float(rng.randint(20, 60))
            tally.errors = 5.0 if ago < 2 and rng.random() < 0.02 else 0.0
            tally.latency_us = tally.calls * 20_000
            counts.append((edge, tally))
        windows.remember(minute, counts)
        if ago == 0:
            graph.see(Layer.IPC, minute, counts, now)
    return MapView(graph, {Layer.IPC: windows}, EMPTY), names


if __name__ == "__main__":
    main()
