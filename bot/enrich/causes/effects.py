"""How much of the trouble each service makes itself: failed requests and time added, less what its callees explain.

Excess in the alert's own family times traffic, exclusive of what those it calls explain, is the strongest single
evidence there is. What a caller waits for beyond what the callee says it took is a gap, and belongs to the end that has
more of its calls gapped. A status that blames the client (4xx) is explained by callers instead.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.enrich.causes.anomalies import Anomalies, Anomaly, strength
from bot.enrich.causes.deviation import Deviation, deviation
from bot.enrich.causes.metric_kinds import Family, MetricTable, spelled
from bot.enrich.causes.situation import Measured, Points, Situation, callers_of, reachable
from bot.model import EdgeKey

_REQUESTS = re.compile(r"request|rps|qps|(^|_)ops(_|$)|throughput|calls|count")
_CALLERS_SIDE = re.compile(r"(^|_)(src|client|source|outbound|caller)(_|$)")
_CALLEES_SIDE = re.compile(r"(^|_)(dst|dest|server|destination|inbound|callee)(_|$)")
_MILLISECONDS = re.compile(r"_ms(_|$)|milli")
_SAME_MOMENT = 30.0
_SILENT_TAKES = 0.9
_SURGE_HOPS, _SURGE, _SURGE_MOVED = 5, 0.5, 0.8
_BLIND_TAKES, _BLIND_MATCHING_TAKES = 0.2, 0.9
_PREFERRED = ("avg", "mean", "p95", "p90", "p99", "p50")


@dataclass(slots=True)
class Effect:
    """What one service adds. `total` and `own` are in requests failed, or seconds added, a unit of time; `own` is what no
    callee explains. `strength` is how unusual that is, `gap_strength` the same of what lies between it and its peers.
    `laid_by`: the caller whose trouble was laid to it, because it is silent or because nobody counts its failures."""

    total: float = 0.0
    own: float = 0.0
    strength: float = 0.0
    gap_strength: float = 0.0
    shown: Anomaly | None = None
    laid_by: str = ""


@dataclass(slots=True)
class _Edge:
    """Excess seconds of one edge as its caller tells it, and the gap to what its callee tells."""

    callers: Deviation | None = None
    gap: Deviation | None = None
    unit: float = 1.0


@dataclass(slots=True)
class Effects:
    """Effects of every service in one family; `largest` is the largest total."""

    by_service: dict[str, Effect] = field(default_factory=dict)
    largest: float = 0.0

    def share(self, service: str) -> float:
        """The part of the largest trouble in view that a service makes itself, 0..1."""
        found = self.by_service.get(service)
        return min(1.0, found.own / self.largest) if found is not None and self.largest > 0 else 0.0


def effects(situation: Situation, found: Anomalies, table: MetricTable, family: Family) -> Effects:
    """What each service adds in one family (latency or errors)."""
    work = _Work(situation, found, table, family)
    return work.effects()


class _Work:
    def __init__(self, situation: Situation, found: Anomalies, table: MetricTable, family: Family) -> None:
        self._situation, self._found, self._table, self._family = situation, found, table, family
        callers = callers_of(situation.callees)
        self._callers = {one: [caller for caller in those if caller != one] for one, those in callers.items()}
        # What depends on the alerting service may have other reasons to fail, which are not in view.
        self._below = reachable(situation.service, situation.callees)
        self._requests: dict[str, float] = {}
        self._shown = {service: self._pick(service) for service in situation.services}

    def effects(self) -> Effects:
        result = Effects()
        for service, shown in self._shown.items():
            if shown is not None and shown.found is not None:
                total = shown.found.excess * _unit(shown.name, self._family) * self._weight(service, shown.name)
                result.by_service[service] = Effect(total, 0.0, shown.strength, 0.0, shown)
        edges = self._edges() if self._family is Family.LATENCY else {}
        for service, effect in result.by_service.items():
            explained = self._explained(service, result.by_service, edges)
            effect.own = max(0.0, effect.total * effect.strength - explained)
        self._give_gaps(result, edges)
        self._lay_to_the_silent(result)
        if self._family is Family.ERRORS:
            self._suspect_the_blind(result)
        else:  # of failures a surge is as often the consequence: callers try again
            self._follow_surges(result)
        result.largest = max(
            (max(one.total * one.strength, one.own) for one in result.by_service.values()), default=0.0
        )
        return result

    def _follow_surges(self, result: Effects) -> None:
        """A surge of requests is explained by who sends it: up the chain, as far as it surges there too."""
        surges = {service: self._surge(service) for service in result.by_service}
        for _ in range(_SURGE_HOPS):
            for service in sorted(result.by_service):
                effect, surge = result.by_service[service], surges[service]
                senders = [one for one in self._callers.get(service, ()) if surges.get(one, 0.0) >= _SURGE]
                if surge < _SURGE or effect.own <= 0 or not senders:
                    continue
                sender = result.by_service[max(senders, key=lambda one: (surges[one], one))]
                moved = effect.own * surge * _SURGE_MOVED
                effect.own -= moved
                sender.own += moved
                sender.strength = max(sender.strength, effect.strength)

    def _surge(self, service: str) -> float:
        return max(
            (one.strength for one in self._found.of(service, Family.TRAFFIC) if one.direction > 0 and not one.outbound),
            default=0.0,
        )

    def _lay_to_the_silent(self, result: Effects) -> None:
        """What no callee explains is explained by one that has stopped reporting: most likely it answers nobody either."""
        for service, effect in sorted(result.by_service.items()):
            gone = [one for one in sorted(set(self._situation.callees.get(service, ()))) if one in self._found.silent]
            if effect.own <= 0 or not gone or service in self._found.silent or service not in self._below:
                continue
            for callee in gone:
                silent = result.by_service.setdefault(callee, Effect())
                silent.own += effect.own * _SILENT_TAKES / len(gone)
                silent.strength = max(silent.strength, effect.strength)
                silent.laid_by = service
            effect.own *= 1 - _SILENT_TAKES

    def _suspect_the_blind(self, result: Effects) -> None:
        """Failures that no callee shows may still come from one whose failures nobody counts; most likely from one that
        is asked about as often as requests fail."""
        for service, effect in sorted(result.by_service.items()):
            if service not in self._below or effect.own <= 0 or effect.shown is None or effect.shown.found is None:
                continue
            failing = effect.own / self._weight(service, effect.shown.name)
            for callee in self._situation.callees.get(service, ()):
                if callee == service or self._counted(callee):
                    continue
                share = min(1.0, self._calls(service, callee) / max(self._traffic(service), 1e-9))
                match = math.exp(-abs(math.log(max(failing, 1e-6) / max(share, 1e-6))))
                blind = result.by_service.setdefault(callee, Effect())
                blind.own = max(blind.own, effect.own * (_BLIND_TAKES + _BLIND_MATCHING_TAKES * match))
                blind.strength = max(blind.strength, effect.strength)
                blind.laid_by = service

    def _counted(self, service: str) -> bool:
        """Whether anybody counts a service's failures. A share that never moved off nothing is a metric that is broken, unless
        it is known how many calls it stands on."""
        for one in self._situation.measured.get(service, ()):
            if self._table.kind(one.name).family is Family.ERRORS and (
                one.noise > 0 or any(value for _, value in (*one.points, *one.baseline))
            ):
                return True
        return False

    def _pick(self, service: str) -> Anomaly | None:
        """The metric a service is judged by: the alert's own if it has it, else the most like it."""
        usable = [one for one in self._found.of(service, self._family) if not one.outbound and one.found is not None]
        return min(
            usable, key=lambda one: (one.name != self._situation.metric, _rank(one.name), one.name), default=None
        )

    def _weight(self, service: str, metric: str) -> float:
        """By what an excess is multiplied: traffic where it is an average or a share, 1 where it is a count already."""
        averaged = self._family is Family.LATENCY or self._table.kind(metric).ratio
        return self._traffic(service) if averaged else 1.0

    def _traffic(self, service: str) -> float:
        """Requests a unit of time that a service serves, 1 where nobody counts them."""
        if service not in self._requests:
            self._requests[service] = _level(self._situation.measured.get(service, ()), self._table) or 1.0
        return self._requests[service]

    def _calls(self, caller: str, callee: str) -> float:
        known = _level(self._situation.edges.get((caller, callee), ()), self._table)
        if known is not None:
            return known
        together = sum(self._traffic(one) for one in self._callers.get(callee, ()))
        return self._traffic(callee) * self._traffic(caller) / together if together > 0 else 1.0

    def _explained(self, service: str, by_service: Mapping[str, Effect], edges: Mapping[EdgeKey, _Edge]) -> float:
        if self._table.kind(self._situation.metric).by_caller and self._family is Family.ERRORS:
            return sum(by_service[one].total for one in self._callers.get(service, ()) if one in by_service)
        return sum(
            self._from_callee(service, callee, by_service, edges)
            for callee in self._situation.callees.get(service, ())
            # Two that call each other cannot explain each other away.
            if callee != service and service not in self._situation.callees.get(callee, ())
        )

    def _from_callee(
        self, caller: str, callee: str, by_service: Mapping[str, Effect], edges: Mapping[EdgeKey, _Edge]
    ) -> float:
        edge = edges.get((caller, callee))
        if edge is not None and edge.callers is not None:
            return edge.callers.excess * edge.unit * self._calls(caller, callee) * strength(edge.callers.times)
        effect = by_service.get(callee)
        if effect is None or effect.total <= 0:
            return 0.0
        share = min(1.0, self._calls(caller, callee) / max(self._traffic(callee), 1e-9))
        return effect.total * effect.strength * share

    def _edges(self) -> dict[EdgeKey, _Edge]:
        return {edge: self._edge(measured) for edge, measured in self._situation.edges.items() if edge[0] != edge[1]}

    def _edge(self, measured: Sequence[Measured]) -> _Edge:
        made, at = _Edge(), self._situation.at
        latencies = [one for one in measured if self._table.kind(one.name).family is Family.LATENCY]
        callers = _by_side(latencies, _CALLERS_SIDE)
        callees = _by_side(latencies, _CALLEES_SIDE)
        gaps = [one for one in latencies if "gap" in spelled(one.name)]
        for name in sorted(callers):
            if made.callers is None and callers[name].points:
                made.callers, made.unit = deviation(callers[name], at, 1), _unit(name, Family.LATENCY)
            if name in callees:
                one, other = callers[name], callees[name]
                gap = Measured("gap", _less(one.points, other.points), _less(one.baseline, other.baseline))
                made.gap = made.gap or deviation(gap, at, 1)
        for one in gaps:
            explicit = deviation(one, at, 1)
            if explicit is not None and (made.gap is None or explicit.times > made.gap.times):
                made.gap, made.unit = explicit, _unit(one.name, Family.LATENCY)
        return made

    def _give_gaps(self, result: Effects, edges: Mapping[EdgeKey, _Edge]) -> None:
        strengths: dict[str, list[float]] = defaultdict(list)
        for (caller, callee), edge in edges.items():
            each = strength(edge.gap.times) if edge.gap is not None else 0.0
            strengths[caller].append(each)
            strengths[callee].append(each)
        share = {service: sum(each) / len(each) for service, each in strengths.items()}
        for (caller, callee), edge in sorted(edges.items()):
            if edge.gap is None:
                continue
            owner = caller if share[caller] > share[callee] else callee
            each = strength(edge.gap.times)
            added = edge.gap.excess * edge.unit * self._calls(caller, callee) * each
            effect = result.by_service.setdefault(owner, Effect())
            effect.own += added
            effect.gap_strength = max(effect.gap_strength, each * share[owner])


def _by_side(measured: Sequence[Measured], side: re.Pattern[str]) -> dict[str, Measured]:
    """The metrics of one end of a call, by what their names say besides the end."""
    return {side.sub("_", spelled(one.name)): one for one in measured if side.search(spelled(one.name))}


def _level(measured: Sequence[Measured], table: MetricTable) -> float | None:
    for one in measured:
        kind = table.kind(one.name)
        if kind.family is Family.TRAFFIC and not kind.outbound and _REQUESTS.search(spelled(one.name)):
            values = [value for _, value in one.points if value == value]
            if values:
                return max(sum(values) / len(values), 1e-3)
    return None


def _rank(name: str) -> int:
    return next((place for place, part in enumerate(_PREFERRED) if part in spelled(name)), len(_PREFERRED))


def _unit(name: str, family: Family) -> float:
    return 1e-3 if family is Family.LATENCY and _MILLISECONDS.search(spelled(name)) else 1.0


def _less(one: Points, other: Points) -> Points:
    """`one` less `other`, where both have a point at about the same moment."""
    moments = [at for at, _ in other]
    found = []
    for at, value in one:
        place = bisect_left(moments, at)
        nearest = min(
            (index for index in (place - 1, place) if 0 <= index < len(moments)),
            key=lambda index: abs(moments[index] - at),
            default=None,
        )
        if nearest is not None and abs(moments[nearest] - at) <= _SAME_MOMENT:
            found.append((at, value - other[nearest][1]))
    return found
