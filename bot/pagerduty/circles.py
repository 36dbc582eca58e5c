"""Keeps a graph free of circles while it grows: comes in who needs whom, goes out whether that leads back to where it starts. Pure.

The services are kept in an order in which nobody stands behind whom he needs. An edge that agrees with the order costs nothing; one
that does not has only those between its two ends looked at, and put in order again (Pearce and Kelly, "A dynamic topological
sort algorithm for directed acyclic graphs").
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.pushed import Pair

_Edges = dict[str, list[str]]


class CircleFree:
    """A graph without circles."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._needs: _Edges = {}
        self._needed: _Edges = {}

    def add(self, pair: Pair) -> bool:
        """Take in that the first needs the second; False, and nothing is taken in, where that would close a circle."""
        dependent, supporting = pair
        for end in pair:
            self._place.setdefault(end, len(self._place))
        if dependent == supporting or not self._ordered(dependent, supporting):
            return False
        self._needs.setdefault(dependent, []).append(supporting)
        self._needed.setdefault(supporting, []).append(dependent)
        return True

    def _ordered(self, dependent: str, supporting: str) -> bool:
        first, last = self._place[supporting], self._place[dependent]
        if last < first:
            return True
        after = self._reached(supporting, self._needs, first, last)
        if dependent in after:
            return False
        before = self._reached(dependent, self._needed, first, last)
        moved = [*sorted(before, key=before.__getitem__), *sorted(after, key=after.__getitem__)]
        for service, place in zip(moved, sorted([*before.values(), *after.values()]), strict=True):
            self._place[service] = place
        return True

    def _reached(self, start: str, edges: Mapping[str, list[str]], first: int, last: int) -> dict[str, int]:
        """Whoever is reached without leaving the places from `first` to `last`, and where he stands."""
        found, waiting = {start: self._place[start]}, [start]
        while waiting:
            for one in edges.get(waiting.pop(), ()):
                if one not in found and first <= self._place[one] <= last:
                    found[one] = self._place[one]
                    waiting.append(one)
        return found
