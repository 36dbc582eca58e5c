"""Which pairs of services are news: new or gone, once persistence bears it out; all layers' edges between two ends as one.

Comes in: a period over an index of all edges. Goes out: marks by pair. What is lost: a pair seen once or twice, until it is seen
again; and one that is gone, until it has been silent for several times its own habit, so that nightly and weekly jobs are not
taken for gone. A layer that fell silent altogether says nothing of what is gone, and one that just began nothing of what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.counts import Floats
from bot.digest.period import DAY, Period
from bot.graph.edge_index import LAYERS, EdgeIndex, Places
from bot.model import PSEUDO, Layer

NEW, GONE, CHANGED = "new", "gone", "changed"

_ONE_DAY_ONLY_SECONDS = 8.0 * DAY
"""Of an edge that was seen on one day only nobody knows the habit yet: it may be a weekly job's."""
_LONGEST_AGO = 60.0 * DAY

Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Persistence:
    """When an edge is news. `minutes`: distinct minutes with calls, by its habit, over at least `seconds`, make it new;
    a silence of `silences` times its habit, and at least `quiet` seconds, makes it gone."""

    minutes: float = 3.0
    seconds: float = 600.0
    silences: float = 4.0
    quiet: float = 2.0 * DAY


@dataclass(frozen=True, slots=True)
class Memory:
    """What somebody was told: pair (caller, line break, callee) -> `new` or `gone`. What happened before `since` is no news to
    him, told or not."""

    told: Mapping[str, str]
    since: float

    @classmethod
    def of(cls, told: Mapping[str, str], subscribed: float, until: float) -> Memory:
        """Whoever subscribes hears of the day before, too. Nobody hears of what is older than the memory of what was told."""
        return cls(told, max(subscribed - DAY, until - _LONGEST_AGO))


class Pairs:
    """One look at a period, pair by pair."""

    def __init__(self, index: EdgeIndex, period: Period, persistence: Persistence | None = None) -> None:
        self._index, self._period, self._persistence = index, period, persistence or Persistence()
        size = self._size = len(period.after)
        self._pair: Places = index.pairs[:size]
        count = self.count = int(self._pair.max(initial=-1)) + 1
        self.position = np.zeros(count, np.intp)
        """By pair: the position of one of its edges."""
        self.position[self._pair] = np.arange(size)
        self._first = self._folded(np.minimum, np.array(index.first_seen[:size]), np.inf)
        self._before = self._folded(np.maximum, period.before, 0.0)
        self._after = self._folded(np.maximum, period.after, 0.0)
        self._habit = self._folded(np.minimum, index.habits[:size], np.inf)
        self._silence = self._folded(np.maximum, period.silence, 0.0)
        places = [place for one in PSEUDO if (place := index.place(one)) is not None]
        ends = [end[self.position] for end in index.ends]
        self._ours = ~np.isin(ends[0], places) & ~np.isin(ends[1], places) & (ends[0] != ends[1])
        self._watched = np.bincount(self._pair, self._first_days_left_out(), count) > 0
        certain = np.bincount(self._pair, ~index.estimated[:size], count) > 0
        self.estimated = ~certain
        """By pair: whether no layer is sure who the two ends are."""

    def _folded(self, how: np.ufunc, values: Floats, start: float) -> Floats:
        made = np.full(self.count, start)
        how.at(made, self._pair, values)
        return made

    def _first_days_left_out(self) -> Marks:
        """By position: whether the layer had been watching for a day. What it saw on its first was there before, for all it knows."""
        first, layers = np.array(self._index.first_seen[: self._size]), self._index.layers[: self._size]
        began = np.full(len(LAYERS), np.inf)
        np.minimum.at(began, layers, first)
        marks: Marks = first >= began[layers] + DAY
        return marks

    def news(self, memory: Memory | None = None) -> dict[str, Marks]:
        """By kind and pair. Without a memory, what became new or gone within the period. With one, what he was not told yet:
        so nothing is told twice or never, however late it came in and however an edge's habit looks by now."""
        there, gone = self._confirmed(self._after), self._gone(self._after, self._period.until)
        was, was_gone = self._confirmed(self._before), self._gone(self._before, self._period.since)
        if memory is None:
            return {
                NEW: self._ours & there & ~gone & ((~was & self._watched) | was_gone),
                GONE: self._ours & there & gone & was & ~was_gone,
            }
        told_new, told_gone = (self._told(memory, kind) for kind in (NEW, GONE))
        young = (self._first >= memory.since) & self._watched
        went = self._after + self._patience(self._after) >= memory.since
        return {
            NEW: self._ours & there & ~gone & ~told_new & (young | told_gone | was_gone),
            GONE: self._ours & there & gone & ~told_gone & went & (told_new | ~young),
        }

    @property
    def standing(self) -> Marks:
        """By pair: neither news nor gone."""
        marks: Marks = self._ours & self._confirmed(self._after) & ~self._gone(self._after, self._period.until)
        return marks

    def _told(self, memory: Memory, kind: str) -> Marks:
        marks = np.zeros(self.count, bool)
        for pair, told in memory.told.items():
            caller, _, callee = pair.partition("\n")
            place = self._index.pair((caller, callee)) if told == kind else None
            if place is not None and place < self.count:
                marks[place] = True
        return marks

    def _confirmed(self, last: Floats) -> Marks:
        lasted = last - self._first
        minutes = 1.0 + lasted / self._habit
        marks: Marks = (last > 0) & (lasted >= self._persistence.seconds) & (minutes >= self._persistence.minutes)
        return marks

    def _patience(self, last: Floats) -> Floats:
        habit = np.maximum(self._habit, self._silence)
        patience = np.maximum(self._persistence.silences * habit, self._persistence.quiet)
        return np.where(last - self._first < DAY, np.maximum(patience, _ONE_DAY_ONLY_SECONDS), patience)

    def _gone(self, last: Floats, now: float) -> Marks:
        marks: Marks = (last > 0) & (np.minimum(self._heard, now) - last > self._patience(last))
        return marks

    @property
    def _heard(self) -> Floats:
        """By pair: until when any layer that ever saw it was heard of at all."""
        newest = np.zeros(len(LAYERS))
        layers = self._index.layers[: self._size]
        np.maximum.at(newest, layers, self._period.after)
        return self._folded(np.maximum, newest[layers], 0.0)

    def times(self, pair: int) -> tuple[float, float]:
        """When a pair was first and last seen."""
        return float(self._first[pair]), float(self._after[pair])

    def layers(self, pairs: list[int]) -> dict[int, list[tuple[Layer, float]]]:
        """By pair: the layers that saw it, each with its calls in the period."""
        found: dict[int, list[tuple[Layer, float]]] = {pair: [] for pair in pairs}
        wanted = np.isin(self._pair, np.array(pairs, np.intp)) & (self._period.after > 0)
        for position in np.flatnonzero(wanted).tolist():
            layer = LAYERS[self._index.layers[position]]
            found[int(self._pair[position])].append((layer, float(self._period.calls[position])))
        return found

    def certainty(self, pair: int) -> float:
        """How sure the surest layer is that these two ends belong together."""
        positions = np.flatnonzero(self._pair == pair).tolist()
        details = [self._index.details[position] for position in positions]
        return max((1.0 if one is None else one.certainty for one in details), default=1.0)
