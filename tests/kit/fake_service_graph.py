"""A strict PagerDuty's service graph: no circles, so many neighbours a service, one writer at a time, neighbours only.

`trouble` holds what goes wrong with the next orders: a status to answer with nothing done, `lost` (done, but the connection
breaks), `failed` (done, and answered 500), `half` (the first half done, and answered 500), `ignored` (answered 200, nothing
done). What is answered is what the API's description has, with types named otherwise in answers than in orders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiohttp import web

Ends = tuple[str, str]
"""(who depends, on whom)"""


class FakeServiceGraph:
    """The graph over `services`, which stays the account's. `made` and `taken_back` are the orders that were carried out."""

    def __init__(self, services: set[str]) -> None:
        self.services = services
        self.business: set[str] = set()
        self.numbers: dict[Ends, str] = {}
        self.most = 2_000
        self.trouble: list[str | int] = []
        self.made: list[Ends] = []
        self.taken_back: list[Ends] = []
        self.orders: list[tuple[str, int]] = []
        """(verb, how many at once)"""
        self._writing = False
        self._count = 0

    def routes(self) -> list[web.RouteDef]:
        """What of the API is served."""
        return [
            web.get("/service_dependencies/technical_services/{id}", self.neighbours),
            web.post("/service_dependencies/{verb:associate|disassociate}", self.order),
        ]

    def put(self, *pairs: Ends) -> None:
        """What a person makes in PagerDuty's own pages."""
        for pair in pairs:
            self._count += 1
            self.numbers[pair] = f"D{self._count:06d}"

    def delete(self, *pairs: Ends) -> None:
        """What a person deletes there."""
        for pair in pairs:
            del self.numbers[pair]

    async def neighbours(self, request: web.Request) -> web.Response:
        """GET /service_dependencies/technical_services/{id}: neighbours only, all at once."""
        service = request.match_info["id"]
        if service not in self.services:
            return _error(404, 2100, "Not Found")
        return web.json_response({"relationships": [self._told(pair) for pair in self.numbers if service in pair]})

    async def order(self, request: web.Request) -> web.Response:
        """POST /service_dependencies/associate and /disassociate: all or none."""
        if self._writing:
            return _error(500, 2000, "Internal Server Error")
        self._writing = True
        try:
            return await self._order(request)
        finally:
            self._writing = False

    async def _order(self, request: web.Request) -> web.Response:
        wanted = (await request.json())["relationships"]
        await asyncio.sleep(0.01)
        verb = request.match_info["verb"]
        self.orders.append((verb, len(wanted)))
        wrong = self.trouble.pop(0) if self.trouble else ""
        if isinstance(wrong, int):
            return _error(wrong, 2000, "Trouble")
        pairs = [_ends(one) for one in wanted]
        if why := self._refusal(verb, wanted, pairs):
            return why
        if wrong == "ignored":
            return web.json_response({"relationships": []})
        done = pairs[: len(pairs) // 2] if wrong == "half" else pairs
        self._carry_out(verb, done)
        if wrong == "lost" and request.transport is not None:
            request.transport.abort()
        if wrong in ("failed", "half"):
            return _error(500, 2000, "Internal Server Error")
        return web.json_response({"relationships": [self._told(pair) for pair in done]})

    def _refusal(self, verb: str, wanted: list[Any], pairs: list[Ends]) -> web.Response | None:
        for one in wanted:
            for end in (one["supporting_service"], one["dependent_service"]):
                known = self.services if end["type"] == "service" else self.business
                if end["type"] not in ("service", "business_service"):
                    return _error(400, 2001, "Invalid Input Provided")
                if end["id"] not in known:
                    return _error(404, 2100, "Not Found")
        if verb == "disassociate":
            return None
        after = {*self.numbers, *pairs}
        if any(sum(end in pair for pair in after) > self.most for end in {end for pair in pairs for end in pair}):
            return _error(400, 2001, "Invalid Input Provided")
        if _circular(after):
            return _error(
                400,
                2002,
                "Arguments Caused Error",
                "Adding these service relationships will cause a circular dependency",
            )
        return None

    def _carry_out(self, verb: str, pairs: Iterable[Ends]) -> None:
        for pair in pairs:
            if verb == "associate" and pair not in self.numbers:
                self.put(pair)
                self.made.append(pair)
            elif verb == "disassociate" and pair in self.numbers:
                self.delete(pair)
                self.taken_back.append(pair)

    def _told(self, pair: Ends) -> dict[str, Any]:
        types = ["business" if end in self.business else "technical" for end in pair]
        dependent, supporting = (
            {"id": end, "type": f"{kind}_service_reference"} for end, kind in zip(pair, types, strict=True)
        )
        return {"id": self.numbers.get(pair, ""), "type": "service_dependency", "dependent_service": dependent,
                "supporting_service": supporting}  # fmt: skip


def _ends(one: Any) -> Ends:
    return one["dependent_service"]["id"], one["supporting_service"]["id"]


def _circular(pairs: Iterable[Ends]) -> bool:
    """Whether taking away, again and again, whoever needs nobody leaves somebody."""
    left = set(pairs)
    while left:
        needing = {dependent for dependent, _ in left}
        rest = {pair for pair in left if pair[1] in needing}
        if rest == left:
            return True
        left = rest
    return False


def _error(status: int, code: int, message: str, *details: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, "errors": list(details)}}, status=status)
