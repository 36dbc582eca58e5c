"""What questions in Slack need besides the live map, as the desk asks for it (`bot.web.stored` answers)."""

from __future__ import annotations

from typing import Any, Protocol

from bot.enrich.view import MapView
from bot.model import Message
from bot.picture.focus import Focus

Json = dict[str, Any]


class Stored(Protocol):
    """What is not in the live map. Each raises BadRequest or NotFound, in words."""

    async def at(self, moment: float) -> MapView:
        """The map as a reader at `moment` (epoch s) saw it."""
        ...

    async def causes(self, service: str, moment: float | None) -> Json:
        """Likely causes of trouble at a service, now or then."""
        ...

    async def focus(self, service: str, moment: float | None) -> Focus:
        """What a picture of a service shows, now or then."""
        ...

    async def diff(self, service: str, since: float) -> Json:
        """What changed among a service's calls since a moment."""
        ...

    async def incident(self, wanted: str) -> Json:
        """One incident with its decisions: by its number, `alert` and an alert's number, a fingerprint, or a service's latest."""
        ...

    async def confirm(self, incident: str, service: str, by: str) -> str:
        """Note who was at fault in an incident that is over; gives the service's id, or `none`."""
        ...

    async def reject(self, incident: str, service: str, by: str) -> str:
        """Note that a service is not what an open incident comes from; gives the service's id."""
        ...

    async def health(self) -> Json:
        """The doctor's findings."""
        ...


class Taker(Protocol):
    """Who is told that somebody has an incident."""

    async def take(self, incident: int | None, user: str) -> Message:
        """Say so where its alerts came from, in a user's name; the answer to him."""
        ...
