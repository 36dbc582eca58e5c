"""The changes of the last days in memory, by time: what an answer about an alert looks through.

What is lost: changes older than the span, and the oldest beyond the cap (counted). All of them are in the database.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from bot.model import Change

SPAN_SECONDS = 2 * 86_400.0
MAX_CHANGES = 20_000


class ChangeLog:
    """Changes in order of time. Lives on the event loop."""

    def __init__(self, most: int = MAX_CHANGES) -> None:
        self.dropped = 0
        self._most = most
        self._changes: list[Change] = []
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, changes: Iterable[Change]) -> None:
        """Take changes in; one that is known adds nothing."""
        for change in changes:
            if change.id not in self._known:
                self._known.add(change.id)
                insort(self._changes, change, key=_at)
        over = len(self._changes) - self._most
        if over > 0:
            self.dropped += over
            self._forget(over)

    def between(self, since: float, until: float) -> list[Change]:
        """Changes from `since` to `until` (epoch s), both included, the earliest first."""
        return self._changes[bisect_left(self._changes, since, key=_at) : bisect_right(self._changes, until, key=_at)]

    def expire(self, now: float) -> None:
        """Let go of what is older than the span."""
        self._forget(bisect_left(self._changes, now - SPAN_SECONDS, key=_at))

    def _forget(self, count: int) -> None:
        self._known.difference_update(change.id for change in self._changes[:count])
        del self._changes[:count]


def _at(change: Change) -> float:
    return change.at
