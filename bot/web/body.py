"""Reads a request body without ever holding more of it than the limit."""

from __future__ import annotations

from aiohttp import web

from bot.errors import TooLarge


async def read(request: web.Request, limit: int) -> bytes:
    """The raw bytes as sent (signatures are over these). Raises TooLarge past `limit`, at once where the length is declared."""
    if request.content_length is not None and request.content_length > limit:
        raise TooLarge(f"the body is larger than {limit} bytes")
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
