"""Adds to an open incident's thread what is no news: the picture of what is around it, and the list of all its alerts in a storm.

Comes in: the open incidents as they are stored, and the map. Goes out: one post each in the outbox, for the thread; the picture's is
edited when the incident's service or cause becomes another. What is lost: while alerts come fast, nothing of this is made. What
was made is remembered in memory: after a restart the pictures of open incidents are drawn anew, as edits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from bot.enrich.facts import stored_cause
from bot.incidents.open_incidents import MAX_OPEN
from bot.incidents.steps import AlertPath
from bot.model import Message
from bot.picture.choose import choose, worth_room
from bot.picture.focus import Focus
from bot.storage.alert_records import Queued, StoredAlert, StoredIncident
from bot.storage.incident_reader import IncidentReader
from bot.storage.outbox_store import PICTURE_KEY, ROOT_KEY, OutboxStore

AGAIN_SECONDS = 60.0
"""How often one incident is looked at for a picture that has become another."""

MANY_ALERTS = 20
"""An incident of more alerts than this gets the list of them all."""

CALM_SECONDS, LONG_SECONDS = 60.0, 600.0
"""The list is made once no alert has come for so long, and while they go on coming, so often."""

log = structlog.get_logger(__name__)


class Words(Protocol):
    """How these posts are written."""

    def picture(self, focus: Focus) -> Message:
        """A picture of a service and what is around it."""
        ...

    def listing(self, incident: int, members: Sequence[StoredAlert], now: float) -> Message:
        """All alerts of an incident, as a file."""
        ...


class Illustrating:
    """One per program. `busy`: whether alerts wait, and nothing else should be done; `wrote` is told of a new post."""

    def __init__(
        self,
        path: AlertPath,
        reader: IncidentReader,
        outbox: OutboxStore,
        words: Words,
        busy: Callable[[], bool],
        wrote: Callable[[], None],
    ) -> None:
        self._path, self._reader, self._outbox, self._words = path, reader, outbox, words
        self._busy, self._wrote = busy, wrote
        self._looked: dict[int, float] = {}
        self._drawn: dict[int, tuple[str, str]] = {}
        self._listed: dict[int, tuple[int, float]] = {}

    async def tick(self, now: float) -> bool:
        """Look at the incident that was not looked at for longest; whether anything was written. To be called every second."""
        if self._busy():
            return False
        unresolved = await self._reader.unresolved(MAX_OPEN)
        for kept in (self._looked, self._drawn, self._listed):
            for gone in kept.keys() - set(unresolved):
                del kept[gone]
        due = [one for one in unresolved if now - self._looked.get(one, float("-inf")) >= AGAIN_SECONDS]
        if not due:
            return False
        number = min(due, key=lambda one: self._looked.get(one, 0.0))
        self._looked[number] = now
        try:
            incident = await self._path.store.incident(number)
        except LookupError:
            return False  # over by now, and let go of
        posts = [one for one in (self._picture(incident, now), await self._list(incident, now)) if one is not None]
        for post in posts:
            await self._outbox.write(post, number, now)
        if posts:
            self._wrote()
        return bool(posts)

    def _picture(self, incident: StoredIncident, now: float) -> Queued | None:
        services = [one for one in incident.facts.get("services", ()) if one in self._path.view.graph]
        if not services:
            return None
        cause = stored_cause(incident.facts)
        suspects = worth_room((service, p) for service, p, _ in cause.ranked) if cause and cause.service else ()
        about = services[0], suspects[0][0] if suspects else ""
        if self._drawn.get(incident.id) == about:
            return None
        self._drawn[incident.id] = about
        message = self._words.picture(choose(self._path.view, services[0], now, None, suspects))
        return Queued(PICTURE_KEY, _channel(incident.facts), message, ROOT_KEY)

    async def _list(self, incident: StoredIncident, now: float) -> Queued | None:
        total = sum(int(one.get("total", 0)) for one in incident.facts.get("sources", ()))
        listed, at = self._listed.get(incident.id, (0, incident.opened_at))
        calm = now - incident.updated_at >= CALM_SECONDS or now - at >= LONG_SECONDS
        if total <= MANY_ALERTS or total == listed or not calm:
            return None
        self._listed[incident.id] = total, now
        key = f"incident:{{incident}}:alerts:{total}"
        if await self._outbox.one(key.format(incident=incident.id)) is not None:
            return None  # made before a restart
        members = await self._path.opens.members(self._path.store, incident.id)
        message = self._words.listing(incident.id, members, now)
        return Queued(key, _channel(incident.facts), message, ROOT_KEY)


def _channel(facts: Mapping[str, Any]) -> str:
    return str(facts.get("channel") or "")
