"""Samples of counters -> what they grew by.

Comes in: samples of many series, some late, some twice, some after a restart. Goes out: increases, never negative, never
twice, and since when each had been counting. What is lost, and counted: what a series had counted before it was first seen
(unless it says since when it counts, and that is since we run); samples older than the last of their series; what a second
replica, or a second process under the same labels, says beside the first; series beyond the cap, the longest unseen first.

The start of a counter means what opentelemetry.io/docs/specs/otel/metrics/data-model ("Resets and gaps") says: a start
equal to the time of the sample is a start nobody knows.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

from bot.telemetry.samples import Sample

REPLICA_LABELS = frozenset(("prometheus_replica", "__replica__"))
"""Labels by which copies of one series differ that the replicas of one Prometheus send."""

SILENCE_SECONDS = 150.0
"""A replica or process that has said nothing for so long is gone, and another may take over its series."""

MOST = 2.0**53
"""A counter beyond this cannot count by ones any more; it is somebody's mistake, and would make nonsense of every sum."""

_SAME_START = 5.0  # some work their start out anew each time, from the uptime in whole seconds
_STEP_BACK = 0.9  # a counter that fell by less than a tenth was looked at by two, and the later look arrived first
_MAX_INTERVALS = 16
_CONFLICT = "sample of a second process under the same labels"


class Growth(NamedTuple):
    """What a sample adds to its series, and since when (epoch s) it had been counting that."""

    increase: float
    since: float


class _Series:
    """The last sample of a series; of one in deltas the ends of its last intervals too."""

    __slots__ = ("at", "heard", "intervals", "replica", "start", "value")

    def __init__(self, sample: Sample, start: float, replica: int, now: float) -> None:
        self.intervals = [sample.at] if sample.delta else []
        self.replica = replica
        self.heard = now
        self.settle(sample, start)

    def settle(self, sample: Sample, start: float) -> None:
        """Go on from here."""
        self.at, self.value, self.start = sample.at, sample.value, start


class Counters:
    """The last sample of each series. `born`: when this program began to listen (epoch s)."""

    def __init__(
        self, born: float, dropped: Counter[str], max_series: int = 200_000, lifetime: float = 3_600.0
    ) -> None:
        self.dropped = dropped
        self._born = born
        self._max = max_series
        self._lifetime = lifetime
        self._series: OrderedDict[int, _Series] = OrderedDict()

    def __len__(self) -> int:
        return len(self._series)

    def grew(self, key: int, replica: int, sample: Sample, now: float) -> Growth | None:
        """What the sample adds to the series `key`, as told by `replica`; None where it is not to be used."""
        value, start = sample.value, sample.start
        if not 0 <= value < MOST:  # NaN is neither
            self.dropped["sample that is no count"] += 1
            return None
        if start >= sample.at:
            start = 0.0
        known = self._series.get(key)
        if known is None:
            return self._first(key, replica, sample, start, now)
        self._series.move_to_end(key)
        known.heard = now
        if sample.delta:
            return self._interval(known, sample, start)
        if sample.at <= known.at:
            self.dropped["sample repeated or out of order"] += 1
            return None
        if replica != known.replica:
            if sample.at - known.at <= SILENCE_SECONDS:
                self.dropped["sample of another replica"] += 1
                return None
            known.replica = replica
        return self._grown(known, sample, start)

    def _first(self, key: int, replica: int, sample: Sample, start: float, now: float) -> Growth:
        self._series[key] = _Series(sample, start, replica, now)
        if len(self._series) > self._max:
            self._series.popitem(last=False)
            self.dropped["series: too many"] += 1
        if sample.delta or start >= self._born:
            return Growth(sample.value, start or sample.at)
        return Growth(0.0, sample.at)  # it may have counted for a year: only where it goes from here is ours

    def _interval(self, known: _Series, sample: Sample, start: float) -> Growth | None:
        """Deltas stand for themselves, in any order; only one of the same end is a repeat."""
        ends = known.intervals
        if sample.at in ends or (len(ends) == _MAX_INTERVALS and sample.at < ends[0]):
            self.dropped["sample repeated or out of order"] += 1
            return None
        ends.append(sample.at)
        ends.sort()
        del ends[:-_MAX_INTERVALS]
        return Growth(sample.value, start or sample.at)

    def _grown(self, known: _Series, sample: Sample, start: float) -> Growth | None:
        since, value = known.at, sample.value
        if start and known.start and abs(start - known.start) > _SAME_START:
            if start < since - _SAME_START:  # it has been counting beside the one we know
                return self._other(known, sample, start)
            known.settle(sample, start)
            return Growth(value, start)
        if value >= known.value:
            increase = value - known.value
        elif start and known.start:  # without a new start a counter cannot fall
            return self._other(known, sample, start)
        elif value > known.value * _STEP_BACK:
            known.at = sample.at
            return Growth(0.0, since)
        else:
            increase = value
        known.settle(sample, start or known.start)
        return Growth(increase, since)

    def _other(self, known: _Series, sample: Sample, start: float) -> Growth | None:
        if sample.at - known.at <= SILENCE_SECONDS:
            self.dropped[_CONFLICT] += 1
            return None
        known.settle(sample, start)
        return Growth(0.0, sample.at)

    def expire(self, now: float) -> None:
        """Forget series that have been silent for a lifetime."""
        while self._series and next(iter(self._series.values())).heard < now - self._lifetime:
            self._series.popitem(last=False)
