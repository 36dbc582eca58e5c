"""How fast the pages are, and what open ones cost: `python -m tests.benchmarks.pages [SERVICES EDGES]` (5,000 and 50,000).

A bot process on a map of that size, in 20 domains and 60 teams: each page over HTTP, as long as it takes and as heavy as it is; in Debian's
Chromium, where that is installed, the first paint of a page nobody had opened, and what a reader clicks and types until it is on the
screen. Then 200 open pages listen to the stream while telemetry comes in, and ask again as `page.js` does: what share of a core that takes.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from tests.benchmarks.big_map import SETTLED_SECONDS, UNHURRIED, write
from tests.kit import spans
from tests.kit.bots import start_process, until
from tests.kit.browser import Opened, chromium, tab

READERS = 200
CALM_SECONDS = 17.5
"""How long an open page waits between two looks while only numbers move: 15 to 20 s."""

_MEASURED_SECONDS = 20.0
_ASKED = 15
_TICKS = os.sysconf("SC_CLK_TCK")


async def main() -> None:
    """Print every figure beside its target."""
    services, edges = (int(one) for one in sys.argv[1:3]) if len(sys.argv) > 2 else (5_000, 50_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = await write(folder / "bot.db", services, edges)
        (folder / "services.yaml").write_text(_catalog(services))
        bot = await start_process(
            folder, folder / "log", **UNHURRIED, TOPOLOGY_BOT_CATALOG=str(folder / "services.yaml")
        )
        try:
            await asyncio.sleep(SETTLED_SECONDS)
            async with aiohttp.ClientSession(bot.url, connector=aiohttp.TCPConnector(limit=READERS + 20)) as session:
                await _over_http(session)
                if shutil.which("chromium"):
                    await _in_a_browser(bot.url)
                await _open_pages(session, bot.process.pid, found)
        finally:
            bot.stop()


def _catalog(services: int) -> str:
    lines = (
        f"  - {{id: svc-{one:05d}, team: team-{one % 60}, domain: domain-{one % 20}, tier: {1 + one % 3}}}"
        for one in range(services)
    )
    return "\n".join(["services:", *lines])


async def _over_http(session: aiohttp.ClientSession) -> None:
    async with session.get("/") as answer:
        assets = set(re.findall(r'"(/static/[^"]+)"', await answer.text()))
    loaded = 0
    for asset in assets:
        async with session.get(asset) as answer:
            loaded += int(answer.headers["Content-Length"])
    chance = random.Random(3)
    some = [f"svc-{chance.randrange(300, 4_900):05d}" for _ in range(_ASKED)]
    for label, paths in (
        ("/ (what matters now)", ["/"] * _ASKED),
        ("/map, a service nobody had opened", [f"/map?service={one}" for one in some]),
        ("/map, the same again", [f"/map?service={one}" for one in some]),
        ("/map, the biggest hub", ["/map?service=svc-00000"] * _ASKED),
        ("/groups", ["/groups", "/groups?by=team"] * 3),
        ("/search as it is typed", [f"/search?list=true&q={one[:7]}" for one in some]),
        ("/plan of two", [f"/plan?service={one},svc-00001" for one in some]),
    ):  # fmt: skip
        times, weight = [], 0
        for path in paths:
            began = time.perf_counter()
            async with session.get(path) as answer:
                text = await answer.text()
            times.append(time.perf_counter() - began)
            weight = max(weight, len(gzip.compress(text.encode(), 4)) + loaded)
        print(f"{label}: {_percentiles(times)}; {weight / 1_000:.0f} kB with all it loads (target 150 kB)")


async def _in_a_browser(url: str) -> None:
    async with chromium() as browser, AsyncExitStack() as stack:
        opened = await stack.enter_async_context(tab(browser, url))
        for path in ("/", "/map?service=svc-02222", "/map?service=svc-00000", "/groups"):
            await opened.page.goto(path, wait_until="load")
            await opened.page.wait_for_timeout(300)
            painted = await opened.page.evaluate(
                "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"
            )
            print(f"first paint of {path}: {painted:.0f} ms (target 500 ms)")
        await opened.page.goto("/map?service=svc-02222")
        page = opened.page
        await _timed(opened, "point at a call", "document.querySelector('[data-about]').hidden === false",
                     lambda: page.locator("svg a.edge").first.focus())  # fmt: skip
        await _timed(opened, "zoom in", "document.querySelector('svg.graph').dataset.moved === 'true'",
                     lambda: page.locator("[data-zoom=in]").click())  # fmt: skip
        await _timed(opened, "another layer, drawn anew", "location.search.includes('layers=trace')",
                     lambda: page.locator("a[href*='layers=trace']").click())  # fmt: skip
        await page.locator("a[href*='depth=2']").first.hover()
        await page.wait_for_timeout(200)
        await _timed(opened, "two hops, drawn anew, when the pointer rested on it for 0.2 s", "location.search.includes('depth=2')",
                     lambda: page.locator("a[href*='depth=2']").first.click())  # fmt: skip
        await _timed(opened, "callers only, drawn anew", "location.search.includes('direction=callers')",
                     lambda: page.locator("a[href*='direction=callers']").first.click())  # fmt: skip
        await _timed(opened, "suggestions for what is typed (50 ms of it waiting for the next key)",
                     "document.querySelectorAll('#found li').length > 0", lambda: page.locator("#q").fill("svc-03"))  # fmt: skip


async def _timed(opened: Opened, label: str, done: str, act: Callable[[], Awaitable[object]]) -> None:
    """From the click to the screen, on the page's own clock."""
    await opened.page.evaluate(
        f"""() => {{ window.took = window.began = null;
        const look = () => ({done}) ? (window.took = performance.now() - window.began) : requestAnimationFrame(look);
        for (const kind of ["pointerdown", "focusin", "input"])
          addEventListener(kind, () => {{ window.began ??= performance.now(); }}, {{ capture: true, once: true }});
        look(); }}"""
    )
    await act()
    # The page's policy allows Playwright no polling of its own.
    await until(lambda: opened.page.evaluate("window.took !== null"), label)
    print(f"{label}: {await opened.page.evaluate('window.took'):.0f} ms (target 100 ms)")


async def _open_pages(session: aiohttp.ClientSession, process: int, found: Sequence[tuple[str, str]]) -> None:
    sending = asyncio.create_task(_telemetry(session, found))
    try:
        await asyncio.sleep(2)
        alone = await _cpu(process)
        heard = [0] * READERS
        listening = [asyncio.create_task(_listen(session, heard, place)) for place in range(READERS)]
        await asyncio.sleep(2)
        streams = await _cpu(process)
        looking = [asyncio.create_task(_look(session, place)) for place in range(READERS)]
        await asyncio.sleep(2)
        pages = await _cpu(process)
        for task in (*listening, *looking):
            task.cancel()
        await asyncio.gather(*listening, *looking, return_exceptions=True)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    print(
        f"{READERS} open pages: listening takes {100 * (streams - alone):.0f}% of a core, listening and looking again every "
        f"{CALM_SECONDS:g} s {100 * (pages - alone):.0f}% (target 20%); {min(heard)} to {max(heard)} events heard by each"
    )


async def _telemetry(session: aiohttp.ClientSession, found: Sequence[tuple[str, str]]) -> None:
    chance = random.Random(5)
    while True:
        body = spans.calls([chance.choice(found) for _ in range(200)])
        async with session.post("/v1/traces", data=body, headers=spans.PROTOBUF):
            await asyncio.sleep(1)


async def _listen(session: aiohttp.ClientSession, heard: list[int], place: int) -> None:
    async with session.get("/api/v1/stream?brief=true", timeout=aiohttp.ClientTimeout(total=None)) as answer:
        async for line in answer.content:
            heard[place] += line.startswith(b"event: edges")


async def _look(session: aiohttp.ClientSession, place: int) -> None:
    """Half of the readers look at what matters now, the others at one of ten services."""
    path = "/" if place % 2 else f"/map?service=svc-{300 + place % 20:05d}"
    await asyncio.sleep(CALM_SECONDS * place / READERS)
    while True:
        async with session.get(path) as answer:
            await answer.read()
        await asyncio.sleep(CALM_SECONDS)


async def _cpu(process: int) -> float:
    """The share of a core that a process takes for a while."""

    def used() -> int:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    await asyncio.sleep(_MEASURED_SECONDS)
    return (used() - before) / _TICKS / _MEASURED_SECONDS


def _percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    return f"p50 {1_000 * ordered[len(ordered) // 2]:.0f} ms, worst {1_000 * ordered[-1]:.0f} ms"


if __name__ == "__main__":
    asyncio.run(main())
