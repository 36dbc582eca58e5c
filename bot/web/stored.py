"""What Slack's questions need besides the live map: the past, incidents, the doctor. The same answers as the JSON API's.

Comes in: names, numbers, moments. Goes out: JSON-able answers, as `bot.slack.desk.Stored` and `bot.slack.home.Kept` want them. What people
chose for their App Home is the one thing that is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from bot.enrich.answers import Query
from bot.enrich.view import MapView
from bot.errors import NotFound
from bot.history import History
from bot.names import MAX_ID
from bot.picture.focus import Focus
from bot.storage.grade_store import GradeStore
from bot.storage.incident_reader import IncidentReader
from bot.storage.team_store import TeamStore
from bot.web.grades import confirm
from bot.web.pictures import Chosen, focus_at, look
from bot.web.questions import changes, why
from bot.web.status import Parts, examine

_CHANGES, _CAUSES = 200, 5
_TOLD = "pagerduty"
Json = dict[str, Any]


class StoredAnswers:
    """Reads the database of one bot."""

    def __init__(
        self,
        parts: Parts,
        history: History,
        incidents: IncidentReader,
        think_again: Callable[[int], None],
    ) -> None:
        self._think_again = think_again
        self._parts = parts
        self._history = history
        self._incidents = incidents
        self._teams = TeamStore(parts.database)
        self._grades = GradeStore(parts.database)

    async def at(self, moment: float) -> MapView:
        """See `Stored.at`."""
        return await self._history.at(moment)

    async def causes(self, service: str, moment: float | None) -> Json:
        """See `Stored.causes`."""
        given = {} if moment is None else {"at": f"{moment:.3f}"}
        return await why(self._parts.view, self._history, self._incidents, service, given, _CAUSES)

    async def diff(self, service: str, since: float) -> Json:
        """See `Stored.diff`."""
        given = {"service": service, "from": f"{since:.3f}"}
        return await changes(self._parts.view, self._history, given, Query(limit=_CHANGES))

    async def focus(self, service: str, moment: float | None) -> Focus:
        """See `Stored.focus`."""
        return await focus_at(self._parts.view, self._history, service, moment, Query())

    async def pictured(self, given: Mapping[str, str]) -> Focus:
        """See `bot.slack.unfurls.Drawn`."""
        chosen, name = Chosen.of(given, time.time()), given.get("service", "")
        looked = await look(self._parts.view, self._history, name, chosen.moment, chosen.query, chosen.wish)
        return looked.focus

    async def incident(self, wanted: str) -> Json:
        """See `Stored.incident`."""
        kind, _, rest = wanted.strip().lower().partition(" ")
        text = rest.strip() if kind in ("alert", "incident") and rest else wanted.strip()
        number = text.removeprefix("#")
        if kind != "alert" and number.isascii() and number.isdigit() and len(number) < 10:
            found: int | None = int(number)
        else:
            found = await self._incidents.of_alert(text)
        incident = await self._incidents.one(found) if found else None
        if incident is None:
            raise NotFound(
                f"No incident is known by {wanted[:80]!r}: say its number, an alert's fingerprint, or a service."
            )
        return incident

    async def confirm(self, incident: str, service: str, by: str) -> str:
        """See `Stored.confirm`."""
        return await confirm(self._grades, self._parts.view, incident.removeprefix("#"), service, by)

    async def reject(self, incident: str, service: str, by: str) -> str:
        """See `Stored.reject`."""
        found = await self.incident(incident)
        cause = self._parts.view.graph.names.find(service) or service.strip().lower()[:MAX_ID]
        if not await self._parts.alerts.reject(found["id"], cause, by, time.time()):
            raise NotFound(f"Incident {found['id']} is over: say who it was with `confirm`.")
        self._think_again(found["id"])
        return cause

    async def open_incidents(self, limit: int) -> list[Json]:
        """See `Kept.open_incidents`."""
        return await self._incidents.open(limit)

    async def team(self, user: str) -> str:
        """See `Kept.team`."""
        return await self._teams.team(user)

    async def choose_team(self, user: str, team: str, now: float) -> None:
        """See `Kept.choose_team`."""
        await self._teams.choose(user, team, now)

    async def health(self) -> Json:
        """See `Stored.health`."""
        return await examine(self._parts, time.time())
