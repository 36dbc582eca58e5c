"""What is different between two maps: edges that are new, gone or changed, in each layer and in all of them together.

Comes in: two sides over one index of edges, as columns. Goes out: a list of changes, the ones with most calls first. What is
lost: shifts smaller than the stated ratios, and shifts that too few calls tell of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.counts import CALLS, ERRORS, TOTALS, Floats, tally_of
from bot.graph.edge_index import LAYERS, EdgeIndex, Places
from bot.model import LATENCY_BUCKETS, PSEUDO, Layer

_COUNTING = (Layer.IPC, Layer.TRACE, Layer.NETWORK)
"""Whose counts stand for all layers', the first that has any: metrics count every call, traces a sample, flows connections."""

MAX_CHANGES = 20_000
"""Changes told of in all, and the same again by layer: two days of a big map may differ in every edge."""

_MINUTE = 60.0
Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shifts:
    """From which ratio on, up or down, a difference is a change. `calls`: both sides need that many to tell anything.

    An error rate also has to rise or fall by `error_rate_step`, so that three errors in a million after one are no change.
    """

    calls_ratio: float = 2.0
    error_rate_ratio: float = 2.0
    error_rate_step: float = 0.01
    p95_ratio: float = 1.5
    calls: float = 50.0


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: which edges there are, and what they counted, by position. `seconds` is how long they counted."""

    present: Marks
    columns: Floats
    seconds: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """How an edge did on one side. None where nothing was counted, or nothing timed."""

    calls: float
    calls_per_minute: float
    error_rate: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """One difference. `layer` is None for all layers together: the numbers are then those of the layer that counts best.

    `kind` is `new`, `gone` or `changed`; `what` names what changed: `calls`, `error rate`, `p95`. `before` is None for a new
    edge, `after` for one that is gone.
    """

    caller: str
    callee: str
    layer: Layer | None
    kind: str
    what: tuple[str, ...]
    before: Numbers | None
    after: Numbers | None


def changes_between(
    index: EdgeIndex, before: Side, after: Side, shifts: Shifts | None = None
) -> tuple[list[EdgeChange], int]:
    """The changes, the merged ones first, then by calls on both sides, then by name; and how many were left out, beyond
    `MAX_CHANGES`. Both sides have one length, the index's or that of a part of it."""
    comparison = _Comparison(index, before, after, shifts or Shifts())
    return [*comparison.merged(), *comparison.by_layer()], comparison.left_out


class _Comparison:
    def __init__(self, index: EdgeIndex, before: Side, after: Side, shifts: Shifts) -> None:
        self._index, self._before, self._after = index, before, after
        self.left_out = 0
        size = len(before.present)
        self._size = size
        ours = ~np.isin(index.ends[0][:size], [place for one in PSEUDO if (place := index.place(one)) is not None])
        self._was, self._is = before.present & ours, after.present & ours
        self._shifted = shifted(before, after, shifts)

    def by_layer(self) -> list[EdgeChange]:
        """Each layer's changes."""
        both = self._was & self._is
        anything = np.any(list(self._shifted.values()), axis=0)
        found = np.flatnonzero((self._was ^ self._is) | (both & anything))
        return self._described(found, self._was, self._is, merged=False)

    def merged(self) -> list[EdgeChange]:
        """The changes of all layers together: an edge is new when no layer had it before."""
        pair = self._index.pairs[: self._size]
        was, now = (np.bincount(pair, marks) > 0 for marks in (self._was, self._is))
        speaker = self._speakers(pair, len(was))
        shifted = np.any(list(self._shifted.values()), axis=0)[speaker]
        changed = (was ^ now) | (was & now & shifted)
        was_by_position, is_by_position = (np.zeros(self._size, bool) for _ in range(2))
        was_by_position[speaker], is_by_position[speaker] = was, now
        return self._described(speaker[np.flatnonzero(changed)], was_by_position, is_by_position, merged=True)

    def _speakers(self, pair: Places, pairs: int) -> Places:
        """By pair of services: the position of the layer's edge that counts best among those that counted anything."""
        speaker = np.zeros(pairs, np.intp)
        speaker[pair] = np.arange(self._size)
        counted = (self._before.columns[CALLS] > 0) | (self._after.columns[CALLS] > 0)
        for layer in reversed(_COUNTING):  # the best comes last and overwrites
            mine = np.flatnonzero(counted & (self._index.layers[: self._size] == LAYERS.index(layer)))
            speaker[pair[mine]] = mine
        return speaker

    def _described(self, found: Places, was: Marks, now: Marks, *, merged: bool) -> list[EdgeChange]:
        calls = self._before.columns[CALLS, found] + self._after.columns[CALLS, found]
        changes = []
        self.left_out += max(0, len(found) - MAX_CHANGES)
        for position in found[np.argsort(-calls, kind="stable")][:MAX_CHANGES].tolist():
            kind = "changed" if was[position] and now[position] else "gone" if was[position] else "new"
            caller, callee = self._index.edge(position)
            layer = None if merged else LAYERS[self._index.layers[position]]
            what = tuple(name for name, marks in self._shifted.items() if marks[position]) if kind == "changed" else ()
            before = _numbers(self._before, position) if was[position] else None
            after = _numbers(self._after, position) if now[position] else None
            changes.append(EdgeChange(caller, callee, layer, kind, what, before, after))
        return sorted(changes, key=_weight)


def _weight(change: EdgeChange) -> tuple[float, str, str]:
    sides = (change.before, change.after)
    return -sum(side.calls for side in sides if side is not None), change.caller, change.callee


def _numbers(side: Side, position: int) -> Numbers:
    tally = tally_of(side.columns[:, position].tolist())
    per_minute = tally.calls * _MINUTE / side.seconds if side.seconds else 0.0
    return Numbers(tally.calls, per_minute, tally.error_rate if tally.calls > 0 else None, tally.quantile_ms(0.95))


def measures(side: Side) -> dict[str, Floats]:
    """By position: calls a minute, the share that failed and the 95th percentile in ms, 0 where nothing was counted or timed."""
    return {
        "calls": side.columns[CALLS] * _MINUTE / max(side.seconds, 1.0),
        "error rate": _share(side.columns[ERRORS], side.columns[CALLS]),
        "p95": _p95(side.columns),
    }


def shifted(before: Side, after: Side, shifts: Shifts) -> dict[str, Marks]:
    """By position: whether calls, error rate and latency differ by more than the ratios; False where too few calls tell."""
    was, now = measures(before), measures(after)
    # A side on which traffic fell to nothing tells of that, not of errors.
    many = np.maximum(before.columns[CALLS], after.columns[CALLS]) >= shifts.calls
    both = np.minimum(before.columns[CALLS], after.columns[CALLS]) >= shifts.calls
    step = np.abs(was["error rate"] - now["error rate"]) >= shifts.error_rate_step
    timed = (was["p95"] > 0) & (now["p95"] > 0)
    return {
        "calls": many & _apart(was["calls"], now["calls"], shifts.calls_ratio),
        "error rate": both & step & _apart(was["error rate"], now["error rate"], shifts.error_rate_ratio),
        "p95": both & timed & _apart(was["p95"], now["p95"], shifts.p95_ratio),
    }


def _apart(one: Floats, other: Floats, ratio: float) -> Marks:
    marks: Marks = (np.maximum(one, other) >= ratio * np.minimum(one, other)) & (one != other)
    return marks


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _p95(columns: Floats) -> Floats:
    """The 95th percentile in milliseconds by position, 0 where nothing was timed; as `Tally.quantile_ms` has it."""
    histogram = columns[len(TOTALS) :]
    upto = np.cumsum(histogram, axis=0)
    rank = 0.95 * upto[-1]
    bucket = np.minimum((upto < rank).sum(axis=0), LATENCY_BUCKETS - 1)
    places = np.arange(histogram.shape[1])
    inside = histogram[bucket, places]
    share = np.divide(rank - (upto[bucket, places] - inside), inside, out=np.ones(len(places)), where=inside > 0)
    low = np.where(bucket > 0, 0.25 * 2.0**bucket, 0.0)
    return np.where(upto[-1] > 0, low + (0.25 * 2.0 ** (bucket + 1) - low) * share, 0.0)
