"""The first page and the search's answers: what matters now, and services by what somebody typed.

Comes in: the answers about services in trouble, open incidents, recent changes and coverage. Goes out: values for `now.html.j2` and
`search.html.j2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.moments import age
from bot.page import address, say
from bot.page.incident import listed
from bot.page.panel import coverage

Json = Mapping[str, Any]

_ENTRY, _UNATTRIBUTED = "(entry)", "(unattributed)"


@dataclass(frozen=True, slots=True)
class Now:
    """The answers that the first page is made of. `whose` says which services an incident is about; `changes` are
    the last hours', newest first."""

    unhealthy: Json
    incidents: Sequence[Json]
    whose: Mapping[int, Sequence[str]]
    changes: Sequence[Json]
    coverage: Json


def start(found: Now, note: str, now: float) -> dict[str, Any]:
    """What matters now. `note` says what to do on an empty map."""
    trouble = found.unhealthy
    return {
        "services": trouble["services"],
        "edges": trouble["edges"],
        "incidents": listed(found.incidents, found.whose, now),
        "unhealthy": [row(one, now) for one in trouble["items"]],
        "unhealthy_total": trouble["total"],
        "changes": [_change(one, now) for one in found.changes],
        "coverage": coverage(found.coverage),
        "layers": layers(found.coverage),
        "note": "" if trouble["services"] else note,
        "as_of": say.clock(now),
    }


def row(one: Json, now: float) -> dict[str, Any]:
    """A service in a list."""
    owner = one["owner"] or {}
    return {
        "name": say.name(one["id"]), "href": address.service(one["id"]), "state": one["state"], "why": say.WHY.get(one["why"], one["why"]),
        "kind": "" if one["kind"] == "service" else one["kind"], "tier": one["tier"], "domain": one["domain"],
        "owner": owner.get("label", ""), "seen": say.ago(one["last_seen"], now), "callers": one.get("callers", 0),
        **say.rates(one.get("rates")),
    }  # fmt: skip


def _change(one: Json, now: float) -> dict[str, Any]:
    return {
        "service": say.name(one["service"]), "href": address.service(one["service"]), "kind": one["kind"], "title": say.name(one["title"]),
        "link": say.page(one["link"]),
        "author": say.name(one["author"]) if one["author"] else "", "ago": say.ago(one["at"], now),
    }  # fmt: skip


def layers(found: Json) -> list[dict[str, Any]]:
    """Each layer: when it was last heard, how much of its calls it saw itself, and what it could not attribute."""
    told = []
    for layer, label in say.LAYERS.items():
        part = found["layers"].get(layer)
        if part is None:
            told.append({"label": label, "age": "", "late": True})
            continue
        calls, sampled = part.get("calls", 0.0), part.get("sampled", 0)
        told.append({
            "label": label, "age": age(part["age_seconds"]), "late": part["age_seconds"] > 180, "calls": say.count(calls),
            "sampled": say.share(min(1.0, sampled / calls)) if calls and layer == "trace" else "",
            "unattributed": say.share(part.get(_UNATTRIBUTED, 0.0) / calls) if calls else say.NOBODY_KNOWS,
            "outside": say.share(part.get(_ENTRY, 0.0) / calls) if calls else say.NOBODY_KNOWS,
        })  # fmt: skip
    return told


def results(text: str, found: Sequence[Json], now: float) -> dict[str, Any]:
    """What the search found."""
    return {"text": say.name(text), "results": [row(one, now) for one in found]}
