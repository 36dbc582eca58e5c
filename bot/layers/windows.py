"""Minute windows of one layer: deltas go in, recent minutes stay readable, what is new goes out to be written.

Comes in: `LayerDelta`s in any order, late or corrected. Goes out: the same counts, once, through `take_pending` (to be
added to the stored windows), and sums over recent minutes for health. What is lost: nothing here; minutes older than
`keep_seconds` leave memory only after they were handed out for writing, and a failed write is given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from bot.model import WINDOW_SECONDS, EdgeKey, Layer, LayerDelta, Tally

_Key = TypeVar("_Key", EdgeKey, str)

_NOTHING = 1e-6  # what rounding leaves of scaled counts that were taken back

PendingWindows = dict[int, dict[EdgeKey, Tally]]


def minute_of(at: float) -> int:
    """Start of the window that holds `at`."""
    return int(at // WINDOW_SECONDS) * WINDOW_SECONDS


class Windows:
    """Recent minutes (at most `keep_seconds`, at most `max_tallies` edge-minutes) and the counts not written yet."""

    def __init__(self, layer: Layer, keep_seconds: int = 3_600, max_tallies: int = 600_000) -> None:
        self.layer = layer
        self.evicted = 0
        self._keep = keep_seconds
        self._max = max_tallies
        self._recent: dict[int, dict[EdgeKey, Tally]] = {}
        self._inward: dict[int, dict[str, Tally]] = {}
        self._erring: dict[int, set[EdgeKey]] = {}
        self._calls: dict[EdgeKey, float] = {}
        self._served: dict[str, float] = {}
        self._size = 0
        self._pending: PendingWindows = {}
        self._pending_size = 0

    @property
    def pending(self) -> int:
        """Edge-minutes waiting to be written."""
        return self._pending_size

    def add(self, minute: int, counts: Sequence[tuple[EdgeKey, Tally]], now: float) -> None:
        """Add counts of one minute; they become readable at once and wait to be written."""
        self._pending_size += _merge(self._pending.setdefault(minute, {}), counts)
        if minute >= now - self._keep - WINDOW_SECONDS:
            self.remember(minute, counts)

    def remember(self, minute: int, counts: Sequence[tuple[EdgeKey, Tally]]) -> None:
        """Make stored counts readable without writing them again (loading at start)."""
        self._size += _merge(self._recent.setdefault(minute, {}), counts)
        inward = self._inward.setdefault(minute, {})
        for edge, tally in counts:
            self._count(edge, tally.calls)
            total = inward.get(edge[1])
            if total is None:
                total = inward[edge[1]] = Tally()
            total.add(tally)
        erring = [edge for edge, tally in counts if tally.errors > 0]
        if erring:
            self._erring.setdefault(minute, set()).update(erring)

    def _count(self, edge: EdgeKey, calls: float) -> None:
        """Keep the running totals of the minutes in memory, so that call ratios cost two look-ups."""
        _add(self._calls, edge, calls)
        _add(self._served, edge[1], calls)

    def take_pending(self) -> PendingWindows:
        """Hand over everything not written yet: from now on the caller sees to it that it is."""
        taken, self._pending, self._pending_size = self._pending, {}, 0
        return {minute: edges for minute, edges in taken.items() if edges}

    def sum(self, edge: EdgeKey, since: float, until: float) -> Tally:
        """Counts of one edge over the windows that start in `[since, until)`; zero where there are none in memory."""
        total = Tally()
        for minute, edges in self._recent.items():
            if since <= minute < until and (found := edges.get(edge)) is not None:
                total.add(found)
        return total

    def sum_inward(self, service: str, since: float, until: float) -> Tally:
        """Everything a service was asked, by whomever, over the windows that start in `[since, until)`."""
        total = Tally()
        for minute, services in self._inward.items():
            if since <= minute < until and (found := services.get(service)) is not None:
                total.add(found)
        return total

    def minutes_inward(self, service: str, since: float, until: float) -> list[tuple[int, Tally]]:
        """Everything a service was asked, minute by minute, in the windows that start in `[since, until)`; only minutes with
        counts."""
        wanted = (minute for minute in sorted(self._inward) if since <= minute < until)
        return [(minute, found) for minute in wanted if (found := self._inward[minute].get(service)) is not None]

    def totals(self, since: float, until: float, pseudo: Iterable[str]) -> dict[str, float]:
        """Calls over all edges in the windows that start in `[since, until)`, how many sightings they stand on, and how many
        came from each of the `pseudo` callers."""
        calls, sampled = 0.0, 0
        found = dict.fromkeys(pseudo, 0.0)
        for minute, edges in self._recent.items():
            if not since <= minute < until:
                continue
            for (caller, _), tally in edges.items():
                calls += tally.calls
                sampled += tally.sampled
                if caller in found:
                    found[caller] += tally.calls
        return {"calls": round(calls, 2), "sampled": sampled} | {name: round(count, 2) for name, count in found.items()}

    def erring(self, since: float, until: float) -> set[EdgeKey]:
        """Edges with a failed call in the windows that start in `[since, until)`: few, even on a big map."""
        return set().union(*(edges for minute, edges in self._erring.items() if since <= minute < until))

    def calls(self, edge: EdgeKey) -> float:
        """Calls on an edge in all minutes held in memory."""
        return self._calls.get(edge, 0.0)

    def served(self, service: str) -> float:
        """Calls a service got from anybody, known or not, in all minutes held in memory."""
        return self._served.get(service, 0.0)

    def expire(self, now: float) -> None:
        """Let minutes out of `keep_seconds` go, then the oldest while over the cap (counted in `evicted`)."""
        for minute in sorted(self._recent):
            too_old = minute < now - self._keep - WINDOW_SECONDS
            if not too_old and self._size <= self._max:
                return
            self._size -= len(self._recent[minute])
            if not too_old:
                self.evicted += len(self._recent[minute])
            for edge, tally in self._recent.pop(minute).items():
                self._count(edge, -tally.calls)
            self._erring.pop(minute, None)
            self._inward.pop(minute, None)


def _add(totals: dict[_Key, float], key: _Key, amount: float) -> None:
    """Add to a total, below zero too (a correction may outlive what it corrects); next to nothing is nothing."""
    total = totals.get(key, 0.0) + amount
    if abs(total) > _NOTHING:
        totals[key] = total
    else:
        totals.pop(key, None)


def slices(delta: LayerDelta, size: int) -> Iterator[tuple[int, list[tuple[EdgeKey, Tally]]]]:
    """A delta in pieces of at most `size` edges, so that a big one never holds the event loop for long."""
    for minute, edges in delta.windows.items():
        items = list(edges.items())
        for start in range(0, len(items), size):
            yield minute, items[start : start + size]


def _merge(into: dict[EdgeKey, Tally], counts: Iterable[tuple[EdgeKey, Tally]]) -> int:
    """Add counts edge by edge; says how many edges are new. Never keeps the caller's tallies: they are added again elsewhere."""
    before = len(into)
    for edge, tally in counts:
        mine = into.get(edge)
        if mine is None:
            mine = into[edge] = Tally()
        mine.add(tally)
    return len(into) - before
