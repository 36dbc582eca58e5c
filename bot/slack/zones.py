"""In which time zone a person types times: a Slack user id in, his zone out; UTC where Slack does not say.

docs.slack.dev/reference/methods/users.info, scope `users:read`. Kept for a day, for 5,000 people at most; what could not be
learnt is asked again after ten minutes.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

_PEOPLE = 5_000
_DAY, _AGAIN = 86_400.0, 600.0
_PATIENCE = 3.0
_USER = re.compile(r"[UW][A-Z0-9]{2,30}")

log = structlog.get_logger(__name__)


class Zones:
    """Asks Slack, and remembers."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._web = client
        self._known: OrderedDict[str, tuple[float, tzinfo]] = OrderedDict()

    async def of(self, user: str) -> tzinfo:
        """The zone of a user id; UTC for anybody Slack says nothing of. Takes three seconds at most."""
        until, zone = self._known.get(user, (0.0, UTC))
        if time.monotonic() < until or not _USER.fullmatch(user):
            return zone
        found = await self._ask(user)
        self._known[user] = time.monotonic() + (_AGAIN if found is None else _DAY), found or UTC
        self._known.move_to_end(user)
        while len(self._known) > _PEOPLE:
            self._known.popitem(last=False)
        return found or UTC

    async def _ask(self, user: str) -> tzinfo | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._web.users_info(user=user)
            person = answer.get("user")
            return ZoneInfo(str(person["tz"])) if isinstance(person, dict) and person.get("tz") else None
        except SlackApiError as error:
            why = str(error.response.get("error") if isinstance(error.response.data, dict) else "http")
        except (aiohttp.ClientError, TimeoutError, OSError, AttributeError) as error:
            why = type(error).__name__
        except (KeyError, ValueError):  # a zone that this machine has no data of
            why = "unknown zone"
        log.warning("times are read in UTC: a person's time zone is not known", why=why)
        return None
