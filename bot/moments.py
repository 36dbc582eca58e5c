"""Moments and durations as people write and read them. Everywhere else they are epoch seconds and seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from bot.errors import BadRequest

_AGO = re.compile(r"^-(?P<count>\d{1,6}(?:\.\d{1,3})?)(?P<unit>s|m|h|d|w)$")
_CLOCK = re.compile(r"^(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?$")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def parse(text: str, now: float, zone: tzinfo = UTC) -> float:
    """Epoch seconds of `2026-11-23T02:50:00Z` (ISO 8601; in `zone` unless it says otherwise), `-1h` (s, m, h, d, w), `02:50` (the
    last time a clock in `zone` said so) or epoch seconds. Raises BadRequest."""
    given = text.strip()
    if found := _AGO.match(given):
        return now - float(found["count"]) * _SECONDS[found["unit"]]
    if found := _CLOCK.match(given):
        today = datetime.fromtimestamp(now, zone)
        then = today.replace(
            hour=int(found["hour"]), minute=int(found["minute"]), second=int(found["second"] or 0), microsecond=0
        )
        return (then if then <= today else then - timedelta(days=1)).timestamp()
    try:
        if re.fullmatch(r"\d{9,11}(\.\d+)?", given):
            return float(given)
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        where = " (UTC)" if zone is UTC else ""
        raise BadRequest(f"{text[:40]!r} is no time: want ISO 8601, -1h, or 02:50{where}") from None


def age(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h`, `5 d`: whole units, rounded down."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def iso(at: float) -> str:
    """Epoch seconds as ISO 8601 UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
