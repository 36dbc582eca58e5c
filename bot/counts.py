"""Counts of many edges at once, as columns: what a whole map of the past is summed and read from.

Comes in: one row for every edge and span of time, in any order. Goes out: sums by edge, and single tallies. What is lost:
nothing. In the columns an edge is its number in the database; `KnownEdge` says who that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bot.edge_detail import EdgeDetail
from bot.model import LATENCY_BUCKETS, EdgeKey, Layer, Tally

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

TOTALS = ("calls", "errors", "sampled", "latency_us", "bytes")
WIDTH = len(TOTALS) + LATENCY_BUCKETS
"""Columns of counts: the totals in this order, then the latency histogram."""
CALLS, ERRORS = 0, 1


class KnownEdge(NamedTuple):
    """One layer's edge, the number it has in the database, and what is known of it (see `bot.graph.sighting.Sighted`)."""

    number: int
    layer: Layer
    edge: EdgeKey
    first_seen: float
    interval: float
    detail: EdgeDetail | None = None


class Span(NamedTuple):
    """Counts of the `seconds` from `start` (epoch s) on, in the order of the edges' numbers."""

    start: int
    seconds: int
    counts: EdgeCounts


@dataclass(frozen=True, slots=True, eq=False)
class EdgeCounts:
    """`edges[i]` counted `columns[:, i]`, one row of the array for each of the `WIDTH` counts."""

    edges: Integers
    columns: Floats

    def __len__(self) -> int:
        return len(self.edges)

    def summed(self) -> EdgeCounts:
        """Each edge once, in the order of their numbers; edges that come to nothing left out."""
        edges, position = np.unique(self.edges, return_inverse=True)
        columns = np.zeros((WIDTH, len(edges)))
        for summed, column in zip(columns, self.columns, strict=True):
            if column.any():
                summed[:] = np.bincount(position, column, len(edges))
        some = columns.any(axis=0)
        return EdgeCounts(edges, columns) if some.all() else EdgeCounts(edges[some], columns[:, some])

    def row(self, edge: int) -> int | None:
        """Where an edge is, in counts that are in order (as `summed` makes them); None where it is not."""
        place = int(self.edges.searchsorted(edge))
        return place if place < len(self.edges) and self.edges[place] == edge else None


def tally_of(counts: Sequence[float]) -> Tally:
    """One row, in the order of the columns, as a tally."""
    made = Tally()
    made.calls, made.errors, made.latency_us, made.bytes = counts[0], counts[1], counts[3], counts[4]
    made.sampled = int(counts[2])
    made.histogram = list(counts[len(TOTALS) :])
    return made


def joined(parts: Sequence[EdgeCounts]) -> EdgeCounts:
    """All rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return EdgeCounts(np.empty(0, np.int64), np.empty((WIDTH, 0)))
    edges = np.concatenate([part.edges for part in parts])
    return EdgeCounts(edges, np.concatenate([part.columns for part in parts], axis=1))


def from_rows(rows: Sequence[Sequence[float | None]]) -> EdgeCounts:
    """Rows of (edge, count, …) with `WIDTH` counts each, None for nothing."""
    if not rows:
        return joined([])
    table = np.array(rows, np.float64).T  # None becomes not-a-number
    return EdgeCounts(table[0].astype(np.int64), np.nan_to_num(table[1:]))
