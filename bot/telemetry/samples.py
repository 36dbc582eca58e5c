"""What every metrics door makes of one request body: samples of series, whatever they measure.

Comes in: one sample at a time from a door. Goes out: a `SampleBatch`. What is lost: exemplars, metadata, and samples of what
cannot be a call (gauges of OTLP, native histograms), counted as ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bot.model import Node

MAX_ERRORS = 100
NAME = "__name__"
"""The label Prometheus keeps a metric's name in."""

Identity = tuple[str, ...] | tuple[bytes, ...]
"""What tells a series from others, as cheaply as its door can say it: the same for the same series, body after body."""


class Sample(NamedTuple):
    """One value of one series.

    `identity` is label, value, label, value, ..., the metric's name among them as Prometheus spells it
    (`http_client_request_duration_seconds_bucket`). `at` is epoch seconds. `start` is when the counter began to count, 0 where
    nobody says. `delta`: the value is what was counted since the last sample, not in all.
    """

    identity: Identity
    at: float
    value: float
    start: float = 0.0
    delta: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """The labels, read each time anew: a door leaves that to whoever sees the series for the first time."""
        pairs = iter([str(part) for part in self.identity])
        return dict(zip(pairs, pairs, strict=True))

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.labels.get(NAME, "")


def identity(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """The identity of a series by its labels."""
    return (NAME, name, *[part for pair in labels.items() for part in pair])


@dataclass(slots=True)
class SampleBatch:
    """The samples of one body. `histograms` are counted for remote write 2.0, which asks for them."""

    samples: list[Sample] = field(default_factory=list)
    accepted: int = 0
    rejected: int = 0
    histograms: int = 0
    errors: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    nodes: dict[str, Node] = field(default_factory=dict)

    def take(self, sample: Sample) -> None:
        """Add a sample."""
        self.samples.append(sample)
        self.accepted += 1

    def refuse(self, why: str, count: int = 1) -> None:
        """Count what cannot be used."""
        self.rejected += count
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(why)

    def ignore(self, why: str, count: int = 1) -> None:
        """Count what is fine and says nothing about calls."""
        self.ignored[why] += count
        self.accepted += count
