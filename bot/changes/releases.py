"""What services' own telemetry says of deploys: a release that was not running before.

Comes in: which service reported which release when, in any order. Goes out: `Change`s of the source `telemetry`. A release that
goes on beside the old one, as in a rollout or a canary, is told once, at its first sight. What is lost: what a service was running
when it was first heard of, which is how things are; a release that is back within five minutes; and, counted: reports that are
late, services and releases over the caps, and releases that change so often that they are none.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.model import PLACES, Change, ChangeKind, Report

SOURCE = "telemetry"
MAX_SERVICES = 20_000
MAX_RELEASES = 16
"""Followed at once, of one service and facet."""
MAX_TOLD = 6
"""Changes of one service in an hour: what changes more often counts builds of something else."""
MAX_WAITING = 5_000
LEARNING_SECONDS = 300.0
"""What a service says in its first minutes is how things are: after a start, or a first deploy, all of it is news."""
ABSENT_SECONDS = 300.0
"""A release that was silent for so long, while the service reported, was not running."""
SAME_SECONDS = 600.0
"""An image, a version and a revision that change so close together are one deploy."""
REPEAT_SECONDS = 1_800.0
KEPT_SECONDS = 2 * 86_400.0

_LATE, _AHEAD = 300.0, 300.0
_HOUR = 3_600.0


@dataclass(slots=True)
class _Seen:
    """One release: when it was last reported, and last told of (epoch s)."""

    last: float
    told: float = float("-inf")


@dataclass(slots=True)
class _Facet:
    """The releases of one service by one way to name them; since when, and when any of them was last reported."""

    first: float
    last: float
    seen: dict[str, _Seen] = field(default_factory=dict)

    def running(self, release: _Seen) -> bool:
        return release.last >= self.last - ABSENT_SECONDS


@dataclass(slots=True)
class _Service:
    facets: dict[str, _Facet] = field(default_factory=dict)
    told: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=MAX_TOLD))
    """When changes of it were told lately, and by which facet."""


class Releases:
    """Follows the releases of all services. Lives on the event loop."""

    def __init__(self, services: int = MAX_SERVICES) -> None:
        self.dropped: Counter[str] = Counter()
        self._most = services
        self._services: dict[str, _Service] = {}
        self._waiting: list[Change] = []

    def __len__(self) -> int:
        return len(self._services)

    def see(self, said: Mapping[Report, float], now: float) -> None:
        """Take in when releases were reported (epoch s)."""
        running = [one for one in said.items() if one[0][1] not in PLACES]
        for release, at in sorted(running, key=lambda one: one[1]):
            if now - _LATE <= at <= now + _AHEAD:
                self._see(release, min(at, now))
            else:
                self.dropped["reported too late, or by a clock that is wrong"] += 1

    def take(self) -> list[Change]:
        """The changes found since the last call."""
        found, self._waiting = self._waiting, []
        return found

    def restore(self, changes: Iterable[Change]) -> None:
        """Put back changes that could not be stored, to be taken again."""
        self._waiting[:0] = changes
        self._bound()

    def expire(self, now: float) -> None:
        """Let go of services that have not reported for two days."""
        for name, service in list(self._services.items()):
            if max(facet.last for facet in service.facets.values()) < now - KEPT_SECONDS:
                del self._services[name]

    def _see(self, release: Report, at: float) -> None:
        name, by, value = release
        service = self._services.get(name)
        if service is None:
            if len(self._services) >= self._most:
                self.dropped["too many services"] += 1
                return
            service = self._services[name] = _Service()
        facet = service.facets.get(by)
        if facet is None:
            facet = service.facets[by] = _Facet(at, at)
        seen = facet.seen.get(value)
        if seen is not None and facet.running(seen):
            seen.last, facet.last = max(seen.last, at), max(facet.last, at)
            return
        before = _latest(facet)
        if seen is None and (seen := _room(facet, at)) is None:
            self.dropped["too many releases of one service"] += 1
            return
        facet.seen[value] = seen
        seen.last, facet.last = at, max(facet.last, at)
        if before and self._worth_telling(service, by, seen, at - facet.first, at):
            seen.told = at
            service.told.append((at, by))
            title = f"{by} {value}, before {before}"
            self._waiting.append(Change(at, name, ChangeKind.DEPLOY, title, SOURCE, f"{name}/{by}/{value}/{at:.0f}"))
            self._bound()

    def _worth_telling(self, service: _Service, by: str, seen: _Seen, known: float, at: float) -> bool:
        if known < LEARNING_SECONDS:
            return False
        if any(at - when < SAME_SECONDS and facet != by for when, facet in service.told):
            return False
        if at - seen.told < REPEAT_SECONDS:
            self.dropped["a release that comes and goes"] += 1
            return False
        if len(service.told) == MAX_TOLD and at - service.told[0][0] < _HOUR:
            self.dropped["releases that change too often"] += 1
            return False
        return True

    def _bound(self) -> None:
        over = len(self._waiting) - MAX_WAITING
        if over > 0:
            self.dropped["changes that nobody took"] += over
            del self._waiting[:over]


def _latest(facet: _Facet) -> str:
    """The release that was reported last; "" where there is none yet."""
    return max(facet.seen, key=lambda value: facet.seen[value].last, default="")


def _room(facet: _Facet, at: float) -> _Seen | None:
    """A place for one more release; None where too many are reported at once."""
    if len(facet.seen) >= MAX_RELEASES:
        facet.seen = {value: seen for value, seen in facet.seen.items() if seen.last >= at - _HOUR}
    return _Seen(at) if len(facet.seen) < MAX_RELEASES else None
