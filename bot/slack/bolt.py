"""Slack's requests: Bolt checks the signature and the age, the handlers answer from the map within the same response."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.errors import BadRequest, DeliveryError, Unauthorized
from bot.sinks import Sink
from bot.slack.asker import NOBODY, Asker
from bot.slack.client import Attach, in_words_only
from bot.slack.command_views import dressed, refused
from bot.slack.commands import BY_WORD, SERVICE, written
from bot.slack.desk import Desk, Reply
from bot.slack.digest_view import EXPECTED, LOOK, OPEN
from bot.slack.home import Home
from bot.slack.home_views import CHOOSE_TEAM
from bot.slack.mrkdwn import code, escape, truncate
from bot.slack.order_clicks import OrderClicks
from bot.slack.replies import asker_of, content, ephemeral
from bot.slack.talk import Talk
from bot.slack.views import OPEN_LINK, RUN, SHARE, SHOW_SERVICE

_AT_A_TIME = 8
"""Answers being worked on: each of the past may hold a map of its day in memory."""

_BROKEN = "That went wrong here, and is in the bot's log. Please try again, or ask `/topology health`."
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
    """Slash commands, button clicks, events: over POST `/slack/events`, where a bad signature is 401 and reaches no handler, or
    over the socket."""

    def __init__(
        self,
        client: AsyncWebClient,
        signing_secret: str,
        desk: Desk,
        sink: Sink,
        home: Home,
        clicks: OrderClicks,
        attach: Attach = in_words_only,
    ) -> None:
        self._desk = desk
        self._home = home
        self._sink = sink
        self._talk = Talk(lambda text, asker: self._answered(text, asker, share=False), sink)
        self._people = clicks.orders.people
        self._attach = attach
        self._answering = 0
        self._signed = bool(signing_secret)
        api_host = urlsplit(client.base_url).netloc
        self._response_hosts = frozenset((*_RESPONSE_HOSTS, api_host))

        async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
            # One workspace, one token, known from the settings: no call to Slack while somebody waits three seconds.
            return AuthorizeResult(
                enterprise_id=enterprise_id, team_id=team_id, bot_token=client.token, bot_id="", bot_user_id=""
            )

        app = AsyncApp(client=client, signing_secret=signing_secret, authorize=authorize, logger=_bolt_log)
        app.command(re.compile("^/"))(self._command)
        app.action(re.compile(f"^{SHOW_SERVICE}|^{RUN}"))(self._click)
        app.action(SHARE)(self._share)
        app.action(re.compile(f"^({EXPECTED}|{LOOK}|{OPEN})_"))(self._judged)
        app.action(CHOOSE_TEAM)(self._choose_team)
        clicks.register(app, self._ours)
        app.event("app_home_opened")(self._opened)
        app.action(re.compile(f"^{OPEN_LINK}"))(self._acknowledge)
        for kind in ("app_mention", "message"):
            app.event(kind)(self._event)
        app.error(self._failed)
        self._app = app

    def hears(self, kind: str, handler: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Have a kind of event handed on as `body`, in its envelope, after Slack has its answer."""
        self._app.event(kind)(handler)

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table: a closed door where no signing secret is set."""
        if not self._signed:
            return closed_door()
        return [web.post("/slack/events", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Hand a request to Bolt and its answer back."""
        response = await self._app.async_dispatch(await to_bolt_request(request))
        if response.status == 401:
            log.warning("request refused: wrong or missing signature", source="slack", remote=request.remote)
        return await to_aiohttp_response(response)

    async def hear(self, payload: Mapping[str, Any]) -> Any:
        """Hand what came over Slack's socket to Bolt, unsigned as it is there; what to answer with, None for nothing."""
        response = await self._app.async_dispatch(AsyncBoltRequest(body=dict(payload), mode="socket_mode"))
        return json.loads(response.body) if response.status == 200 and response.body.startswith("{") else None

    async def _command(self, ack: AsyncAck, command: dict[str, Any], respond: AsyncRespond) -> None:
        """`/topology …`. From the live map the answer is the acknowledgement itself; what takes longer follows it."""
        text = str(command.get("text", "")).strip()
        asker = Asker(
            str(command.get("user_id", "")),
            str(command.get("user_name", "")),
            channel=str(command.get("channel_id", "")),
            channel_name=str(command.get("channel_name", "")),
        )
        if not self._desk.slow(text):
            reply = await self._desk.answer(text, time.time(), asker)
            self._count(reply.what, asker)
            await ack(**ephemeral(reply.message))
            return
        await ack()
        await self._later(str(command.get("response_url", "")), text, asker, respond)

    async def _click(self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond) -> None:
        """A click on a button that asks: the same answer as the command's, to the one who clicked."""
        await ack()
        value = str(action.get("value", ""))
        if str(action.get("action_id", "")).startswith(SHOW_SERVICE):
            value = written(BY_WORD[SERVICE], [value])
        asker = asker_of(body)
        if "response_url" not in body and isinstance(body.get("view"), dict) and asker.id:
            await self._directly(value, asker)
            await self._home.opened(asker.id, time.time())  # which may show what was clicked for
        else:
            await self._later(str(body.get("response_url", "")), value, asker, respond)

    async def _share(self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond) -> None:
        """[Share]: the answer to everybody in the channel, with who shared it, in place of the one only he saw."""
        await ack()
        if not self._ours(str(body.get("response_url", ""))):
            return
        asker = asker_of(body)
        reply = await self._answered(str(action.get("value", "")), asker, deeper=False, share=False)
        if not reply.question:
            await respond(**ephemeral(reply.message), replace_original=False)
            return
        shared = f"{escape(truncate(asker.name or 'somebody', 80))} shared {code('/topology ' + reply.question)}"
        shown = content(dressed(await self._attach(reply.message), [shared]))
        await respond(**shown, response_type="in_channel", replace_original=False, delete_original=True)

    async def _judged(self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond) -> None:
        """A click on a digest's line: remembered, shown in the digest, and said to whoever clicked."""
        await ack()
        if not self._ours(str(body.get("response_url", ""))):
            return
        asker, container = asker_of(body), body.get("container")
        ts = str(container.get("message_ts", "")) if isinstance(container, dict) else ""
        try:
            said = await self._desk.digests.clicked(
                str(action.get("action_id", "")), str(action.get("value", "")), asker, ts, time.time()
            )
        except BadRequest as error:
            said = refused(str(error))
        self._count("digest answer", asker)
        await respond(**ephemeral(said), replace_original=False)

    async def _event(self, body: dict[str, Any]) -> None:
        """Somebody mentions the bot or writes to it. Bolt has acknowledged already."""
        await self._talk.heard(body)

    async def _opened(self, event: dict[str, Any]) -> None:
        """Somebody opens the bot's tab; the other one is the direct conversation."""
        if event.get("tab") == "home" and isinstance(event.get("user"), str):
            await self._home.opened(event["user"], time.time())

    async def _choose_team(self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any]) -> None:
        """Somebody says on his tab which team is his."""
        await ack()
        option = action.get("selected_option")
        if isinstance(option, dict) and (asker := asker_of(body)).id:
            await self._home.chosen(asker.id, str(option.get("value", "")), time.time())

    async def _later(self, response_url: str, text: str, asker: Asker, respond: AsyncRespond) -> None:
        if self._ours(response_url):
            reply = await self._answered(text, asker)
            message = await self._attach(reply.message)
            await respond(**ephemeral(message), replace_original=False)

    async def _directly(self, text: str, asker: Asker) -> None:
        """A click on the App Home tab has no message to answer below: the answer goes to the direct conversation."""
        reply = await self._answered(text, asker, share=False)
        try:
            await self._sink.post(
                key=f"answer:{asker.id}:{time.time()}", channel=asker.id, message=reply.message, thread_ts=None
            )
        except DeliveryError as error:
            self._count("not delivered", asker)
            log.warning("an answer could not be posted", why=str(error), what=reply.what)

    async def _answered(self, text: str, asker: Asker, *, deeper: bool = True, share: bool = True) -> Reply:
        """An answer that may take long; only some are thought about at a time."""
        if self._answering >= _AT_A_TIME:
            self._count("busy", asker)
            return Reply(refused("Too many questions are being answered. Please ask again in a moment."), "busy")
        self._answering += 1
        try:
            if asker.id and self._desk.timed(text):
                asker = replace(asker, zone=(await self._people.of(asker.id)).zone)
            reply = await self._desk.answer(text, time.time(), asker, deeper=deeper, share=share)
        finally:
            self._answering -= 1
        self._count(reply.what, asker)
        return reply

    def _ours(self, response_url: str) -> bool:
        """Whether an answer to this address goes to Slack: it came with the request, so anybody who can sign could name any."""
        host = urlsplit(response_url).netloc
        if host in self._response_hosts:
            return True
        log.warning("a request named a response_url that is not Slack's", host=host[:80])
        return False

    def _count(self, what: str, asker: Asker) -> None:
        metrics.COMMANDS.labels(what).inc()
        log.info("question in Slack", what=what, user=asker.id)

    async def _acknowledge(self, ack: AsyncAck) -> None:
        """A click on a link button opens the page by itself; Slack only wants to be told that it arrived."""
        await ack()

    async def _failed(self, error: Exception, body: dict[str, Any], respond: AsyncRespond) -> None:
        """Something broke while a question was worked: whoever asked is told, since silence looks like an answer."""
        log.error("a question in Slack failed", kind=type(error).__name__, exc_info=error)
        self._count("failed", NOBODY)
        if "response_url" in body and self._ours(str(body["response_url"])):
            await respond(**ephemeral(refused(_BROKEN)), replace_original=False)
