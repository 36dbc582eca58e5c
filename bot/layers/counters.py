"""Samples of counters -> what they grew by.

Comes in: samples of many series, some late, some twice, some after a restart. Goes out: increases, never negative, never
twice. What is lost, and counted: what a series had counted before it was first seen (unless it says since when it counts,
and that is since we run); samples older than the last of their series; series beyond the cap, the longest unseen first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping

from bot.telemetry.samples import Sample

REPLICA_LABELS = frozenset(("prometheus_replica", "__replica__"))
"""Labels by which copies of one series differ that two replicas of one Prometheus send."""

SeriesKey = tuple[str, tuple[tuple[str, str], ...]]


class _Series:
    __slots__ = ("at", "heard", "start", "value")

    def __init__(self, sample: Sample, now: float) -> None:
        self.at = sample.at
        self.value = sample.value
        self.start = sample.start
        self.heard = now


class Counters:
    """The last sample of each series. `born`: when this program began to listen (epoch s)."""

    def __init__(self, born: float, max_series: int = 200_000, lifetime: float = 3_600.0) -> None:
        self.dropped: Counter[str] = Counter()
        self._born = born
        self._max = max_series
        self._lifetime = lifetime
        self._series: OrderedDict[SeriesKey, _Series] = OrderedDict()

    def __len__(self) -> int:
        return len(self._series)

    def grew(self, sample: Sample, now: float) -> float:
        """What the sample adds to its series; 0 where it adds nothing, or nothing that can be told."""
        key = series_key(sample.name, sample.labels)
        known = self._series.get(key)
        if known is None:
            self._series[key] = _Series(sample, now)
            if len(self._series) > self._max:
                self._series.popitem(last=False)
                self.dropped["series: too many"] += 1
            return self._first(sample)
        self._series.move_to_end(key)
        known.heard = now
        if sample.at <= known.at:
            self.dropped["sample repeated or out of order"] += 1
            return 0.0
        increase = self._increase(known, sample)
        known.at, known.value, known.start = sample.at, sample.value, sample.start
        return increase

    def _first(self, sample: Sample) -> float:
        if sample.delta or sample.start >= self._born:
            return max(0.0, sample.value)
        return 0.0  # it may have counted for a year: only where it goes from here is ours

    @staticmethod
    def _increase(known: _Series, sample: Sample) -> float:
        restarted = sample.start > known.start > 0 and sample.start > known.at
        if sample.delta or restarted or sample.value < known.value:
            return max(0.0, sample.value)
        return sample.value - known.value

    def expire(self, now: float) -> None:
        """Forget series that have been silent for a lifetime."""
        while self._series and next(iter(self._series.values())).heard < now - self._lifetime:
            self._series.popitem(last=False)


def series_key(name: str, labels: Mapping[str, str]) -> SeriesKey:
    """One key for a series, whichever replica sent it."""
    return name, tuple(sorted(item for item in labels.items() if item[0] not in REPLICA_LABELS))
