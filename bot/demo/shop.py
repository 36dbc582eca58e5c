"""The shop of the demo: who calls whom, and what happened in any stretch of time.

Comes in: a stretch of time. Goes out: the requests made in it, each as a tree of `Call`s, as they truly were. No layer sees
all of it: what each one misses is in `SERVICES` and in the kinds of calls, and the emitters leave out just that, so whatever
two layers both see, they agree on. Seeded: two demos of the same moment tell the same story.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

REQUESTS_A_SECOND = 4.0
BROKEN = "payments-db"
GIVES_UP_SECONDS = 2.0
"""How long payments waits for a database that does not answer."""

_FAILING = 0.92  # of the calls to it; the rest get one of the connections that are left
_APOLOGISES = "web"  # shows its users a page of regret, and that with a 200


class How(Enum):
    """What kind of call it is, which decides who can see it."""

    USERS = "somebody outside opens a page"
    JOB = "a service starts by itself"
    RPC = "HTTP between instrumented services"
    ZIPKIN = "HTTP in a corner of the shop that has its own, older tracing"
    DATABASE = "a query"
    QUEUE = "a message to a topic"
    EXTERNAL = "HTTP to somebody else's service"
    RAW = "a protocol that no library instruments"


@dataclass(frozen=True, slots=True)
class Service:
    """One program of the shop. `spans`: it reports OpenTelemetry spans; `metrics`: it counts its HTTP calls. Both are about
    what it sends, not about what others say of it."""

    name: str
    spans: bool = True
    metrics: bool = True
    pods: int = 1
    port: int = 8080


def _silent(name: str, pods: int = 1, port: int = 8080) -> Service:
    return Service(name, spans=False, metrics=False, pods=pods, port=port)


SERVICES = {
    one.name: one
    for one in (
        Service("web", pods=2),
        Service("checkout", pods=2),
        Service("payments", pods=2),
        Service("cart"),
        Service("search", metrics=False),  # with its index, an older corner of the shop
        Service("invoices"),
        Service("shipping"),
        Service("fraud", spans=False),  # bought: its makers count, and do not trace
        _silent("fraud-rules"),
        _silent("search-index", port=9200),
        _silent("payments-db", port=5432),
        _silent("cart-cache", port=6379),
        _silent("kafka", port=9092),  # the broker; its topics have names of their own
        _silent("mail.example.com", port=443),
        _silent("ledger"),  # older than tracing
        _silent("tills", pods=3),
    )
}
CONSUMERS = {"orders": "shipping"}
"""Topic -> who reads it."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One call of the plan: who is called, how long that takes by itself (ms), what it calls in turn, and how often."""

    callee: str
    own_ms: float
    calls: tuple[Hop, ...] = ()
    how: How = How.RPC
    chance: float = 1.0


_FRAUD = Hop("fraud", 7, (Hop("fraud-rules", 3),), chance=0.6)
_PAYMENTS = Hop("payments", 9, (_FRAUD, Hop("payments-db", 4, how=How.DATABASE)))
_CART = Hop("cart", 3, (Hop("cart-cache", 1, how=How.DATABASE),))
_SEARCH = Hop("search", 8, (Hop("search-index", 20, how=How.ZIPKIN),), chance=0.7)
_CHECKOUT = Hop("checkout", 12, (_CART, _PAYMENTS, Hop("orders", 2, how=How.QUEUE)))
_MAIL = Hop("mail.example.com", 40, how=How.EXTERNAL, chance=0.3)
_PLAN = {
    Hop("web", 4, (_CHECKOUT,), How.USERS): 35,
    Hop("web", 3, (_CART, _SEARCH), How.USERS): 40,
    Hop("invoices", 15, (_PAYMENTS, _MAIL), How.JOB): 15,
    Hop("tills", 5, (Hop("payments", 30, how=How.RAW),), How.JOB): 6,
    Hop("ledger", 50, (Hop("payments-db", 15, how=How.DATABASE),), How.JOB): 4,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that happened. `caller` is "" for one that begins a request; `start` is epoch s, `duration` seconds."""

    caller: str
    callee: str
    how: How
    start: float
    duration: float
    failed: bool
    calls: tuple[Call, ...]

    @property
    def end(self) -> float:
        """Epoch s."""
        return self.start + self.duration


def every(calls: Iterable[Call]) -> Iterator[Call]:
    """The calls, and all that were made for them."""
    for call in calls:
        yield call
        yield from every(call.calls)


class Shop:
    """Plays the shop. From `broke_at` (epoch s) on its database hardly answers any more."""

    def __init__(self, broke_at: float) -> None:
        self._broke_at = broke_at
        self._random = random.Random(7)  # noqa: S311 - a story, not a secret

    def requests(self, since: float, until: float) -> list[Call]:
        """What began in `[since, until)` (epoch s), in order."""
        count = round((until - since) * REQUESTS_A_SECOND)
        starts = sorted(self._random.uniform(since, until) for _ in range(count))
        plans = self._random.choices(list(_PLAN), list(_PLAN.values()), k=count)
        return [self._call("", plan, start) for plan, start in zip(plans, starts, strict=True)]

    def _call(self, caller: str, hop: Hop, start: float) -> Call:
        failed = hop.callee == BROKEN and start >= self._broke_at and self._random.random() < _FAILING
        duration = GIVES_UP_SECONDS if failed else hop.own_ms / 1000 * self._random.uniform(0.6, 1.8)
        calls = []
        for onward in hop.calls:
            if self._random.random() < onward.chance:
                calls.append(self._call(hop.callee, onward, start + duration))
                duration += calls[-1].duration
        if hop.callee != _APOLOGISES:
            failed = failed or any(one.failed for one in calls)
        return Call(caller, hop.callee, hop.how, start, duration, failed, tuple(calls))
