"""Unpacks a compressed request body, never beyond a limit, however small the bytes that came in."""

from __future__ import annotations

import zlib

from bot.errors import BadRequest, TooLarge, UnsupportedMediaType

BODY_LIMIT = 64 * 1024 * 1024
"""Largest body, after unpacking: what the OTLP specification recommends (opentelemetry-proto docs/specification.md)."""

MAX_MEMBERS = 100
"""Most gzip members in one body: each one costs a copy of what follows it, and a member of nothing is 20 bytes."""

_GZIP, _ZLIB = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS


def unpack(body: bytes, encoding: str, limit: int = BODY_LIMIT) -> bytes:
    """The bytes behind a `Content-Encoding` of `gzip`, `deflate` or none.

    Raises UnsupportedMediaType for another encoding, BadRequest for broken data or more than `MAX_MEMBERS` gzip members,
    TooLarge past `limit` bytes; a bomb costs at most twice `limit` bytes of memory (the library gathers its output in
    pieces, then joins them).
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        if len(body) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:40]!r}: this door reads gzip, deflate or none")
    wbits = _ZLIB if encoding == "deflate" else _GZIP
    parts: list[bytes] = []
    size = 0
    try:
        while body:  # gzip may be several members in a row
            unpacker = zlib.decompressobj(wbits)
            part = unpacker.decompress(body, limit - size + 1)
            size += len(part)
            if size > limit:
                raise TooLarge(f"the body unpacks to more than {limit} bytes")
            if not unpacker.eof:
                raise BadRequest(f"the {encoding} data ends too early")
            parts.append(part)
            if len(parts) > MAX_MEMBERS:
                raise BadRequest(f"the {encoding} data has more than {MAX_MEMBERS} members")
            body = unpacker.unused_data
    except zlib.error as error:
        raise BadRequest(f"not {encoding} data: {error}") from None
    return b"".join(parts)
