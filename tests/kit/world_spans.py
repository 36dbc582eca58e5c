"""The traces of the made-up company: head-sampled OTLP spans of the services that are instrumented.

Comes in: who calls whom. Goes out: export requests, serialised, by the tick in which they arrive; and, by `note`, which edges
they show. What is lost, as in a real company: 99 of 100 requests, as `tracestate` says; everything uninstrumented services
do, the trace's context with it; now and then a batch comes half a minute late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.kit.spans import attribute
from tests.kit.world_company import TICK, Call, Company, Kind, Service

_SAMPLED = "ot=th:fd70a3d70a3d7"
"""A rejection threshold of 99 % (opentelemetry.io, tracestate probability sampling)."""
_DEEPEST, _WIDEST, _LONGEST = 5, 3, 40
_LATE = 0.03


@dataclass(frozen=True, slots=True)
class Fate:
    """How what one span tells of goes: the share that fails, and how long it takes in seconds. `silent`: it tells nothing."""

    fails: float
    lasts: float
    silent: bool = False


USUAL = {Service: Fate(0.01, 0.05), Call: Fate(0.01, 0.03)}


class Spans:
    """Plays sampled requests minute by minute. `note` hears of every edge that the spans of a request show; `fate` says how a
    service's own spans and its calls go."""

    def __init__(
        self,
        company: Company,
        random: Random,
        start: float,
        note: Callable[[Call, float], None],
        fate: Callable[[Service | Call], Fate] = lambda one: USUAL[type(one)],
    ) -> None:
        self._fate = fate
        self._random = random
        self._start = start
        self._note = note
        self._calls = company.by_caller()
        self._services = [one for one in company.services if one.kind is Kind.SERVICE]
        self._entries = [one for one in self._services if one.tier == 0]
        # tick -> service -> its spans
        self._arrivals: dict[int, dict[Service, list[Span]]] = defaultdict(lambda: defaultdict(list))
        self._minute = 0
        self._trace = b""
        self._length = 0

    def play(self, minute: int) -> None:
        """Make the sampled requests of a minute."""
        self._minute = minute
        random = self._random
        for caller in self._calls:
            for call in self._calls[caller]:
                if call.nightly and call.active(minute) and caller.instrumented:
                    self._begin()
                    self._client(call, b"", self._moment(), 0)
        if minute < 0:
            return
        alive = [one for one in self._services if one.exists(minute)]
        entries = [one for one in self._entries if one.exists(minute)]
        for number in range(max(4, len(self._services) // 3)):
            self._begin()
            if entries and number % 3:
                self._serve(random.choice(entries), b"", self._moment(), 0)
            else:  # a job of its own begins the trace
                self._work(random.choice(alive), b"", self._moment(), 0)

    def arrived(self, tick: int) -> bytes:
        """The export request of a tick; b"" where nothing came."""
        found = self._arrivals.pop(tick, {})
        request = ExportTraceServiceRequest()
        for service, spans in found.items():
            resource = request.resource_spans.add()
            name, namespace = service.reported
            resource.resource.attributes.append(attribute("service.name", name))
            if namespace:
                resource.resource.attributes.append(attribute("service.namespace", namespace))
            resource.scope_spans.add().spans.extend(spans)
        return request.SerializeToString() if found else b""

    # -- one request ---------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._trace = self._random.randbytes(16)
        self._length = 0

    def _moment(self) -> float:
        return self._start + self._minute * 60 + self._random.random() * 55

    def _serve(self, service: Service, parent: bytes, at: float, depth: int) -> None:
        """A request arrives at a service."""
        if not service.instrumented:  # it passes no context on: what it calls begins traces of its own
            if self._random.random() < 0.5:
                for call in self._chosen(service):
                    if call.callee.instrumented:
                        self._begin()
                        self._serve(call.callee, b"", at, depth + 1)
            return
        fate = self._fate(service)
        if fate.silent:
            return
        span = self._span(service, Span.SPAN_KIND_SERVER, parent, at, fate)
        self._work(service, span, at + 0.001, depth)

    def _work(self, service: Service, parent: bytes, at: float, depth: int) -> None:
        """A service does what it does for a request: it calls others."""
        if service.instrumented and depth < _DEEPEST:
            for call in self._chosen(service):
                if self._length < _LONGEST:
                    self._client(call, parent, at, depth)
                    at += 0.002

    def _chosen(self, service: Service) -> list[Call]:
        calls = [one for one in self._calls.get(service, ()) if one.active(self._minute) and not one.nightly]
        calls = [one for one in calls if one.callee.kind is not Kind.BROKER]
        return self._random.sample(calls, min(len(calls), self._random.randint(1, _WIDEST)))

    def _client(self, call: Call, parent: bytes, at: float, depth: int) -> None:
        callee = call.callee
        if callee.kind is Kind.TOPIC:
            self._publish(call, parent, at, depth)
            return
        attributes = {"server.address": self._random.choice(callee.hosts)}
        if callee.kind is Kind.DATABASE:
            attributes["db.system.name"] = "postgresql"
        client = self._span(call.caller, Span.SPAN_KIND_CLIENT, parent, at, self._fate(call), attributes)
        self._note(call, at)
        if callee.kind is Kind.SERVICE:
            self._serve(callee, client, at + 0.001, depth + 1)

    def _publish(self, call: Call, parent: bytes, at: float, depth: int) -> None:
        """A message goes to a topic, and each of its consumers gets it."""
        names = {"messaging.system": "kafka", "messaging.destination.name": call.callee.name}
        producer = self._span(call.caller, Span.SPAN_KIND_PRODUCER, parent, at, Fate(0.01, 0.002), names)
        self._note(call, at)
        for onward in self._calls.get(call.callee, ()):
            if onward.active(self._minute):
                span = self._span(onward.callee, Span.SPAN_KIND_CONSUMER, producer, at + 0.5, self._fate(onward), names)
                self._note(onward, at)
                self._work(onward.callee, span, at + 0.501, depth + 1)

    def _span(
        self,
        service: Service,
        kind: Span.SpanKind.ValueType,
        parent: bytes,
        at: float,
        fate: Fate,
        attributes: dict[str, str] | None = None,
    ) -> bytes:
        identifier = self._random.randbytes(8)
        span = Span(
            trace_id=self._trace, span_id=identifier, parent_span_id=parent, trace_state=_SAMPLED, kind=kind, name="work",
            start_time_unix_nano=int(at * 1e9), end_time_unix_nano=int((at + fate.lasts) * 1e9),
        )  # fmt: skip
        span.attributes.extend(attribute(key, text) for key, text in (attributes or {}).items())
        if self._random.random() < fate.fails:
            span.status.code = Status.STATUS_CODE_ERROR
        self._length += 1
        delay = self._random.uniform(15.0, 25.0) if self._random.random() < _LATE else self._random.uniform(0.5, 5.0)
        self._arrivals[int((at + fate.lasts + delay - self._start) // TICK)][service].append(span)
        return identifier
