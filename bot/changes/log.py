"""The changes of the last day, by service, in memory: what pure code asks.

Comes in: changes, in any order, each of them once or more. Goes out: those of one service in a span of time. What is lost, and
counted in `dropped`: the oldest of a service that has too many, and what comes for one service too many. Older changes are in
the database.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import replace
from operator import attrgetter

from bot.model import Change
from bot.names import bare

KEPT_SECONDS = 86_400.0
MAX_PER_SERVICE = 200
MAX_SERVICES = 20_000

_Order = tuple[float, str, str]


def _order(change: Change) -> _Order:
    return (change.at, change.source, change.id)


_at = attrgetter("at")


class ChangeLog:
    """Holds at most `MAX_SERVICES` times `MAX_PER_SERVICE` changes. Belongs to the event loop, as the live map does."""

    def __init__(self, per_service: int = MAX_PER_SERVICE, services: int = MAX_SERVICES) -> None:
        self.dropped: Counter[str] = Counter()
        self._per_service = per_service
        self._services = services
        self._by_service: dict[str, list[Change]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_service.values()))

    def add(self, change: Change, now: float) -> None:
        """Take in a change; one that is known, or older than a day, changes nothing."""
        if change.at < now - KEPT_SECONDS:
            return
        known = self._by_service.get(change.service)
        if known is None:
            if len(self._by_service) >= self._services:
                self.dropped["too many services"] += 1
                return
            known = self._by_service[change.service] = []
        place = bisect_left(known, _order(change), key=_order)
        if known[place : place + 1] and _order(known[place]) == _order(change):
            return
        insort(known, change, key=_order)
        if len(known) > self._per_service:
            del known[0]
            self.dropped["too many of one service"] += 1

    def of(self, service: str, since: float, until: float) -> tuple[Change, ...]:
        """The changes of a service from `since` to `until` (epoch s, both included), oldest first; those included that were
        told of its name without an environment."""
        found: list[Change] = []
        for name in {service, bare(service)}:
            known = self._by_service.get(name, [])
            found += known[bisect_left(known, since, key=_at) : bisect_right(known, until, key=_at)]
        return tuple(sorted(found, key=_order))

    def services(self) -> tuple[str, ...]:
        """The ids it has changes of."""
        return tuple(self._by_service)

    def rename(self, old: str, new: str, now: float) -> None:
        """Put the changes of a service that has another id by now under that one."""
        for change in self._by_service.pop(old, []):
            self.add(replace(change, service=new), now)

    def expire(self, now: float) -> None:
        """Let go of what is older than a day."""
        before = now - KEPT_SECONDS
        for service, known in list(self._by_service.items()):
            del known[: bisect_left(known, before, key=_at)]
            if not known:
                del self._by_service[service]
