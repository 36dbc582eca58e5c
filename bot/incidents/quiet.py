"""Quiet hours: when incidents that are not critical wait until morning. Pure: rules and a moment in, until when and why out.

A rule is written `team=Payments 22:00-07:00 Europe/Berlin` or `* sat,sun Europe/Berlin`: conditions as routes have them (or `*`),
days, times or both, a time zone. Days are those on which the hours begin. Times that a change of clocks skips or doubles are
read as `bot.digest.due` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.digest.due import due_at, minute_of, zone
from bot.errors import BadRequest
from bot.incidents.conditions import CONDITION, Conditions, Known, fits, parse_conditions, written

MAX_RULES = 200
LONGEST_SECONDS = 8 * 86_400.0
"""Nothing waits for longer at a time, however rules join on to one another; then it is decided anew."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALL = "*"
_STEPS = 100


@dataclass(frozen=True, slots=True)
class QuietHours:
    """One rule. `days` are weekdays from 0 for Monday; `start` and `end` minutes after midnight, alike where it is whole days."""

    conditions: Conditions
    days: tuple[int, ...]
    start: int
    end: int
    zone: str

    def until(self, now: float) -> float | None:
        """When the hours that hold at `now` end (epoch s); None where none do."""
        today = datetime.fromtimestamp(now, UTC).astimezone(zone(self.zone)).date()
        found = None
        for step in (-2, -1, 0, 1):  # a zone that crosses the date line has a date twice or not at all
            day = today + timedelta(days=step)
            last = day if self.end > self.start else day + timedelta(days=1)
            if day.weekday() in self.days and due_at(day, self.start, self.zone) <= now:
                end = due_at(last, self.end, self.zone)
                found = end if end > now else found
        return found

    def __str__(self) -> str:
        times = "" if self.start == self.end else f"{_clock(self.start)}-{_clock(self.end)}"
        days = ",".join(DAYS[one] for one in self.days)
        if len(self.days) == len(DAYS):
            days = "" if times else f"{DAYS[0]}-{DAYS[-1]}"
        return " ".join(one for one in (written(self.conditions) or _ALL, days, times, self.zone) if one)


@dataclass(frozen=True, slots=True)
class Quiet:
    """It is quiet until then (epoch s), and why."""

    until: float
    why: str


def quiet(rules: Sequence[QuietHours], services: Sequence[Known], now: float) -> Quiet | None:
    """Whether everybody whom an incident concerns has quiet hours: what is known of each of its services in, None where one of
    them has not. Hours that join on to one another are one."""
    why = ""
    until = now
    for _ in range(_STEPS):
        found = [_longest(rules, one, until) for one in services]
        ends = [one for one in found if one is not None]
        if not ends or len(ends) < len(found):
            break
        until, rule = min(ends, key=lambda one: one[0])
        why = why or f"quiet hours: {rule}"
        if until - now >= LONGEST_SECONDS:
            break
    return Quiet(min(until, now + LONGEST_SECONDS), why) if why else None


def _longest(rules: Sequence[QuietHours], known: Known, now: float) -> tuple[float, QuietHours] | None:
    held = [(end, one) for one in rules if fits(one.conditions, known) and (end := one.until(now)) is not None]
    return max(held, key=lambda one: one[0], default=None)


def parse_quiet_hours(text: str) -> QuietHours:
    """A rule as it is written in the settings. Raises ValueError, in words."""
    try:
        return _parsed(text)
    except (ValueError, BadRequest) as error:
        raise ValueError(f"quiet hours {text[:80]!r}: {error}") from None


def _parsed(text: str) -> QuietHours:
    conditions = tuple(pair for found in CONDITION.finditer(text) for pair in parse_conditions(found[0]))
    words = CONDITION.sub("", text).split()
    if bool(conditions) == (_ALL in words):
        raise ValueError(f"say for whom, by conditions or by {_ALL}")
    rest = [one for one in words if one != _ALL]
    days, times, zones = None, None, []
    for word in rest:
        if days is None and (named := _days(word)):
            days = named
        elif times is None and word[:1].isdigit():
            start, dash, end = word.partition("-")
            if not dash:
                raise ValueError(f"want times such as 22:00-07:00, not {word[:40]!r}")
            times = minute_of(start), minute_of(end)
        else:
            zones.append(word)
    if days is None and times is None:
        raise ValueError("say when, such as 22:00-07:00 or sat,sun")
    if len(zones) != 1:
        raise ValueError("want one time zone, such as Europe/Berlin")
    if times is not None and times[0] == times[1]:
        raise ValueError("they end when they begin")
    zone(zones[0])
    start_at, end_at = times or (0, 0)
    return QuietHours(conditions, days or tuple(range(len(DAYS))), start_at, end_at, zones[0])


def _days(word: str) -> tuple[int, ...]:
    """`sat,sun` or `mon-fri` or both; () for what names no days."""
    found: set[int] = set()
    for part in word.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            return ()
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {one % len(DAYS) for one in range(start, end + (1 if end >= start else len(DAYS) + 1))}
    return tuple(sorted(found))


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
