"""Plays a made-up company through the layers into a live map, breaks something, and asks for the likely cause as an alert does.

Comes in: a seed. Goes out: verdicts, each beside who was at fault. A company's healthy time is played once, and every fault goes on
from a copy of what the layers and the map knew then. Flows are played in healthy time only: they say who calls whom, not how well.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import cast

from bot.catalog.entries import Catalog
from bot.enrich.causes.ranking import Verdict, rank
from bot.enrich.live_situation import situation
from bot.enrich.view import COUNTING_LAYERS, MapView
from bot.graph.live import LiveGraph
from bot.ingest import Ingest
from bot.layers.ipc import IpcLayer
from bot.layers.network import NetworkLayer
from bot.layers.trace import TraceLayer
from bot.layers.windows import Windows
from bot.model import ENTRY, Change, ChangeKind, EdgeKey, Layer, LayerDelta
from bot.names import NameIndex
from bot.storage.map_store import MapStore
from bot.telemetry import identities, remote_write
from bot.telemetry.otlp import decode_protobuf
from tests.kit import world_company
from tests.kit.outages import Outage, Weather, outages
from tests.kit.world_company import TICK, Company, Route
from tests.kit.world_flows import Flows, poisson
from tests.kit.world_identities import Addresses
from tests.kit.world_metrics import Metrics
from tests.kit.world_spans import Spans

HEALTHY_MINUTES = 40
NOTICED_AFTER = 4
"""Minutes between the fault and its alert."""


_START = 1_750_000_020.0
_TICKS_A_MINUTE = int(60 // TICK)


@dataclass(frozen=True, slots=True)
class Answer:
    """One fault and what was said of it."""

    outage: Outage
    verdict: Verdict

    @property
    def place(self) -> int | None:
        """Where the first of the true causes stands in the ranking, from 1; None where it does not."""
        ranked = [one.service for one in self.verdict.candidates]
        return next((place for place, one in enumerate(ranked, 1) if one in self.outage.causes), None)


@dataclass(slots=True)
class _Network:
    """The network's part of a company's telemetry, and the layer that reads it."""

    flows: Flows
    addresses: Addresses
    layer: NetworkLayer

    def heard(self, tick: int, now: float) -> LayerDelta:
        self.layer.learn(identities.decode("\n".join(self.addresses.records(tick)).encode(), now), now)
        lines = "\n".join(line for _, line in self.flows.arrived(tick)).encode()
        self.layer.add(self.layer.fold(lines, now), now)
        return self.layer.collect(now)


@dataclass(slots=True)
class Scene:
    """A company and what a bot knows of it at a minute."""

    company: Company
    weather: Weather
    metrics: Metrics
    spans: Spans
    ipc: IpcLayer
    trace: TraceLayer
    view: MapView
    random: Random
    minute: int = 0

    async def play(self, minutes: int, network: _Network | None = None) -> None:
        """Let some minutes go by."""
        with _showing(self) as ingest:
            for _ in range(minutes):
                await self._minute(ingest, network)
                self.minute += 1

    async def _minute(self, ingest: Ingest, network: _Network | None) -> None:
        self.weather.turn()
        for call in self.company.calls:
            if call.route is not Route.QUEUE and call.active(self.minute):
                for _ in range(poisson(self.random, call.rate * self.weather.asks(call))):
                    self.metrics.count(call, self.weather.went(call, self.random.randint(5, 30)))
        self.spans.play(self.minute)
        if network is not None:
            network.flows.play(self.minute)
        for part in range(_TICKS_A_MINUTE):
            tick = self.minute * _TICKS_A_MINUTE + part
            now = _START + (tick + 1) * TICK
            if body := self.spans.arrived(tick):
                spans = decode_protobuf(body, now)
                ingest.intake.describe(spans.nodes)
                self.trace.add(spans, now)
            if part == _TICKS_A_MINUTE - 1 and (body := self.metrics.written(self.minute)):
                samples = remote_write.decode("1.0", body, now)
                ingest.intake.describe(samples.nodes)
                self.ipc.add(samples, now)
            await ingest.apply(self.trace.collect(now), now)
            await ingest.apply(self.ipc.collect(now), now)
            if network is not None:
                await ingest.apply(network.heard(tick, now), now)


async def founded(seed: int, services: int) -> Scene:
    """A company after its healthy time."""
    minutes = HEALTHY_MINUTES + 60
    company = world_company.found(Random(f"{seed} company"), services, minutes)
    random = Random(f"{seed} requests")
    addresses = Addresses(company, Random(f"{seed} addresses"), _START, minutes)
    weather = Weather(company, f"{seed}")
    weather.turn()
    aliases = {alias: identifier for identifier, those in company.aliases.items() for alias in those}
    catalog = Catalog({}, aliases)
    view = MapView(LiveGraph(NameIndex(aliases)), {layer: Windows(layer) for layer in Layer}, catalog)
    metrics = Metrics(Random(f"{seed} metrics"), _START, lambda call: None, numbers=True)
    spans = Spans(company, Random(f"{seed} spans"), _START, lambda call, at: None, weather.fate)
    scene = Scene(company, weather, metrics, spans, IpcLayer(_START), TraceLayer(settle=2.0), view, random)
    flows = Flows(company, addresses, Random(f"{seed} flows"), _START, lambda call, connection: None)
    layer = NetworkLayer(threads=1)
    try:
        await scene.play(HEALTHY_MINUTES, _Network(flows, addresses, layer))
    finally:
        layer.close()
    return scene


async def ask(healthy: Scene, outage: Outage) -> Answer:
    """Break something in a copy of a healthy company, wait for the alert, and ask as the alert path does."""
    company = healthy.company  # the same one: its services are known by what they are, not by their names
    scene = copy.deepcopy(healthy, {id(one): one for one in (company, *company.services, *company.calls)})
    scene.weather.ill, scene.weather.loss = outage.ill, outage.loss
    begins = _START + scene.minute * 60.0
    await scene.play(NOTICED_AFTER + 1)
    service, about = outage.alert
    at = begins + NOTICED_AFTER * 60.0
    for number, one in enumerate(outage.deployed):
        deployed = Change(
            begins - number * 240.0 - 60.0, one.id, ChangeKind.DEPLOY, "a new version", "ingest", f"{number}"
        )
        scene.view.changes.add(deployed, begins)
    if service.id not in scene.view.graph:
        return Answer(outage, Verdict(()))
    return Answer(outage, rank(situation(scene.view, service.id, at, about, until=at + 60.0)))


@contextmanager
def _showing(scene: Scene) -> Iterator[Ingest]:
    """The bot's own way from what layers learn to the map, without a database."""
    ingest = Ingest((), scene.view, cast(MapStore, None), set())
    try:
        yield ingest
    finally:
        ingest.intake.close()


def drawn(scene: Scene, fault: str, count: int) -> list[Outage]:
    """Some faults of a kind that the company's telemetry can show: somebody sees a call a minute on every edge from the alert to
    a cause. (A trace of one request in a hundred shows less than that of most edges.)"""
    visible = (one for one in outages(scene.company, scene.weather.seed, fault) if _is_visible(scene.view, one))
    return list(islice(visible, count))


def _is_visible(view: MapView, outage: Outage) -> bool:
    start = outage.alert[0].id
    if start not in view.graph or not any(
        _seen(view, (caller, start)) for caller in (*view.graph.callers(start), ENTRY)
    ):
        return False
    reached, frontier = {start}, [start]
    while frontier:
        here = frontier.pop()
        for callee in view.graph.shown_callees(here):
            if _seen(view, (here, callee)) and callee not in reached:
                reached.add(callee)
                frontier.append(callee)
    return not outage.causes or bool(outage.causes & reached)


def _seen(view: MapView, edge: EdgeKey) -> bool:
    now = _START + HEALTHY_MINUTES * 60.0
    return any(view.windows[layer].sum(edge, 0.0, now).sampled >= HEALTHY_MINUTES for layer in COUNTING_LAYERS)
