"""Every page there is, put together for the composition root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import web

from bot.web.auth import Gate
from bot.web.map.around import MapPage
from bot.web.map.completeness import CoveragePage
from bot.web.map.difference import DifferencePage
from bot.web.map.groups import GroupPages
from bot.web.map.incidents import IncidentPages
from bot.web.map.now import NowPage
from bot.web.map.plan import PlanPage
from bot.web.map.reply import Door
from bot.web.map.sources import Sources
from bot.web.map.trace import TracePage
from bot.web.status import Parts


class Room(Protocol):
    """Something with routes."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Its part of the route table."""


def pages(sources: Sources, gate: Gate, parts: Parts, stirred: Callable[[], int]) -> tuple[Room, ...]:
    """The rooms of all pages. `stirred` gives another number when an incident has changed."""
    door = Door(gate, stirred)
    return (
        NowPage(sources, door),
        GroupPages(sources, door, gate),
        MapPage(sources, door),
        IncidentPages(sources, door),
        DifferencePage(sources, door),
        PlanPage(sources, door),
        TracePage(sources, door),
        CoveragePage(sources, door, parts),
    )
