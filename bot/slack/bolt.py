"""Slack's requests: Bolt checks the signature and the age, the handlers answer from the map within the same response."""

from __future__ import annotations

import logging
import re
import time
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.view import MapView
from bot.errors import NotFound, Unauthorized
from bot.model import Message
from bot.slack import answers as views
from bot.slack.views import OPEN_LINK, SHOW_SERVICE

_RESPONSE_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")

log = structlog.get_logger(__name__)

# Bolt warns at every start that it will ignore the token in favour of `authorize`, which is what we want.
_bolt_log = logging.getLogger("topology_bot.bolt")
_bolt_log.setLevel(logging.ERROR)


def closed_door() -> list[web.RouteDef]:
    """`/slack/events` where no signing secret is set: it refuses all."""

    async def refuse(request: web.Request) -> web.Response:
        log.warning("request refused: no signing secret is set", source="slack", remote=request.remote)
        raise Unauthorized("no SLACK_SIGNING_SECRET is set, so this door refuses all; see the README's settings")

    return [web.post("/slack/events", refuse)]


class SlackDoor:
    """POST `/slack/events`: slash commands, button clicks, events. A bad signature is 401 and reaches no handler."""

    def __init__(self, client: AsyncWebClient, signing_secret: str, view: MapView) -> None:
        self._view = view
        api_host = urlsplit(client.base_url).netloc
        self._response_hosts = frozenset((*_RESPONSE_HOSTS, api_host))

        async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
            # One workspace, one token, known from the settings: no call to Slack while somebody waits three seconds.
            return AuthorizeResult(
                enterprise_id=enterprise_id, team_id=team_id, bot_token=client.token, bot_id="", bot_user_id=""
            )

        app = AsyncApp(client=client, signing_secret=signing_secret, authorize=authorize, logger=_bolt_log)
        app.command(re.compile("^/"))(self._command)
        app.action(re.compile(f"^{SHOW_SERVICE}"))(self._show_service)
        app.action(re.compile(f"^{OPEN_LINK}"))(self._acknowledge)
        self._app = app

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/slack/events", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Hand a request to Bolt and its answer back."""
        response = await self._app.async_dispatch(await to_bolt_request(request))
        if response.status == 401:
            log.warning("request refused: wrong or missing signature", source="slack", remote=request.remote)
        return await to_aiohttp_response(response)

    async def _command(self, ack: AsyncAck, command: dict[str, Any]) -> None:
        """`/topology …`. The map answers in milliseconds, so the answer is the acknowledgement itself."""
        text = str(command.get("text", "")).strip()
        message, what = self.answer(text, time.time())
        metrics.COMMANDS.labels(what).inc()
        log.info("slash command", what=what, user=command.get("user_id"))
        await ack(text=message.text, blocks=[dict(block) for block in message.blocks], response_type="ephemeral")

    async def _show_service(
        self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """A click on a service's button: the same answer as the command, to the one who clicked."""
        await ack()
        metrics.COMMANDS.labels("click").inc()
        log.info("button", action=action.get("action_id"), user=body.get("user", {}).get("id"))
        target = urlsplit(str(body.get("response_url", "")))
        if target.netloc not in self._response_hosts:
            log.warning("a click named a response_url that is not Slack's", host=target.netloc[:80])
            return
        message, _ = self.answer(str(action.get("value", "")), time.time())
        await respond(
            text=message.text,
            blocks=[dict(block) for block in message.blocks],
            response_type="ephemeral",
            replace_original=False,
        )

    async def _acknowledge(self, ack: AsyncAck) -> None:
        """A click on a link button opens the page by itself; Slack only wants to be told that it arrived."""
        await ack()

    def answer(self, text: str, now: float) -> tuple[Message, str]:
        """What `/topology TEXT` says, and what kind of question it was."""
        if not text or text.lower() in ("help", "?", "-h", "--help"):
            return views.usage(), "help"
        try:
            identifier = self._view.graph.names.resolve(text)
        except NotFound as error:
            return views.unknown(text, error.suggestions, str(error)), "unknown service"
        return views.service(answers.service(self._view, identifier, now, Query())), "service"
