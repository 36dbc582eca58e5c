"""A made-up company with its ground truth: what is so, and what each kind of telemetry says of it, second by second.

Comes in: a seed and sizes. Goes out: `Emission`s in order of the company's own time, ready for the bot's doors, and a
`Truth` that says of every edge who could see it and how exactly. Pure: the same seed gives the same bytes. What is lost on the
way to each observer is told in the `world_*` modules that play them; the truth knows all of it.

First come the nights before the start (only the nightly jobs, five minutes each), then `minutes` of daily business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from bot.model import Layer
from tests.kit import world_company
from tests.kit.world_company import HOW, TICK, Call, Route
from tests.kit.world_flows import Connection, Flows, Legs, Tag
from tests.kit.world_identities import Addresses
from tests.kit.world_metrics import Metrics, as_usual
from tests.kit.world_spans import Spans

EdgeKey = tuple[str, str]

NIGHTS = (3, 2, 1)
_NIGHT_MINUTES = 5
_MINUTES_A_DAY = 24 * 60
_TICKS_A_MINUTE = int(60 // TICK)
ALIKE = 5
"""Connections with legs that look alike which make an edge visible: fewer may be a coincidence."""


@dataclass(slots=True)
class TrueEdge:
    """One edge that is so. Times are epoch s of the first and last call; `how` says how exact its flow records are."""

    caller: str
    callee: str
    how: str
    via: tuple[str, ...]
    nightly: bool
    lives: bool
    """Whether both ends still run at the end."""
    sightings: dict[Layer, int] = field(default_factory=dict)
    first: float = float("inf")
    last: float = float("-inf")

    @property
    def layers(self) -> frozenset[Layer]:
        """The layers whose telemetry shows this edge. Margins show nobody who called whom."""
        return frozenset(layer for layer, count in self.sightings.items() if count >= self._needed(layer))

    def _needed(self, layer: Layer) -> float:
        if layer is not Layer.NETWORK:
            return 1
        return {"margins": float("inf"), "likeness": ALIKE}.get(self.how, 1)


@dataclass(slots=True)
class Truth:
    """Every true edge; `reuse_fakes` are the edges that a reader would make up who took the previous or next owner of an
    address for the one at the time; `background` are services that are hidden by default."""

    edges: dict[EdgeKey, TrueEdge]
    background: frozenset[str]
    reuse_fakes: set[EdgeKey] = field(default_factory=set)
    legs: Legs = field(default_factory=Legs)


@dataclass(frozen=True, slots=True)
class Emission:
    """What reaches each door in one tick. `at` is the tick's end, epoch s; an empty body is none. `tags` say of each flow
    record, in order, what it belongs to."""

    at: float
    identities: bytes
    flows: bytes
    spans: bytes
    metrics: bytes
    tags: tuple[Tag, ...]


class World:
    """The company, to be watched once. `start` (epoch s) is when the daily business begins."""

    def __init__(self, seed: int, services: int = 300, minutes: int = 60, start: float = 1_750_000_020.0) -> None:
        self.start, self.minutes = start, minutes
        self.company = world_company.found(Random(f"{seed} company"), services, minutes)
        self.addresses = Addresses(self.company, Random(f"{seed} addresses"), start, minutes)
        self._random = Random(f"{seed} requests")
        self._flows = Flows(self.company, self.addresses, Random(f"{seed} flows"), start, self._note_connection)
        self._spans = Spans(self.company, Random(f"{seed} spans"), start, self._note_span)
        self._metrics = Metrics(Random(f"{seed} metrics"), start, self._note_metric)
        background = frozenset(one.id for one in self.addresses.background.values())
        edges = {call.key: self._edge(call) for call in self.company.calls}
        self.truth = Truth(edges, background, legs=self._flows.legs)
        self._known_fakes: set[tuple[int, int]] = set()

    @property
    def end(self) -> float:
        """Epoch s."""
        return self.start + self.minutes * 60

    @property
    def catalog(self) -> str:
        """A `services.yaml` with the names that no rule resolves."""
        lines = ["services:"]
        for identifier, aliases in sorted(self.company.aliases.items()):
            lines += [f"  - id: {identifier}", f"    aliases: [{', '.join(aliases)}]"]
        return "\n".join(lines) + "\n"

    def emissions(self) -> Iterator[Emission]:
        """Everything, in order. The truth is whole when this has been read to its end, which works once."""
        for night in NIGHTS:
            for minute in range(-night * _MINUTES_A_DAY, -night * _MINUTES_A_DAY + _NIGHT_MINUTES):
                yield from self._minute(minute)
            yield self._tick((-night * _MINUTES_A_DAY + _NIGHT_MINUTES) * _TICKS_A_MINUTE)
        for minute in range(self.minutes):
            yield from self._minute(minute)
        for late in range(_TICKS_A_MINUTE):  # what was still on its way
            yield self._tick(self.minutes * _TICKS_A_MINUTE + late)

    def _minute(self, minute: int) -> Iterator[Emission]:
        self._flows.play(minute)
        self._spans.play(minute)
        for part in range(_TICKS_A_MINUTE):
            metrics = self._metrics.written(minute) if part == _TICKS_A_MINUTE - 1 and minute >= 0 else b""
            yield self._tick(minute * _TICKS_A_MINUTE + part, metrics)

    def _tick(self, tick: int, metrics: bytes = b"") -> Emission:
        at_night = tick < 0 and tick % _TICKS_A_MINUTE == 0
        identities = self.addresses.standing() if at_night else self.addresses.records(tick)
        flows = self._flows.arrived(tick)
        return Emission(
            self.start + (tick + 1) * TICK, _lines(identities), _lines(line for _, line in flows), self._spans.arrived(tick),
            metrics, tuple(tag for tag, _ in flows),
        )  # fmt: skip

    # -- the truth ---------------------------------------------------------------------------------------------------------

    def _edge(self, call: Call) -> TrueEdge:
        callee, via = call.callee, tuple[str, ...]()
        if call.route in (Route.TRANSLATED, Route.VIP):
            via = (callee.id,)
        elif call.route is Route.CHAIN:
            via = (self.addresses.front_of(callee).id, callee.behind)
        elif call.route in (Route.BALANCER, Route.INGRESS, Route.POOLED):
            via = (callee.behind,)
        lives = all(one.exists(self.minutes) for one in (call.caller, callee))
        return TrueEdge(*call.key, HOW[call.route], via, call.nightly, lives)

    def _note(self, call: Call, layer: Layer, at: float) -> None:
        edge = self.truth.edges[call.key]
        edge.sightings[layer] = edge.sightings.get(layer, 0) + 1
        edge.first, edge.last = min(edge.first, at), max(edge.last, at)

    def _note_connection(self, call: Call, connection: Connection) -> None:
        self._note(call, Layer.NETWORK, connection.start)
        if connection.start >= self.start:
            self._metrics.count(call, as_usual(self._random.randint(5, 30)))
        client, server = connection.client, connection.server
        pair = (id(client), id(server))
        if pair in self._known_fakes:
            return
        self._known_fakes.add(pair)
        fakes = {(one.id, call.callee.id) for one in (client.before, client.after) if one is not None}
        fakes |= {(call.caller.id, one.id) for one in (server.before, server.after) if one is not None}
        self.truth.reuse_fakes |= fakes - self.truth.edges.keys()

    def _note_span(self, call: Call, at: float) -> None:
        self._note(call, Layer.TRACE, at)

    def _note_metric(self, call: Call) -> None:
        edge = self.truth.edges[call.key]
        edge.sightings[Layer.IPC] = edge.sightings.get(Layer.IPC, 0) + 1


def _lines(lines: Iterator[str] | list[str]) -> bytes:
    text = "\n".join(lines)
    return (text + "\n").encode() if text else b""
