"""The JSON API: read-only answers over the map, live or as it was (design: interfaces others rely on)."""

from __future__ import annotations

from aiohttp import web

from bot.web import openapi
from bot.web.auth import Gate
from bot.web.problem import Handler, json_response
from bot.web.questions import Questions


class Api:
    """The `GET` routes of `/api/v1` that are questions (`bot.web.questions`), and the description of all of it."""

    def __init__(self, questions: Questions, gate: Gate) -> None:
        self._questions = questions
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        asked = [
            web.get(route.path, self._asking(route.name))
            for route in openapi.ROUTES
            if route.name in self._questions.names
        ]
        return [*asked, web.get(openapi.path_of("openapi"), self.openapi)]

    def _asking(self, name: str) -> Handler:
        async def ask(request: web.Request) -> web.Response:
            self._gate.check(request, "read")
            return json_response(await self._questions.answer(name, request.query, request.match_info.get("id", "")))

        return ask

    async def openapi(self, request: web.Request) -> web.Response:
        """The description of all of this."""
        self._gate.check(request, "read")
        return json_response(openapi.document())
