"""Blast radius: who depends on the failing services, who of them is hit now and who will be, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from bot.enrich.health import failing_services, rates
from bot.enrich.view import MapView
from bot.graph.walk import EdgeFilter, Reach, dependents
from bot.model import Kind, Owner

_ASYNCHRONOUS_DAMPING = 0.5
_SHARES_COMPUTED = 200
_NO_TIER = "~"  # sorts after every tier a catalogue may use


@dataclass(frozen=True, slots=True)
class Dependent:
    """One service in the radius.

    `path` runs along the calls, from the dependent to the failing service. `share` is the expected part (0..1) of its
    own requests that need the failing service, None where calls are not counted. `state` is `hit` or `at_risk`; `why`
    says what shows that it is hit: `alert`, `errors`, `latency`, or `failing calls`.
    """

    id: str
    hops: int
    path: tuple[str, ...]
    state: str
    why: str = ""
    share: float | None = None
    asynchronous: bool = False
    entry_point: bool = False
    tier: str = ""
    domain: str = ""
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The ranked dependents of `roots`. `truncated` where the walk was cut at its cap."""

    roots: tuple[str, ...]
    dependents: tuple[Dependent, ...]
    truncated: bool = False

    @property
    def hit(self) -> tuple[Dependent, ...]:
        """Those that fail now."""
        return tuple(dependent for dependent in self.dependents if dependent.state == "hit")

    @property
    def at_risk(self) -> tuple[Dependent, ...]:
        """Those that do not fail yet."""
        return tuple(dependent for dependent in self.dependents if dependent.state == "at_risk")


def blast_radius(
    view: MapView, roots: Sequence[str], now: float, depth: int | None = None, usable: EdgeFilter | None = None
) -> BlastRadius:
    """Transitive dependents of `roots`: hit first, entry points first among equals, then tier, expected impact, nearness, name."""
    reach = dependents(view.graph, roots, depth, usable)
    hit = _hit(view, reach, now)
    found = sorted((_dependent(view, reach, service, hit) for service in reach.found), key=_rank)
    # Ratios are worked out for those that can come out on top; thousands of distant dependents keep their cheap order.
    head = sorted((_with_share(view, one) for one in found[:_SHARES_COMPUTED]), key=_rank)
    return BlastRadius(tuple(roots), (*head, *found[_SHARES_COMPUTED:]), reach.truncated)


def _hit(view: MapView, reach: Reach, now: float) -> Mapping[str, str]:
    hit = {service: why for service, why in failing_services(view, now).items() if service in reach.found}
    for root in reach.start:
        erring = {
            caller
            for windows in view.windows.values()
            for caller, callee in windows.erring(now - 240, now + 60)
            if callee == root and caller in reach.found and caller not in hit
        }
        hit |= {caller: "failing calls" for caller in sorted(erring) if rates(view, [(caller, root)], now).failing}
    return hit


def _dependent(view: MapView, reach: Reach, service: str, hit: Mapping[str, str]) -> Dependent:
    entry = view.entry(service)
    return Dependent(
        id=service,
        hops=reach.found[service].hops,
        path=reach.path(service),
        state="hit" if service in hit else "at_risk",
        why=hit.get(service, ""),
        entry_point=view.is_entry_point(service),
        tier=entry.tier if entry else "",
        domain=entry.domain if entry else "",
        owner=entry.owner if entry else None,
    )


def _with_share(view: MapView, dependent: Dependent) -> Dependent:
    share: float | None = 1.0
    asynchronous = any(view.graph.node(service).kind is Kind.QUEUE for service in dependent.path)
    for caller, callee in pairwise(dependent.path):
        if view.graph.node(caller).kind is Kind.QUEUE:
            continue  # a queue hands on all it is given; it has no requests of its own
        step = view.call_share(caller, callee)
        share = None if share is None or step is None else share * step
    if share is not None and asynchronous:
        share *= _ASYNCHRONOUS_DAMPING
    return replace(dependent, share=None if share is None else round(share, 4), asynchronous=asynchronous)


def _rank(dependent: Dependent) -> tuple[bool, bool, str, float, int, str]:
    return (
        dependent.state != "hit",
        not dependent.entry_point,
        dependent.tier or _NO_TIER,
        -(dependent.share or 0.0),
        dependent.hops,
        dependent.id,
    )
