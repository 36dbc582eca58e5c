"""Plays scrape targets over many minutes without waiting for them: samples with times, made into a Prometheus's blocks."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

METRIC = "istio_requests_total"
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Target:
    """One process with counters, scraped every `interval` seconds from `first` on (epoch s)."""

    instance: str
    first: float
    interval: float
    counters: dict[Labels, float] = field(default_factory=dict)
    samples: dict[Labels, list[tuple[float, float]]] = field(default_factory=dict)
    up: list[tuple[float, float]] = field(default_factory=list)

    def call(self, caller: str, callee: str, times: float = 1) -> None:
        """Count calls of an edge."""
        self.count({"source": caller, "destination": callee}, times)

    def count(self, labels: Mapping[str, str], times: float = 1) -> None:
        """Count calls with any labels."""
        key = tuple(labels.items())
        self.counters[key] = self.counters.get(key, 0.0) + times

    def restart(self) -> None:
        """Forget all counts, as a process does."""
        self.counters.clear()

    def scrape(self, at: float, ok: bool = True) -> None:
        """Let Prometheus look."""
        self.up.append((at, 1.0 if ok else 0.0))
        if ok:
            for labels, value in self.counters.items():
                self.samples.setdefault(labels, []).append((at, value))

    def series(self) -> Iterable[tuple[str, Mapping[str, str], list[tuple[float, float]]]]:
        """(metric, labels, samples) as Prometheus would store them."""
        place = {"instance": self.instance, "job": "mesh"}
        yield "up", place, self.up
        for labels, samples in self.samples.items():
            yield METRIC, place | dict(labels), samples


async def write_blocks(targets: Iterable[Target], folder: Path) -> None:
    """Make `folder` a Prometheus's data with these targets' samples."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    families: dict[str, list[str]] = {}
    for target in targets:
        for metric, labels, samples in target.series():
            text = ",".join(f'{name}="{value}"' for name, value in labels.items())
            families.setdefault(metric, []).extend(f"{metric}{{{text}}} {value} {at:.3f}" for at, value in samples)
    lines: list[str] = []
    for metric, written in families.items():
        lines += [f"# TYPE {metric.removesuffix('_total')} {'counter' if metric != 'up' else 'gauge'}", *written]
    source = folder.parent / "samples.txt"
    source.write_text("\n".join([*lines, "# EOF\n"]))
    process = await asyncio.create_subprocess_exec(
        program, "tsdb", "create-blocks-from", "openmetrics", str(source), str(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
