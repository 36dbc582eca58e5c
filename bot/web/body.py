"""Reads a request body without ever holding more of it than the limit, or waiting for ever for the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from bot.errors import Overloaded, TooLarge

MAX_READING = 256 * 1024 * 1024
"""Bytes of bodies that have begun to come, all requests together: a hundred senders that stop just before the end hold no more."""
PATIENCE_SECONDS = 30.0
SLOWEST = 20_000.0
"""A body has to come within `PATIENCE_SECONDS` and a second more for so many bytes of it."""


@dataclass(slots=True)
class Reading:
    """How much is being read."""

    size: int = 0


READING = web.AppKey("reading", Reading)


async def read(request: web.Request, limit: int, *, urgent: bool = False) -> bytes:
    """The raw bytes as sent (signatures are over these).

    Raises TooLarge past `limit`, at once where the length is declared; Overloaded, so that the sender tries again, where the
    body comes too slowly, or too much is being read already, unless this one is `urgent`.
    """
    if request.content_length is not None and request.content_length > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    reading = request.app[READING]
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(PATIENCE_SECONDS) as deadline:
            by = deadline.when() or 0.0
            async for part in request.content.iter_any():
                size += len(part)
                reading.size += len(part)
                if size > limit:
                    raise TooLarge(f"the body is larger than {limit} bytes")
                if reading.size > MAX_READING and not urgent:
                    raise Overloaded("too many bodies are being read")
                parts.append(part)
                deadline.reschedule(by + size / SLOWEST)
    except TimeoutError:
        raise Overloaded("the body came too slowly; send smaller ones") from None
    finally:
        reading.size -= size
    return b"".join(parts)
