"""PagerDuty's REST API v2 over aiohttp: questions and orders in, JSON objects out, every failure as one of three kinds.

An order that creates something may have arrived although its answer was lost, and is then `AmbiguousDeliveryError`;
everything else can be repeated. Nothing is retried here: the outbox and the callers know how long they may wait.
Error words all begin with `pd_`; no token and no address is ever in them. Sources: developer.pagerduty.com, REST API v2
(authentication, errors, rate limiting).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from bot import metrics
from bot.errors import AmbiguousDeliveryError, DeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.sinks import Verdict

MAX_BYTES = 8 * 1024 * 1024
PAGE = 100
_CHUNK = 64 * 1024
_LONGEST_PAUSE = 300.0
_IDENTIFIER = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_NO_SUCH_REQUESTER = 1008
_CIRCULAR = "circular dependency"
"""What the message says where a service would come to need itself; the code is that of any bad argument."""
_SPARE = 10
_PASSING = frozenset((408, 425))

Json = Mapping[str, Any]

_VERDICTS = {
    "pd_unauthorized": Verdict.AUTH,
    "pd_forbidden": Verdict.AUTH,
    "pd_requester_not_found": Verdict.AUTH,
    "pd_refused": Verdict.PAYLOAD,
    "pd_circular": Verdict.PAYLOAD,
    "pd_plan_lacks_it": Verdict.PAYLOAD,
    "pd_fields_refused": Verdict.PAYLOAD,
    "pd_bad_identifier": Verdict.GONE,
    "pd_not_found": Verdict.GONE,
}
_CODES = {
    400: "pd_refused", 401: "pd_unauthorized", 402: "pd_plan_lacks_it", 403: "pd_forbidden", 404: "pd_not_found",
    405: "pd_not_found", 410: "pd_not_found", 413: "pd_refused", 422: "pd_refused",
}  # fmt: skip


def verdict(code: str) -> Verdict:
    """Whose fault a refusal is. `pd_not_found`: the incident is another account's or gone, or somebody deleted our note."""
    return _VERDICTS.get(code, Verdict.UNKNOWN)


class PagerDuty:
    """One account. `token` is a REST API key; `requester` the e-mail of the user that orders are given in the name of.

    `session` stays the caller's. `timeout` (s) bounds each call.
    """

    def __init__(
        self, session: aiohttp.ClientSession, token: str, requester: str, url: str, timeout: float = 10.0
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Token token={token}", "Accept": "application/vnd.pagerduty+json;version=2"}
        self.requester = requester
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._full_until = 0.0

    def breath(self) -> float:
        """Seconds that whoever is in no hurry should wait, so that the last tenth of the account's requests is left to others."""
        return max(0.0, self._full_until - time.monotonic())

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:
        """The JSON object at `path`. Raises PermanentDeliveryError, RetryableDeliveryError."""
        return await self._ask("GET", path, params=params)

    async def pages(self, path: str, key: str, most: int, params: Mapping[str, str] | None = None) -> list[Json]:
        """The objects listed under `key` on all pages of `path` (limit and offset), up to `most` of them."""
        found: list[Json] = []
        while len(found) < most:
            wanted = {**(params or {}), "limit": str(min(PAGE, most)), "offset": str(len(found))}
            answer = await self.get(path, wanted)
            items = answer.get(key)
            if not isinstance(items, list):
                raise PermanentDeliveryError("pd_unreadable")
            found += [item if isinstance(item, dict) else {} for item in items]
            if answer.get("more") is not True or not items:
                break
        return found[:most]

    async def put(self, path: str, body: Json, requester: str = "") -> Json:
        """Change something, in the name of `requester` (e-mail) where one is given: can be repeated, so it never raises
        AmbiguousDeliveryError."""
        return await self._ask("PUT", path, body=body, requester=requester)

    async def post(self, path: str, body: Json) -> Json:
        """Create something. Raises AmbiguousDeliveryError where it may exist although no answer came."""
        return await self._ask("POST", path, body=body)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        requester: str = "",
    ) -> Json:
        outcome = "ok"
        try:
            name = requester or self.requester
            who = {"From": name} if name and method != "GET" else {}
            return await self._once(method, path, params, body, {**self._headers, **who})
        except DeliveryError as error:
            outcome = getattr(error, "code", "failed")
            raise
        finally:
            metrics.PAGERDUTY_REQUESTS.labels(method, outcome).inc()

    async def _once(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Json | None, headers: Mapping[str, str]
    ) -> Json:
        creates = method == "POST"
        try:
            async with self._session.request(
                method, self._url + path, params=params, json=body, headers=headers, timeout=self._timeout,
                allow_redirects=False,  # what follows one would take the token elsewhere
            ) as response:  # fmt: skip
                content = await _content(response)
                self._note_room(response.headers)
        except aiohttp.ClientConnectorError:
            raise RetryableDeliveryError("pd_unreachable") from None
        except (aiohttp.ClientError, OSError, TimeoutError):
            # An error's own text can have the whole address in it.
            raise _lost(creates, "pd_no_answer") from None
        if response.status not in (200, 201, 202, 204):
            raise _refusal(response.status, response.headers, content, creates)
        if response.status == 204:
            return {}
        answer = _object(content)
        if answer is None:
            raise _lost(creates, "pd_unreadable")
        return answer

    def _note_room(self, headers: Mapping[str, str]) -> None:
        limit, left = _count(headers, "ratelimit-limit"), _count(headers, "ratelimit-remaining")
        if limit and left is not None and left * _SPARE <= limit:
            self._full_until = time.monotonic() + (_pause(headers) or 1.0)


def identifier(text: str) -> str:
    """A PagerDuty id, fit for a path. Raises PermanentDeliveryError where it is none."""
    if not _IDENTIFIER.match(text):
        raise PermanentDeliveryError("pd_bad_identifier")
    return text


def _lost(creates: bool, code: str) -> DeliveryError:
    return AmbiguousDeliveryError(code) if creates else RetryableDeliveryError(code)


def _refusal(status: int, headers: Mapping[str, str], content: bytes, creates: bool) -> DeliveryError:
    if status == 429:
        return RetryableDeliveryError("pd_rate_limited", _pause(headers))
    if status >= 500:
        return _lost(creates, f"pd_http_{status}")
    if status in _PASSING:
        return RetryableDeliveryError(f"pd_http_{status}")
    said = (_object(content) or {}).get("error")
    if status == 400 and isinstance(said, dict):
        if said.get("code") == _NO_SUCH_REQUESTER:
            return PermanentDeliveryError("pd_requester_not_found")
        if _CIRCULAR in json.dumps([said.get("message"), said.get("errors")]):
            return PermanentDeliveryError("pd_circular")
    return PermanentDeliveryError(_CODES.get(status, f"pd_http_{status}"))


def _pause(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, where the answer says so; some 429 come without a word of it."""
    for name in ("ratelimit-reset", "Retry-After"):
        if (seconds := _count(headers, name)) is not None:
            return min(max(1.0, float(seconds)), _LONGEST_PAUSE)
    return None


def _count(headers: Mapping[str, str], name: str) -> int | None:
    given = headers.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 6 else None


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


async def _content(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > MAX_BYTES:
            return b""  # read as an answer that is not JSON
    return bytes(found)
