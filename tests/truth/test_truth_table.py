"""The whole way: a small company's telemetry through the bot's own doors, and its map held against the truth."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.world import World
from tests.truth.__main__ import as_json, run, table


async def test_a_small_companys_map_is_found_through_the_doors(tmp_path: Path) -> None:
    report = await run(World(1, services=60, minutes=8), tmp_path)
    network = report.shown["network"]
    assert network.visible > 80
    assert network.precision >= 0.97
    assert network.recall >= 0.97
    assert report.reuse == []
    assert report.naive.precision < report.shown["merged"].precision
    assert set(report.shown) == {"network", "ipc", "trace", "merged"}
    for row in ("merged", "naive", "estimated only", "calibration error"):
        assert row in table(report)
    assert json.loads(as_json(report))["shown"]["network"]["said"] == network.said
