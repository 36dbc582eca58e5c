"""A big map for benchmarks: 10,000 services and 100,000 edges with a power law, written to SQLite through the store."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

from bot.layers.windows import minute_of
from bot.model import Layer, Node, Tally
from bot.storage.database import Database
from bot.storage.map_store import MapStore, StoredEdge

UNHURRIED = {"TOPOLOGY_BOT_API_RATE": "100000", "TOPOLOGY_BOT_API_BURST": "100000"}
"""Settings of a bot that answers a benchmark as fast as it asks: a refusal would be timed as an answer."""

SETTLED_SECONDS = 15.0
"""After a start the bot still reads what the past is asked from, and rolls minutes up."""


def edges(services: int, count: int, seed: int = 11) -> list[tuple[str, str]]:
    """`count` different edges among `services` services; a few callees are hubs that a large part of all calls goes to."""
    chance = random.Random(seed)
    names = [f"svc-{number:05d}" for number in range(services)]
    found: dict[tuple[str, str], None] = {}
    while len(found) < count:
        caller = names[chance.randrange(services)]
        callee = names[int(services * chance.random() ** 3)]
        if caller != callee:
            found[caller, callee] = None
    return list(found)


async def write(
    path: Path, services: int = 10_000, count: int = 100_000, layers: Sequence[Layer] = (Layer.TRACE,)
) -> list[tuple[str, str]]:
    """Write the map with one minute of traffic on every edge, seen by each of `layers`; gives its edges."""
    database = Database(f"sqlite:///{path}")
    await database.upgrade()
    now = time.time()
    found = edges(services, count)
    tally = Tally()
    tally.calls, tally.sampled, tally.latency_us = 20.0, 20, 200_000.0
    tally.histogram[5] = 20.0
    nodes = [Node(f"svc-{number:05d}", name=f"svc-{number:05d}") for number in range(services)]
    store = MapStore(database)
    for layer in layers:
        stored = [StoredEdge(layer, edge, now - 86_400, now, 60.0) for edge in found]
        await store.write(layer, nodes, stored, {minute_of(now) - 60: dict.fromkeys(found, tally)}, now)
    await database.close()
    return found
