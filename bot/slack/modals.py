"""Opens a modal and changes what it shows (docs.slack.dev/reference/methods/views.open, views.update)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import RetryableDeliveryError
from bot.slack.client import BELOW_SLACK, failure

_PATIENCE = 10.0


class Modals:
    """One app's modals. Every failure is one of `bot.errors`' `DeliveryError`s."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._web = client

    async def open(self, trigger: str, view: Mapping[str, Any]) -> str:
        """Show a modal to whoever clicked: `trigger` is good for three seconds, once. Gives the view's id."""
        answer = await _done(self._web.views_open(trigger_id=trigger, view=dict(view)))
        shown = answer.get("view")
        return str(shown.get("id") or "") if isinstance(shown, Mapping) else ""

    async def update(self, view_id: str, view: Mapping[str, Any]) -> None:
        """Show something else in it; one that was closed is `not_found`."""
        await _done(self._web.views_update(view_id=view_id, view=dict(view)))


async def _done(request: Awaitable[Any]) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            data = (await request).data
    except SlackApiError as error:
        raise failure(error) from None
    except (*BELOW_SLACK, AttributeError) as error:
        raise RetryableDeliveryError(type(error).__name__) from None
    return data if isinstance(data, Mapping) else {}
