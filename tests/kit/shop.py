"""A small shop of real HTTP services, instrumented with the official OpenTelemetry SDK, exporting to the bot under test.

web -> checkout -> payments -> payments-db (a database that only payments' client spans name), and checkout produces to a
queue that shipping consumes. Each service has its own TracerProvider, exporter and batch processor, as separate processes
would; context travels in the headers of W3C.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import aiohttp
from aiohttp import web
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.kit.otlp_json import JsonSpanExporter

_propagator = TraceContextTextMapPropagator()
_CALLS = {"web": "checkout", "checkout": "payments"}
_SERVICES = ("web", "checkout", "payments", "shipping")


class Shop:
    """The running services. `broken`: the database does not answer, so every order fails.

    Spans go to `{endpoint}/v1/traces`, as protobuf by the official exporter or as JSON by our own.
    """

    def __init__(self, endpoint: str, encoding: Literal["protobuf", "json"] = "protobuf") -> None:
        self.broken = False
        self.failures = 0
        self.orders = 0
        self.url = ""
        self._providers: dict[str, TracerProvider] = {}
        self._session: aiohttp.ClientSession
        for name in _SERVICES:
            provider = TracerProvider(
                resource=Resource.create(
                    {"service.name": name, "k8s.deployment.name": f"{name}-v1", "k8s.namespace.name": "shop"}
                ),
                shutdown_on_exit=False,
            )
            provider.add_span_processor(
                BatchSpanProcessor(_exporter(f"{endpoint}/v1/traces", encoding), schedule_delay_millis=200)
            )
            self._providers[name] = provider

    async def order(self, count: int = 1) -> None:
        """Place orders at the web service."""
        for _ in range(count):
            self.orders += 1
            async with self._session.get(f"{self.url}/web") as answer:
                self.failures += answer.status >= 500

    async def flush(self) -> None:
        """Send every finished span."""
        await asyncio.gather(*(asyncio.to_thread(provider.force_flush) for provider in self._providers.values()))

    async def serve(self, request: web.Request) -> web.Response:
        """One service's door: a server span, and whatever it calls in turn."""
        name = request.match_info["service"]
        tracer = self._providers[name].get_tracer("shop")
        parent = _propagator.extract(request.headers)
        with tracer.start_as_current_span(f"GET /{name}", parent, SpanKind.SERVER) as span:
            status = await self._work(name, tracer)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        return web.Response(status=status)

    async def _work(self, name: str, tracer: Tracer) -> int:
        if name == "payments":
            return self._query(tracer)
        if name == "checkout":
            self._publish(tracer)
        with tracer.start_as_current_span("prepare"):  # something internal lies between the two halves
            return await self._call(_CALLS[name], tracer)

    async def _call(self, callee: str, tracer: Tracer) -> int:
        with tracer.start_as_current_span(
            f"GET {callee}", kind=SpanKind.CLIENT, attributes={"server.address": callee}
        ) as span:
            headers: dict[str, str] = {}
            _propagator.inject(headers)
            async with self._session.get(f"{self.url}/{callee}", headers=headers) as answer:
                if answer.status >= 500:
                    span.set_status(StatusCode.ERROR)
                return answer.status

    def _query(self, tracer: Tracer) -> int:
        names: Mapping[str, str] = {
            "db.system.name": "postgresql",
            "server.address": "payments-db",
            "db.namespace": "pay",
        }
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=names) as span:
            if self.broken:
                span.set_status(StatusCode.ERROR)
        return 503 if self.broken else 200

    def _publish(self, tracer: Tracer) -> None:
        names = {"messaging.system": "kafka", "messaging.destination.name": "orders"}
        carrier: dict[str, str] = {}
        with tracer.start_as_current_span("orders publish", kind=SpanKind.PRODUCER, attributes=names):
            _propagator.inject(carrier)
        receiver = self._providers["shipping"].get_tracer("shop")
        context: Context = _propagator.extract(carrier)
        with receiver.start_as_current_span("orders process", context, SpanKind.CONSUMER, names):
            pass

    async def metrics(self, _request: web.Request) -> web.Response:
        """What Prometheus scrapes."""
        text = f'shop_requests_total{{service="payments"}} {self.orders}\nshop_failures_total{{service="payments"}} {self.failures}\n'
        return web.Response(text=text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Shop]:
        """Listen until the block ends, then send what is left."""
        application = web.Application()
        application.add_routes([web.get("/metrics", self.metrics), web.get("/{service}", self.serve)])
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._shut_down)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._session = await stack.enter_async_context(aiohttp.ClientSession())
            yield self

    async def _shut_down(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(provider.shutdown) for provider in self._providers.values()))


def _exporter(endpoint: str, encoding: str) -> SpanExporter:
    if encoding == "json":
        return JsonSpanExporter(endpoint)
    return OTLPSpanExporter(endpoint=endpoint, compression=Compression.Gzip)
