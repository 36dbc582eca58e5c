"""Whether an incident is held back in quiet hours. Pure: how it stands in, a named verdict with its reason out.

Held is only what says itself that it is less than critical, while everybody whom it concerns has quiet hours, and nothing that
matters most is hit. It is kept, and posted as soon as one of these is no longer so; what is over by then is told of in the
morning. What was posted once is never held.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bot.enrich.facts import IncidentFacts
from bot.enrich.manners import Manners
from bot.enrich.view import MapView
from bot.incidents.quiet import Quiet
from bot.incidents.severity import CRITICAL, UNKNOWN, rank

HELD, POSTED = "held", "posted"
FIRST_TIER = "1"


@dataclass(frozen=True, slots=True)
class Holding:
    """`verdict` is `held`, `posted`, or "" where quiet hours are no question."""

    verdict: str
    reason: str
    until: float = 0.0


def hold(
    before: Manners | None, facts: IncidentFacts, quiet: Quiet | None, foremost: str = "", shown: str = ""
) -> Holding:
    """What becomes of an incident. `before` is None where it is new; `foremost` names a service of the first tier that is hit;
    `shown` says which part of it stands in a channel already."""
    was_held = before is not None and before.held
    if (before is not None and not was_held) or (before is None and quiet is None):
        return Holding("", "")
    if facts.state == "resolved":
        return Holding(HELD, "it is over, and nobody was told", before.held_until if before else 0.0)
    severity = rank(facts.severity)
    reason = ""
    if shown:
        reason = shown
    elif severity == CRITICAL:
        reason = f"it is {facts.severity}"
    elif severity == UNKNOWN:
        reason = f"nobody knows how bad {facts.severity[:40]!r} is"
    elif foremost:
        reason = f"{foremost}, of the first tier, is hit"
    elif facts.map is None:
        reason = "the map cannot be read, so nobody knows who is hit"
    elif quiet is None:
        reason = "quiet hours are over, and it is still open"
    if reason or quiet is None:
        return Holding(POSTED, reason)
    return Holding(HELD, quiet.why, quiet.until)


def foremost_hit(view: MapView, facts: IncidentFacts) -> str:
    """A service of the first tier that fails because of the incident; "" for none. The one that it began with is not meant: its
    alert says by itself how bad it is."""
    if facts.map is None:
        return ""
    roots: Collection[str] = facts.outcome.roots[:1] if facts.outcome is not None else ()
    hit = (one for one in (*facts.map.radius_hit, *facts.map.alerting) if one not in roots)
    return next((one for one in hit if (entry := view.entry(one)) is not None and entry.tier == FIRST_TIER), "")
