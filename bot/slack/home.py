"""The App Home tab: opened by a person, filled with what concerns him, published to him alone.

Comes in: who opened it, which team he chose. Goes out: one `views.publish`. A tab that cannot be published is as it was; opening
it again tries again. Sections come in an order; another room adds its own (`Section`) where the program is put together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from bot import metrics
from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.view import MapView
from bot.errors import DeliveryError
from bot.model import Message
from bot.slack import home_views as views
from bot.slack.budget import fit
from bot.slack.views import Block, context

Section = Callable[[str, float], Awaitable[Sequence[Block]]]
"""(user id, now) -> blocks, at most a dozen."""

Publish = Callable[[str, Sequence[Any]], Awaitable[None]]
"""(user id, blocks). Raises DeliveryError."""

_DIVIDER: Block = {"type": "divider"}

log = structlog.get_logger(__name__)


class Kept(Protocol):
    """What the store has for the tab."""

    async def open_incidents(self, limit: int) -> list[dict[str, Any]]:
        """Incidents that are not over, the newest first."""
        ...

    async def health(self) -> dict[str, Any]:
        """The doctor's findings."""
        ...

    async def team(self, user: str) -> str:
        """The team a person chose, "" for none."""
        ...

    async def choose_team(self, user: str, team: str, now: float) -> None:
        """Remember it."""
        ...


class Home:
    """One per program; keeps nothing."""

    def __init__(self, view: MapView, kept: Kept, publish: Publish, more: Sequence[Section] = ()) -> None:
        self._view = view
        self._kept = kept
        self._publish = publish
        self._sections: tuple[Section, ...] = (self._incidents, self._team, *more, self._map)

    async def opened(self, user: str, now: float) -> None:
        """Fill a person's tab."""
        blocks: list[Block] = []
        for make in self._sections:
            blocks += [*([_DIVIDER] if blocks else []), *await make(user, now)]
        blocks.append(context("`/topology help` says what can be asked; you can also write to the bot directly."))
        try:
            await self._publish(user, fit(Message("App Home", tuple(blocks))).blocks)
        except DeliveryError as error:
            metrics.COMMANDS.labels("home not published").inc()
            log.warning("an App Home tab could not be published", why=str(error))
        else:
            metrics.COMMANDS.labels("home").inc()

    async def chosen(self, user: str, team: str, now: float) -> None:
        """A person says which team is his: remember it, and fill his tab again."""
        if team in views.teams(self._view.catalog.entries.values()):
            await self._kept.choose_team(user, team, now)
        await self.opened(user, now)

    async def _incidents(self, user: str, now: float) -> Sequence[Block]:
        found = await self._kept.open_incidents(views.INCIDENTS_SHOWN + 1)
        return views.incidents(found[: views.INCIDENTS_SHOWN], len(found) > views.INCIDENTS_SHOWN)

    async def _team(self, user: str, now: float) -> Sequence[Block]:
        team = await self._kept.team(user)
        answer = answers.services(self._view, now, Query(owner=team, limit=answers.MAX_LIMIT)) if team else None
        return views.team_services(views.teams(self._view.catalog.entries.values()), team, answer)

    async def _map(self, user: str, now: float) -> Sequence[Block]:
        return views.map_health(await self._kept.health())
