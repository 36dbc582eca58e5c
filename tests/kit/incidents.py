"""Made-up incidents with a known cause: a random company of services, one fault, numbers that follow from both.

Latency and failures travel from callee to caller; requests travel the other way. Everything has noise, and some services
are slow, drifting or failing a little all the time, for no reason that matters.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.enrich.causes.situation import Event, Measured, Situation
from bot.model import EdgeKey

FAULTS = ("slow", "failing", "saturated", "bad deploy", "dead", "noisy neighbour", "two at once")
SICK_NODE = "sick node"
AT = 1_700_000_000.0
_STEP = 60.0
_USUAL, _BEFORE, _DURING = 60, 15, 6


@dataclass(frozen=True, slots=True)
class Incident:
    """A situation and the services that were at fault; none where nobody was."""

    situation: Situation
    causes: tuple[str, ...]
    fault: str


@dataclass(slots=True)
class _Service:
    latency: float
    fails: float
    cpu: float
    callees: dict[str, float] = field(default_factory=dict)


def incident(seed: int, fault: str) -> Incident:
    """One incident of a kind in `FAULTS`, or `none`: an alert without any fault in view.

    `dead`: the cause answers nobody and reports nothing. `noisy neighbour`: another service is busy, to nobody's harm.
    `two at once`: two services fail, and either is a right answer. `sick node`: whoever runs on one machine is slow.
    """
    rng = random.Random(f"{seed} {fault}")
    names = [f"svc-{number:02d}" for number in rng.sample(range(100), 24)]
    company = _company(rng, names)
    entry = names[0]
    within = [one for one in _below(company, entry) if one != entry]
    causes = () if fault == "none" else tuple(rng.sample(within, 2 if fault == "two at once" else 1))
    nodes = _nodes(seed, names)
    if fault == SICK_NODE:
        # A machine that runs several of those the alerting service needs, and not itself.
        sick = max(
            sorted(nodes), key=lambda node: (len(set(nodes[node]) & set(within)) - 9 * (entry in nodes[node]), node)
        )
        causes = tuple(nodes[sick])
    loud = rng.choice([one for one in names if one not in causes])
    usual = [_minute(rng, company, entry, (), fault) for _ in range(_USUAL)]
    before = [_minute(rng, company, entry, (), fault) for _ in range(_BEFORE)]
    during = [_minute(rng, company, entry, causes, fault) for _ in range(_DURING)]
    if fault == "noisy neighbour":
        for each in during:
            each[loud]["cpu_usage"] = 99.0
    if fault == "dead":
        for each in during:
            del each[causes[0]]
    far = [AT - 86_400 + _STEP * place for place in range(_USUAL)]
    near = [AT - _STEP * (_BEFORE + 1 - place) for place in range(_BEFORE + _DURING)]
    measured = {
        name: [
            Measured(
                metric,
                [(at, made[name][metric]) for at, made in zip(near, [*before, *during], strict=True) if name in made],
                [(at, made[name][metric]) for at, made in zip(far, usual, strict=True)],
            )
            for metric in ("error_ratio", "latency_mean_ms", "requests", "cpu_usage")
        ]
        for name in names
    }
    events = [Event("change", rng.choice(names), "deploy 1", AT - rng.uniform(20_000, 80_000))]
    if fault == "bad deploy":
        events.append(Event("change", causes[0], "deploy 2", AT - 240.0))
    metric = "latency_mean_ms" if fault in ("slow", "saturated", SICK_NODE) else "error_ratio"
    callees = {name: sorted(one.callees) for name, one in company.items() if one.callees}
    edges = _edges(company, measured)
    situation = Situation(entry, metric, AT, sorted(names), callees, measured, edges, events, nodes)
    return Incident(situation, (sick,) if fault == SICK_NODE else causes, fault)


def _nodes(seed: int, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Six machines, each service on one of them."""
    rng = random.Random(f"{seed} machines")
    found: dict[str, dict[str, float]] = {}
    for name in names:
        found.setdefault(f"node:n{rng.randrange(6)}", {})[name] = 1.0
    return found


def _company(rng: random.Random, names: list[str]) -> dict[str, _Service]:
    company = {
        name: _Service(rng.uniform(5, 60), rng.choice((0.0, 0.0, 0.001, 0.01)), rng.uniform(5, 50)) for name in names
    }
    for place, name in enumerate(names[:16]):
        later = names[place + 1 : place + 9]
        for callee in rng.sample(later, min(len(later), rng.randint(1, 3))):
            company[name].callees[callee] = rng.choice((0.3, 0.6, 1.0))
    return company


def _below(company: Mapping[str, _Service], start: str) -> list[str]:
    found, todo = [start], [start]
    while todo:
        for callee in company[todo.pop()].callees:
            if callee not in found:
                found.append(callee)
                todo.append(callee)
    return found


def _minute(
    rng: random.Random, company: dict[str, _Service], entry: str, causes: Sequence[str], fault: str
) -> dict[str, dict[str, float]]:
    requests = dict.fromkeys(company, 0.0)
    requests[entry] = rng.gauss(600, 40)
    for name, one in company.items():  # in the order of calls
        for callee, each in one.callees.items():
            requests[callee] += requests[name] * each
    found: dict[str, dict[str, float]] = {}
    for name in reversed(company):
        one, hit = company[name], name in causes
        own = one.latency * max(0.2, rng.gauss(1, 0.08))
        fails, cpu = one.fails * rng.uniform(0.5, 1.5), one.cpu * rng.gauss(1, 0.06)
        if hit and fault in ("slow", "saturated", SICK_NODE):
            own = own * 3 + 150
        if hit and fault in ("failing", "bad deploy", "noisy neighbour", "two at once"):
            fails += rng.uniform(0.15, 0.3)
        if hit and fault == "dead":
            fails = 1.0
        if hit and fault == "saturated":
            cpu = 97.0
        waits = sum(each * found[callee]["latency_mean_ms"] for callee, each in one.callees.items())
        well = 1 - fails
        for callee, each in one.callees.items():
            well *= 1 - each * found[callee]["error_ratio"]
        found[name] = {
            "error_ratio": 1 - well, "latency_mean_ms": own + waits, "requests": requests[name], "cpu_usage": cpu,
        }  # fmt: skip
    return found


def _edges(company: Mapping[str, _Service], measured: Mapping[str, list[Measured]]) -> dict[EdgeKey, list[Measured]]:
    requests = {name: next(one for one in those if one.name == "requests") for name, those in measured.items()}
    return {
        (name, callee): [Measured("calls", [(at, value * each) for at, value in requests[name].points])]
        for name, one in company.items()
        for callee, each in one.callees.items()
    }
