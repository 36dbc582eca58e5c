"""Faults in the made-up company: what breaks, whom it hurts, and what each kind of telemetry then says.

Comes in: a company, a fault and the minutes it lasts. Goes out: `Weather`, minute by minute: for every call how much is asked,
how much of it fails and how long it takes. Failures and waiting travel from callee to caller, as far as the caller needs the
callee for its own requests; load travels the other way: who fails early asks nobody else, who meets a failure asks again, who is
dead asks nothing. Some services are slow or failing a little all the time, for no reason that matters; every minute has noise.

What is not modelled: timeouts that cut a wait short, circuit breakers, queues that fill up in front of slow services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from tests.kit.world_company import Call, Company, Kind, Service
from tests.kit.world_metrics import Went
from tests.kit.world_spans import Fate

FAULTS = (
    "dead dependency", "slow database behind two hops", "bad deploy", "queue backlog", "network loss between zones",
    "noisy but innocent neighbour", "two faults at once", "no fault in view",
)  # fmt: skip

_REFUSED_MS = 2.0
_LOST_MS = 400.0
_LOSS = 0.25
_ENTRIES = 3.0


@dataclass(slots=True)
class Ill:
    """What is wrong with a service: the share of its own requests that it fails, the ms that it adds, whether it is dead, and
    how much of its usual pace it keeps."""

    fails: float = 0.0
    adds_ms: float = 0.0
    dead: bool = False
    pace: float = 1.0
    busy: float = 1.0
    """How much more is asked of it, by users nobody else hears of."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One fault: who is ill, whether calls between clusters lose packets, and who is at fault (any of them is a right answer).

    `alert` is on whom the alert is, and what it is called; `deployed` who was changed shortly before, innocent ones among them.
    """

    fault: str
    ill: dict[Service, Ill]
    causes: frozenset[str]
    alert: tuple[Service, str]
    loss: bool = False
    deployed: tuple[Service, ...] = ()


@dataclass(slots=True)
class State:
    """How a service does in one minute: the share of its requests it fails, their mean ms, and its load against the usual."""

    fails: float
    mean_ms: float
    load: float


@dataclass(slots=True)
class Weather:
    """How every service and call of a company does, given who is ill."""

    company: Company
    seed: str
    ill: dict[Service, Ill] = field(default_factory=dict)
    loss: bool = False
    states: dict[Service, State] = field(default_factory=dict)
    _own: dict[Service, tuple[float, float]] = field(default_factory=dict)
    _needs: dict[Call, float] = field(default_factory=dict)
    _again: dict[Call, bool] = field(default_factory=dict)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} minutes")
        traits = Random(f"{self.seed} traits")
        inflow = dict.fromkeys(self.company.services, 0.0)
        for service in self.company.services:
            inflow[service] += _ENTRIES if service.tier == 0 else 0.0
            chronic = traits.random()
            fails = traits.uniform(0.01, 0.03) if chronic < 0.08 else traits.choice((0.0, 0.0005, 0.002))
            own_ms = 2.0 if service.kind is Kind.DATABASE else min(80.0, traits.lognormvariate(2.3, 0.7))
            self._own[service] = fails, own_ms
        for call in self.company.calls:
            inflow[call.callee] += 0.0 if call.nightly else call.rate
        for call in self.company.calls:
            needed = call.rate / inflow[call.caller] if inflow[call.caller] else 1.0
            # Not every call matters to the answer: some only warm a cache or count something.
            self._needs[call] = 0.0 if call.nightly or _behind_queue(call) else min(1.0, needed)
            self._again[call] = traits.random() < 0.3

    def turn(self) -> None:
        """The next minute."""
        calls = self.company.by_caller()
        self.states = {}
        for service in reversed(self.company.services):
            self._settle(service, calls.get(service, ()))
        self._spread(calls)

    def _settle(self, service: Service, calls: Iterable[Call]) -> None:
        """How a service answers, given how those answer that it calls."""
        ill = self.ill.get(service, Ill())
        fails, own_ms = self._own[service]
        well = 1.0 - min(1.0, fails * self.random.uniform(0.5, 1.5) + ill.fails * self.random.uniform(0.85, 1.15))
        mean_ms = own_ms * max(0.3, self.random.gauss(1.0, 0.08)) + ill.adds_ms * self.random.uniform(0.85, 1.15)
        mean_ms *= ill.busy**0.3
        for call in calls:
            if call.callee in self.states:
                failed, waits = self.seen(call)
                well *= 1.0 - self._needs[call] * failed
                mean_ms += self._needs[call] * waits
        self.states[service] = State(1.0 if ill.dead else 1.0 - well, mean_ms, 1.0)

    def seen(self, call: Call) -> tuple[float, float]:
        """(share of failures, mean ms) of a call as its caller sees it in the end."""
        state, ill = self.states[call.callee], self.ill.get(call.callee, Ill())
        failed, mean_ms = state.fails, _REFUSED_MS if ill.dead else state.mean_ms
        if self.loss and _crosses(call):
            failed, mean_ms = 1.0 - (1.0 - failed) * (1.0 - _LOSS), mean_ms + _LOST_MS
        return (failed * failed, mean_ms * (1.0 + failed)) if self._again[call] else (failed, mean_ms)

    def _spread(self, calls: dict[Service, list[Call]]) -> None:
        """How much is asked of everybody, given how those do that ask."""
        asked = dict.fromkeys(self.company.services, 0.0)
        usual = dict.fromkeys(self.company.services, 0.0)
        for service in self.company.services:
            ill, state = self.ill.get(service, Ill()), self.states[service]
            if service.tier == 0:
                asked[service] += _ENTRIES * ill.busy
                usual[service] += _ENTRIES
            state.load = asked[service] / usual[service] if usual[service] else 1.0
            for call in calls.get(service, ()):
                asked[call.callee] += call.rate * self.asks(call)
                usual[call.callee] += call.rate

    def asks(self, call: Call) -> float:
        """How many calls are made, against the usual."""
        ill = self.ill.get(call.caller, Ill())
        if ill.dead:
            return 0.0
        drawn = self.ill.get(call.callee, Ill()).pace if _behind_queue(call) else 1.0
        again = 1.0 + self.states[call.callee].fails if self._again[call] else 1.0
        surge = max(1.0, self.ill.get(call.callee, Ill()).busy) if call.caller not in self.ill else 1.0
        return self.states[call.caller].load * (1.0 - ill.fails) * ill.pace * drawn * again * surge

    # -- what telemetry sees of it ---------------------------------------------------------------------------------------

    def went(self, call: Call, requests: int) -> Went:
        """How the requests of one connection go."""
        share, mean_ms = self.seen(call)
        failed = float(sum(self.random.random() < share for _ in range(requests)))
        dead, lost = self.ill.get(call.callee, Ill()).dead, _LOSS if self.loss and _crosses(call) else 0.0
        arrived = 0.0 if dead else requests * (1.0 - lost)
        there = min(arrived, arrived * self.states[call.callee].fails)
        return Went(float(requests), failed, mean_ms, arrived, there)

    def fate(self, one: Service | Call) -> Fate:
        """How a span goes."""
        if isinstance(one, Service):
            state = self.states[one]
            return Fate(state.fails, state.mean_ms / 1_000.0, silent=self.ill.get(one, Ill()).dead)
        failed, mean_ms = self.seen(one)
        return Fate(failed, mean_ms / 1_000.0)


def _behind_queue(call: Call) -> bool:
    return Kind.TOPIC in (call.caller.kind, call.callee.kind)


def _crosses(call: Call) -> bool:
    """Whether a call always goes from one cluster to another."""
    return not set(call.caller.clusters) & set(call.callee.clusters)


# -- choosing one --------------------------------------------------------------------------------------------------------


def outages(company: Company, seed: str, fault: str) -> Iterator[Outage]:
    """Faults of one kind in a company, each with an alert on somebody it really hurts; none where the company has no place
    for it. `seed` is that of the company's weather."""
    random = Random(f"{seed} {fault}")
    calls = company.by_caller()
    services = [
        one for one in company.services if one.kind is Kind.SERVICE and one.dies == float("inf") and one.born < 0
    ]
    for _ in range(200):
        made = _one(company, random, fault, services, calls)
        if made is None:
            continue
        if fault == "no fault in view" or _hurts(company, seed, made):
            yield made


def _one(
    company: Company, random: Random, fault: str, services: list[Service], calls: dict[Service, list[Call]]
) -> Outage | None:
    about = "HighErrorRate"
    ill: dict[Service, Ill] = {}
    loss = False
    deployed = tuple(random.sample(services, 2))
    if fault == "slow database behind two hops":
        chosen = [random.choice([one for one in company.services if one.kind is Kind.DATABASE])]
        ill, about = {chosen[0]: Ill(adds_ms=random.uniform(300, 900))}, "HighLatency"
    elif fault == "queue backlog":
        consumers = [call.callee for call in company.calls if call.caller.kind is Kind.TOPIC]
        chosen = [random.choice(consumers)]
        ill, about = {chosen[0]: Ill(adds_ms=random.uniform(800, 3_000), pace=0.3)}, "HighLatency"
    elif fault == "network loss between zones":
        crossing = [call for call in company.calls if _crosses(call) and call.callee in services]
        if not crossing:
            return None
        loss, chosen = True, sorted({call.callee for call in crossing}, key=lambda one: one.id)
    elif fault == "no fault in view":
        return Outage(
            fault, {}, frozenset(), (random.choice(services), random.choice((about, "HighLatency"))), deployed=deployed
        )
    else:
        chosen = random.sample(services, 2 if fault == "two faults at once" else 1)
        for one in chosen:
            ill[one] = Ill(dead=True) if fault == "dead dependency" else Ill(fails=random.uniform(0.2, 0.5))
        if fault == "bad deploy":
            deployed = (chosen[0], *deployed)
        if fault == "noisy but innocent neighbour":
            loud = random.choice([one for one in services if one not in chosen])
            ill[loud] = Ill(busy=random.uniform(2.0, 4.0))
    above = _above(company, chosen, 2 if "two hops" in fault else 1)
    if not above:
        return None
    alerting = random.choice(above)
    causes = {one.id for one in chosen}
    if loss:  # every edge that crosses is at fault, and so are its two ends
        below = _below(calls, alerting)
        ends = [(call.caller, call.callee) for call in company.calls if _crosses(call) and call.caller in below]
        causes = {end.id for both in ends for end in both}
    return Outage(fault, ill, frozenset(causes), (alerting, about), loss, deployed)


def _above(company: Company, chosen: Iterable[Service], hops: int) -> list[Service]:
    """Services that need one of the chosen, from `hops` to three hops away."""
    found: dict[Service, int] = dict.fromkeys(chosen, 0)
    frontier = list(found)
    for far in (1, 2, 3):
        ahead = [call.caller for call in company.calls if call.callee in frontier and not call.nightly]
        frontier = [one for one in dict.fromkeys(ahead) if found.setdefault(one, far) == far]
    return [one for one, far in found.items() if far >= hops and one.kind is Kind.SERVICE and one.dies == float("inf")]


def _below(calls: dict[Service, list[Call]], start: Service) -> set[Service]:
    """Everybody a service needs, and itself."""
    found, frontier = {start}, [start]
    while frontier:
        for call in calls.get(frontier.pop(), ()):
            if call.callee not in found:
                found.add(call.callee)
                frontier.append(call.callee)
    return found


def _hurts(company: Company, seed: str, made: Outage) -> bool:
    """Whether the alerting service shows what its alert says."""
    means = []
    for ill, loss in (({}, False), (made.ill, made.loss)):
        weather = Weather(company, seed, ill, loss)
        weather.turn()
        means.append(weather.states[made.alert[0]])
    before, after = means
    if made.alert[1] == "HighLatency":
        return after.mean_ms > 1.5 * before.mean_ms + 30.0
    return after.fails > before.fails + 0.05
