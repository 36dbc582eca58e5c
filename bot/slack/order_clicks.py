"""Clicks that order something, as Bolt hears them: [Acknowledge], [Silence …] and [Share …] with their forms, [End the silence].

Bolt's arguments in; what `bot.slack.orders` and `bot.slack.sharing` answer is handed back, by the way Slack gives for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.slack.modal_views import View, waiting
from bot.slack.order_views import SILENCE_TITLE
from bot.slack.orders import Orders
from bot.slack.replies import asker_of, content, ephemeral
from bot.slack.sharing import Sharing
from bot.slack.sharing_view import TITLE
from bot.slack.views import ACKNOWLEDGE, END_SILENCE, SHARE_FORM, SHARE_INCIDENT, SILENCE, SILENCE_FORM

_ACKNOWLEDGED_WITHIN = 2.0
"""Seconds; Slack waits for three."""


class OrderClicks:
    """One per program; keeps nothing."""

    def __init__(self, orders: Orders, sharing: Sharing) -> None:
        self.orders = orders
        self._sharing = sharing
        self._ours: Callable[[str], bool] = lambda _url: False

    def register(self, app: AsyncApp, ours: Callable[[str], bool]) -> None:
        """Have Bolt call these. `ours`: whether an answer to an address goes to Slack."""
        self._ours = ours
        app.action(ACKNOWLEDGE)(self._take)
        app.action(SILENCE)(self._ask_silence)
        app.view(SILENCE_FORM)(self._silence)
        app.action(END_SILENCE)(self._end_silence)
        app.action(SHARE_INCIDENT)(self._ask_where)
        app.view(SHARE_FORM)(self._share)

    async def _take(self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond) -> None:
        """[Acknowledge]."""
        await ack()
        if self._ours(str(body.get("response_url", ""))):
            answer = await self.orders.acknowledge(str(action.get("value", "")), asker_of(body).id)
            await respond(**ephemeral(answer), replace_original=False)

    async def _ask_silence(
        self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """[Silence …]: a form; an answer below the message only where no form can be shown."""
        await ack()
        trigger = str(body.get("trigger_id", ""))
        answer = await self.orders.ask(trigger, str(action.get("value", "")), _place(body), asker_of(body).id)
        if answer is not None and self._ours(str(body.get("response_url", ""))):
            await respond(**ephemeral(answer), replace_original=False)

    async def _silence(self, ack: AsyncAck, view: dict[str, Any], body: dict[str, Any]) -> None:
        """The form came back: it says what became of it."""
        await self._worked(ack, view, self.orders.silence(view, asker_of(body).id), waiting(SILENCE_TITLE, "Silencing"))

    async def _end_silence(
        self, ack: AsyncAck, action: dict[str, Any], body: dict[str, Any], respond: AsyncRespond
    ) -> None:
        """[End the silence]: everybody sees that it is, in place of the button; a refusal only whoever clicked."""
        await ack()
        if self._ours(str(body.get("response_url", ""))):
            answer, ended = await self.orders.end(str(action.get("value", "")), asker_of(body).id)
            await respond(**(content(answer) if ended else ephemeral(answer)), replace_original=ended)

    async def _ask_where(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        """[Share …] on an incident: a form."""
        await ack()
        answer = await self._sharing.ask(str(body.get("trigger_id", "")), _place(body))
        if answer is not None and self._ours(str(body.get("response_url", ""))):
            await respond(**ephemeral(answer), replace_original=False)

    async def _share(self, ack: AsyncAck, view: dict[str, Any], body: dict[str, Any], respond: AsyncRespond) -> None:
        """The form came back with a channel, and an address to post there."""
        given = body.get("response_urls")
        chosen = given[0] if isinstance(given, list) and given and isinstance(given[0], dict) else {}
        if not self._ours(str(chosen.get("response_url", ""))):
            await ack(response_action="clear")
            return
        where = str(chosen.get("channel_id", ""))
        sharing = self._sharing.share(view, asker_of(body).id, where, respond)
        await self._worked(ack, view, sharing, waiting(TITLE, "Sharing"))

    async def _worked(self, ack: AsyncAck, view: dict[str, Any], working: Awaitable[View], meanwhile: View) -> None:
        """Show what becomes of a form: as its acknowledgement where that is known in time."""
        task = asyncio.ensure_future(working)
        done, _ = await asyncio.wait({task}, timeout=_ACKNOWLEDGED_WITHIN)
        await ack(response_action="update", view=task.result() if done else meanwhile)
        if not done:
            await self.orders.show(str(view.get("id") or ""), await task)


def _place(body: dict[str, Any]) -> tuple[str, str]:
    """The clicked message's channel and ts."""
    container = body.get("container")
    shown = container if isinstance(container, dict) else {}
    return str(shown.get("channel_id", "")), str(shown.get("message_ts", ""))
