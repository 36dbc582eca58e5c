"""Everything a cause may be found from, as plain values: the graph, numbers around the alert, baselines, events.

Any part may be missing: full series, or anomalies only, or alerts only, or only the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.model import EdgeKey

Points = Sequence[tuple[float, float]]
"""(epoch s, value), in order of time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of a service, or of an edge: points around the alert, and points of when all was well (maybe none).

    `noise` is how far chance alone takes it, in its own unit (or as a share, where it is one): one failure among few calls.
    """

    name: str
    points: Points
    baseline: Points = ()
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was noticed at a service: `kind` is `metric` (an anomaly somebody else found: `name` the metric,
    `direction` +1 or -1), `call` (a slow or failed call, `name` says which; `caller` made it), `log` (`name` is the
    template), `change` (`name` says what) or `alert`. `at` in epoch s, None where nobody knows."""

    kind: str
    service: str
    name: str
    at: float | None = None
    direction: int = 0
    caller: str = ""
    call: str = ""
    """The operation's name, of a `call`."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One alert and what surrounds it. `metric` is what the alert is about, by its name; '' where it does not say.

    `callees` maps each caller to those it calls; every service that is known is in `services`.
    """

    service: str
    metric: str
    at: float
    services: Sequence[str]
    callees: Mapping[str, Sequence[str]]
    measured: Mapping[str, Sequence[Measured]] = field(default_factory=dict)
    edges: Mapping[EdgeKey, Sequence[Measured]] = field(default_factory=dict)
    events: Sequence[Event] = ()
    places: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What services share without calling it: a place's id -> who is there, and what share of each (0..1)."""


def reachable(start: str, step: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Everything that `step` leads to from `start`, with the number of hops; `start` itself is 0. Cycle-safe."""
    found, frontier = {start: 0}, [start]
    while frontier:
        ahead = []
        for here in frontier:
            for there in step.get(here, ()):
                if there not in found:
                    found[there] = found[here] + 1
                    ahead.append(there)
        frontier = ahead
    return found


def callers_of(callees: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The same edges, the other way round."""
    found: dict[str, list[str]] = {}
    for caller, those in callees.items():
        for callee in those:
            found.setdefault(callee, []).append(caller)
    return found
