"""Who asks, and from where. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo


@dataclass(frozen=True, slots=True)
class Asker:
    """A Slack user id and name where they are known, the zone in which he types times, the channel he is in (its id, and
    its name where Slack tells it)."""

    id: str = ""
    name: str = ""
    zone: tzinfo = UTC
    channel: str = ""
    channel_name: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.id})" if self.name and self.id else self.name or self.id or "somebody"


NOBODY = Asker()
