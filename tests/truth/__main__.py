"""`python -m tests.truth`: run the bot on a made-up company's telemetry and hold its map against what is so.

The bot runs in this process, on the company's clock, and gets everything through its own doors in the order of time. Exit
code 0 only where every target is reached.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gzip
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp

from bot import app
from bot.model import UNATTRIBUTED, Layer
from tests.kit import bots
from tests.kit.world import Emission, World
from tests.kit.world_metrics import HEADERS
from tests.truth import scoring
from tests.truth.scoring import Report, Said, Score

_NDJSON = {"Content-Type": "application/x-ndjson"}
_ENCODED = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
_PAGE = "500"


class Clock:
    """The company's time, epoch s, which the bot takes for its own."""

    def __init__(self, now: float) -> None:
        self.now = now

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let everything in this process go by this clock."""
        with patch("time.time", lambda: self.now):
            yield


async def run(world: World, folder: Path) -> Report:
    """Feed a world to a bot and score its map. Raises aiohttp.ClientResponseError where a door refuses."""
    catalog = folder / "services.yaml"
    catalog.write_text(world.catalog)
    clock = Clock(world.start - 4 * 86_400)
    with clock.kept():
        async with bots.bot(folder, catalog=catalog, trace_settle_seconds=2.0) as (running, session):
            for emission in world.emissions():
                clock.now = emission.at
                await _send(session, emission)
                await running.ingest.collect(clock.now)
            for _ in range(3):  # spans settle, owners come late
                clock.now += 30
                await running.ingest.collect(clock.now)
            await running.ingest.write(clock.now)  # so that closing has nothing left to wait for
            shown = {edge["caller"] + " " + edge["callee"] async for edge in _edges(session)}
            said = [_said(edge, shown) async for edge in _edges(session, hidden="true")]
            return scoring.score(world.truth, said, world.company.aliases, _unattributed(running))


async def _send(session: aiohttp.ClientSession, emission: Emission) -> None:
    for path, body, headers in (
        ("/ingest/identities", emission.identities, _NDJSON),
        ("/ingest/flows", emission.flows, _NDJSON),
        ("/v1/traces", gzip.compress(emission.spans, 1) if emission.spans else b"", _ENCODED),
        ("/api/v1/write", emission.metrics, HEADERS),
    ):
        if body:
            async with session.post(path, data=body, headers=headers) as answer:
                answer.raise_for_status()
                if answer.status == 202 and (rejected := (await answer.json())["errors"]):
                    raise ValueError(f"{path}: {rejected[0]}")


async def _edges(session: aiohttp.ClientSession, **parameters: str) -> AsyncIterator[dict[str, Any]]:
    """Every edge of the map, page by page."""
    asked = {"limit": _PAGE, **parameters}
    while True:
        async with session.get("/api/v1/graph", params=asked) as answer:
            answer.raise_for_status()
            page = await answer.json()
        for edge in page["edges"]:
            yield edge
        if not page["next_cursor"]:
            return
        asked["cursor"] = page["next_cursor"]


def _said(edge: dict[str, Any], shown: set[str]) -> Said:
    layers = frozenset(Layer(name) for name in edge["layers"])
    how = edge["layers"].get("network", {}).get("how", "")
    name = edge["caller"] + " " + edge["callee"]
    return Said(edge["caller"], edge["callee"], edge["confidence"], layers, name in shown, edge["estimated"], how)


def _unattributed(running: app.Running) -> int:
    """Callees that somebody unknown called, as the network layer has it."""
    windows = running.view.windows[Layer.NETWORK]
    return sum(windows.calls((UNATTRIBUTED, service)) > 0 for service in running.view.graph.services())


# -- the table ---------------------------------------------------------------------------------------------------------


def table(report: Report) -> str:
    """The report as text."""
    lines = [
        f"{'':10} {'shown':>6} {'precision':>10} {'recall':>8} {'of':>6}    {'all':>6} {'precision':>10} {'recall':>8}"
    ]
    for name, one in report.shown.items():
        rest = report.everything[name]
        lines.append(
            f"{name:10} {one.said:6} {one.precision:10.4f} {one.recall:8.4f} {one.visible:6}"
            f"    {rest.said:6} {rest.precision:10.4f} {rest.recall:8.4f}"
        )
    naive, estimated = report.naive, report.estimated
    lines += [
        f"{'naive':10} {naive.said:6} {naive.precision:10.4f} {naive.recall:8.4f} {naive.visible:6}    (each leg in with each leg out)",
        f"estimated only: {estimated.said} edges shown, precision {estimated.precision:.4f}",
        f"from reused addresses: {len(report.reuse)}   calibration error: {report.calibration_error:.4f}",
        "how:     " + _counts(report.how),
        "verdict: " + _counts(report.verdicts),
        "missed:  " + (_counts(report.missed) or "nothing"),
        "confidence, edges, share real: "
        + "  ".join(f"{one.confidence:.2f} {one.count} {one.real / one.count:.2f}" for one in report.bins if one.count),
    ]
    return "\n".join(lines)


def _counts(counter: dict[str, int]) -> str:
    return " · ".join(f"{name} {count}" for name, count in sorted(counter.items(), key=lambda one: (-one[1], one[0])))


def as_json(report: Report) -> str:
    """The report for programs."""

    def ratios(one: Score) -> dict[str, float]:
        return dataclasses.asdict(one) | {"precision": one.precision, "recall": one.recall}

    return json.dumps(
        {
            "shown": {name: ratios(one) for name, one in report.shown.items()},
            "all": {name: ratios(one) for name, one in report.everything.items()},
            "naive": ratios(report.naive),
            "estimated": ratios(report.estimated),
            "reuse": report.reuse,
            "how": report.how,
            "verdicts": report.verdicts,
            "missed": report.missed,
            "bins": [dataclasses.asdict(one) for one in report.bins],
            "calibration_error": report.calibration_error,
            "failures": report.failures(),
        },
        indent=2,
    )


def main() -> int:
    """Run once; 0 where every target is reached, 1 where not."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--services", type=int, default=300)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    began = time.monotonic()
    start = (time.time() - given.minutes * 60) // 60 * 60
    world = World(given.seed, given.services, given.minutes, start)
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(run(world, Path(folder)))
    failures = report.failures()
    if given.json:
        print(as_json(report))
    else:
        print(
            f"seed {given.seed}, {given.services} services, {given.minutes} minutes, {time.monotonic() - began:.0f} s"
        )
        print(table(report))
        print("\n".join(f"NOT REACHED: {text}" for text in failures) or "every target reached")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
