"""When a digest is due: local times in IANA time zones, with their skipped and doubled hours, and clocks that jump.

Comes in: a subscription and `now` (epoch s). Goes out: a decision with its reason. A local time that a change of clocks skips
is due as much later as the clocks jumped; one that comes twice is due the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.errors import BadRequest
from bot.model import Subscription

LATEST_SECONDS = 6 * 3_600.0
"""A digest later than this is not sent any more: the next one tells of its period too, and says so."""

LONGEST_PERIOD = 7 * 86_400.0
"""The most that one digest tells of, however long the bot was down."""

_MINUTES = 24 * 60
_LONGEST_ZONE_NAME = 64


@dataclass(frozen=True, slots=True)
class Due:
    """What to do about a subscription. `verdict`: `wait`, `send` or `miss`; `reason` says why.

    `date` is the local date (ISO) that is settled by it, `[since, until)` the period to tell of (epoch s).
    """

    verdict: str
    reason: str
    date: str = ""
    since: float = 0.0
    until: float = 0.0


def decide(subscription: Subscription, now: float, latest: float = LATEST_SECONDS) -> Due:
    """Whether a digest is due. A date is settled once, whichever way the clock jumps afterwards."""
    day = _newest(subscription, now)
    due = due_at(day, subscription.minute, subscription.zone)
    if due <= subscription.created_at:
        return Due("wait", "subscribed after today's time")
    if subscription.last_date and day.isoformat() <= subscription.last_date:
        return Due("wait", "already settled")
    if now - due > latest:
        return Due("miss", "too late to be news", day.isoformat(), due, due)
    # Yesterday's time may lie 23, 24 or 25 hours before.
    usual = due_at(day - timedelta(days=1), subscription.minute, subscription.zone)
    told = usual if subscription.told_until is None else min(subscription.told_until, usual)
    since = max(told, due - LONGEST_PERIOD)
    return Due("send", "catching up" if since < usual else "due", day.isoformat(), since, due)


def _newest(subscription: Subscription, now: float) -> date:
    """The newest local date whose time has come."""
    today = datetime.fromtimestamp(now, UTC).astimezone(zone(subscription.zone)).date()
    # A zone that crosses the date line has a date twice or not at all, so more than one step may be needed.
    return next(
        day
        for day in (today + timedelta(days=step) for step in (1, 0, -1, -2))
        if due_at(day, subscription.minute, subscription.zone) <= now
    )


def due_at(day: date, minute: int, zone_name: str) -> float:
    """The moment (epoch s) at which it is `minute` minutes after midnight in a zone on a day."""
    return datetime.combine(day, time(minute // 60, minute % 60), zone(zone_name)).timestamp()


@lru_cache(maxsize=1_000)
def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises BadRequest where there is none."""
    try:
        if not name or len(name) > _LONGEST_ZONE_NAME or not name.isascii():
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise BadRequest(f"no time zone {name[:_LONGEST_ZONE_NAME]!r}; write one like Europe/Berlin") from None


def minute_of(text: str) -> int:
    """`09:00` -> minutes after midnight. Raises BadRequest for what is no time of day."""
    hours, colon, minutes = text.partition(":")
    plain = all(part.isascii() and part.isdigit() and len(part) <= 2 for part in (hours, minutes))
    if not colon or not plain or len(minutes) != 2 or int(minutes) > 59 or int(hours) * 60 + int(minutes) >= _MINUTES:
        raise BadRequest(f"no time of day {text[:20]!r}; write one like 09:00")
    return int(hours) * 60 + int(minutes)
