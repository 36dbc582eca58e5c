"""The facts of one incident: everything its root message says, as plain values that can be stored and rendered again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from bot.enrich.blast import blast_radius
from bot.enrich.causes.ranking import Verdict
from bot.enrich.coverage import coverage
from bot.enrich.health import edge_rates, service_rates
from bot.enrich.manners import Manners
from bot.enrich.owners import ownership
from bot.enrich.thread_evidence import Evidence
from bot.enrich.told import Told
from bot.enrich.view import MapView
from bot.graph.places import is_place
from bot.model import Owner

RADIUS_LIMIT = 2_000
"""A message counts no further: beyond the nearest two thousand dependents nobody reads on, and it must come at once."""

RADIUS_GRADED = 200
"""Dependents whose fate is followed until the incident is over."""

_LISTED = 10
_RANKED = 5
_FAILING_READ = 20
_FOLLOWED = ("radius", "radius_hit", "alerting")
_OWNERS_LISTED = 4
_REASONS = 3


@dataclass(frozen=True, slots=True)
class FailingService:
    """One service of the incident. `known` is False where no service of that name is on the map; `closest` then helps."""

    name: str
    known: bool
    kind: str = "service"
    calls: float = 0.0
    error_rate: float | None = None
    usual_error_rate: float | None = None
    p95_ms: float | None = None
    usual_p95_ms: float | None = None
    failing: str = ""
    closest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FailingCall:
    """An edge that fails more than usual, close to the failing service."""

    caller: str
    callee: str
    calls: float
    error_rate: float
    usual_error_rate: float | None
    p95_ms: float | None
    usual_p95_ms: float | None
    failing: str


RankedCause = tuple[str, float, tuple[str, ...]]
"""(service, p from 0 to 1, the families of evidence that speak for it)"""


@dataclass(frozen=True, slots=True)
class CauseFacts:
    """The likely cause of the first service's trouble: who (p from 0 to 1, with the evidence in words), or why nobody is
    named; who needs no looking at, and who cannot be judged."""

    service: str = ""
    p: float = 0.0
    evidence: tuple[str, ...] = ()
    why_none: str = ""
    ruled_out: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    ranked: tuple[RankedCause, ...] = ()
    """The likeliest, named or not: what is graded once the incident is over."""


@dataclass(frozen=True, slots=True)
class MapFacts:
    """What the map says about the incident's services at `as_of` (epoch s)."""

    as_of: float
    services: tuple[FailingService, ...]
    hit: tuple[str, ...] = ()
    hit_count: int = 0
    at_risk: tuple[str, ...] = ()
    at_risk_count: int = 0
    entry_points: tuple[str, ...] = ()
    failing_calls: tuple[FailingCall, ...] = ()
    owners: tuple[tuple[str, str, str], ...] = ()
    reporting: int = 0
    reporters: int = 0
    silent: tuple[tuple[str, float], ...] = ()
    layers: dict[str, float] = field(default_factory=dict)
    runbook: str = ""
    truncated: bool = False
    cause: CauseFacts | None = None
    radius: tuple[str, ...] = ()
    """All dependents, as far as `RADIUS_GRADED`, those hit first."""
    radius_hit: tuple[str, ...] = ()
    alerting: tuple[str, ...] = ()
    """All services of the incident that are on the map; `services` has the first of them."""


def cause_facts(found: Verdict) -> CauseFacts:
    """What a message says of a verdict."""
    named = found.named
    said = (named.service, round(named.p, 2), named.sentences[:_REASONS]) if named is not None else ("", 0.0, ())
    ranked = tuple(
        (one.service, round(one.p, 3), tuple(sorted({each.family for each in one.evidence if each.sentence})))
        for one in found.candidates[:_RANKED]
        if one.p > 0
    )
    return CauseFacts(*said, found.why_none, found.ruled_out[:_LISTED], found.unknown[:_LISTED], ranked)


def stored_cause(facts: Mapping[str, Any]) -> CauseFacts | None:
    """What a message said of the cause, from its facts as they were stored."""
    said = (facts.get("map") or {}).get("cause")
    if not said:
        return None
    named = {name: tuple(said.get(name, ())) for name in ("evidence", "ruled_out", "unknown")}
    ranked = tuple((service, p, tuple(families)) for service, p, families in said.get("ranked", ()))
    return CauseFacts(
        said.get("service", ""), said.get("p", 0.0), why_none=said.get("why_none", ""), ranked=ranked, **named
    )


def read_map(
    view: MapView,
    services: Sequence[str],
    unknown: Mapping[str, tuple[str, ...]],
    now: float,
    onset: float | None = None,
    cause: CauseFacts | None = None,
) -> MapFacts:
    """The map's answer for the failing `services` (ids on the map); `unknown` are names it has not, with the closest it has;
    `cause` is what was thought out before."""
    known = [service for service in services if service in view.graph]
    radius = blast_radius(view, known, now, limit=RADIUS_LIMIT)
    around = coverage(view, [*known, *radius.ranked], now)
    first = view.entry(known[0]) if known else None
    calls = _failing_calls(view, known, now, onset)
    return MapFacts(
        as_of=now,
        services=(
            *(_failing(view, service, now, onset) for service in known[:_FAILING_READ]),
            *(FailingService(name, known=False, closest=closest) for name, closest in unknown.items()),
        ),
        hit=radius.hit[:_LISTED],
        hit_count=len(radius.hit),
        at_risk=radius.at_risk[:_LISTED],
        at_risk_count=len(radius.at_risk),
        entry_points=tuple(islice((one for one in radius.ranked if view.is_entry_point(one)), _LISTED)),
        failing_calls=calls,
        owners=_owners(
            view, list(dict.fromkeys([*known[:1], *_cause(cause), *known, *(call.callee for call in calls), *unknown]))
        ),
        reporting=around.reporting,
        reporters=around.services,
        silent=around.silent,
        layers=around.layers,
        runbook=first.runbook if first else "",
        truncated=radius.truncated,
        cause=cause,
        radius=radius.ranked[:RADIUS_GRADED],
        radius_hit=radius.hit[:RADIUS_GRADED],
        alerting=tuple(known),
    )


def _cause(cause: CauseFacts | None) -> tuple[str, ...]:
    return (cause.service,) if cause is not None and cause.service and not is_place(cause.service) else ()


def _failing(view: MapView, service: str, now: float, onset: float | None) -> FailingService:
    found = service_rates(view, service, now, onset)
    return FailingService(
        name=service,
        known=True,
        kind=view.graph.node(service).kind.value,
        calls=found.calls,
        error_rate=found.error_rate if found.calls else None,
        usual_error_rate=found.usual_error_rate,
        p95_ms=found.p95_ms,
        usual_p95_ms=found.usual_p95_ms,
        failing=found.failing,
    )


def _failing_calls(view: MapView, services: Sequence[str], now: float, onset: float | None) -> tuple[FailingCall, ...]:
    """Calls the failing services make themselves that fail more than usual: where to look next, without naming a cause."""
    found = []
    for service in services[:_LISTED]:
        for callee in sorted(view.graph.callees(service))[:200]:
            edge = edge_rates(view, (service, callee), now, onset)
            if callee != service and edge.failing:
                found.append(
                    FailingCall(
                        service,
                        callee,
                        edge.calls,
                        edge.error_rate,
                        edge.usual_error_rate,
                        edge.p95_ms,
                        edge.usual_p95_ms,
                        edge.failing,
                    )
                )
    found.sort(key=lambda call: (-call.error_rate * call.calls, call.caller, call.callee))
    return tuple(found[:_LISTED])


def _owners(view: MapView, services: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
    """(service, who, note) for each; who is '' where nobody is known, and the note then helps."""
    found = []
    for service in list(services)[:_OWNERS_LISTED]:
        owned = ownership(view, service)
        if owned.owner is not None:
            found.append((service, label(owned.owner), owned.owner.source))
        elif owned.nearest is not None:
            found.append((service, "", f"nearest owned dependent is {owned.nearest[0]} → {label(owned.nearest[1])}"))
        else:
            found.append((service, "", ""))
    return tuple(found)


def label(owner: Owner) -> str:
    """How an owner is written in a message: the Slack handle or channel where there is one, else the team."""
    return owner.slack or owner.team


@dataclass(frozen=True, slots=True)
class SourceCount:
    """How many alerts of one source an incident has, and the number people know it by ('#1234') where there is one. `holder`
    is who has been given it there, `reference` the latest alert's fingerprint, by which buttons name it."""

    source: str
    firing: int
    total: int
    number: str = ""
    link: str = ""
    holder: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Followed:
    """What was said at first of an incident, and what became of it. `roots` alerted first; `predicted` are the dependents that the
    first message counted; `hit` those of them that failed at any time since; `missed` failed too, and nobody had said so. `causes`
    are the last that were thought out, `layers` what they rested on."""

    roots: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()
    hit: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    causes: tuple[RankedCause, ...] = ()
    named: str = ""
    layers: tuple[str, ...] = ()


def followed(before: Mapping[str, Any] | None, now: MapFacts | None) -> Followed | None:
    """The outcome as it stands: what the incident's stored facts had of it, and what the map says now. None where the map
    never said anything."""
    known = (before or {}).get("outcome") or {}
    if now is None and not known:
        return None
    so_far = {name: tuple(known.get(name, ())) for name in ("roots", "predicted", "hit", "missed", "layers")}
    causes = tuple((service, p, tuple(families)) for service, p, families in known.get("causes", ()))
    named = known.get("named", "")
    if now is not None:
        alerting = now.alerting
        roots = so_far["roots"] or alerting
        predicted = so_far["predicted"] if known else now.radius
        if now.cause is not None and now.cause.ranked:
            causes, named, so_far["layers"] = now.cause.ranked, now.cause.service, tuple(sorted(now.layers))
        suspects = {service for service, _, _ in causes}
        failing = dict.fromkeys((*now.radius_hit, *(one for one in alerting if one not in roots)))
        hit = dict.fromkeys((*so_far["hit"], *(one for one in failing if one in predicted)))
        missed = dict.fromkeys(
            (*so_far["missed"], *(one for one in failing if one not in predicted and one not in suspects))
        )
        so_far |= {"roots": roots, "predicted": predicted, "hit": tuple(hit), "missed": tuple(missed)[:RADIUS_GRADED]}
    return Followed(**so_far, causes=causes, named=named)


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """Everything the root message says. `map` is None where the map could not be read; `degraded` then says why."""

    state: str
    title: str
    summary: str
    severity: str
    environment: str
    opened_at: float
    updated_at: float
    resolved_at: float | None
    sources: tuple[SourceCount, ...]
    services: tuple[str, ...]
    map: MapFacts | None = None
    degraded: str = ""
    link: str = ""
    runbook: str = ""
    outcome: Followed | None = None
    evidence: Evidence | None = None
    channel: str = ""
    """Where the message is: what was decided first stands."""
    told: Told = field(default_factory=Told)
    manners: Manners = field(default_factory=Manners)

    def stored(self) -> dict[str, Any]:
        """As JSON-able values; without what only `followed` needs, and has taken into the outcome."""
        found = asdict(self)
        for name in _FOLLOWED if found["map"] is not None else ():
            del found["map"][name]
        return found
