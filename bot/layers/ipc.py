"""The IPC layer: counters of calls, pushed or pulled -> calls per edge and minute.

Comes in: samples, and increases that a query API worked out. Goes out: `LayerDelta`s. Each minute stays open for a grace.
Several may witness the same calls (both ends' proxies, a mesh and an SDK): each one's counts are kept apart, the one that
counted most is believed, and only the difference to what was said before goes out, so that nothing is counted twice
whatever order they come in. What is lost, and counted: see `bot.layers.counters`; samples of minutes that have closed; series
whose labels name nobody.

No clock inside and no lock: one thread at a time, and `now` (epoch s) comes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import inf, log2
from typing import Protocol

from bot.layers.counters import Counters
from bot.layers.families import BY_METRIC
from bot.layers.family import Family, Reading, Role
from bot.layers.windows import minute_of
from bot.model import LATENCY_BUCKETS, WINDOW_SECONDS, EdgeDetail, EdgeKey, Layer, LayerDelta, Tally
from bot.telemetry.samples import SampleBatch

_AHEAD = 300.0
_NOTHING = 1e-9
_FIRST_BOUND_US = 250.0
_MAX_READINGS = 200_000


class Row(Protocol):
    """What a query API says that one set of labels grew by in the minute that starts at `minute` (epoch s)."""

    @property
    def family(self) -> Family:
        """Which metric."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels the family is summed by."""

    @property
    def minute(self) -> int:
        """Start of the window."""

    @property
    def increase(self) -> float:
        """What was counted in it."""


class _Witness:
    """What one witness says of one edge in one minute."""

    __slots__ = ("bounds", "detail", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.bounds: dict[float, float] = {}  # upper bound in µs -> calls up to it
        self.detail = EdgeDetail()

    def add(self, family: Family, reading: Reading, bound: float, increase: float) -> None:
        tally = self.tally
        if family.role is Role.CALLS:
            tally.calls += increase
            tally.errors += increase if reading.failed else 0.0
            if reading.endpoint:
                self.detail.add(EdgeDetail(endpoints={reading.endpoint: increase}))
        elif family.role is Role.FAILED:
            tally.errors += increase
        elif family.role is Role.LATENCY:
            tally.latency_us += increase * family.unit
        elif family.role is Role.BYTES:
            tally.bytes += increase
        else:
            self.bounds[bound] = self.bounds.get(bound, 0.0) + increase
        if reading.protocol:
            self.detail.protocols.add(reading.protocol)

    def counted(self) -> Tally:
        """The tally with its latencies. A witness of bytes alone has seen one connection at least."""
        found = Tally()
        found.add(self.tally)
        found.calls = found.calls if found.calls > 0 or found.bytes <= 0 else 1.0
        found.errors = min(found.errors, found.calls)
        found.sampled = round(found.calls)
        found.histogram = rebinned(self.bounds)
        return found


class IpcLayer:
    """Holds the last sample of every series, and the open minutes."""

    layer = Layer.IPC

    def __init__(self, born: float, grace: float = 1_200.0, max_series: int = 200_000) -> None:
        self.dropped: Counter[str] = Counter()
        self.families_seen: dict[str, float] = {}
        """Family -> when it last counted anything (epoch s)."""
        self.counters = Counters(born, max_series)
        self._grace = grace
        self._open: dict[int, dict[EdgeKey, dict[str, _Witness]]] = {}
        self._pulled: dict[int, dict[tuple[int, tuple[tuple[str, str], ...]], float]] = {}
        self._said: dict[int, dict[EdgeKey, Tally]] = {}
        self._dirty: set[tuple[int, EdgeKey]] = set()
        self._readings: dict[tuple[Family, tuple[tuple[str, str], ...]], Reading | None] = {}
        self._delta = LayerDelta(Layer.IPC)

    def add(self, batch: SampleBatch, now: float) -> None:
        """Take in samples of a body; metrics that count no calls are passed over."""
        for sample in batch.samples:
            family = BY_METRIC.get(sample.name)
            if family is None:
                self.dropped["metric that counts no calls"] += 1
            elif not now - self._grace <= sample.at <= now + _AHEAD:
                self.dropped["sample too old, or from the future"] += 1
            elif (increase := self.counters.grew(sample, now)) > 0:
                self._count(family, sample.labels, minute_of(sample.at), increase, now)
        for reason, count in self.counters.dropped.items():
            self.dropped[reason] = count

    def add_increases(self, rows: Iterable[Row], now: float) -> None:
        """Take in what a query API says of whole minutes. The same family, labels and minute again replaces what it said."""
        for row in rows:
            if row.minute < now - self._grace - WINDOW_SECONDS:
                self.dropped["minute pulled too late"] += 1
                continue
            key = (id(row.family), tuple(sorted(row.labels.items())))
            said = self._pulled.setdefault(row.minute, {})
            before = said.get(key, 0.0)
            said[key] = row.increase
            if row.increase != before:
                self._count(row.family, row.labels, row.minute, row.increase - before, now)

    def _count(self, family: Family, labels: Mapping[str, str], minute: int, increase: float, now: float) -> None:
        reading = self._read(family, labels)
        if reading is None:
            self.dropped["series whose labels name nobody"] += 1
            return
        bound = _bound(labels, family) if family.role is Role.BUCKET else 0.0
        if bound is None:
            self.dropped["histogram bucket without a bound"] += 1
            return
        self.families_seen[family.name] = now
        caller = reading.unknown if reading.caller is None else reading.caller.id
        edge = (caller, reading.callee.id)
        for node in (reading.caller, reading.callee):
            if node is not None:
                self._delta.nodes[node.id] = node
        witnesses = self._open.setdefault(minute, {}).setdefault(edge, {})
        witnesses.setdefault(reading.witness, _Witness()).add(family, reading, bound, increase)
        self._dirty.add((minute, edge))

    def _read(self, family: Family, labels: Mapping[str, str]) -> Reading | None:
        key = (family, tuple([(name, labels.get(name, "")) for name in family.labels if name != "le"]))
        if key not in self._readings:
            if len(self._readings) >= _MAX_READINGS:
                self._readings.clear()
            self._readings[key] = family.read(labels)
        return self._readings[key]

    # -- handing out -------------------------------------------------------------------------------------------------

    def collect(self, now: float) -> LayerDelta:
        """Hand over what was learnt since the last call; close minutes whose grace is over."""
        dirty, self._dirty = self._dirty, set()
        for minute, edge in dirty:
            self._say(minute, edge)
        for minute in [one for one in self._open if one + WINDOW_SECONDS < now - self._grace]:
            del self._open[minute]
            self._said.pop(minute, None)
        for minute in [one for one in self._pulled if one + WINDOW_SECONDS < now - self._grace]:
            del self._pulled[minute]
        self.counters.expire(now)
        delta, self._delta = self._delta, LayerDelta(Layer.IPC)
        return delta

    def flush(self, now: float) -> LayerDelta:
        """The same: nothing waits here."""
        return self.collect(now)

    def _say(self, minute: int, edge: EdgeKey) -> None:
        witnesses = self._open[minute][edge]
        # Of several witnesses the one that counted most missed least: over all open minutes, since two that are asked at
        # different moments put a call into different ones. By name among equals.
        weights = {name: self._weight(edge, name) for name in sorted(witnesses)}
        best = max(weights, key=weights.__getitem__)
        counted = witnesses[best].counted()
        said = self._said.setdefault(minute, {})
        difference = _minus(counted, said.get(edge))
        said[edge] = counted
        self._delta.windows.setdefault(minute, {}).setdefault(edge, Tally()).add(difference)
        news = witnesses[best].detail
        if news.protocols or news.endpoints:
            self._delta.details.setdefault(edge, EdgeDetail()).add(news)
            witnesses[best].detail = EdgeDetail()

    def _weight(self, edge: EdgeKey, witness: str) -> tuple[float, float]:
        found = [edges[edge][witness].tally for edges in self._open.values() if witness in edges.get(edge, ())]
        return sum(tally.calls for tally in found), sum(tally.bytes for tally in found)


def _bound(labels: Mapping[str, str], family: Family) -> float | None:
    try:
        bound = float(labels.get("le", ""))
    except ValueError:
        return None
    return bound * family.unit if bound == bound else None


def _minus(counted: Tally, before: Tally | None) -> Tally:
    if before is None:
        return counted
    found = Tally()
    found.calls, found.errors = counted.calls - before.calls, counted.errors - before.errors
    found.sampled = counted.sampled - before.sampled
    found.latency_us, found.bytes = counted.latency_us - before.latency_us, counted.bytes - before.bytes
    found.histogram = [mine - theirs for mine, theirs in zip(counted.histogram, before.histogram, strict=True)]
    return found


def rebinned(bounds: Mapping[float, float]) -> list[float]:
    """A cumulative histogram (upper bound in µs -> calls up to it) in the model's power-of-two bins; what lies between two
    bounds is spread over the bins between them in proportion."""
    found = [0.0] * LATENCY_BUCKETS
    below = 0.0
    for low, high in pairwise([0.0, *sorted(bounds)]):
        calls = bounds[high] - below
        below = max(below, bounds[high])
        if calls <= _NOTHING:
            continue
        if high == inf:
            found[_bin(max(low, 1.0))] += calls
            continue
        for index in range(_bin(low), _bin(high) + 1):
            left = 0.0 if index == 0 else _FIRST_BOUND_US * 2**index
            right = _FIRST_BOUND_US * 2 ** (index + 1) if index < LATENCY_BUCKETS - 1 else inf
            found[index] += calls * max(0.0, min(right, high) - max(left, low)) / (high - low)
    return found


def _bin(latency_us: float) -> int:
    """The bin of a latency, see `bot.model.LATENCY_BUCKETS`."""
    if latency_us < 2 * _FIRST_BOUND_US:
        return 0
    return min(LATENCY_BUCKETS - 1, int(log2(latency_us / _FIRST_BOUND_US)))
