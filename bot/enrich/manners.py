"""How an incident behaves towards people, as it is stored with the incident's facts: whom its first post calls, until when it
is held back, whom it has told of in other channels. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Courtesy:
    """A line in another team's channel. `key` is its key in the outbox, `services` are those of the channel that are at risk,
    `state` what it says last: `at risk`, `hit` or `over`, of which `cause`. Written first at `at` (epoch s)."""

    key: str
    channel: str
    services: tuple[str, ...]
    state: str = "at risk"
    cause: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Manners:
    """`mention` is a Slack id, `mentioned` how it is written where nobody is called. `held_until` (epoch s) is 0 where the
    incident is not held back, `held_since` 0 where it never was."""

    mention: str = ""
    mentioned: str = ""
    held_since: float = 0.0
    held_until: float = 0.0
    courtesies: tuple[Courtesy, ...] = ()
    passed: tuple[str, ...] = ()
    """Channels that were not told, each with the reason, so that it is counted once."""

    @property
    def held(self) -> bool:
        """Whether nothing of the incident has been posted, on purpose."""
        return self.held_until > 0

    @classmethod
    def stored(cls, facts: Mapping[str, Any] | None) -> Manners:
        """From facts as they were stored."""
        known = dict((facts or {}).get("manners") or {})
        told = (Courtesy(**one | {"services": tuple(one["services"])}) for one in known.pop("courtesies", ()))
        return cls(**known | {"passed": tuple(known.get("passed", ()))}, courtesies=tuple(told))
