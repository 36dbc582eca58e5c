"""Who is hit, given where the fault is: symptoms first, and the map where nobody measures.

A service is hit when it is slow or failing itself, or when somebody noticed such a call of it; a dependent that nobody
measures is taken to be hit, because nothing says that it is not.
"""

from __future__ import annotations

from collections.abc import Collection

from bot.enrich.causes.anomalies import anomalies
from bot.enrich.causes.metric_kinds import TABLE, Family, MetricTable
from bot.enrich.causes.situation import Situation, callers_of, reachable

_HIT = 0.35


def affected(situation: Situation, roots: Collection[str], table: MetricTable = TABLE) -> tuple[str, ...]:
    """Services other than `roots` that are hit, by name."""
    found = anomalies(situation, table)
    callers = callers_of(situation.callees)
    dependents = {one for root in roots for one in reachable(root, callers)}
    noticed = {event.service for event in situation.events if event.kind == "call"}
    hit = set()
    for service in set(situation.services) - set(roots):
        shown = [one.strength for one in found.of(service, Family.LATENCY, Family.ERRORS) if one.found is not None]
        if (shown and max(shown) >= _HIT) or service in noticed or (not shown and service in dependents):
            hit.add(service)
    return tuple(sorted(hit))
