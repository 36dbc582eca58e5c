"""The first post of an incident's thread: how the failing service reaches its likely cause, and what changed there.

Comes in: a view, the service, the cause that was thought out. Goes out: `Evidence`, plain values that are stored with the
incident's facts. What is lost: the path beyond ten calls, changes beyond the first five.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

from bot.enrich.recent_changes import change_line, changes_around
from bot.enrich.view import MapView
from bot.graph.walk import dependencies
from bot.model import WINDOW_SECONDS

_CALLS_SHOWN = 10
_CHANGES_SHOWN = 5
_REACHED = 300


@dataclass(frozen=True, slots=True)
class PathCall:
    """One call on the path. `layers`: who saw it, and how long ago the last time (s); errors and calls over the last minutes."""

    caller: str
    callee: str
    layers: tuple[tuple[str, float], ...]
    calls: float
    error_rate: float | None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is laid open in the thread: the calls from the failing service to the cause, and changes as (id, words)."""

    path: tuple[PathCall, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.path or self.changes)

    @classmethod
    def stored(cls, facts: Mapping[str, Any] | None) -> Evidence | None:
        """From facts as they were stored."""
        known = (facts or {}).get("evidence")
        if not known:
            return None
        path = tuple(
            PathCall(**call | {"layers": tuple((layer, age) for layer, age in call["layers"])})
            for call in known["path"]
        )
        return cls(path, tuple((key, line) for key, line in known["changes"]))

    def says_as(self, other: Evidence | None) -> bool:
        """Whether a reader would miss nothing of this who has read the other: ages and rates move all the time."""
        return other is not None and _gist(self) == _gist(other)


def read_evidence(view: MapView, service: str, cause: str, onset: float, now: float) -> Evidence:
    """The evidence at `now` for trouble that began at `onset` (epoch s). `cause` is "" where none is named."""
    needed = dependencies(view.graph, [service], limit=_REACHED)
    path = reversed(needed.path(cause)) if cause in needed.found else ()
    changes = changes_around(view, service, now, onset, [cause] if cause else ())
    told = [one for one in changes if one["on_path"]]
    return Evidence(
        tuple(_call(view, caller, callee, now) for caller, callee in islice(pairwise(path), _CALLS_SHOWN)),
        tuple((str(one["id"] or one["title"]), change_line(one)) for one in told[:_CHANGES_SHOWN]),
    )


def _call(view: MapView, caller: str, callee: str, now: float) -> PathCall:
    layers = view.graph.layers(caller, callee)
    tally = view.counts((caller, callee), now - 5 * WINDOW_SECONDS, now + WINDOW_SECONDS)
    return PathCall(
        caller,
        callee,
        tuple((layer.value, max(0.0, now - seen.last_seen)) for layer, seen in sorted(layers.items())),
        tally.calls,
        tally.error_rate if tally.calls > 0 else None,
        bool(layers) and all(seen.certainty < 1.0 for seen in layers.values()),
    )


def _gist(evidence: Evidence) -> Any:
    return [(call.caller, call.callee) for call in evidence.path], [key for key, _ in evidence.changes]
