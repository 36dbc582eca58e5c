"""The services of a made-up company and who calls whom: what is true before anybody observes it.

Comes in: a random generator and sizes. Goes out: a `Company`: services in tiers, namespaces and two clusters, and `Call`s
between them with the way each takes through the network. Nothing is lost here; what each kind of telemetry can see of a
call is decided by the `world_*` module that plays it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

TICK = 10.0
"""Seconds of the company's time that are sent at once."""
CLUSTERS = ("east", "west")
NAMESPACES = ("shop", "billing", "identity", "search", "media", "logistics", "risk", "growth", "support", "partners")
_THINGS = (
    "order", "cart", "price", "stock", "invoice", "ledger", "refund", "basket", "catalog", "offer", "coupon", "address",
    "parcel", "route", "depot", "carrier", "label", "profile", "session", "token", "consent", "avatar", "photo", "video",
    "caption", "playlist", "query", "index", "ranking", "suggestion", "facet", "fraud", "score", "rule", "case", "device",
    "campaign", "banner", "segment", "survey", "ticket", "chat", "article", "macro", "contract", "partner", "feed", "quote",
)  # fmt: skip
_ROLES = ("api", "service", "worker", "gateway", "store", "engine", "writer", "reader", "sync", "router", "builder")
_TARGET_PORTS = (8080, 8000, 9000, 5000, 3000)


class Kind(StrEnum):
    """What a node of the company is."""

    SERVICE = "service"
    DATABASE = "database"
    BROKER = "broker"
    TOPIC = "topic"
    EXTERNAL = "external"


class Route(StrEnum):
    """The way calls take, and with it what a flow record can say of them."""

    DIRECT = "direct"  # pod to pod
    TRANSLATED = "translated"  # through a service address; the record has what was dialled beside what answered
    VIP = "vip"  # through a service address; the record has only what was dialled
    BALANCER = "balancer"  # a leg in and a leg out; the listener's targets are known
    INGRESS = "ingress"  # a leg in and a leg out that begin, end and weigh alike; no listener is known
    POOLED = "pooled"  # the same, but connections to backends are kept open and shared
    CHAIN = "chain"  # a balancer in front of a proxy in front of the callee
    NAT = "nat"  # to an external host; the inner leg has the caller
    NAT_INTERFACE = "nat interface"  # the same, recorded at the NAT's own interface
    QUEUE = "queue"  # to or from a topic: no connection of its own


HOW = {
    Route.DIRECT: "exact", Route.TRANSLATED: "exact", Route.NAT: "exact", Route.NAT_INTERFACE: "exact",
    Route.VIP: "listener", Route.BALANCER: "listener", Route.CHAIN: "listener",
    Route.INGRESS: "likeness", Route.POOLED: "margins", Route.QUEUE: "none",
}  # fmt: skip
"""How exact the flow records of a route are. From margins alone nobody can tell who called whom."""


@dataclass(slots=True, eq=False)
class Service:
    """One node. `born` and `dies` are minutes from the start; `reported` is (service.name, service.namespace) in its spans."""

    name: str
    namespace: str
    kind: Kind = Kind.SERVICE
    tier: int = 2
    clusters: tuple[str, ...] = ("east",)
    replicas: int = 2
    port: int = 8080
    meshed: bool = True
    instrumented: bool = True
    born: float = float("-inf")
    dies: float = float("inf")
    reported: tuple[str, str] = ("", "")
    hosts: tuple[str, ...] = ()
    route: Route = Route.DIRECT
    behind: str = ""
    """The balancer, ingress or proxy that `route` leads through."""

    @property
    def id(self) -> str:
        """The service id the map should know it by (`bot.names`)."""
        return f"{self.name}.{self.namespace}" if self.namespace else self.name

    def exists(self, minute: float) -> bool:
        """Whether it runs at a minute (counted from the start; negative in the nights before)."""
        return self.born <= minute < self.dies


@dataclass(slots=True, eq=False)
class Call:
    """One true edge: `caller` depends on `callee`. `rate` is in connections a minute."""

    caller: Service
    callee: Service
    route: Route
    rate: float
    nightly: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """(caller id, callee id)."""
        return (self.caller.id, self.callee.id)

    def active(self, minute: float) -> bool:
        """Whether calls are made in a minute. Nightly calls are over five minutes after the start of each night; the nights
        before the start (negative minutes) have no others."""
        by_habit = minute % (24 * 60) < 5 if self.nightly else minute >= 0
        return by_habit and self.caller.exists(minute) and self.callee.exists(minute)


@dataclass(slots=True)
class Company:
    """Everything there is. `aliases` maps a service id to the other names telemetry has for it."""

    services: list[Service] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    brokers: list[Service] = field(default_factory=list)
    aliases: dict[str, list[str]] = field(default_factory=dict)

    def by_caller(self) -> dict[Service, list[Call]]:
        """The calls each service makes."""
        found: dict[Service, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.caller, []).append(call)
        return found


def found(random: Random, size: int, minutes: int) -> Company:
    """Found a company of `size` workloads, to be watched for `minutes`."""
    company = Company()
    names = _names(random)
    workloads = [_workload(random, next(names)) for _ in range(max(20, size - size // 7))]
    workloads.sort(key=lambda one: one.tier)
    databases = [_database(random, next(names)) for _ in range(max(4, size // 8))]
    company.brokers = [Service("kafka", "data", Kind.BROKER, 4, CLUSTERS[:1], 3, 9092, False, False)]
    externals = [_external(random, number) for number in range(max(3, size // 20))]
    _expose(random, workloads)
    _live_and_die(random, workloads, minutes)
    _nickname(random, company, [*workloads, *databases])
    company.services = [*workloads, *databases, *company.brokers, *externals]
    _connect(random, company, workloads, externals)
    _store(random, company, workloads, databases)
    _publish(random, company, workloads)
    return company


def _names(random: Random) -> Iterator[tuple[str, str]]:
    """(name, namespace) pairs; a few names are used in two namespaces, and must never become one service."""
    pairs = [(f"{thing}-{role}", random.choice(NAMESPACES)) for thing in _THINGS for role in _ROLES]
    random.shuffle(pairs)
    number = 0
    for name, namespace in pairs:
        yield name, namespace
        number += 1
        if number % 25 == 0:
            yield name, random.choice([one for one in NAMESPACES if one != namespace])
    while True:
        number += 1
        yield f"service-{number}", random.choice(NAMESPACES)


def _workload(random: Random, name: tuple[str, str]) -> Service:
    service = Service(*name)
    service.tier = random.choices((0, 1, 2, 3), (0.08, 0.22, 0.45, 0.25))[0]
    service.clusters = CLUSTERS if random.random() < 0.25 else (random.choice(CLUSTERS),)
    service.replicas = random.randint(1, 4)
    service.port = random.choice(_TARGET_PORTS)
    service.meshed = random.random() < 0.6
    service.instrumented = random.random() < 0.75
    service.reported = name
    service.hosts = (f"{name[0]}.{name[1]}.svc.cluster.local",)
    return service


def _database(random: Random, name: tuple[str, str]) -> Service:
    short = name[0].rpartition("-")[0] + "-db"
    service = Service(f"{short}-{random.randint(1, 999)}", "data", Kind.DATABASE, 4, (random.choice(CLUSTERS),), 1)
    service.port = random.choice((5432, 3306, 6379))
    service.meshed = service.instrumented = False
    local = f"{service.name}.data.svc.cluster.local"
    service.hosts = (local, f"{service.name}-0.{local}", f"{service.name}.data.svc")
    return service


def _external(random: Random, number: int) -> Service:
    host = f"api.{random.choice(_THINGS)}-partner-{number}.com"
    service = Service(host, "", Kind.EXTERNAL, 4, CLUSTERS, 1, 443, False, False)
    service.hosts = (host,)
    service.route = random.choice((Route.NAT, Route.NAT, Route.NAT_INTERFACE, Route.DIRECT))
    return service


def _expose(random: Random, workloads: Sequence[Service]) -> None:
    """Say how each service is reached. Entry services stand behind a balancer or an ingress."""
    for number, service in enumerate(workloads):
        routes = {Route.DIRECT: 30, Route.TRANSLATED: 28, Route.VIP: 14, Route.BALANCER: 12, Route.INGRESS: 7,
                  Route.POOLED: 4, Route.CHAIN: 5}  # fmt: skip
        if service.tier == 0:
            routes = {Route.BALANCER: 3, Route.INGRESS: 1}
        service.route = random.choices(list(routes), list(routes.values()))[0]
        groups = {Route.BALANCER: ("alb", 6), Route.INGRESS: ("ingress", 3), Route.POOLED: ("pooling-ingress", 2)}
        if service.route in groups:
            prefix, count = groups[service.route]
            service.behind = f"{prefix}-{number % count}.edge"
        elif service.route is Route.CHAIN:
            service.behind = f"proxy-of-{service.name}.{service.namespace}"


def _live_and_die(random: Random, workloads: list[Service], minutes: int) -> None:
    """Let some services die half-way, and some be renamed: the same thing under another name from then on."""
    for service in random.sample(workloads, max(2, len(workloads) // 40)):
        if service.tier:
            service.dies = minutes * random.uniform(0.2, 0.4)
    for service in random.sample([one for one in workloads if one.tier and one.dies > minutes], 2):
        service.dies = minutes * 0.4
        renamed = Service(f"{service.name}-v2", service.namespace, tier=service.tier, clusters=service.clusters)
        renamed.replicas, renamed.port, renamed.born = service.replicas, service.port, service.dies
        renamed.meshed, renamed.instrumented = service.meshed, service.instrumented
        renamed.route, renamed.behind = Route.TRANSLATED, ""
        renamed.reported = (renamed.name, renamed.namespace)
        renamed.hosts = (f"{renamed.name}.{renamed.namespace}.svc.cluster.local",)
        workloads.insert(workloads.index(service) + 1, renamed)


def _nickname(random: Random, company: Company, services: Sequence[Service]) -> None:
    """Give some services names that only the catalogue's aliases resolve, and some that the rules of naming do."""
    for service in services:
        luck = random.random()
        if service.kind is Kind.DATABASE and luck < 0.3:
            service.hosts += (f"{service.name}.c9akciq32.eu-west-1.rds.amazonaws.com",)
            company.aliases[service.id] = [service.hosts[-1]]
        elif service.kind is Kind.SERVICE and luck < 0.04:
            service.reported = (f"{service.name}-{service.namespace}-prod", "")
            company.aliases[service.id] = [service.reported[0]]
        elif service.kind is Kind.SERVICE and luck < 0.10:
            service.reported = (service.name.upper(), service.namespace.capitalize())
        elif service.kind is Kind.SERVICE and luck < 0.14:
            service.reported = (service.id, "")


def _rate(random: Random) -> float:
    return min(6.0, max(0.7, random.lognormvariate(0.3, 0.7)))


def _connect(random: Random, company: Company, workloads: Sequence[Service], externals: Sequence[Service]) -> None:
    """Let services call services of the same or a deeper tier, some of these far more popular than others."""
    popular = {service: random.paretovariate(1.3) for service in workloads}
    number_of = {service: number for number, service in enumerate(workloads)}
    for service in workloads:
        deeper = [
            one for one in workloads[number_of[service] + 1 :] if one.tier > service.tier or random.random() < 0.1
        ]
        wanted = random.randint(2, 8) if service.tier < 3 else random.randint(0, 2)
        chosen = set(random.choices(deeper, [popular[one] for one in deeper], k=wanted)) if deeper else set[Service]()
        for callee in sorted(chosen, key=number_of.__getitem__):
            route = callee.route
            if route in (Route.DIRECT, Route.TRANSLATED, Route.VIP) and not set(service.clusters) & set(
                callee.clusters
            ):
                route = Route.DIRECT  # the clusters' pods reach each other; a service address is its own cluster's
            call = Call(service, callee, route, _rate(random), nightly=random.random() < 0.02)
            call.rate = max(call.rate, 3.0) if call.nightly else call.rate
            company.calls.append(call)
        if random.random() < 0.12:
            external = random.choice(externals)
            company.calls.append(Call(service, external, external.route, _rate(random)))


def _store(random: Random, company: Company, workloads: Sequence[Service], databases: Sequence[Service]) -> None:
    """Give each database one to four users."""
    users = [one for one in workloads if one.tier >= 1]
    for database in databases:
        for service in random.sample(users, min(len(users), random.choice((1, 1, 2, 4)))):
            near = database.clusters[0] in service.clusters
            route = Route.TRANSLATED if near and random.random() < 0.3 else Route.DIRECT
            company.calls.append(Call(service, database, route, _rate(random)))


def _publish(random: Random, company: Company, workloads: Sequence[Service]) -> None:
    """Let services publish to topics and others consume them: on the wire both only ever talk to the broker."""
    broker = company.brokers[0]
    talking: set[Service] = set()
    instrumented = [one for one in workloads if one.instrumented and one.tier >= 1 and one.dies == float("inf")]
    for number in range(max(2, len(workloads) // 25)):
        topic = Service(f"{random.choice(_THINGS)}-events-{number}", "kafka", Kind.TOPIC, 4, CLUSTERS, 0)
        topic.meshed = topic.instrumented = False
        producer, *consumers = random.sample(instrumented, min(len(instrumented), random.randint(2, 3)))
        company.services.append(topic)
        company.calls.append(Call(producer, topic, Route.QUEUE, _rate(random)))
        company.calls += [Call(topic, consumer, Route.QUEUE, _rate(random)) for consumer in consumers]
        talking |= {producer, *consumers}
    ordered = [one for one in workloads if one in talking]
    company.calls += [Call(one, broker, Route.DIRECT, _rate(random)) for one in ordered]
