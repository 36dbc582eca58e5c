"""Shares an incident in another channel: [Share …] opens a form that asks where, and what comes back is posted there.

It is posted through the address that Slack gives with the form (`response_url_enabled` of a `conversations_select`,
docs.slack.dev/reference/block-kit/block-elements/multi-select-menu-element), so the bot need not be a member there and nobody can
be made to post where he may not. Only full members of the workspace share; the incident's log says who did, and where.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import structlog
from slack_bolt.async_app import AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.errors import DeliveryError
from bot.model import Message
from bot.slack import order_views, sharing_view
from bot.slack.modal_views import View, told
from bot.slack.orders import Orders
from bot.storage.outbox_store import ROOT_KEY, OutboxStore

_PATIENCE = 5.0
_ROOT = re.compile(ROOT_KEY.format(incident=r"(\d+)"))
_BELOW_SLACK = (aiohttp.ClientError, TimeoutError, OSError)

log = structlog.get_logger(__name__)


class Sharing:
    """One per program; keeps nothing."""

    def __init__(self, client: AsyncWebClient, outbox: OutboxStore, orders: Orders) -> None:
        self._web = client
        self._outbox = outbox
        self._orders = orders

    async def ask(self, trigger: str, place: tuple[str, str]) -> Message | None:
        """[Share …]: show the form; gives an answer only where it cannot be shown. `place`: the message's channel and ts."""
        try:
            await self._orders.modals.open(trigger, sharing_view.form(*place))
        except DeliveryError as error:
            log.warning("a form could not be opened", why=str(error))
            metrics.COMMANDS.labels("not delivered").inc()
            return order_views.said("The form could not be opened. Please click again.")
        return None

    async def share(self, view: Mapping[str, Any], user: str, where: str, respond: AsyncRespond) -> View:
        """The form came back: post what stands in the incident's message now; gives what the form is to show. `where` is the
        chosen channel's id, which `respond` posts to."""
        person = await self._orders.people.of(user)
        if person.barred:
            return self._refused(person.barred, user)
        try:
            channel, ts, words = sharing_view.filled(view)
        except ValueError as error:
            return self._refused("The form could not be read. Nothing was shared.", user, str(error))
        row = await self._outbox.shown(channel, ts)
        root = _ROOT.fullmatch(row.key) if row is not None else None
        if row is None or root is None:
            return self._refused("That message is no incident's any more. Nothing was shared.", user)
        link = await self._link(channel, ts)
        message = sharing_view.shared(row.message, person.name or person.id, words, link, time.time())
        if not await self._post(message, respond):
            await self._orders.note(int(root[1]), "share", person, f"in {where}: Slack did not take it")
            return told(sharing_view.TITLE, "Slack did not take it. Nothing was shared; please try again.")
        await self._orders.note(int(root[1]), "share", person, f"in {where}")
        return told(sharing_view.TITLE, f"Shared in <#{where}>." if where.startswith(("C", "G")) else "Shared.")

    def _refused(self, text: str, user: str, why: str = "") -> View:
        metrics.COMMANDS.labels("refused").inc()
        log.warning("an incident was not shared", user=user, why=why or text)
        return told(sharing_view.TITLE, text)

    async def _post(self, message: Message, respond: AsyncRespond) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await respond(
                    text=message.text,
                    blocks=[dict(block) for block in message.blocks],
                    response_type="in_channel",
                    unfurl_links=False,
                )
        except (*_BELOW_SLACK, SlackApiError) as error:
            log.warning("an incident could not be shared", why=type(error).__name__)
            return False
        return answer.status_code == 200

    async def _link(self, channel: str, ts: str) -> str:
        """The address of the incident's message; "" where Slack does not say."""
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._web.chat_getPermalink(channel=channel, message_ts=ts)
            return str(answer.get("permalink") or "")
        except (*_BELOW_SLACK, SlackApiError, AttributeError) as error:
            log.warning("an incident is shared without a link", why=type(error).__name__)
            return ""
