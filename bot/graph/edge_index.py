"""Every edge there ever was, by number: what the columns of the past are read with.

Comes in: edges as the database knows them. Goes out: positions, in numpy's terms and in Python's. What is lost: nothing;
an index only grows, and is made anew where edges were taken back. Pseudo-callers have a number like any service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from bot.counts import Floats, Integers, KnownEdge
from bot.edge_detail import EdgeDetail
from bot.model import ENTRY, PSEUDO, EdgeKey, Layer

LAYERS = tuple(Layer)
Places = NDArray[np.intp]

_TABLE_PER_EDGE, _TABLE_AT_LEAST = 16, 100_000


class EdgeIndex:
    """Edges by position, in the order they became known. Who reads while it grows reads up to the size he began with."""

    def __init__(self) -> None:
        self.services: list[str] = []
        self.callers: list[int] = []
        """By position: the caller's place in `services`."""
        self.callees: list[int] = []
        self.first_seen: list[float] = []
        self.details: list[EdgeDetail | None] = []
        self.outward: dict[str, list[int]] = {}
        """Service -> positions of the edges it is the caller of, those of pseudo-callers left out."""
        self.inward: dict[str, list[int]] = {}
        self.entries: dict[str, list[int]] = {}
        """Service -> positions of the edges from outside."""
        self.layers = np.empty(0, np.int8)
        """By position: the layer's place in `LAYERS`."""
        self.numbers = np.empty(0, np.int64)
        """By position: the edge's number in the database."""
        self.ends: tuple[Places, Places] = (np.empty(0, np.intp), np.empty(0, np.intp))
        """By position: the places of caller and callee in `services`."""
        self.habits: Floats = np.empty(0)
        """By position: the usual number of seconds between minutes with calls."""
        self.estimated = np.empty(0, bool)
        """By position: whether the layer could only estimate which two ends belong together."""
        self.pairs: Places = np.empty(0, np.intp)
        """By position: a number that all layers' edges between the same two ends share."""
        self.pseudo = np.empty(0, bool)
        """By position: whether the caller is a pseudo-caller."""
        self._places: dict[str, int] = {}
        self._pairs: dict[EdgeKey, int] = {}
        self._positions: dict[tuple[int, EdgeKey], int] = {}
        self._lookup = _Lookup(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, edges: Iterable[KnownEdge]) -> None:
        """Learn of edges. Those that are known already keep their position."""
        given = list(edges)
        unknown = self.positions(np.array([one.number for one in given], np.int64), len(self)) < 0
        new = [one for one, is_new in zip(given, unknown.tolist(), strict=True) if is_new]
        pairs = []
        for one in new:
            position = len(self.callers)
            self.callers.append(self._place(one.edge[0]))
            self.callees.append(self._place(one.edge[1]))
            self.first_seen.append(one.first_seen)
            self.details.append(one.detail)
            pairs.append(self._pairs.setdefault(one.edge, len(self._pairs)))
            self._positions[LAYERS.index(one.layer), one.edge] = position
            self._link(one.edge, position)
        grown = slice(len(self), None)
        self.ends = _grown(self.ends[0], self.callers[grown]), _grown(self.ends[1], self.callees[grown])
        self.habits = _grown(self.habits, [one.interval for one in new])
        self.estimated = _grown(self.estimated, [one.detail is not None and one.detail.certainty < 1.0 for one in new])
        self.pairs = _grown(self.pairs, pairs)
        self.pseudo = _grown(self.pseudo, [one.edge[0] in PSEUDO for one in new])
        self.layers = _grown(self.layers, [LAYERS.index(one.layer) for one in new])
        self.numbers = _grown(self.numbers, [one.number for one in new])
        self._lookup = _Lookup(self.numbers)  # last, and at once: another thread may be reading

    def _link(self, edge: EdgeKey, position: int) -> None:
        caller, callee = edge
        if caller == ENTRY:
            self.entries.setdefault(callee, []).append(position)
        elif caller not in PSEUDO:
            self.outward.setdefault(caller, []).append(position)
            self.inward.setdefault(callee, []).append(position)

    def _place(self, service: str) -> int:
        place = self._places.get(service)
        if place is None:
            place = self._places[service] = len(self.services)
            self.services.append(service)
        return place

    def place(self, service: str) -> int | None:
        """Where a service is in `services`."""
        return self._places.get(service)

    def position(self, layer: Layer, edge: EdgeKey) -> int | None:
        """The position of one layer's edge."""
        return self._positions.get((LAYERS.index(layer), edge))

    def pair(self, edge: EdgeKey) -> int | None:
        """The number that all layers' edges between these two ends share."""
        return self._pairs.get(edge)

    def edge(self, position: int) -> EdgeKey:
        """The two ends of the edge at a position."""
        return self.services[self.callers[position]], self.services[self.callees[position]]

    def positions(self, numbers: Integers, size: int) -> Places:
        """The positions of edges by their numbers; -1 for one that is not among the first `size`."""
        positions = self._lookup.find(numbers)
        return np.where(positions < size, positions, -1)


class _Lookup:
    """Where each number is: in a table where they lie close together, as SQLite gives them, else by search."""

    def __init__(self, numbers: Integers) -> None:
        self._table: Places | None = None
        top = int(numbers.max(initial=0)) + 1
        if top <= _TABLE_PER_EDGE * len(numbers) + _TABLE_AT_LEAST:
            self._table = np.full(top + 1, -1, np.intp)  # the last one is for all that lie beyond
            self._table[numbers] = np.arange(len(numbers))
            return
        self._order = np.argsort(numbers, kind="stable")
        self._sorted = numbers[self._order]

    def find(self, numbers: Integers) -> Places:
        """The position of each, -1 for one that is not there."""
        if self._table is not None:
            return self._table[np.minimum(numbers, len(self._table) - 1)]
        found = np.minimum(self._sorted.searchsorted(numbers), len(self._sorted) - 1)
        return np.where(self._sorted[found] == numbers, self._order[found], -1)


_Array = TypeVar("_Array", bound=NDArray[Any])


def _grown(array: _Array, more: list[int] | list[float] | list[bool]) -> _Array:
    return cast(_Array, np.concatenate([array, np.array(more, array.dtype)]))
