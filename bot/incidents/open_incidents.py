"""The open incidents in memory, as correlation needs them. Kept by the only one who writes incidents, the alert worker.

Comes in: each incident as it is stored. Goes out: `OpenIncident`s, the oldest first. What is lost: those beyond the cap, which
alerts still join by their sender's group or their service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.enrich.manners import Manners
from bot.graph.live import LiveGraph
from bot.graph.walk import dependencies
from bot.incidents.correlate import Joined, NewAlerts, OpenIncident, Same, explained, same
from bot.model import AlertStatus
from bot.storage.alert_records import StoredAlert
from bot.storage.alert_store import AlertStore

MAX_OPEN = 500
"""Incidents kept in mind, the newest; beyond them a message changes only with its own alerts."""
MAX_ALERTS = 20_000
"""Alerts of open incidents in memory; the oldest incidents' are read from the store again."""

NEEDS_HOPS, NEEDS_LIMIT = 3, 300
"""How far down a service's own dependencies explain its trouble."""

_BELOW_HOPS = 2
_CALLERS_LOOKED_AT = 10


class OpenIncidents:
    """One per program. `load` before the first use. An incident explains new alerts until its latest is `window` seconds old;
    0 leaves it to senders' groups and to services."""

    def __init__(self, window: float = 1_800.0) -> None:
        self._window = window
        self._known: dict[int, OpenIncident] = {}
        self._members: dict[int, Sequence[StoredAlert]] = {}
        self._alerts = 0

    def explaining(self, new: NewAlerts) -> Joined | None:
        """The open incident that new alerts belong to as the map has it; see `correlate.explained`."""
        return explained(new, self.all(), self._window) if self._window > 0 else None

    async def members(self, store: AlertStore, incident_id: int) -> list[StoredAlert]:
        """All alerts of an incident, oldest first: from memory where they are, since a storm asks for thousands thousands of times."""
        known = self._members.get(incident_id)
        return list(known) if known is not None else await store.alerts_of(incident_id)

    def same_as(self, incident_id: int) -> Same | None:
        """Whether an open incident turns out to be one with another; see `correlate.same`."""
        mine = self._known.get(incident_id)
        if mine is None or self._window <= 0:
            return None
        found = (same(mine, other, self._window) for other in self.all() if other is not mine)
        return next((one for one in found if one is not None), None)

    def drop(self, incident_id: int) -> None:
        """Forget an incident that is over."""
        self._known.pop(incident_id, None)
        self._alerts -= len(self._members.pop(incident_id, ()))

    def all(self) -> list[OpenIncident]:
        """The incidents that are open, the oldest first."""
        return [self._known[one] for one in sorted(self._known)]

    async def load(self, store: AlertStore, graph: LiveGraph, ids: Sequence[int]) -> None:
        """Take up what was open when the program stopped."""
        for incident_id in ids[:MAX_OPEN]:
            incident = await store.incident(incident_id)
            members = await store.alerts_of(incident_id)
            self.put(incident_id, incident.state, incident.environment, incident.facts, members, graph)

    def put(
        self,
        incident_id: int,
        state: str,
        environment: str,
        facts: Mapping[str, Any],
        members: Sequence[StoredAlert],
        graph: LiveGraph,
    ) -> None:
        """Take in an incident as it is now; one that is over goes."""
        self.drop(incident_id)
        if state == "resolved" or not members:
            return
        outcome = facts.get("outcome") or {}
        live = [one for one in members if one.alert.status is not AlertStatus.RESOLVED]
        firing = sorted({one.service for one in live if one.service in graph})
        called = dependencies(graph, firing[:_CALLERS_LOOKED_AT], _BELOW_HOPS, limit=NEEDS_LIMIT).found
        root = next((one.service for one in live if one.service in graph), "")
        needs = dependencies(graph, [root], NEEDS_HOPS, limit=NEEDS_LIMIT).found if root else ()
        starts = [one.alert.starts_at for one in members]
        self._known[incident_id] = OpenIncident(
            incident_id, environment, min(starts), max(starts), root, frozenset(firing), frozenset(outcome.get("predicted", ())),
            {service: p for service, p, _ in outcome.get("causes", ())}, outcome.get("named", ""), frozenset(called),
            frozenset(needs), {one.channel: one.at for one in Manners.stored(facts).courtesies},
        )  # fmt: skip
        self._members[incident_id] = tuple(members)
        self._alerts += len(members)
        while len(self._known) > MAX_OPEN:
            del self._known[min(self._known)]
        while len(self._members) > MAX_OPEN or self._alerts > MAX_ALERTS:
            self._alerts -= len(self._members.pop(min(self._members)))
