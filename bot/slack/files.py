"""Uploads what messages enclose: DOT or a text in, Slack's block for it out; its words where that does not work.

docs.slack.dev/reference/methods/files.getUploadURLExternal and files.completeUploadExternal, scope `files:write`, by slack_sdk's
`files_upload_v2`. A file is uploaded without a channel: nobody sees it until a message shows it, so a message's fate stays the
outbox's alone, and an upload may be repeated without harm. Nothing is kept; after a failure it rests, so that trouble with files
holds up no message for long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from bot import metrics
from bot.errors import PictureError
from bot.model import Message
from bot.slack import enclosures
from bot.slack.client import BELOW_SLACK, failure
from bot.slack.enclosures import Enclosure

SECONDS = 8.0
"""For everything that one message encloses, drawn and uploaded."""

REST_SECONDS = 300.0
MAX_BYTES = 8 * 2**20

Draw = Callable[[str], Awaitable[bytes]]
"""DOT -> PNG. Raises PictureError."""

log = structlog.get_logger(__name__)


class Files:
    """One per client. `draw` lays pictures out."""

    def __init__(self, client: AsyncWebClient, draw: Draw, clock: Callable[[], float] = time.monotonic) -> None:
        self._web = client
        self._draw = draw
        self._clock = clock
        self._rests_until = float("-inf")
        self._problem = ""

    async def attach(self, message: Message) -> Message:
        """The message as Slack takes it, with what it encloses uploaded or in words. Never fails."""
        found = [enclosures.enclosure(block) for block in message.blocks]
        if not any(found):
            return message
        deadline = self._clock() + SECONDS
        blocks = [
            block if one is None else await self._placed(one, deadline)
            for block, one in zip(message.blocks, found, strict=True)
        ]
        return Message(message.text, tuple(blocks))

    def state(self) -> Mapping[str, Any]:
        """How it goes, for `doctor`."""
        return {"problem": self._problem}

    async def _placed(self, one: Enclosure, deadline: float) -> Mapping[str, Any]:
        if self._clock() < self._rests_until:
            metrics.SLACK_FILES.labels("rests").inc()
            return enclosures.in_words(one)
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                body = await self._draw(one.dot) if one.dot else one.content.encode()
                block = await self._uploaded(one, body)
        except PictureError as error:  # the layout's trouble, not Slack's: the next picture may be fine
            metrics.SLACK_FILES.labels("not drawn").inc()
            log.warning("a picture was not drawn", why=str(error))
            return enclosures.in_words(one)
        except SlackApiError as error:
            return self._failed(one, str(failure(error)))
        except (*BELOW_SLACK, SlackRequestError, AttributeError, LookupError, TypeError) as error:
            # The last three are what slack_sdk makes of an answer that is not JSON, or not what it expects.
            return self._failed(one, type(error).__name__)
        self._problem = ""
        metrics.SLACK_FILES.labels("uploaded").inc()
        return block

    async def _uploaded(self, one: Enclosure, body: bytes) -> Mapping[str, Any]:
        if not 0 < len(body) <= MAX_BYTES:
            raise PictureError("too big", f"{len(body):,} bytes are not a file that is uploaded")
        answer = await self._web.files_upload_v2(
            filename=one.name, title=one.title, content=body, alt_txt=one.alt[: enclosures.MAX_ALT] if one.dot else None
        )
        file = answer["files"][0]
        if one.dot:
            return enclosures.image(one, str(file["id"]))
        return enclosures.linked(one, str(file["permalink"]))

    def _failed(self, one: Enclosure, why: str) -> Mapping[str, Any]:
        self._rests_until = self._clock() + REST_SECONDS
        self._problem = f"files cannot be uploaded to Slack: {why}; messages tell in words what pictures would show"
        metrics.SLACK_FILES.labels("failed").inc()
        log.warning("a file was not uploaded", why=why, rests=REST_SECONDS)
        return enclosures.in_words(one)
