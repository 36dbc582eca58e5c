"""Thinks about open incidents again while no delivery waits: the cause that was put off, and what the map says by now.

Comes in: the moment. Goes out: the incident's message as it should read now, and the decision that made it so; nothing where a
reader would miss nothing. What is lost: in a storm, how often; those nobody has thought about yet come first, then the longest ago.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bot import metrics
from bot.incidents.case import Case
from bot.incidents.folding import fold
from bot.incidents.open_incidents import MAX_OPEN
from bot.incidents.path import run
from bot.incidents.steps import AlertPath, Step
from bot.storage.alert_records import Outcome
from bot.storage.alert_store import AlertStore
from bot.storage.incident_reader import IncidentReader

_REST = 3.0
"""Thinking again rests this many times as long as it took: a quarter of one core at most."""

log = structlog.get_logger(__name__)


class Rethinking:
    """Which incident is due, and its second thought. `every` seconds for one incident; only while the worker has nothing else
    to do, so nobody writes to the incident meanwhile."""

    def __init__(
        self, store: AlertStore, reader: IncidentReader, path: AlertPath, every: float, wrote: Callable[[], None]
    ) -> None:
        self._store = store
        self._reader = reader
        self._path = path
        self._every = every
        self._wrote = wrote
        self._thought: dict[int, float] = {}
        self._rests_until = 0.0

    def thought(self, incident_id: int, now: float) -> None:
        """The alert path itself has just thought about an incident."""
        self._thought[incident_id] = now

    def due(self, incident_id: int) -> None:
        """Think about an incident as soon as there is time: a person has said something of it."""
        self._thought[incident_id] = float("-inf")
        self._rests_until = 0.0

    async def next(self, now: float) -> bool:
        """Think about the incident that is due; False where none is."""
        unresolved = await self._reader.unresolved(MAX_OPEN)
        unresolved += [one for one in await self._reader.due(now) if one not in unresolved]
        self._thought = {one: self._thought[one] for one in unresolved if one in self._thought}
        new = [one for one in unresolved if one not in self._thought]
        if new:
            incident_id = new[-1]
        elif self._thought and now >= self._rests_until:
            incident_id = min(self._thought, key=lambda one: (self._thought[one], one))
            if now - self._thought[incident_id] < self._every:
                return False
        else:
            return False
        started = time.monotonic()
        await self._again(incident_id, now)
        self._thought[incident_id] = now
        self._rests_until = now + _REST * (time.monotonic() - started)
        return True

    async def _again(self, incident_id: int, now: float) -> None:
        case = Case(None, now, Outcome(None, now, "thought about again"))
        try:
            case.incident = await self._store.incident(incident_id)
        except LookupError:
            return  # over by now, and let go of
        case.members = await self._path.opens.members(self._store, incident_id)
        verdict, error = await run(self._steps(), case)
        metrics.RETHOUGHT.labels("failed" if error is not None else verdict).inc()
        folded = case.spread and error is None and await fold(self._path, incident_id, now)
        if verdict == "edit" or folded:
            log.info("incident thought about again", incident=incident_id)
            self._wrote()

    def _steps(self) -> tuple[Step, ...]:
        path = self._path
        return (
            Step("causes", path.think, essential=False),
            Step("enrich", path.enrich, essential=False),
            Step("decide", path.decide),
            Step("courtesy", path.tell_others, essential=False),
            Step("notify", self._notify),
        )

    async def _notify(self, case: Case) -> str | None:
        if not case.news or (case.degraded and not case.released):
            return "leave"  # what a message says is not taken back because it could not be thought out again
        await self._path.notify(case)
        return "edit" if case.messages else "note"
