"""Which open incident a new alert belongs to, as the map explains it. Pure: what is open in, a named reason out.

A sender's own group and the same service go first (see `bot.storage.alert_store`); this is for what no sender can know: that
the service is needed by, or needs, what fails already. Never across environments, and only while the incident is young enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_BEFORE_SECONDS = 600.0
_BELOW_SECONDS = 600.0
_SUSPECTED_FROM = 0.1


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """What correlation needs of an incident. `firing`: services with an alert in it. `predicted`: dependents its first message
    counted. `suspects`: likely causes with p from 0 to 1, `named` the one in the headline. `below`: what the firing ones call.
    `root`: the service that alerted first, `needs` what it calls, directly or not. `told`: other teams' channels, and since when
    they know."""

    id: int
    environment: str
    opened_at: float
    last_alert_at: float
    root: str = ""
    firing: frozenset[str] = frozenset()
    predicted: frozenset[str] = frozenset()
    suspects: Mapping[str, float] | None = None
    named: str = ""
    below: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    told: Mapping[str, float] = field(default_factory=dict)


class Joined(NamedTuple):
    """Which incident, by which rule, and the reason in words."""

    incident: int
    verdict: str
    reason: str


class Same(NamedTuple):
    """Two incidents that are one, and why."""

    older: int
    younger: int
    reason: str


@dataclass(frozen=True, slots=True)
class NewAlerts:
    """What comes in. `needs`: everything the services call, directly or not; `places`: where they run."""

    services: tuple[str, ...]
    environment: str
    onset: float
    needs: Collection[str] = ()
    places: Collection[str] = ()


def explained(new: NewAlerts, incidents: Iterable[OpenIncident], window: float) -> Joined | None:
    """The incident that explains new alerts; the strongest rule first, then the oldest incident. None where none does, or where
    its latest alert is more than `window` seconds old.

    `likely_cause`: one of the services is what the incident likely comes from. `predicted`: the incident said that it would be hit.
    `needs`: it calls, directly or not, what fails there. `shares_cause`: it calls, or runs in, what the incident likely comes from.
    `dependency`: what fails there calls it, and both began within minutes.
    """
    found: list[tuple[int, int, Joined]] = []
    for one in incidents:
        if not _together(new, one, window):
            continue
        for rank, (verdict, reason) in enumerate(_rules(new, one)):
            if reason:
                found.append((rank, one.id, Joined(one.id, verdict, reason)))
                break
    return min(found)[2] if found else None


def same(one: OpenIncident, other: OpenIncident, window: float) -> Same | None:
    """Whether two open incidents turn out to be one: what alerted first in one is explained by the other. That both began
    together is not enough."""
    older, younger = (one, other) if one.id < other.id else (other, one)
    for inner, outer in ((younger, older), (older, younger)):
        if not inner.root:
            continue
        found = explained(NewAlerts((inner.root,), inner.environment, inner.opened_at, inner.needs), [outer], window)
        if found is not None and found.verdict != "dependency":
            return Same(older.id, younger.id, found.reason)
    return None


def _together(new: NewAlerts, one: OpenIncident, window: float) -> bool:
    if new.environment and one.environment and new.environment != one.environment:
        return False
    return one.opened_at - _BEFORE_SECONDS <= new.onset <= one.last_alert_at + window


def _rules(new: NewAlerts, one: OpenIncident) -> Iterable[tuple[str, str]]:
    suspects = one.suspects or {}
    services = new.services
    cause = next((each for each in services if suspects.get(each, 0.0) >= _SUSPECTED_FROM), "")
    yield "likely_cause", f"{cause} is what incident {one.id} likely comes from" if cause else ""
    hit = next((each for each in services if each in one.predicted), "")
    yield "predicted", f"incident {one.id} said that {hit} would be hit" if hit else ""
    needed = next((each for each in sorted(one.firing) if each in new.needs), "")
    yield "needs", f"{services[0]} needs {needed}, which fails in incident {one.id}" if needed else ""
    shared = one.named if one.named and (one.named in new.needs or one.named in new.places) else ""
    yield "shares_cause", f"{services[0]} rests on {shared}, the likely cause of incident {one.id}" if shared else ""
    close = abs(new.onset - one.opened_at) <= _BELOW_SECONDS
    below = next((each for each in services if close and each in one.below), "")
    yield "dependency", f"what fails in incident {one.id} calls {below}" if below else ""
