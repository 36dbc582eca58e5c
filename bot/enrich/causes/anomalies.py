"""What is unusual about each service: numbers beyond their usual reach and events, each with a strength from 0 to 1.

An anomaly that everybody has says little about anybody: each is weighed by how rare it is among the services that could
have it, so that a template or a metric which is always there cannot win.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from bot.enrich.causes.deviation import Deviation, deviations
from bot.enrich.causes.metric_kinds import Family, MetricTable, spelled
from bot.enrich.causes.situation import Measured, Situation

_HALF = 2.0
_EVENT_STRENGTH = 0.8
_LEAST_RARITY = 0.05
_ENOUGH_TO_MISS = 6
_GAPS_MISSED = 2.5
_QUANTILE = re.compile(r"_?(p\d{2,3}|avg|mean|max|median)(?=_|$)")


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One unusual thing at `service`. `strength` 0..1 is how unusual, `rarity` 0..1 how few others show the same.
    `outbound`: seen by the service as a client of others. `found` has the numbers where there are any."""

    service: str
    family: Family
    name: str
    direction: int
    strength: float
    rarity: float = 1.0
    outbound: bool = False
    found: Deviation | None = None
    ratio: bool = False

    @property
    def weight(self) -> float:
        """What it counts."""
        return self.strength * self.rarity


@dataclass(slots=True)
class Anomalies:
    """Per service, everything unusual; and which services had any number to judge by."""

    by_service: dict[str, list[Anomaly]] = field(default_factory=lambda: defaultdict(list))
    measured: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)
    """Services whose requests somebody counts."""
    silent: dict[str, float] = field(default_factory=dict)
    """Services that reported before and report no more, though others do: for how many seconds."""

    def of(self, service: str, *families: Family) -> list[Anomaly]:
        """A service's anomalies of these families."""
        return [one for one in self.by_service.get(service, ()) if one.family in families]


def strength(times: float) -> float:
    """How telling a deviation of so many usual reaches is: 1 -> 0.2, 2 -> 0.5, 4 -> 0.8, 10 -> 0.96."""
    part = (times / _HALF) ** 2
    return part / (1.0 + part)


def anomalies(situation: Situation, table: MetricTable) -> Anomalies:
    """Everything unusual in a situation."""
    raw: list[Anomaly] = []
    holders: dict[str, float] = defaultdict(float)  # how many services have a number of this name at all
    found = Anomalies()
    for service in situation.services:
        stems = Counter(_stem(one.name) for one in situation.measured.get(service, ()))
        for measured in situation.measured.get(service, ()):
            holders[_stem(measured.name)] += 1 / max(1, stems[_stem(measured.name)])
            found.measured.add(service)
            if table.kind(measured.name).family is Family.TRAFFIC:
                found.counted.add(service)
            raw.extend(_measured(service, measured, situation.at, table))
    found.silent = _silent(situation)
    raw.extend(_events(situation, table, found))
    raw = _one_a_metric(raw)
    shared: dict[tuple[str, int], float] = defaultdict(float)
    for one in raw:
        shared[_stem(one.name), one.direction] += one.strength
    everybody = max(len(situation.services), 2)
    for one in raw:
        among = round(holders[_stem(one.name)]) or everybody
        found.by_service[one.service].append(_weighed(one, shared[_stem(one.name), one.direction], among))
    return found


def _silent(situation: Situation) -> dict[str, float]:
    """Who fell silent. Silence counts only where peers still speak, and by a service's own habit: what reports now and then is
    not silent yet."""
    moments = {
        service: sorted(
            at for at, value in max((one.points for one in measured), key=len, default=()) if math.isfinite(value)
        )
        for service, measured in situation.measured.items()
    }
    latest = max((each[-1] for each in moments.values() if each), default=-math.inf)
    found = {}
    for service, each in moments.items():
        if len(each) < _ENOUGH_TO_MISS:
            continue
        gaps = sorted(later - earlier for earlier, later in pairwise(each))
        quiet = latest - each[-1]
        if quiet > _GAPS_MISSED * gaps[int(0.9 * (len(gaps) - 1))]:
            found[service] = quiet
    return found


def _measured(service: str, measured: Measured, at: float, table: MetricTable) -> list[Anomaly]:
    kind = table.kind(measured.name)
    directions = (kind.sign,) if kind.sign else (1, -1)
    return [
        Anomaly(
            service, kind.family, measured.name, kind.sign or one.direction, strength(one.times),
            outbound=kind.outbound, found=one, ratio=kind.ratio,
        )
        for one in deviations(measured, at, directions, kind)
        if one.times > 0.0
    ]  # fmt: skip


def _events(situation: Situation, table: MetricTable, found: Anomalies) -> list[Anomaly]:
    seen: dict[tuple[str, str, str, int], Anomaly] = {}
    for event in situation.events:
        direction, outbound, name = event.direction, False, event.name
        if event.kind == "metric":
            kind = table.kind(event.name)
            family, outbound = kind.family, kind.outbound
            found.measured.add(event.service)
        elif event.kind == "log":
            family = Family.LOGS
        else:
            continue
        one = Anomaly(event.service, family, name, direction, _EVENT_STRENGTH, outbound=outbound)
        seen[event.service, event.kind, name, direction] = one  # said often is said once
    return list(seen.values())


def _one_a_metric(raw: Iterable[Anomaly]) -> list[Anomaly]:
    """Quantiles of one distribution are one thing said several times: those without numbers are folded into one."""
    best: dict[tuple[str, Family, str, int], Anomaly] = {}
    kept = []
    for one in raw:
        if one.found is not None:
            kept.append(one)
            continue
        key = (one.service, one.family, _stem(one.name), one.direction)
        if key not in best or one.strength > best[key].strength:
            best[key] = one
    return [*kept, *best.values()]


def _stem(name: str) -> str:
    return _QUANTILE.sub("", spelled(name))


def _weighed(one: Anomaly, shared: float, among: int) -> Anomaly:
    rarity = 1.0
    if among >= 3:
        others = max(0.0, shared - one.strength)
        rarity = max(_LEAST_RARITY, math.log((among + 1.0) / (others + 1.0)) / math.log(among + 1.0))
    return replace(one, rarity=rarity)


def together(found: Iterable[float]) -> float:
    """Several weights 0..1 as one: each adds to what the others leave open."""
    left = 1.0
    for weight in found:
        left *= 1.0 - min(0.95, weight)
    return 1.0 - left
