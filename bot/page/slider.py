"""The map's time: where the slider stands, where it leads, and what stands beside it for whoever has no script.

Comes in: what is looked at, and when. Goes out: values for the slider. Its steps are five minutes apart on the clock, so that everybody
who looks back sees the same maps.
"""

from __future__ import annotations

from typing import Any

from bot.moments import iso
from bot.page import address, say
from bot.page.address import Look

STEP_SECONDS = 300
REACH_SECONDS = 86_400
_BACK = (("1 day", 86_400), ("1 hour", 3_600), ("15 min", 900))


def slider(look: Look, moment: float | None, now: float) -> dict[str, Any]:
    """`steps` back from the newest step; 0 is now."""
    newest = int(now // STEP_SECONDS * STEP_SECONDS)
    steps = 0 if moment is None else max(0, min(REACH_SECONDS // STEP_SECONDS, round((newest - moment) / STEP_SECONDS)))
    at = newest if moment is None else moment
    return {
        "live": moment is None,
        "newest": newest,
        "step": STEP_SECONDS,
        "most": REACH_SECONDS // STEP_SECONDS,
        "steps": steps,
        "says": "now" if moment is None else say.clock(moment),
        "back": [(label, look.but(at=iso(max(0.0, at - seconds)))) for label, seconds in _BACK],
        "now": look.but(at=""),
        "diff": address.address(
            "/diff", {"from": iso(at if moment is not None else now - 3_600), "service": look.service}
        ),
    }
