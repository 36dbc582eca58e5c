"""How far an incident's thread has been told, as it is stored with the incident's facts. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Line = tuple[Any, ...]
"""(kind, what it is about…), JSON-able: made by `bot.enrich.thread_lines`, put into words by `bot.slack.thread_views`."""


@dataclass(frozen=True, slots=True)
class Told:
    """How far the thread is: posts made, when the last was, lines that wait, and what must not be said again."""

    posts: int = 0
    posted_at: float = 0.0
    waiting: tuple[Line, ...] = ()
    left_out: int = 0
    cause: str = ""
    cause_at: float = 0.0
    changes: tuple[str, ...] = ()
    turns: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Per service: since when its turns are counted (epoch s), and how many there were."""

    @classmethod
    def stored(cls, facts: Mapping[str, Any] | None) -> Told:
        """From facts as they were stored."""
        known = dict((facts or {}).get("told") or {})
        if not known:
            return cls()
        known["waiting"] = tuple(tuple(line) for line in known.get("waiting", ()))
        known["changes"] = tuple(known.get("changes", ()))
        known["turns"] = {service: (since, turns) for service, (since, turns) in known.get("turns", {}).items()}
        return cls(**known)
