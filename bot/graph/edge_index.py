"""Every edge there ever was, by number: what the columns of the past are read with.

Comes in: edges as the database knows them. Goes out: positions, in numpy's terms and in Python's. What is lost: nothing;
an index only grows, and is made anew where edges were taken back. Pseudo-callers have a number like any service.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bot.counts import Floats, Integers, KnownEdge
from bot.model import ENTRY, PSEUDO, EdgeDetail, EdgeKey, Layer

LAYERS = tuple(Layer)
Places = NDArray[np.intp]


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
        self._places: dict[str, int] = {}
        self._positions: dict[tuple[int, EdgeKey], int] = {}
        self._lookup: tuple[Integers, Places] = (self.numbers, np.empty(0, np.intp))

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, edges: Iterable[KnownEdge]) -> None:
        """Learn of edges. Those that are known already keep their position."""
        numbers, layers, intervals = [], [], []
        known = set(self.numbers.tolist())
        for one in edges:
            if one.number in known:
                continue
            layer, position = LAYERS.index(one.layer), len(self.callers)
            numbers.append(one.number)
            layers.append(layer)
            self.callers.append(self._place(one.edge[0]))
            self.callees.append(self._place(one.edge[1]))
            self.first_seen.append(one.first_seen)
            intervals.append(one.interval)
            self.details.append(one.detail)
            self._positions[layer, one.edge] = position
            self._link(one.edge, position)
        grown = slice(len(self), None)
        self.ends = (
            np.concatenate([self.ends[0], np.array(self.callers[grown], np.intp)]),
            np.concatenate([self.ends[1], np.array(self.callees[grown], np.intp)]),
        )
        self.habits = np.concatenate([self.habits, np.array(intervals, np.float64)])
        unsure = [detail is not None and detail.certainty < 1.0 for detail in self.details[grown]]
        self.estimated = np.concatenate([self.estimated, np.array(unsure, bool)])
        self.layers = np.concatenate([self.layers, np.array(layers, np.int8)])
        self.numbers = np.concatenate([self.numbers, np.array(numbers, np.int64)])
        order = np.argsort(self.numbers, kind="stable")
        self._lookup = self.numbers[order], order  # both at once: another thread may be reading

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

    def edge(self, position: int) -> EdgeKey:
        """The two ends of the edge at a position."""
        return self.services[self.callers[position]], self.services[self.callees[position]]

    def positions(self, numbers: Integers, size: int) -> Places:
        """The positions of edges by their numbers; -1 for one that is not among the first `size`."""
        known, order = self._lookup
        if not len(known):
            return np.full(len(numbers), -1, np.intp)
        found = known.searchsorted(numbers)
        found[found == len(known)] = 0
        positions = order[found]
        return np.where((known[found] == numbers) & (positions < size), positions, -1)
