"""PagerDuty's service graph over its REST API: comes in ids and pairs, goes out who stands there and what was taken.

`GET /service_dependencies/technical_services/{id}` gives immediate neighbours, all at once; `POST …/associate` and
`…/disassociate` take a list, of which no length is documented. Calls side by side make the API answer 500, so there is one at
a time, and the last tenth of the account's requests is left to others. Business services are counted as neighbours and never
written. Sources: developer.pagerduty.com, REST API v2, "Service Dependencies"; PagerDuty/terraform-provider-pagerduty#724.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from bot.errors import PermanentDeliveryError
from bot.pagerduty.client import Json, PagerDuty, identifier
from bot.pagerduty.plan import Graph
from bot.pushed import Pair

MAX_SERVICES = 10_000
"""As far as PagerDuty's pages go."""
GAP = 0.2
"""Seconds between two requests: at most a third of what an account may ask, also where its headers say nothing."""

_TECHNICAL = frozenset(("service", "service_reference", "technical_service", "technical_service_reference"))
_GONE = "pd_not_found"


class ServiceGraph:
    """One account's. Not to be used by two at a time."""

    def __init__(self, api: PagerDuty, gap: float = GAP) -> None:
        self._api = api
        self._gap = gap
        self._asked = float("-inf")

    async def services(self) -> list[str]:
        """The ids of all technical services the token may see, `MAX_SERVICES` at most."""
        await self._turn()
        listed = await self._api.pages("/services", "services", MAX_SERVICES)
        return [number for one in listed if (number := _text(one, "id"))]

    async def read(self, services: Iterable[str]) -> Graph:
        """What stands between these services and their neighbours. One that is gone meanwhile is left out."""
        read, standing, neighbours = set[str](), dict[Pair, str](), Counter[str]()
        for service in services:
            await self._turn()
            try:
                answer = await self._api.get(f"/service_dependencies/technical_services/{identifier(service)}")
            except PermanentDeliveryError as error:
                if error.code != _GONE:
                    raise
                continue
            listed = _relationships(answer)
            read.add(service)
            neighbours[service] = len(listed)
            standing.update(_pairs(listed))
        return Graph(frozenset(read), standing, neighbours)

    async def associate(self, pairs: Sequence[Pair]) -> dict[Pair, str]:
        """Make dependencies; gives those that PagerDuty says it has, with their numbers."""
        return await self._change("associate", pairs)

    async def disassociate(self, pairs: Sequence[Pair]) -> None:
        """Take dependencies back."""
        await self._change("disassociate", pairs)

    async def _change(self, verb: str, pairs: Sequence[Pair]) -> dict[Pair, str]:
        wanted = [
            {"supporting_service": _reference(supporting), "dependent_service": _reference(dependent)}
            for dependent, supporting in pairs
        ]
        await self._turn()
        answer = await self._api.post(f"/service_dependencies/{verb}", {"relationships": wanted})
        return _pairs(_relationships(answer))

    async def _turn(self) -> None:
        await asyncio.sleep(max(self._asked + self._gap - time.monotonic(), self._api.breath(), 0.0))
        self._asked = time.monotonic()


def _reference(service: str) -> Json:
    return {"id": identifier(service), "type": "service"}


def _relationships(answer: Json) -> list[Json]:
    listed = answer.get("relationships")
    if not isinstance(listed, list):
        raise PermanentDeliveryError("pd_unreadable")
    return [one for one in listed if isinstance(one, dict)]


def _pairs(listed: Iterable[Json]) -> dict[Pair, str]:
    """Those between two technical services, with their numbers."""
    found: dict[Pair, str] = {}
    for one in listed:
        ends = one.get("dependent_service"), one.get("supporting_service")
        numbers = [_text(end, "id") for end in ends if isinstance(end, dict) and end.get("type") in _TECHNICAL]
        if len(numbers) == 2 and all(numbers):
            found[numbers[0], numbers[1]] = _text(one, "id")
    return found


def _text(given: Json, name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""
