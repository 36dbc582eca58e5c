"""What was counted in the past, read like the live minutes (`bot.layers.windows.Windows`).

Comes in: spans of counts as columns, all layers together. Goes out: tallies of an edge or a service over a part of them. What
is lost: where only whole hours or a range are kept, any part of one is answered with all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from bot.counts import CALLS, ERRORS, WIDTH, Floats, Integers, Span, tally_of
from bot.graph.edge_index import LAYERS, EdgeIndex, Places
from bot.model import WINDOW_SECONDS, EdgeKey, Layer, Tally


class PastCounts:
    """The spans, and which position each of their rows has in the index. Built off the event loop, read on it."""

    def __init__(self, index: EdgeIndex, spans: Sequence[Span], size: int) -> None:
        self.index = index
        self.spans = spans
        self.positions = [index.positions(span.counts.edges, size) for span in spans]
        self.calls: Floats = np.zeros(size)
        """By position: calls in all spans."""
        for span, positions in zip(spans, self.positions, strict=True):
            known = positions >= 0
            self.calls[positions[known]] += span.counts.columns[CALLS, known]
        self._inward: dict[int, tuple[Integers, Places]] = {}

    def last_seen(self, last_seen: Floats) -> Floats:
        """`last_seen` by position, with what was seen in the spans, which are in order."""
        for span, positions in zip(self.spans, self.positions, strict=True):
            seen = positions[(positions >= 0) & (span.counts.columns[CALLS] > 0)]
            last_seen[seen] = np.maximum(last_seen[seen], span.start + span.seconds)
        return last_seen

    def columns(self) -> Floats:
        """By position: the sums over all spans, one row for each count."""
        total = np.zeros((WIDTH, len(self.calls)))
        for span, positions in zip(self.spans, self.positions, strict=True):
            known = positions >= 0
            total[:, positions[known]] += span.counts.columns[:, known]
        return total

    def chosen(self, since: float, until: float) -> Iterator[int]:
        """Which spans count for `[since, until)`: minutes that start in it, longer ones that overlap it."""
        for which, span in enumerate(self.spans):
            minute = span.seconds == WINDOW_SECONDS
            if span.start < until and (span.start >= since if minute else span.start + span.seconds > since):
                yield which

    def inward(self, which: int, key: int) -> Places:
        """The rows of a span with one layer's calls to one service."""
        if which not in self._inward:
            keys = self._keys(self.positions[which])
            order = np.argsort(keys, kind="stable")
            self._inward[which] = keys[order], order
        keys, order = self._inward[which]
        low, high = keys.searchsorted([key, key + 1])
        return order[low:high]

    def key(self, layer: Layer, service: str) -> int | None:
        """What one layer's calls to one service are found by; None for a service that has none."""
        place = self.index.place(service)
        return None if place is None else place * len(LAYERS) + LAYERS.index(layer)

    def _keys(self, positions: Places) -> Integers:
        keys = self.index.ends[1][positions] * len(LAYERS) + self.index.layers[positions]
        return np.where(positions >= 0, keys, -1)

    @cached_property
    def served(self) -> Floats:
        """By key: calls to a service in all spans."""
        keys = self._keys(np.arange(len(self.calls)))
        return np.bincount(keys, self.calls, len(self.index.services) * len(LAYERS)).astype(np.float64)


class PastWindows:
    """One layer's counts. Answers whatever the live windows answer."""

    def __init__(self, layer: Layer, counts: PastCounts) -> None:
        self.layer = layer
        self.evicted = self.pending = 0
        self._counts = counts

    def sum(self, edge: EdgeKey, since: float, until: float) -> Tally:
        """Counts of one edge over `[since, until)`; zero where there are none."""
        position = self._counts.index.position(self.layer, edge)
        if position is None:
            return Tally()
        number = int(self._counts.index.numbers[position])
        total = np.zeros(WIDTH)
        for which in self._counts.chosen(since, until):
            counts = self._counts.spans[which].counts
            if (row := counts.row(number)) is not None:
                total += counts.columns[:, row]
        return tally_of(total.tolist())

    def sum_inward(self, service: str, since: float, until: float) -> Tally:
        """Everything a service was asked, by whomever, over `[since, until)`."""
        key = self._counts.key(self.layer, service)
        if key is None:
            return Tally()
        total = np.zeros(WIDTH)
        for which in self._counts.chosen(since, until):
            rows = self._counts.inward(which, key)
            if len(rows):
                total += self._counts.spans[which].counts.columns[:, rows].sum(axis=1)
        return tally_of(total.tolist())

    def minutes_inward(self, service: str, since: float, until: float) -> list[tuple[int, Tally]]:
        """Everything a service was asked, span by span, over `[since, until)`; only spans with counts."""
        return [
            (start, found)
            for start, found in (
                (start, self.sum_inward(service, start, start + 1)) for start in self._starts(since, until)
            )
            if found.calls > 0
        ]

    def _starts(self, since: float, until: float) -> list[int]:
        return sorted(self._counts.spans[which].start for which in self._counts.chosen(since, until))

    def erring(self, since: float, until: float) -> set[EdgeKey]:
        """Edges with a failed call over `[since, until)`."""
        index = self._counts.index
        mine = LAYERS.index(self.layer)
        found: set[int] = set()
        for which in self._counts.chosen(since, until):
            positions = self._counts.positions[which][self._counts.spans[which].counts.columns[ERRORS] > 0]
            positions = positions[positions >= 0]
            found.update(positions[index.layers[positions] == mine].tolist())
        return {index.edge(position) for position in found}

    def calls(self, edge: EdgeKey) -> float:
        """Calls on an edge in all spans."""
        position = self._counts.index.position(self.layer, edge)
        known = position is not None and position < len(self._counts.calls)
        return float(self._counts.calls[position]) if known else 0.0

    def served(self, service: str) -> float:
        """Calls a service got from anybody, known or not, in all spans."""
        key = self._counts.key(self.layer, service)
        return float(self._counts.served[key]) if key is not None and key < len(self._counts.served) else 0.0
