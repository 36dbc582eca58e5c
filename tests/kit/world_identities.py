"""Who holds which address in the made-up company, and what the platform reports of it.

Comes in: a `Company`. Goes out: true `Life`s of pods with addresses that are reused within minutes; addresses of all that
stands between; identity and listener records as NDJSON lines by the minute in which they arrive. What is lost, as in a real
platform: some records come late, some ends are never told, some heartbeats fail, and a few go on after the end (`flaps`).
"""

from __future__ import annotations

import heapq
import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from tests.kit.world_company import CLUSTERS, TICK, Company, Kind, Route, Service

DAY = 86_400.0
LONG_AGO = 5 * DAY
"""How long before the start the first pods were born: the nights before happened to them."""
_LATE, _SILENT, _FLAPPING = 0.015, 0.15, 0.03
_POD_LIFE, _DATABASE_LIFE = 45 * 60.0, 600 * 60.0
DNS, SCRAPER, CONTROL = "kube-dns", "prometheus", "istiod"

Place = tuple[str, int]


@dataclass(slots=True, eq=False)
class Life:
    """One pod: `service` held `ip` from `start` until `end` (epoch s). `before` and `after` held it before and after."""

    service: Service
    ip: str
    cluster: str
    start: float
    end: float
    before: Service | None = None
    after: Service | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """An intermediary. `kind` is that of its identity records."""

    name: str
    namespace: str
    kind: str
    addresses: tuple[str, ...]

    @property
    def id(self) -> str:
        """As the map knows it."""
        return f"{self.name}.{self.namespace}"


class Addresses:
    """The truth about addresses, fixed from the beginning; `records` tells it the way a platform does."""

    def __init__(self, company: Company, random: Random, start: float, minutes: int) -> None:
        self._random = random
        self._start = start
        self._end = start + minutes * 60.0
        self.lives: dict[Service, list[Life]] = defaultdict(list)
        self.background = {
            DNS: Service(DNS, "kube-system", clusters=CLUSTERS, replicas=2, port=53),
            SCRAPER: Service(SCRAPER, "monitoring", clusters=CLUSTERS, replicas=1, port=9090),
            CONTROL: Service(CONTROL, "istio-system", clusters=CLUSTERS, replicas=1, port=15012),
        }
        self.between: dict[str, Between] = {}
        self.vips: dict[tuple[Service, str], Place] = {}
        self.listeners: dict[Service, list[tuple[Between, Place, str]]] = defaultdict(list)
        self.flaps: set[tuple[str, str]] = set()
        """(address, service id) of claims that are repeated although their time is over."""
        pods = [one for one in company.services if one.kind not in (Kind.EXTERNAL, Kind.TOPIC)]
        self._let_live([*pods, *self.background.values()])
        for number, service in enumerate(one for one in company.services if one.kind is Kind.EXTERNAL):
            for host in range(2):
                ip = f"52.{20 + number % 200}.{host}.{number // 200 + 7}"
                self.lives[service].append(Life(service, ip, "", start - LONG_AGO, float("inf")))
        self._put_between(company)
        self._arrivals: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self._tell()

    # -- the truth -----------------------------------------------------------------------------------------------------

    def _let_live(self, services: Iterable[Service]) -> None:
        """Run every pod's life in order of time, taking addresses from a pool that is nearly empty."""
        random, last = self._random, dict[str, Life]()
        free: dict[str, deque[tuple[float, str]]] = {cluster: deque() for cluster in CLUSTERS}
        fresh = {cluster: _fresh(net) for net, cluster in enumerate(CLUSTERS, 1)}
        births: list[tuple[float, int, Service, str]] = []
        for service in services:
            for cluster in service.clusters:
                for _ in range(service.replicas):
                    born = self._start + max(service.born * 60.0, -LONG_AGO)
                    heapq.heappush(births, (born, len(births), service, cluster))
        number = len(births)
        while births:
            born, _, service, cluster = heapq.heappop(births)
            pool = free[cluster]
            ip = pool.popleft()[1] if pool and pool[0][0] <= born else next(fresh[cluster])
            mean = _DATABASE_LIFE if service.kind is Kind.DATABASE or service.namespace == "kube-system" else _POD_LIFE
            dies = self._start + service.dies * 60.0
            # To the millisecond, as records are: what is told and what is true may not differ by a rounding.
            ends = round(min(dies, max(born, self._start) + random.expovariate(1 / mean)), 3)
            life = Life(service, ip, cluster, round(born, 3), ends)
            if ip in last:
                life.before, last[ip].after = last[ip].service, service
            last[ip] = life
            self.lives[service].append(life)
            if life.end < self._end:
                pool.append((life.end + random.uniform(3.0, 15.0), ip))
                free[cluster] = deque(sorted(pool))
                again = life.end + random.uniform(1.0, 8.0)
                if again < dies:
                    number += 1
                    heapq.heappush(births, (again, number, service, cluster))

    def _put_between(self, company: Company) -> None:
        """Addresses for everything that stands between: service addresses, balancers, ingresses, proxies, NATs."""
        for number, cluster in enumerate(CLUSTERS):
            self._add(Between("nat", cluster, "nat", (f"10.210.{number}.5",)))
        vip = count = 0
        for service in [*company.services, self.background[DNS]]:
            if service.kind in (Kind.EXTERNAL, Kind.TOPIC):
                continue
            for cluster in service.clusters:
                vip += 1
                place = (
                    f"10.{101 + CLUSTERS.index(cluster)}.{vip // 250}.{vip % 250 + 1}",
                    80 if service.port > 100 else service.port,
                )
                between = Between(service.name, service.namespace, "vip", (place[0],))
                self.vips[service, cluster] = place
                self._listen(service, between, place, cluster)
            if service.route in (Route.INGRESS, Route.POOLED):
                name, _, namespace = service.behind.rpartition(".")
                if service.behind not in self.between:
                    kind = "gateway" if service.route is Route.INGRESS else "load_balancer"
                    self._add(
                        Between(
                            name, namespace, kind, (f"10.220.{len(self.between)}.5", f"10.220.{len(self.between)}.6")
                        )
                    )
            elif service.route is Route.BALANCER:
                name, _, namespace = service.behind.rpartition(".")
                number = len(self.between)
                ips = (f"10.201.{number}.5", f"10.201.{number}.6")
                alb = self.between.get(service.behind) or self._add(Between(name, namespace, "load_balancer", ips))
                count += 1
                for ip in alb.addresses:
                    self._listen(service, alb, (ip, 8000 + count), "")
            elif service.route is Route.CHAIN:
                number = len(self.between)
                proxies = (f"10.221.{number}.5", f"10.221.{number}.6")
                proxy = self._add(Between(service.behind.rpartition(".")[0], service.namespace, "proxy", proxies))
                self._add(
                    Between(f"front-of-{service.name}", service.namespace, "load_balancer", (f"10.202.{number}.5",))
                )
                assert proxy.id == service.behind

    def _add(self, between: Between) -> Between:
        return self.between.setdefault(between.id, between)

    def _listen(self, service: Service, between: Between, place: Place, cluster: str) -> None:
        self.listeners[service].append((between, place, cluster))

    def front_of(self, service: Service) -> Between:
        """The balancer in front of a service's proxy."""
        return self.between[f"front-of-{service.name}.{service.namespace}"]

    def places(self, service: Service, between: str) -> list[Place]:
        """Where a balancer listens for a service."""
        return [place for one, place, _ in self.listeners[service] if one.id == between and one.kind != "vip"]

    def pick(self, service: Service, at: float, cluster: str = "") -> Life | None:
        """A pod that is alive at a moment, in the given cluster where there is one; None between two lives."""
        alive = [one for one in self.lives[service] if one.start <= at < one.end]
        near = [one for one in alive if one.cluster == cluster] or alive
        return self._random.choice(near) if near else None

    # -- what is told --------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        for service, lives in self.lives.items():
            for life in lives:
                self._tell_life(life)
            if service in self.listeners:
                self._tell_listeners(service, lives)
        for chained in [one for one in self.lives if one.route is Route.CHAIN]:
            front, proxy = self.front_of(chained), self.between[chained.behind]
            targets = [{"ip": ip, "port": 8443} for ip in proxy.addresses]
            self._arrive(self._start, _listener(front, (front.addresses[0], 443), targets, self._start - LONG_AGO))
        for between in self.between.values():
            for ip in between.addresses:
                self._beat(
                    _claim(ip, between.name, between.namespace, between.kind, self._start - LONG_AGO), self._start
                )
        for (service, _), (ip, _port) in self.vips.items():
            self._beat(_claim(ip, service.name, service.namespace, "vip", self._start - LONG_AGO), self._start)

    def _tell_life(self, life: Life) -> None:
        random = self._random
        kind = "external" if life.service.kind is Kind.EXTERNAL else "service"
        line = _claim(life.ip, life.service.name, life.service.namespace, kind, life.start)
        late = random.uniform(20.0, 100.0) if random.random() < _LATE else random.uniform(0.0, 3.0)
        arrives = max(self._start, life.start + late)
        told = life.end < self._end and random.random() >= _SILENT
        flaps = life.end < self._end - 240 and life.after is not None and random.random() < _FLAPPING
        if flaps:
            self.flaps.add((life.ip, life.service.id))
        self._beat(line, arrives, life.end + (180.0 if flaps else 0.0))
        if told and not flaps:
            end = _claim(life.ip, life.service.name, life.service.namespace, kind, life.start, life.end)
            self._arrive(life.end + random.uniform(0.0, 3.0), end)

    def _beat(self, line: str, since: float, until: float = float("inf")) -> None:
        """Tell something, and again every minute but for what gets lost."""
        at = since
        while at < min(until, self._end):
            self._arrive(at, line)
            at += 60.0 if self._random.random() >= 0.02 else 120.0

    def _tell_listeners(self, service: Service, lives: list[Life]) -> None:
        changes = sorted(
            {max(self._start, moment) for one in lives for moment in (one.start, one.end) if moment < self._end}
        )
        for between, place, cluster in self.listeners[service]:
            for at in changes:
                alive = [one for one in lives if one.start <= at < one.end and cluster in ("", one.cluster)]
                targets = [{"ip": one.ip, "port": service.port} for one in alive]
                since = self._start - LONG_AGO if at == self._start else at
                if targets:
                    self._arrive(at + self._random.uniform(0.0, 3.0), _listener(between, place, targets, since))

    def _arrive(self, at: float, line: str) -> None:
        self._arrivals[int((at - self._start) // TICK)].append((at, line))

    def records(self, tick: int) -> Iterator[str]:
        """The lines that arrive in a tick, in order; see `standing` for the nights before."""
        return (line for _, line in sorted(self._arrivals.get(tick, ())))

    def standing(self) -> list[str]:
        """What a platform says at night, before the start: everybody who is there for all of it."""
        return [
            line
            for at, line in self._arrivals[0]
            if at == self._start or '"start": ' + str(self._start - LONG_AGO) in line
        ]


def _fresh(net: int) -> Iterator[str]:
    """Addresses of one cluster's pods that nobody has had."""
    return (f"10.{net}.{number // 250}.{number % 250 + 1}" for number in range(60_000))


def _claim(ip: str, name: str, namespace: str, kind: str, start: float, end: float | None = None) -> str:
    return json.dumps(
        {"ip": ip, "service": name, "namespace": namespace, "kind": kind, "start": round(start, 3),
         "end": None if end is None else round(end, 3)}
    )  # fmt: skip


def _listener(between: Between, place: Place, targets: list[dict[str, object]], start: float) -> str:
    return json.dumps(
        {"intermediary": between.name, "namespace": between.namespace, "ip": place[0], "port": place[1],
         "targets": targets, "start": round(start, 3), "end": None}
    )  # fmt: skip
