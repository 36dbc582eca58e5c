"""Which channel an incident goes to. Pure: routes and what is known of the incident in, a channel and a named reason out.

A route is written `owner=payments severity=critical -> #pay-incidents`: every condition has to hold, patterns have `*` and `?`, and the
first route that fits has it. `-> owner` is the channel of whoever owns the first service. Where an incident was posted it stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

MAX_ROUTES = 200
TO_OWNER = "owner"
ASKED = ("owner", "service", "environment", "severity", "source", "tier", "domain")
"""What a condition may ask for."""

_CONDITION = re.compile(r'([a-z]+)=("[^"]*"|\S+)')
_CHANNEL = re.compile(r"#?[\w.-]{1,80}\Z")


@dataclass(frozen=True, slots=True)
class Route:
    """Conditions as (what, pattern), and where what fits them goes."""

    conditions: tuple[tuple[str, str], ...]
    channel: str

    def fits(self, known: Mapping[str, Sequence[str]]) -> bool:
        """Whether every condition holds for one of the values that are known."""
        return all(
            any(fnmatchcase(value.lower(), pattern) for value in known.get(what, ()))
            for what, pattern in self.conditions
        )

    def __str__(self) -> str:
        return " ".join(f"{what}={pattern}" for what, pattern in self.conditions) + f" -> {self.channel}"


def parse_route(text: str) -> Route:
    """A route as it is written in the settings. Raises ValueError, in words."""
    before, arrow, channel = text.rpartition("->")
    channel, asked = channel.strip(), before.strip()
    if not arrow or not asked:
        raise ValueError(f"route {text[:80]!r}: want CONDITION… -> CHANNEL, such as 'owner=payments -> #pay'")
    if not _CHANNEL.match(channel):
        raise ValueError(f"route {text[:80]!r}: {channel[:40]!r} is no channel")
    conditions = tuple((what, pattern.strip('"').lower()) for what, pattern in _CONDITION.findall(asked))
    if _CONDITION.sub("", asked).strip():
        raise ValueError(f"route {text[:80]!r}: conditions are written NAME=PATTERN, with quotes around blanks")
    for what, _ in conditions:
        if what not in ASKED:
            raise ValueError(f"route {text[:80]!r}: {what!r} is not one of {', '.join(ASKED)}")
    return Route(conditions, channel)


def destination(
    routes: Sequence[Route], known: Mapping[str, Sequence[str]], owner_channel: str, otherwise: str
) -> tuple[str, str]:
    """(channel, why) for an incident of which `known` is known. `owner_channel` is "" where the owner has none."""
    for route in routes:
        if route.fits(known):
            if route.channel != TO_OWNER:
                return route.channel, f"route {route}"
            if owner_channel:
                return owner_channel, f"route {route}: the owner's channel"
    return otherwise, "no route claims it"
