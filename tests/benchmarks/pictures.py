"""How long pictures take: `python -m tests.benchmarks.pictures [SERVICES]`.

A service in trouble in the midst of a random company of that many services (10,000), three calls each, and the biggest hub of it: choosing
who is drawn (which holds the event loop), and painting 25 nodes as SVG and PNG in a layout process that runs already. The first
picture of all, with the start of that process, is timed apart.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time

from bot.catalog.entries import EMPTY
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.layers.windows import Windows, minute_of
from bot.model import EdgeKey, Layer, Node, Tally
from bot.names import NameIndex
from bot.picture.choose import choose
from bot.picture.focus import Focus
from bot.picture.painter import Format, Painter
from tests.benchmarks.big_map import edges

PAINTED = 40


async def main() -> None:
    """Print the times beside their target."""
    services = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    now = time.time()
    found = edges(services, 3 * services)
    view = _view(found, now)
    gc.freeze()
    hub, ordinary = _hub_and_ordinary(view)
    view.firing |= {hub: now - 60, ordinary: now - 60}
    chosen, pictures = [], []
    for service in (hub, ordinary) * 10:
        began = time.perf_counter()
        pictures.append(choose(view, service, now, suspects=[(next(iter(view.graph.callees(service)), service), 0.8)]))
        chosen.append(time.perf_counter() - began)
    for name, focus, times in (("hub", pictures[0], chosen[::2]), ("ordinary", pictures[1], chosen[1::2])):
        drawn = f"{len(focus.spots) + len(focus.stubs)} nodes, {len(focus.arrows)} calls drawn"
        print(f"{name}: {focus.hit + focus.at_risk:,} dependents, {drawn}; chosen in {_percentiles(times)}")
    async with Painter(1, 30) as painter:
        began = time.perf_counter()
        await painter.paint(pictures[0], Format.SVG)
        print(
            f"the first picture, with the start of the layout process: {1_000 * (time.perf_counter() - began):.0f} ms"
        )
        for form in Format:
            print(
                f"{form.value}: {_percentiles(await _painted(painter, pictures[1], form))} (target 150 ms for 25 nodes)"
            )


async def _painted(painter: Painter, focus: Focus, form: Format) -> list[float]:
    times = []
    for _ in range(PAINTED):
        painter._kept.clear()
        began = time.perf_counter()
        await painter.paint(focus, form)
        times.append(time.perf_counter() - began)
    return times


def _hub_and_ordinary(view: MapView) -> tuple[str, str]:
    """The service with the most callers, and one with a dozen callers and some callees."""
    graph = view.graph
    ordered = sorted(graph.services(), key=lambda one: (-len(graph.callers(one)), one))
    return ordered[0], next(
        one for one in ordered if 8 <= len(graph.callers(one)) <= 14 and len(graph.callees(one)) >= 3
    )


def _view(found: list[EdgeKey], now: float) -> MapView:
    graph, windows = LiveGraph(NameIndex(), len(found), len(found) + 10), Windows(Layer.TRACE, max_tallies=10**7)
    for service in dict.fromkeys(end for edge in found for end in edge):
        graph.add_node(Node(service, name=service))
    tally = Tally()
    tally.calls = tally.histogram[5] = 20.0
    tally.sampled = 20
    counts = [(edge, tally) for edge in found]
    for ago in (20, 1):
        windows.remember(minute_of(now) - 60 * ago, counts)
        graph.see(Layer.TRACE, minute_of(now) - 60 * ago, counts, now)
    return MapView(graph, {Layer.TRACE: windows}, EMPTY)


def _percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    return f"p50 {1_000 * ordered[len(ordered) // 2]:.1f} ms, worst {1_000 * ordered[-1]:.1f} ms"


if __name__ == "__main__":
    asyncio.run(main())
