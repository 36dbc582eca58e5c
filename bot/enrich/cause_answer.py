"""The answer to "why": likely causes of trouble at a service, with what can be ruled out and what is unknown."""

from __future__ import annotations

from typing import Any

from bot.enrich.answers import frame
from bot.enrich.causes.ranking import Candidate, Verdict
from bot.enrich.recent_changes import changes_around
from bot.enrich.view import MapView
from bot.graph.places import is_place
from bot.moments import iso

LISTED = 10
_OTHERS_LISTED = 50


def causes(
    view: MapView, service: str, at: float, found: Verdict, limit: int = LISTED, until: float = 0.0
) -> dict[str, Any]:
    """A verdict on `service` at `at` (epoch s) as every answer is given: `items` with `{"id","p","evidence"}`, `ruled_out`,
    `unknown`, and `named`, the cause that is likely enough to be named, or `why_none`. `changes` are those up to `until`, on the
    path to the likeliest first."""
    worth = [one for one in found.candidates if one.p > 0]
    return {
        "id": service,
        "at": iso(at),
        "items": [_item(one) for one in worth[:limit]],
        "total": len(worth),
        "next_cursor": None,
        "named": found.named.service if found.named is not None else None,
        "why_none": found.why_none,
        "ruled_out": list(found.ruled_out[:_OTHERS_LISTED]),
        "unknown": list(found.unknown[:_OTHERS_LISTED]),
        "changes": changes_around(view, service, max(at, until), at, [one.service for one in worth[:1]]),
    } | frame(view, {service, *(one.service for one in found.candidates if not is_place(one.service))}, at)


def _item(one: Candidate) -> dict[str, Any]:
    return {"id": one.service, "p": round(one.p, 4), "evidence": list(one.sentences)}
