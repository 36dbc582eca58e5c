"""Alertmanager's API v2, for silences: labels in, what they cover and a silence's id out (api/v2/openapi.yaml,
the same from 0.22 on).

A silence without a matcher, or one that every alert matches, is never made: at least one label must have a value. Nothing
is kept. No token and no address is in an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp

from bot.actions import Matcher, SilenceScope
from bot.errors import AmbiguousDeliveryError, DeliveryError, PermanentDeliveryError, RetryableDeliveryError

MAX_BYTES = 64 * 1024 * 1024
MAX_MATCHERS = 50
MAX_SECONDS = 30 * 86_400.0
_EXAMPLES = 5
_CHUNK = 64 * 1024
_CLASSIC_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")
_SILENCE_ID = re.compile(r"^[A-Za-z0-9-]{1,64}\Z")


class AlertmanagerApi:
    """One Alertmanager, or the address its cluster shares. `session` stays the caller's; `timeout` (s) bounds each call."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str = "", timeout: float = 10.0) -> None:
        self._session = session
        self._url = url.rstrip("/") + "/api/v2"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def scope(self, labels: Mapping[str, str]) -> SilenceScope:
        """See `Silencer.scope`. Alerts that are silenced or inhibited already count, too: the silence would cover them."""
        matchers = _matchers([Matcher(name, value) for name, value in sorted(labels.items()) if value])
        wanted = [("filter", f"{_name(one.name)}={_quoted(one.value)}") for one in matchers]
        found = await self._ask("GET", "/alerts", params=wanted)
        if not isinstance(found, list):
            raise PermanentDeliveryError("am_unreadable")
        titles = [str(_part(one, "labels").get("alertname", "")) for one in found]
        return SilenceScope(matchers, len(found), tuple(dict.fromkeys(filter(None, titles)))[:_EXAMPLES])

    async def silence(self, matchers: Sequence[Matcher], start: float, end: float, author: str, comment: str) -> str:
        """See `Silencer.silence`."""
        if not 0 < end - start <= MAX_SECONDS:
            raise PermanentDeliveryError("am_bad_duration")
        wanted = {
            "matchers": [
                {"name": one.name, "value": one.value, "isRegex": False, "isEqual": True} for one in _matchers(matchers)
            ],
            "startsAt": datetime.fromtimestamp(start, UTC).isoformat(),
            "endsAt": datetime.fromtimestamp(end, UTC).isoformat(),
            "createdBy": author or "topology-bot",
            "comment": comment or "silenced by topology-bot",
        }
        found = _part({"answer": await self._ask("POST", "/silences", body=wanted)}, "answer").get("silenceID")
        if not isinstance(found, str) or not found:
            raise AmbiguousDeliveryError("am_no_id")
        return found

    async def expire(self, silence_id: str) -> None:
        """See `Silencer.expire`."""
        if not _SILENCE_ID.match(silence_id):
            raise PermanentDeliveryError("am_not_found")
        found = _part({"answer": await self._ask("GET", f"/silence/{silence_id}")}, "answer")
        if _part(found, "status").get("state") != "expired":
            await self._ask("DELETE", f"/silence/{silence_id}")

    async def _ask(
        self, method: str, path: str, *, params: Sequence[tuple[str, str]] = (), body: Mapping[str, Any] | None = None
    ) -> Any:
        creates = method == "POST"
        try:
            async with self._session.request(
                method, self._url + path, params=params, json=body, headers=self._headers, timeout=self._timeout,
                allow_redirects=False,  # what follows one would take the token elsewhere
            ) as response:  # fmt: skip
                content = await _content(response)
        except aiohttp.ClientConnectorError:
            raise RetryableDeliveryError("am_unreachable") from None
        except (aiohttp.ClientError, OSError, TimeoutError):
            raise _lost(creates, "am_no_answer") from None
        if response.status != 200:
            raise _refusal(response.status, creates)
        try:
            return json.loads(content) if content else {}
        except (ValueError, RecursionError):
            raise _lost(creates, "am_unreadable") from None


def _matchers(given: Sequence[Matcher]) -> tuple[Matcher, ...]:
    """The conditions, where they leave anything out. An empty value matches every alert without the label."""
    if not given or any(not one.name or not one.value for one in given):
        raise PermanentDeliveryError("am_no_matchers")
    if len(given) > MAX_MATCHERS:
        raise PermanentDeliveryError("am_too_many_matchers")
    return tuple(given)


def _name(name: str) -> str:
    # Quotes are for names that Alertmanager takes since 0.27; older ones know neither such a name nor quotes.
    return name if _CLASSIC_NAME.match(name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _lost(creates: bool, code: str) -> DeliveryError:
    return AmbiguousDeliveryError(code) if creates else RetryableDeliveryError(code)


def _refusal(status: int, creates: bool) -> DeliveryError:
    if status == 429:
        return RetryableDeliveryError("am_rate_limited")
    if status >= 500:
        return _lost(creates, f"am_http_{status}")
    return PermanentDeliveryError("am_not_found" if status == 404 else f"am_http_{status}")


def _part(given: Any, name: str) -> Mapping[str, Any]:
    value = given.get(name) if isinstance(given, Mapping) else None
    return value if isinstance(value, Mapping) else {}


async def _content(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        found += chunk
        if len(found) > MAX_BYTES:
            raise PermanentDeliveryError("am_too_large")
    return bytes(found)
