"""Which channel an incident goes to. Pure: routes and what is known of the incident in, a channel and a named reason out.

A route is written `owner=payments severity=critical -> #pay-incidents`: every condition has to hold, patterns have `*` and `?`, and the
first route that fits has it. `-> owner` is the channel of whoever owns the first service. Where an incident was posted it stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.incidents.conditions import Conditions, Known, fits, parse_conditions, written

MAX_ROUTES = 200
TO_OWNER = "owner"

_CHANNEL = re.compile(r"#?[\w.-]{1,80}\Z")


@dataclass(frozen=True, slots=True)
class Route:
    """Conditions, and where what fits them goes."""

    conditions: Conditions
    channel: str

    def fits(self, known: Known) -> bool:
        """Whether every condition holds."""
        return fits(self.conditions, known)

    def __str__(self) -> str:
        return f"{written(self.conditions)} -> {self.channel}"


def parse_route(text: str) -> Route:
    """A route as it is written in the settings. Raises ValueError, in words."""
    before, arrow, channel = text.rpartition("->")
    channel, asked = channel.strip(), before.strip()
    if not arrow or not asked:
        raise ValueError(f"route {text[:80]!r}: want CONDITION… -> CHANNEL, such as 'owner=payments -> #pay'")
    if not _CHANNEL.match(channel):
        raise ValueError(f"route {text[:80]!r}: {channel[:40]!r} is no channel")
    try:
        return Route(parse_conditions(asked), channel)
    except ValueError as error:
        raise ValueError(f"route {text[:80]!r}: {error}") from None


def destination(routes: Sequence[Route], known: Known, owner_channel: str, otherwise: str) -> tuple[str, str]:
    """(channel, why) for an incident of which `known` is known. `owner_channel` is "" where the owner has none."""
    for route in routes:
        if route.fits(known):
            if route.channel != TO_OWNER:
                return route.channel, f"route {route}"
            if owner_channel:
                return owner_channel, f"route {route}: the owner's channel"
    return otherwise, "no route claims it"
