"""Addresses of the map's states: everything a reader has chosen is in the address, so that it can be pasted into a channel.

Comes in: what was chosen. Goes out: addresses of the same view with one thing chosen otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from bot.model import Layer

OVERLAYS = ("health", "tier", "domain", "owner", "freshness", "confidence")
"""What the map's services and calls can be coloured and labelled by."""

DEPTHS = (1, 2, 3)
"""How many hops the switch offers; an address may ask for more."""


@dataclass(frozen=True, slots=True)
class Look:
    """One view of the map around a service. `at` is as it was typed ('' for now), `layers` empty for all."""

    service: str
    depth: int | None = None
    direction: str = "both"
    layers: frozenset[Layer] = frozenset()
    at: str = ""
    overlay: str = "health"
    supposed: bool = False

    @property
    def href(self) -> str:
        """Its address."""
        return address("/map", {
            "service": self.service, "depth": self.depth, "direction": "" if self.direction == "both" else self.direction,
            "layers": ",".join(sorted(self.layers)), "at": self.at, "overlay": "" if self.overlay == "health" else self.overlay,
            "supposed": "true" if self.supposed else "",
        })  # fmt: skip

    def but(self, **changes: Any) -> str:
        """The address with something chosen otherwise."""
        return replace(self, **changes).href


def address(path: str, chosen: Mapping[str, object]) -> str:
    """A path with what was chosen; nothing is said of what was not."""
    said = {name: str(value) for name, value in chosen.items() if value not in ("", None)}
    return f"{path}?{urlencode(said, quote_via=quote)}" if said else path


def service(identifier: str, at: str = "") -> str:
    """Where a service is shown."""
    return Look(identifier, at=at).href


def plan(services: Sequence[str]) -> str:
    """The planner with these services picked."""
    return address("/plan", {"service": ",".join(services)})
