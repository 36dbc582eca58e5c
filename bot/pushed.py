"""What the bot knows of dependencies in PagerDuty's service graph: what it made, what it found, what people deleted.

Ends are PagerDuty's service ids. Only what stands here as ours may ever be taken back; everything else is somebody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_PUSHED = 50_000
"""Dependencies remembered, and so the most that are pushed."""

Pair = tuple[str, str]
"""(the dependent's PagerDuty id, that of the service it needs)."""


class Fate(StrEnum):
    """What became of a dependency."""

    INTENDED = "intended"
    """Written down before the call, so that a call whose answer nobody read is looked for."""
    OURS = "ours"
    """We made it: PagerDuty gave or showed its number right after our call."""
    THEIRS = "theirs"
    """It stands there, and nothing proves that we made it: it was there before, or was made while nobody looked. Never taken back."""
    MISSING = "missing"
    """Not seen at one look; at the next it is taken as deleted."""
    DECLINED = "declined"
    """Somebody deleted it: not pushed again."""
    REMOVING = "removing"
    """Written down before it is taken back, so that what then is missing was not deleted by a person."""
    REFUSED = "refused"
    """PagerDuty does not take it; `why` says so."""


STANDING = frozenset((Fate.OURS, Fate.THEIRS))


@dataclass(frozen=True, slots=True)
class Pushed:
    """One dependency. `caller` and `callee` are the map's names for the ends, as they were last.

    `number` is the relationship's own id in PagerDuty, "" where it is not known to be ours. `last_seen` and `habit` (the usual
    seconds between minutes with calls) are the edge's; `silence` counts the seconds it was not seen while a layer that
    knows it reported, up to `checked_at`. Times are epoch seconds.
    """

    dependent: str
    supporting: str
    caller: str
    callee: str
    fate: Fate
    at: float
    number: str = ""
    why: str = ""
    last_seen: float = 0.0
    habit: float = 60.0
    layers: str = ""
    silence: float = 0.0
    checked_at: float = 0.0

    @property
    def pair(self) -> Pair:
        """Both ends."""
        return self.dependent, self.supporting
