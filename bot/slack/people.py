"""Who somebody in Slack is: a user id in; his time zone, his e-mail address and whether he may give orders out.

docs.slack.dev/reference/methods/users.info, scopes `users:read` and `users:read.email`. Orders are for full members of the bot's
own workspace: where Slack does not say that somebody is one, he is not. Kept for ten minutes, for 5,000 people at most; what
could not be learnt is asked again after one.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

_PEOPLE = 5_000
_KEPT, _AGAIN = 600.0, 60.0
_PATIENCE = 3.0
_USER = re.compile(r"[UW][A-Z0-9]{2,30}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody. `barred` says why he may give no orders; "" where he may."""

    id: str
    name: str = ""
    email: str = ""
    zone: tzinfo = UTC
    barred: str = "Slack does not say who you are."

    def __str__(self) -> str:
        return f"{self.name} ({self.id})" if self.name else self.id


class People:
    """Asks Slack, and remembers."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._web = client
        self._known: OrderedDict[str, tuple[float, Person]] = OrderedDict()
        self._workspace = ""

    async def of(self, user: str) -> Person:
        """Who that is. Takes six seconds at most, three for all but the first."""
        until, person = self._known.get(user, (0.0, Person(user)))
        if time.monotonic() < until or not _USER.fullmatch(user):
            return person
        told = (await self._ask(self._web.users_info(user=user))).get("user")
        if isinstance(told, Mapping):
            person = _person(user, told, await self._home())
        self._known[user] = time.monotonic() + (_AGAIN if not isinstance(told, Mapping) else _KEPT), person
        self._known.move_to_end(user)
        while len(self._known) > _PEOPLE:
            self._known.popitem(last=False)
        return person

    async def _home(self) -> str:
        """The id of the bot's own workspace; "" where Slack does not say."""
        if not self._workspace:
            self._workspace = str((await self._ask(self._web.auth_test())).get("team_id") or "")
        return self._workspace

    async def _ask(self, request: Awaitable[Any]) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(_PATIENCE):
                data = (await request).data
            return data if isinstance(data, Mapping) else {}
        except SlackApiError as error:
            why = str(error.response.get("error") if isinstance(error.response.data, dict) else "http")
        except (aiohttp.ClientError, TimeoutError, OSError, AttributeError) as error:
            why = type(error).__name__
        log.warning("Slack does not say who somebody is: times are read in UTC, and orders refused", why=why)
        return {}


def _person(user: str, told: Mapping[str, Any], home: str) -> Person:
    profile = told.get("profile")
    profile = profile if isinstance(profile, Mapping) else {}
    name = str(profile.get("display_name") or told.get("real_name") or told.get("name") or "")[:80]
    return Person(user, name, str(profile.get("email") or ""), _zone(told.get("tz")), _barred(told, home))


def _barred(told: Mapping[str, Any], home: str) -> str:
    if told.get("is_bot") or told.get("deleted"):
        return "Only people give orders."
    if told.get("is_restricted") or told.get("is_ultra_restricted"):
        return "Guests cannot do that."
    enterprise = told.get("enterprise_user")
    teams = enterprise.get("teams") if isinstance(enterprise, Mapping) else None
    if home and (told.get("team_id") == home or (isinstance(teams, list) and home in teams)):
        return "Only members of this workspace can do that." if told.get("is_stranger") else ""
    return "Only members of this workspace can do that."


def _zone(name: object) -> tzinfo:
    try:
        return ZoneInfo(name) if isinstance(name, str) and name else UTC
    except (ValueError, OSError, LookupError):  # one that this machine has no data of
        return UTC
