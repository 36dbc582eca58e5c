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


class Sample(NamedTuple):
    """One value of one series.

    `name` is spelled as Prometheus does (`http_client_request_duration_seconds_bucket`); `at` is epoch seconds. `start` is when
    the counter began to count, 0 where nobody says. `delta`: the value is what was counted since the last sample, not in all.
    """

    name: str
    labels: Mapping[str, str]
    at: float
    value: float
    start: float = 0.0
    delta: bool = False


@dataclass(slots=True)
class SampleBatch:
    """The samples of one body. `histograms` and `exemplars` are counted for remote write 2.0, which asks for them."""

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
