"""How every page is sent: who may see it, under which policy, packed, and never as a stack trace.

Comes in: a handler of a page, or a template with its values. Goes out: HTML. A page obeys the same `Gate` as the API; a browser gives a
token as the password it asks for (HTTP Basic). Since a browser sends that along whoever made it ask, what changes something has to come
from a page of our own.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

from bot.errors import BadRequest, NotFound, Overloaded, RateLimited
from bot.page import frame
from bot.web.auth import Forbidden, Gate
from bot.web.static_files import ASSETS

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # not `no-referrer`: a form's own Origin would be `null`
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
_SIGN_IN = {"WWW-Authenticate": 'Basic realm="topology-bot"'}
_PACKED_FROM = 1_000
_SHARED, _SHARED_SECONDS = 64, 4.0
_LEVEL = 4
_TITLES = {
    400: "That cannot be asked", 401: "Sign in", 403: "Not with this token", 404: "Nothing by that name", 409: "Which one?",
    413: "Too large", 429: "Slow down", 503: "Too much at once",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    headers: Mapping[str, str]
    until: float


class Door:
    """Lets people through to pages. `stirred` gives another number when an incident has changed."""

    def __init__(self, gate: Gate, stirred: Callable[[], int] = int) -> None:
        self._gate = gate
        self._stirred = stirred
        self._kept: OrderedDict[tuple[str, bool, int], _Kept] = OrderedDict()

    def opens(self, handler: Page, section: str = "", scope: str = "read", *, shared: bool = False) -> Page:
        """The handler, for those who may read; its errors as pages of `section`. A `shared` page is the same for all who look
        within some seconds, unless an incident has changed."""

        async def opened(request: web.Request) -> web.StreamResponse:
            try:
                if request.method not in ("GET", "HEAD"):
                    _own(request)
                self._gate.check(request, scope)
                return await (self._shared(request, handler) if shared else handler(request))
            except (BadRequest, NotFound, Overloaded) as error:
                return _sorry(request, section, error)

        return opened

    async def _shared(self, request: web.Request, handler: Page) -> web.StreamResponse:
        key = request.path_qs, "gzip" in request.headers.get("Accept-Encoding", ""), self._stirred()
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept is not None and now < kept.until:
            if request.headers.get("If-None-Match") == kept.headers["ETag"]:
                return web.Response(status=304, headers=HEADERS | {"ETag": kept.headers["ETag"]})
            return web.Response(body=kept.body, headers=kept.headers)
        response = await handler(request)
        if isinstance(response, web.Response) and response.status == 200 and isinstance(response.body, bytes):
            self._kept[key] = _Kept(response.body, dict(response.headers), now + _SHARED_SECONDS)
            self._kept.move_to_end(key)
            while len(self._kept) > _SHARED:
                self._kept.popitem(last=False)
        return response

    def may(self, request: web.Request, scope: str) -> bool:
        """Whether whoever asks has that scope, too."""
        try:
            self._gate.check(request, scope)
        except BadRequest:
            return False
        return True


def page(
    request: web.Request, section: str, template: str, values: Mapping[str, object], status: int = 200
) -> web.Response:
    """A page. 304 where the browser has it already."""
    return packed(request, frame.html(template, section, ASSETS, values).encode(), status)


def packed(request: web.Request, body: bytes, status: int = 200) -> web.Response:
    """HTML as it goes out."""
    tag = f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = HEADERS | {"ETag": tag}
    if status == 200 and request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    if len(body) >= _PACKED_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, _LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, status=status, content_type="text/html", charset="utf-8", headers=headers)


def _own(request: web.Request) -> None:
    """Only a page of ours may have anything done. Raises Forbidden where the browser does not say that it was one."""
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc != request.host:
        raise Forbidden("only this bot's own pages may ask for that")


def _sorry(request: web.Request, section: str, error: BadRequest | NotFound | Overloaded) -> web.Response:
    status = 429 if isinstance(error, RateLimited) else 503 if isinstance(error, Overloaded) else error.status
    values = {
        "title": _TITLES.get(status, "That did not work"),
        "text": str(error),
        "status": status,
        "suggestions": error.suggestions if isinstance(error, NotFound) else (),
    }
    response = page(request, section, "sorry.html.j2", values, status)
    if status == 401:
        response.headers.update(_SIGN_IN)
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(error.retry_after)
    return response
