"""The pages' own files: read once at the start, sent packed, and kept by browsers for as long as they do not change.

Comes in: `/static/page.css?v=…`. Goes out: the file, gzipped where the browser takes that. A file's address holds the hash of its bytes,
so that a page never meets a file of another release.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _File:
    kind: str
    body: bytes
    packed: bytes
    tag: str


def _read() -> Mapping[str, _File]:
    found = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _KINDS:
            body = path.read_bytes()
            tag = hashlib.blake2b(body, digest_size=8).hexdigest()
            found[path.name] = _File(_KINDS[path.suffix], body, gzip.compress(body, 9, mtime=0), tag)
    return found


_FILES = _read()

ASSETS: Mapping[str, str] = {name: f"/static/{name}?v={one.tag}" for name, one in _FILES.items()}
"""Under which address each file is."""


async def static(request: web.Request) -> web.Response:
    """GET `/static/{name}`."""
    one = _FILES.get(request.match_info["name"])
    if one is None:
        raise web.HTTPNotFound
    headers = {
        "ETag": f'W/"{one.tag}"', "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff",
        "Cache-Control": _FOR_EVER if request.query.get("v") == one.tag else "no-cache",
    }  # fmt: skip
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(
            body=one.packed, content_type=one.kind, charset="utf-8", headers=headers | {"Content-Encoding": "gzip"}
        )
    return web.Response(body=one.body, content_type=one.kind, charset="utf-8", headers=headers)
