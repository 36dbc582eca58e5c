"""Where intermediaries' listeners lead, now and lately.

Comes in: listener records in any order, repeated as heartbeats. Goes out: where an address and port led at a moment. What is
lost, and counted: listeners and targets beyond the caps, the oldest versions of a listener that changes all the time;
listeners nobody has repeated for as long as flow records may be late.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bot.telemetry.identities import Listener

_Place = tuple[str, int]


class Listeners:
    """At most `keep` versions of each listener, the latest ones, and `max_targets` in all of them together."""

    def __init__(
        self, dropped: Counter[str], keep: int = 20, max_listeners: int = 50_000, max_targets: int = 1_000_000
    ) -> None:
        self.dropped = dropped
        self.version = 0
        """Goes up with every change, so that who has worked with these knows when to look again."""
        self._keep = keep
        self._max = max_listeners
        self._max_targets = max_targets
        self._targets = 0
        self._by_place: dict[_Place, list[Listener]] = {}
        self._heard: dict[_Place, float] = {}

    def __len__(self) -> int:
        return len(self._by_place)

    def add(self, listener: Listener, now: float) -> bool:
        """Take a listener in at `now` (epoch s); one that repeats the last adds nothing. False where a cap refuses it."""
        place = (listener.ip, listener.port)
        known = self._by_place.get(place, [])
        at = bisect_right(known, listener.start, key=_start)
        before = known[at - 1] if at else None
        if before is not None and (before.targets, before.intermediary) == (listener.targets, listener.intermediary):
            self._heard[place] = now
            if before.end == listener.end:
                return True
            known[at - 1] = listener if listener.start == before.start else replace(before, end=listener.end)
        elif self._refused(place, listener):
            return False
        else:
            self._heard[place] = now
            known.insert(at, listener)
            self._by_place[place] = known
            self._targets += len(listener.targets)
            self._targets -= sum(len(one.targets) for one in known[: -self._keep])
            del known[: -self._keep]
        self.version += 1
        return True

    def _refused(self, place: _Place, listener: Listener) -> bool:
        if self._targets + len(listener.targets) > self._max_targets:
            self.dropped["listener: too many targets"] += 1
            return True
        if place not in self._by_place and len(self._by_place) >= self._max:
            self.dropped["listener: too many"] += 1
            return True
        return False

    def find(self, ip: str, port: int, at: float) -> Listener | None:
        """The listener of an address and port at a moment; None where none is known."""
        known = self._by_place.get((ip, port))
        if known is None:
            return None
        index = bisect_right(known, at, key=_start) - 1
        if index < 0:
            return None
        found = known[index]
        return found if found.end is None or at < found.end else None

    def through(self, ip: str, port: int, since: float, until: float) -> Listener | None:
        """The listener in a stretch of time, with the targets it had at its beginning and its end."""
        last, first = self.find(ip, port, until), self.find(ip, port, since)
        if last is None or first is None or first.targets == last.targets:
            return last or first
        return Listener(last.intermediary, ip, port, first.targets | last.targets, first.start, last.end)

    def places(self) -> Iterable[_Place]:
        """Every (ip, port) that ever listened: a server's end, whatever the ports look like."""
        return self._by_place.keys()

    def all(self) -> Iterator[Listener]:
        """Every version of every listener."""
        for known in self._by_place.values():
            yield from known

    def heard(self) -> Iterator[tuple[Listener, float]]:
        """The same, each with when its address and port was last vouched for (epoch s)."""
        for place, known in self._by_place.items():
            for one in known:
                yield one, self._heard[place]

    def expire(self, before: float) -> None:
        """Forget listeners that nobody has repeated since `before`."""
        for place in [place for place, heard in self._heard.items() if heard < before]:
            del self._heard[place]
            self._targets -= sum(len(one.targets) for one in self._by_place.pop(place))
            self.version += 1


def _start(one: Listener) -> float:
    return one.start
