"""Who may ask: bearer tokens with scopes, or anybody on this very machine where no token is set."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web

from bot.errors import BadRequest, Unauthorized
from bot.web.limits import RateLimit

_LOOPBACK = frozenset(("127.0.0.1", "::1", "::ffff:127.0.0.1"))
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Forbidden(BadRequest):
    """The token is good but may not do this (HTTP 403)."""

    status = 403
    slug = "forbidden"


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and its scopes."""

    name: str
    scopes: frozenset[str]
    secret: bytes


def from_another_site(request: web.Request) -> bool:
    """Whether a web page of another site than the one that is asked sends this: browsers say so in its Origin."""
    origin = request.headers.get("Origin")
    try:
        return origin is not None and urlsplit(origin).netloc != request.host
    except ValueError:  # no address at all
        return True


def is_local(request: web.Request) -> bool:
    """Whether the request surely comes from this machine.

    A proxy on this machine would make the whole world local, so any forwarding header says no; and a web page that had
    its own host name rebound to 127.0.0.1 gives itself away by the Host it asks for, as one that posts here from its own
    site does by its Origin.
    """
    if request.remote not in _LOOPBACK or any(name in request.headers for name in _FORWARDED):
        return False
    if from_another_site(request):
        return False
    host = (request.url.host or "").strip("[]").lower()
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # any other name, `127.somewhere.example` among them
        return False


class SignedDoor(Protocol):
    """A vendor's webhook door. `verify` raises Unauthorized for a body that none of the secrets vouches for."""

    @property
    def source(self) -> str:
        """The vendor."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Those it may use; none: it refuses all."""

    @property
    def allow_unsigned(self) -> bool:
        """Whether this very machine may send without."""

    @property
    def verify(self) -> Callable[[Mapping[str, str], bytes, tuple[str, ...]], None]:
        """(headers, raw body, secrets)"""


def verify(door: SignedDoor, request: web.Request, body: bytes, what: str = "") -> None:
    """Let a webhook's raw body pass, or raise Unauthorized. `what` says of what the source tells, where that needs saying."""
    if door.allow_unsigned and is_local(request):
        return
    if not door.secrets:
        raise Unauthorized(
            f"no secret is set for {what}{door.source}, so this door refuses all; see the README's settings"
        )
    door.verify(request.headers, body, door.secrets)


def _given(header: str) -> bytes:
    """The token of an Authorization header: a bearer token, or basic auth's password, which is all a browser can send."""
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


class Gate:
    """Decides on the bearer tokens of `/api`, `/metrics` and the telemetry doors."""

    def __init__(self, tokens: Sequence[Token], limit: RateLimit | None = None) -> None:
        self._tokens = tuple(tokens)
        self._limit = limit

    def check(self, request: web.Request, scope: str) -> None:
        """Let the request pass, or raise Unauthorized (401), Forbidden (403) or RateLimited (429). `admin` includes every scope."""
        if not self._tokens:
            if is_local(request):
                self._pace(request.remote or "", scope)
                return
            raise Unauthorized("no API token is set, so only this machine may ask; set TOPOLOGY_BOT_API_TOKENS")
        given = _given(request.headers.get("Authorization", ""))
        if not given:
            raise Unauthorized("send the header Authorization: Bearer <token>")
        found = None
        for token in self._tokens:  # every one is compared, so that the time tells nothing
            if hmac.compare_digest(given, token.secret):
                found = token
        if found is None:
            raise Unauthorized("the bearer token is not one of this bot's")
        if not found.scopes & {scope, "admin"}:
            raise Forbidden(f"token {found.name!r} has no scope {scope!r}")
        self._pace(found.name, scope)

    def _pace(self, reader: str, scope: str) -> None:
        """Only questions are limited: telemetry that is refused for its pace would come again."""
        if self._limit is not None and scope == "read":
            self._limit.take(reader)
