"""Slow and failed calls that somebody noticed one by one (spans, mostly): whom do they speak of?

A call is told by its caller, by its callee, or by both. One that only the caller found slow is a gap: it belongs to the
end that more of the gapped calls have in common, which is how a slow network looks. A service whose own calls to others
are slow is explained by them, mostly.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from bot.enrich.causes.situation import Event, Situation
from bot.model import EdgeKey

_SERVED = 0.5
_INSIDE = 0.5
_GAP = 2.0
_EXPLAINED = 0.3
_WORDS = re.compile(r"[^a-z0-9-]+")


def blamed(situation: Situation) -> dict[str, float]:
    """Service -> how much the noticed calls speak against it, about 0..1; those they do not speak of left out."""
    callers_side: set[EdgeKey] = set()
    callees_side: set[EdgeKey] = set()
    inside: set[str] = set()
    for event in situation.events:
        if event.kind != "call" or not event.caller:
            continue  # without a caller it is the request that came in from outside: what the alert is about
        if event.caller != event.service:
            callees_side.add((event.caller, event.service))
        elif (callee := _named(event, situation.callees.get(event.service, ()))) is not None:
            callers_side.add((event.service, callee))
        else:
            inside.add(event.service)
    found = _weigh(callers_side, callees_side, inside)
    crowd = max(1.0, sum(found.values())) ** 0.5
    return {service: weight / crowd for service, weight in found.items()}


def _weigh(callers_side: set[EdgeKey], callees_side: set[EdgeKey], inside: set[str]) -> dict[str, float]:
    edges, gapped = callers_side | callees_side, callers_side - callees_side
    of: dict[str, set[EdgeKey]] = defaultdict(set)
    for edge in edges:
        of[edge[0]].add(edge)
        of[edge[1]].add(edge)
    found = {}
    for service in sorted(of.keys() | inside):
        weight = _INSIDE if service in inside else 0.0
        if any(callee == service for _, callee in callees_side):
            weight += _SERVED
        if any(caller == service for caller, _ in edges):
            weight *= _EXPLAINED
        if mine := of[service] & gapped:
            weight += _GAP * len(mine) / len(gapped) * len(mine) / len(of[service])
        if weight:
            found[service] = weight
    return found


def _named(event: Event, callees: Iterable[str]) -> str | None:
    """The callee that an operation's name names, as remote procedures do (`/package.Service/Method`)."""
    words = set(_WORDS.split(event.call.lower()))
    return next((one for one in sorted(callees) if one != event.service and one.lower() in words), None)
