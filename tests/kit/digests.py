"""A database with a past that a digest has something to tell of."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bot.model import PSEUDO, Kind, Layer, Node
from bot.storage.database import Database
from bot.storage.map_store import MapStore, StoredEdge
from tests.kit.maps import edge, tally

DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
CATALOG = """\
services:
  - {id: shop, team: Web, tier: 1, domain: sales}
  - {id: ledger, team: Finance, tier: 3, domain: money}
  - {id: mail, team: Web, tier: 2}
"""
KINDS = {"stripe.com": Kind.EXTERNAL}


async def write(
    database: Database,
    *edges: str,
    at: Sequence[float],
    layer: Layer = Layer.TRACE,
    calls: float = 10.0,
    failed: float = 0.0,
    interval: float = 60.0,
) -> None:
    """Calls on every edge in the minutes that hold these moments (epoch s)."""
    keys = [edge(one) for one in edges]
    starts = sorted({int(one // MINUTE) * 60 for one in at})
    windows = {start: {key: tally(calls, failed) for key in keys} for start in starts}
    stored = [StoredEdge(layer, key, float(starts[0]), starts[-1] + MINUTE, interval, None) for key in keys]
    nodes = [
        Node(one, KINDS.get(one, Kind.SERVICE), name=one) for one in dict.fromkeys(sum(keys, ())) if one not in PSEUDO
    ]
    await MapStore(database).write(layer, nodes, stored, windows, 0.0)


async def remember(url: str, now: float = 0.0) -> None:
    """Two weeks of web -> shop up to `now`; for four hours shop -> ledger and stripe.com; and once only, shop -> mail."""
    now = now or time.time()
    database = Database(url)
    await database.upgrade()
    await write(database, "web>shop", at=[now - 14 * DAY, *(now - HOUR * hour for hour in range(1, 40))])
    await write(database, "shop>ledger", "shop>stripe.com", at=[now - MINUTE * ago for ago in range(40, 300, 4)])
    await write(database, "shop>mail", at=[now - 9_000.0])
    await database.close()
