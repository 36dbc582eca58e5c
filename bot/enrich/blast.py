"""Blast radius: who depends on the failing services, who of them is hit now and who will be, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.enrich.health import edge_rates, erring_now, failing_services
from bot.enrich.view import MapView
from bot.graph.walk import MAX_REACHED, EdgeFilter, Reach, dependents
from bot.model import Kind, Owner

_ASYNCHRONOUS_DAMPING = 0.5
_SHARES_COMPUTED = 100
_OWNERS_LOOKED_UP = 2_000
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
    """The dependents of `roots`, ranked: ids at once, the rest described when asked for, since a hub has thousands.

    `why` has those hit now, with what shows it. `truncated` where the walk was cut at its cap.
    """

    view: MapView
    reach: Reach
    ranked: tuple[str, ...]
    why: Mapping[str, str]

    @property
    def truncated(self) -> bool:
        """Whether the walk was cut at its cap."""
        return self.reach.truncated

    @property
    def dependents(self) -> tuple[Dependent, ...]:
        """All of them, described."""
        return tuple(self.describe(service) for service in self.ranked)

    @property
    def hit(self) -> tuple[str, ...]:
        """Those that fail now."""
        return self.ranked[: len(self.why)]

    @property
    def at_risk(self) -> tuple[str, ...]:
        """Those that do not fail yet."""
        return self.ranked[len(self.why) :]

    def describe(self, service: str) -> Dependent:
        """One of them with everything that is known of it."""
        entry, path = self.view.entry(service), self.reach.path(service)
        share, asynchronous = _share(self.view, path)
        return Dependent(
            id=service,
            hops=self.reach.found[service],
            path=path,
            state="hit" if service in self.why else "at_risk",
            why=self.why.get(service, ""),
            share=share,
            asynchronous=asynchronous,
            entry_point=self.view.is_entry_point(service),
            tier=entry.tier if entry else "",
            domain=entry.domain if entry else "",
            owner=entry.owner if entry else None,
        )


def owners_to_notify(radius: BlastRadius) -> list[tuple[Owner, int]]:
    """Who owns the nearest dependents, with how many of them: those hit and most at risk first, each owner once."""
    found: dict[tuple[str, str], tuple[Owner, int]] = {}
    if not radius.view.catalog.entries:
        return []
    for service in radius.ranked[:_OWNERS_LOOKED_UP]:
        entry = radius.view.entry(service)
        if entry is not None and entry.owner is not None:
            key = (entry.owner.team, entry.owner.slack)
            owner, count = found.get(key, (entry.owner, 0))
            found[key] = (owner, count + 1)
    return list(found.values())


def blast_radius(
    view: MapView,
    roots: Sequence[str],
    now: float,
    depth: int | None = None,
    usable: EdgeFilter | None = None,
    limit: int = MAX_REACHED,
    *,
    hidden: bool = False,
) -> BlastRadius:
    """Transitive dependents of `roots`: hit first, entry points first among equals, then tier, expected impact, nearness, name."""
    reach = dependents(view.graph, roots, depth, usable, limit, hidden=hidden)
    why = _hit(view, reach, now)
    # The walk already goes by nearness and name, so only those that may come before that order are ranked one by one, and
    # call ratios are worked out for those that can come out on top: a hub has thousands of dependents.
    marked = (why.keys() | view.graph.entries.keys()) & reach.found.keys()
    if view.catalog.entries:
        marked |= {one for one in reach.found if view.entry(one) is not None}
    special = sorted(marked, key=lambda one: (*_rank(view, one, why), reach.found[one], one))
    ordered = special + [one for one in reach.found if one not in marked]
    head = ordered[:_SHARES_COMPUTED]
    shares = {one: _share(view, reach.path(one))[0] or 0.0 for one in head}
    head.sort(key=lambda one: (*_rank(view, one, why), -shares[one], reach.found[one], one))
    return BlastRadius(view, reach, (*head, *ordered[_SHARES_COMPUTED:]), why)


def _hit(view: MapView, reach: Reach, now: float) -> Mapping[str, str]:
    # What goes on for half an hour would be usual by then, and nobody hit any more: since when is what the roots' alerts say.
    onset = min((view.firing[one] for one in reach.start if one in view.firing), default=None)
    hit = {service: why for service, why in failing_services(view, now, onset).items() if service in reach.found}
    # A caller whose way to the failing service fails is hit, too, even where nothing counts what it serves itself.
    for caller, callee in sorted(erring_now(view, now)):
        hops = reach.found.get(caller, 0)
        on_the_way = hops > 0 and (callee in reach.start or reach.found.get(callee, hops) < hops)
        if on_the_way and caller not in hit and edge_rates(view, (caller, callee), now, onset).failing:
            hit[caller] = "failing calls"
    return hit


def _share(view: MapView, path: Sequence[str]) -> tuple[float | None, bool]:
    """The expected share of the first service's requests that need the last, and whether a queue lies between."""
    share: float | None = 1.0
    node = view.graph.node
    queues = [service for service in path if node(service).kind is Kind.QUEUE]
    asynchronous = bool(queues)
    for caller, callee in pairwise(path):
        if caller in queues:
            continue  # a queue hands on all it is given; it has no requests of its own
        step = view.call_share(caller, callee)
        share = None if share is None or step is None else share * step
    if share is not None and asynchronous:
        share *= _ASYNCHRONOUS_DAMPING
    return None if share is None else round(share, 4), asynchronous


def _tier(view: MapView, service: str) -> str:
    entry = view.entry(service)
    return entry.tier if entry else ""


def _rank(view: MapView, service: str, why: Mapping[str, str]) -> tuple[bool, bool, str]:
    return service not in why, not view.is_entry_point(service), _tier(view, service) or _NO_TIER
