"""The flow records of the made-up company: every connection as the agents and gateways on its way would report it.

Comes in: who calls whom and who holds which address. Goes out: canonical flow records as NDJSON lines, by the minute in
which they arrive, each tagged with the true edge it belongs to or with the noise it is; and what a naive join of all legs
at each intermediary would make of them. What is lost, as in a real network: which leg belongs to which behind an ingress.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.kit.world_company import TICK, Call, Company, Kind, Route, Service
from tests.kit.world_identities import CONTROL, DNS, SCRAPER, Addresses, Life

EdgeKey = tuple[str, str]
Tag = EdgeKey | str
"""The true edge a record belongs to, or what noise it is."""
ENTRY, PRIVATE = "entry", frozenset(("dns", "scrape", "control plane"))
NOISE = PRIVATE | {ENTRY}


@dataclass(slots=True)
class Legs:
    """What a reader who knows nothing of listeners or times sees: direct edges, and per minute and intermediary who came
    in and who was reached."""

    direct: set[EdgeKey] = field(default_factory=set)
    ins: dict[tuple[int, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    outs: dict[tuple[int, str], set[str]] = field(default_factory=lambda: defaultdict(set))


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection: times in epoch s."""

    start: float
    end: float
    size: int
    client: Life
    server: Life
    port: int
    tag: Tag

    @property
    def caller(self) -> str:
        """Id of the client's service."""
        return self.client.service.id


Note = Callable[[Call, Connection], None]


def poisson(random: Random, mean: float) -> int:
    """A Poisson draw (Knuth's method, fit for small means)."""
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


class Flows:
    """Plays the network minute by minute. `note` hears of every connection of a true edge."""

    def __init__(self, company: Company, addresses: Addresses, random: Random, start: float, note: Note) -> None:
        self.legs = Legs()
        self._company = company
        self._addresses = addresses
        self._random = random
        self._start = start
        self._note = note
        self._arrivals: dict[int, list[tuple[float, Tag, str]]] = defaultdict(list)
        self._internet = Service("internet", "", Kind.EXTERNAL)
        self._routes = {
            Route.DIRECT: self._direct, Route.TRANSLATED: self._translated, Route.VIP: self._to_vip,
            Route.BALANCER: self._through, Route.INGRESS: self._through, Route.POOLED: self._through,
            Route.CHAIN: self._chained, Route.NAT: self._nat, Route.NAT_INTERFACE: self._nat,
        }  # fmt: skip

    def play(self, minute: int) -> None:
        """Make all connections that begin in a minute."""
        for call in self._company.calls:
            if call.route is not Route.QUEUE and call.active(minute):
                for _ in range(poisson(self._random, call.rate)):
                    self._call(call, minute)
        if minute >= 0:
            self._enter(minute)
            self._chatter(minute)

    def arrived(self, tick: int) -> list[tuple[Tag, str]]:
        """The records that arrive in a tick, in order; those of the minutes played so far, and only once."""
        arrivals = self._arrivals.pop(tick, [])
        arrivals.sort(key=lambda one: one[0])
        return [(tag, line) for _, tag, line in arrivals]

    # -- one connection ------------------------------------------------------------------------------------------------

    def _call(self, call: Call, minute: int) -> None:
        at = self._moment(minute)
        client = self._addresses.pick(call.caller, at)
        if client is None:
            return
        local = call.route in (Route.TRANSLATED, Route.VIP)
        if local and client.cluster not in call.callee.clusters:
            return  # this cluster's pods have no address for the callee's service
        server = self._addresses.pick(call.callee, at, client.cluster)
        if server is None or (local and server.cluster != client.cluster):
            return
        connection = self._connection(at, client, server, call.key)
        self._routes[call.route](call.route, connection)
        self._note(call, connection)

    def _moment(self, minute: int) -> float:
        return round(self._start + minute * 60 + self._random.random() * 60, 3)

    def _connection(self, at: float, client: Life, server: Life, tag: Tag) -> Connection:
        end = min(at + self._random.expovariate(0.4), client.end, server.end)
        size = int(self._random.lognormvariate(9.0, 1.2))
        return Connection(at, end, size, client, server, self._random.randint(32_768, 60_999), tag)

    def _direct(self, _route: Route, one: Connection) -> None:
        self.legs.direct.add((one.caller, one.server.service.id))
        luck = self._random.random()
        pair = (one.client.ip, one.port, one.server.ip, one.server.service.port)
        self._say(one, pair, '"src"' if luck < 0.8 else "null")
        if luck < 0.4:
            self._say(one, pair, '"dst"', delay=self._random.uniform(0.0, 0.003))
        elif luck < 0.5:  # the way back, reported as a record of its own
            self._say(one, (*pair[2:], *pair[:2]), '"src"', client='"dst"', delay=0.001)

    def _translated(self, _route: Route, one: Connection) -> None:
        self.legs.direct.add((one.caller, one.server.service.id))
        pair = (one.client.ip, one.port, one.server.ip, one.server.service.port)
        vip, port = self._addresses.vips[one.server.service, one.client.cluster]
        dialled = f',"orig_dst_ip":"{vip}","orig_dst_port":{port}'
        self._say(one, pair, '"src"', more=dialled)
        if self._random.random() < 0.4:
            self._say(one, pair, '"dst"', delay=0.001)

    def _to_vip(self, _route: Route, one: Connection) -> None:
        self.legs.direct.add((one.caller, one.server.service.id))
        place = self._addresses.vips[one.server.service, one.client.cluster]
        self._say(one, (one.client.ip, one.port, *place), '"src"')

    def _through(self, route: Route, one: Connection) -> None:
        between = self._addresses.between[one.server.service.behind]
        if route is Route.BALANCER:
            ip, port = self._random.choice(self._addresses.places(one.server.service, between.id))
        else:
            ip, port = self._random.choice(between.addresses), 443
        self._leg(one, between.id, (one.client.ip, one.port, ip, port), caller=one.caller)
        if route is Route.POOLED:
            if self._random.random() < 0.4:  # one of the connections that are kept open for everybody
                self._leg_of_pool(one, between.id, ip)
            return
        back = (ip, self._random.randint(10_240, 65_535), one.server.ip, one.server.service.port)
        self._leg(one, between.id, back, callee=one.server.service.id)

    def _leg_of_pool(self, one: Connection, between: str, ip: str) -> None:
        at = self._moment(self._minute(one.start))
        server = self._addresses.pick(one.server.service, at)
        if server is not None:
            pooled = self._connection(at, one.client, server, one.tag)
            self._leg(pooled, between, (ip, pooled.port, server.ip, server.service.port), callee=server.service.id)

    def _chained(self, _route: Route, one: Connection) -> None:
        service = one.server.service
        front, proxy = self._addresses.front_of(service), self._addresses.between[service.behind]
        ip = self._random.choice(proxy.addresses)
        ports = self._random.randint(10_240, 65_535), self._random.randint(10_240, 65_535)
        self._leg(one, front.id, (one.client.ip, one.port, front.addresses[0], 443), caller=one.caller)
        self._leg(one, front.id, (front.addresses[0], ports[0], ip, 8443), callee=proxy.id)
        self.legs.ins[self._minute(one.start), proxy.id].add(front.id)
        self._leg(one, proxy.id, (ip, ports[1], one.server.ip, service.port), callee=service.id)

    def _nat(self, route: Route, one: Connection) -> None:
        nat = self._addresses.between[f"nat.{one.client.cluster}"]
        inner = (one.client.ip, one.port, one.server.ip, one.server.service.port)
        if route is Route.NAT_INTERFACE:
            inner = (one.client.ip, one.port, nat.addresses[0], one.server.service.port)
            dialled = f',"orig_dst_ip":"{one.server.ip}","orig_dst_port":{one.server.service.port}'
            self._leg(one, nat.id, inner, caller=one.caller, more=dialled)
        else:
            self.legs.direct.add((one.caller, one.server.service.id))
            self._say(one, inner, '"src"')
        outer = (nat.addresses[0], self._random.randint(1_024, 65_535), one.server.ip, one.server.service.port)
        self._leg(one, nat.id, outer, callee=one.server.service.id)

    # -- noise -----------------------------------------------------------------------------------------------------------

    def _enter(self, minute: int) -> None:
        """Users come in from the internet."""
        for service in self._company.services:
            if service.kind is Kind.SERVICE and service.tier == 0:
                for _ in range(poisson(self._random, 3.0)):
                    at = self._moment(minute)
                    server = self._addresses.pick(service, at)
                    user = Life(
                        self._internet,
                        f"80.{self._random.randrange(250)}.{self._random.randrange(250)}.9",
                        "",
                        0,
                        at + 60,
                    )
                    if server is not None:
                        self._routes[service.route](service.route, self._connection(at, user, server, ENTRY))

    def _chatter(self, minute: int) -> None:
        """Every pod looks names up, is scraped, and asks the mesh for news."""
        random, background = self._random, self._addresses.background
        for service, lives in self._addresses.lives.items():
            if service.kind is Kind.EXTERNAL or service in background.values():
                continue
            for life in lives:
                at = self._moment(minute)
                if not life.start <= at < life.end:
                    continue
                if random.random() < 0.5:
                    place = self._addresses.vips[background[DNS], life.cluster]
                    self._talk(at, life, background[DNS], place, "dns")
                if service.meshed and random.random() < 0.2:
                    self._talk(at, life, background[CONTROL], None, "control plane")
                scraper = self._addresses.pick(background[SCRAPER], at, life.cluster)
                if scraper is not None:
                    self._say(
                        self._connection(at, scraper, life, "scrape"),
                        (scraper.ip, random.randint(32_768, 60_999), life.ip, 9102),
                    )

    def _talk(self, at: float, life: Life, service: Service, place: tuple[str, int] | None, noise: str) -> None:
        server = self._addresses.pick(service, at, life.cluster)
        if server is not None:
            one = self._connection(at, life, server, noise)
            self._say(
                one,
                (life.ip, one.port, *(place or (server.ip, service.port))),
                proto="udp" if noise == "dns" else "tcp",
            )

    # -- one record --------------------------------------------------------------------------------------------------------

    def _leg(
        self,
        one: Connection,
        between: str,
        pair: tuple[str, int, str, int],
        *,
        caller: str = "",
        callee: str = "",
        more: str = "",
    ) -> None:
        """One of the two legs at an intermediary: they begin, end and weigh nearly alike."""
        if caller:
            self.legs.ins[self._minute(one.start), between].add(caller)
            self._say(one, pair, more=more)
            return
        self.legs.outs[self._minute(one.start), between].add(callee)
        self._say(one, pair, delay=self._random.uniform(0.001, 0.008), growth=self._random.uniform(0.99, 1.01))

    def _minute(self, at: float) -> int:
        return int((at - self._start) // 60)

    def _say(
        self, one: Connection, pair: tuple[str, int, str, int], reporter: str = "null", *, client: str = '"src"',
        delay: float = 0.0, growth: float = 1.0, more: str = "", proto: str = "tcp",
    ) -> None:  # fmt: skip
        """One record. The client is left unsaid now and then: ports and listeners have to tell."""
        src, src_port, dst, dst_port = pair
        size = int(one.size * growth)
        start, end = one.start + delay, max(one.start + delay, one.end + delay)
        said = "null" if client == '"src"' and self._random.random() < 0.2 else client
        line = (
            f'{{"start":{start:.3f},"end":{end:.3f},"src_ip":"{src}","src_port":{src_port},"dst_ip":"{dst}",'
            f'"dst_port":{dst_port},"proto":"{proto}","bytes":{size},"packets":{size // 1000 + 1},"client":{said},'
            f'"reporter":{reporter}{more}}}'
        )
        arrives = end + self._random.uniform(0.0, 10.0)
        self._arrivals[int((arrives - self._start) // TICK)].append((arrives, one.tag, line))
