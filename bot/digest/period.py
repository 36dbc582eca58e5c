"""A period as a digest reads it: what each edge counted in it and before, and how long it usually sleeps.

Comes in: spans of counts, oldest first, piece by piece so that no more than an hour of a big map is unpacked at once. Goes out:
columns by the index's position. What is lost: latency and errors of a map with more edges than `MOST_COMPARED`, of which only
comings and goings are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bot.counts import CALLS, WIDTH, Floats, Span
from bot.enrich.changes_between import Side
from bot.graph.edge_index import EdgeIndex, Places

DAY, HOUR = 86_400, 3_600
MOST_COMPARED = 250_000

_HABIT_SECONDS = 40 * DAY
"""Four times the longest silence that can matter before an edge leaves the map after thirty days, and that silence itself."""
_USUAL_SECONDS = 7 * DAY


@dataclass(frozen=True, slots=True)
class Sides:
    """What tells a lasting change: the week that ends a day before the period, that day, and the period's two halves."""

    usual: Side
    before: Side
    first: Side
    second: Side


@dataclass(frozen=True, slots=True)
class Period:
    """`[since, until)` in epoch s. By the index's position: when each edge was last seen as of `since` and as of `until` (0
    for never), how many calls it counted in between, and the longest it was silent between two days with calls (s)."""

    since: float
    until: float
    before: Floats
    after: Floats
    calls: Floats
    silence: Floats
    sides: Sides | None = None


class PeriodFold:
    """Gathers one period from `pieces` of the history, in their order."""

    def __init__(self, index: EdgeIndex, size: int, since: float, until: float) -> None:
        self._index, self._size, self._since, self._until = index, size, since, until
        middle = (since + until) / 2
        bounds = (since - DAY - _USUAL_SECONDS, since - DAY, since, middle, until)
        self._bounds = list(pairwise(bounds))
        compared = size <= MOST_COMPARED
        self._columns = [np.zeros((WIDTH, size)) for _ in self._bounds] if compared else []
        self._calls = np.zeros(size)
        self._silence = np.zeros(size)
        self._day = np.full(size, -1, np.int64)

    def pieces(self) -> Iterator[tuple[float, float]]:
        """The parts to read, oldest first: whole days where nothing in them has to be told apart, else at most an hour."""
        start = (self._until - _HABIT_SECONDS) // DAY * DAY
        cuts = sorted({start for start, _ in self._bounds} | {self._until})
        while start < self._until:
            whole = start % DAY == 0 and not any(start < cut < start + DAY for cut in cuts)
            end = start + DAY if whole else start // HOUR * HOUR + HOUR
            end = min([end, *(cut for cut in cuts if cut > start)])
            yield start, end
            start = end

    def add(self, spans: Iterable[Span]) -> None:
        """Take in what a piece counted."""
        for span in spans:
            positions = self._index.positions(span.counts.edges, self._size)
            known = (positions >= 0) & (span.counts.columns[CALLS] > 0)
            mine, counts = positions[known], span.counts.columns[:, known]
            self._sleep(mine, int(span.start // DAY))
            if span.start >= self._since:
                self._calls[mine] += counts[CALLS]
            for columns, (start, end) in zip(self._columns, self._bounds, strict=False):
                if start <= span.start < end:
                    columns[:, mine] += counts

    def _sleep(self, active: Places, day: int) -> None:
        known = active[self._day[active] >= 0]
        days = day - self._day[known]
        # Of two days in a row nobody knows how long the night was.
        self._silence[known] = np.maximum(self._silence[known], np.where(days > 1, days * float(DAY), 0.0))
        self._day[active] = day

    def period(self, before: Floats, after: Floats) -> Period:
        """The period, with when each edge was last seen as of its two ends."""
        sides = None
        if self._columns:
            made = [
                Side(columns[CALLS] > 0, columns, end - start)
                for columns, (start, end) in zip(self._columns, self._bounds, strict=True)
            ]
            sides = Sides(*made)
        return Period(self._since, self._until, before, after, self._calls, self._silence, sides)
