"""Where services run: on which machines, in which zones. Pure.

Comes in: reports, in any order. Goes out: the services of a place, and how much of each is there. What is lost: what nobody has
repeated for an hour; places of a service beyond the first sixty-four, and, counted, services over the cap.

How many of its instances a service has in each of its places nobody says: it is taken to be in all of them alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bot.model import PLACES, Report

MAX_SERVICES = 20_000
MAX_EACH = 64
"""Nodes, and zones, of one service: of one that runs on more, no single one is to blame."""
KEPT_SECONDS = 3_600.0


def place_id(what: str, name: str) -> str:
    """How a place is written where a service's id may stand, too: `node:ip-10-0-3-7`. No service's id has a colon."""
    return f"{what}:{name}"


def is_place(identifier: str) -> bool:
    """Whether an id is a place's."""
    return identifier.partition(":")[0] in PLACES and ":" in identifier


def spoken(identifier: str) -> str:
    """An id as a sentence has it: `node ip-10-0-3-7`; a service's as it is."""
    return identifier.replace(":", " ", 1) if is_place(identifier) else identifier


class Places:
    """The places of all services. Lives on the event loop."""

    def __init__(self, services: int = MAX_SERVICES) -> None:
        self.dropped: Counter[str] = Counter()
        self._most = services
        self._seen: dict[str, dict[str, dict[str, float]]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def see(self, reports: Mapping[Report, float], now: float) -> None:
        """Take in where services were reported to run (epoch s)."""
        for (service, what, name), at in reports.items():
            if what not in PLACES or at < now - KEPT_SECONDS:
                continue
            if service not in self._seen and len(self._seen) >= self._most:
                self.dropped["too many services"] += 1
                continue
            known = self._seen.setdefault(service, {}).setdefault(what, {})
            if name in known or len(known) < MAX_EACH:
                known[name] = max(min(at, now), known.get(name, 0.0))
            else:
                self.dropped["too many places of one service"] += 1

    def shared(self, services: Iterable[str], now: float) -> dict[str, dict[str, float]]:
        """The places of these services by `place_id`, each with its services and what share of each is there, 0..1."""
        found: dict[str, dict[str, float]] = {}
        for service in services:
            for what, known in self._seen.get(service, {}).items():
                here = [name for name, at in known.items() if at >= now - KEPT_SECONDS]
                for name in here:
                    found.setdefault(place_id(what, name), {})[service] = 1.0 / len(here)
        return found

    def expire(self, now: float) -> None:
        """Let go of what nobody has repeated for an hour."""
        for service, kinds in list(self._seen.items()):
            for what, known in list(kinds.items()):
                kinds[what] = {name: at for name, at in known.items() if at >= now - KEPT_SECONDS}
            if not any(kinds.values()):
                del self._seen[service]
