"""The IPC layer: counters of calls, pushed or pulled -> calls per edge and minute.

Comes in: samples, and increases that a query API worked out. Goes out: `LayerDelta`s. Each minute stays open for a grace.
What is lost, and counted: see `bot.layers.counters` and `bot.layers.witnesses`; samples of minutes that have closed; series
that count no calls, or whose labels name nobody.

Most series say the same labels again every few seconds, so what they mean is looked up by a hash of their identity and read
only the first time. No clock inside and no lock: one thread at a time, and `now` (epoch s) comes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from bot.layers.counters import MOST, REPLICA_LABELS, Counters
from bot.layers.families import BY_METRIC
from bot.layers.family import Family, Reading, Role
from bot.layers.windows import minute_of
from bot.layers.witnesses import Witnesses
from bot.model import WINDOW_SECONDS, EdgeKey, Layer, LayerDelta
from bot.names import printable
from bot.telemetry.samples import NAME, Sample, SampleBatch

_AHEAD = 300.0
_MAX_MEANINGS = 400_000
_LONGEST = 200  # characters of a protocol or an endpoint
_NO_CALLS = "metric that counts no calls"
_NOBODY = "series whose labels name nobody"
_NO_BOUND = "histogram bucket without a bound"


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


class _Meaning(NamedTuple):
    """What a series counts. `key` is the same for all replicas' copies of it, `replica` tells them apart; `bound` is in µs."""

    key: int
    replica: int
    family: Family
    reading: Reading
    edge: EdgeKey
    bound: float


class IpcLayer:
    """Holds the last sample of every series, and the open minutes. `born`: when the program began to listen (epoch s)."""

    layer = Layer.IPC

    def __init__(self, born: float, grace: float = 1_200.0, max_series: int = 200_000) -> None:
        self.dropped: Counter[str] = Counter()
        self.families_seen: dict[str, float] = {}
        """Family -> when it last counted anything (epoch s)."""
        self.counters = Counters(born, self.dropped, max_series)
        self._grace = grace
        self._witnesses = Witnesses(self.dropped)
        self._pulled: dict[int, dict[tuple[Family, tuple[str, ...]], float]] = {}
        # By hash (64 bits): two of 200 000 series share one with a chance of 1 in 10**9, and labels are long.
        self._meanings: dict[int, _Meaning | str] = {}
        self._delta = LayerDelta(Layer.IPC)

    def add(self, batch: SampleBatch, now: float) -> None:
        """Take in samples of a body; metrics that count no calls are passed over."""
        known, grew, dropped = self._meanings, self.counters.grew, self.dropped
        oldest, newest = now - self._grace, now + _AHEAD
        for sample in batch.samples:
            meaning = known.get(hash(sample.identity)) or self._learnt(sample)
            if isinstance(meaning, str):
                dropped[meaning] += 1
                continue
            at = sample.at
            if at > newest:
                dropped["sample from the future"] += 1
                continue
            growth = grew(meaning.key, meaning.replica, sample, now)
            if growth is None:
                continue
            increase, since = growth
            if at < oldest:
                dropped["sample too old"] += 1
                continue
            minute = minute_of(at)
            if increase > 0:
                self._count(meaning, increase, (minute, since), now)
            elif since < minute:
                self._witnesses.watched(meaning.edge, meaning.reading.witness, since, at)

    def add_increases(self, rows: Iterable[Row], now: float) -> None:
        """Take in what a query API says of whole minutes. The same family, labels and minute again replaces what it said."""
        for row in rows:
            if not 0 <= row.increase < MOST:
                self.dropped["increase that is no count"] += 1
                continue
            if row.minute < now - self._grace - WINDOW_SECONDS:
                self.dropped["minute pulled too late"] += 1
                continue
            family = row.family
            key = (family, tuple([row.labels.get(name, "") for name in family.labels]))
            meaning = self._meanings.get(hash(key)) or self._keep(hash(key), _meaning("", family, row.labels))
            if isinstance(meaning, str):
                self.dropped[meaning] += 1
                continue
            said = self._pulled.setdefault(row.minute, {})
            before = said.get(key, 0.0)
            said[key] = row.increase
            if row.increase != before:
                self._count(meaning, row.increase - before, (row.minute, row.minute), now)

    def _count(self, meaning: _Meaning, increase: float, span: tuple[int, float], now: float) -> None:
        family, reading = meaning.family, meaning.reading
        self.families_seen[family.name] = now
        nodes = self._delta.nodes
        for node in (reading.caller, reading.callee):
            if node is not None and (known := nodes.get(node.id)) is not node:
                nodes[node.id] = known.merged(node) if known is not None else node
        if reading.reports and (left_out := self._delta.report(dict.fromkeys(reading.reports, float(span[0])))):
            self.dropped["report: too many between two collects"] += left_out
        self._witnesses.count(meaning.edge, family, reading, meaning.bound, increase, span)

    def _learnt(self, sample: Sample) -> _Meaning | str:
        labels = sample.labels
        metric = labels.pop(NAME, "")
        family = BY_METRIC.get(metric)
        meaning = _meaning(metric, family, labels) if family is not None else _NO_CALLS
        return self._keep(hash(sample.identity), meaning)

    def _keep(self, key: int, meaning: _Meaning | str) -> _Meaning | str:
        if len(self._meanings) >= _MAX_MEANINGS:
            self._meanings.clear()
        self._meanings[key] = meaning
        return meaning

    def collect(self, now: float) -> LayerDelta:
        """Hand over what was learnt since the last call; close minutes whose grace is over."""
        self._witnesses.take(self._delta)
        self._witnesses.close(now - self._grace)
        for minute in [one for one in self._pulled if one + WINDOW_SECONDS < now - self._grace]:
            del self._pulled[minute]
        self.counters.expire(now)
        delta, self._delta = self._delta, LayerDelta(Layer.IPC)
        return delta

    def flush(self, now: float) -> LayerDelta:
        """The same: nothing waits here."""
        return self.collect(now)


def _meaning(metric: str, family: Family, labels: Mapping[str, str]) -> _Meaning | str:
    """What a series of the family counts, or why it counts nothing."""
    reading = family.read(labels)
    if reading is None:
        return _NOBODY
    bound = _bound(labels, family) if family.role is Role.BUCKET else 0.0
    if bound is None:
        return _NO_BOUND
    own = frozenset(item for item in labels.items() if item[0] not in REPLICA_LABELS)
    replica = hash(tuple([labels.get(name, "") for name in sorted(REPLICA_LABELS)]))
    reading = replace(
        reading, protocol=printable(reading.protocol[:_LONGEST]), endpoint=printable(reading.endpoint[:_LONGEST])
    )
    edge = (reading.unknown if reading.caller is None else reading.caller.id, reading.callee.id)
    return _Meaning(hash((metric, own)), replica, family, reading, edge, bound)


def _bound(labels: Mapping[str, str], family: Family) -> float | None:
    try:
        bound = float(labels.get("le", ""))
    except ValueError:
        return None
    return bound * family.unit if bound == bound else None
