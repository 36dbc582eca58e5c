"""The demo: a small shop's telemetry through the real doors, one broken dependency, one genuine alert, one message.

Nothing here is special-cased in the bot: the spans are OTLP and Zipkin over HTTP, the alert is an Alertmanager webhook
with a bearer token, and the message is what any alert would get.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bot import app, logs
from bot.config import Settings
from bot.slack.console import plain

_HISTORY_MINUTES = 40
_BROKEN_MINUTES = 4
_TRACES_A_MINUTE = 24
_WAIT_SECONDS = 30.0
_SETTLE_SECONDS = 0.5

_CATALOG = """\
services:
  - {id: web, team: Storefront, slack: "#team-storefront", tier: 1, domain: shop, entry_point: true}
  - {id: checkout, team: Checkout, slack: "@checkout-oncall", tier: 1, domain: shop}
  - {id: payments, team: Payments, slack: "@pay-oncall", tier: 1, domain: money, runbook: "https://runbooks.example/payments"}
  - {id: payments-db, team: Data, slack: "#team-data", tier: 1, domain: money}
  - {id: invoices, team: Payments, slack: "@pay-oncall", tier: 2, domain: money}
  - {id: cart, team: Storefront, slack: "#team-storefront", tier: 2, domain: shop}
"""


@dataclass(frozen=True, slots=True)
class Hop:
    """One call of the shop: who is called, how long it takes itself (ms), and what it calls in turn.

    `kind` is `rpc`, `database`, `queue` or `external`; only an `rpc` callee reports spans of its own.
    """

    callee: str
    own_ms: float
    calls: tuple[Hop, ...] = ()
    kind: str = "rpc"
    chance: float = 1.0


_PAYMENTS = Hop("payments", 9, (Hop("payments-db", 4, kind="database"), Hop("fraud", 7, chance=0.6)))
_CART = Hop("cart", 3, (Hop("cart-cache", 1, kind="database"),))
_SHOP = (
    Hop("web", 4, (Hop("checkout", 12, (_CART, _PAYMENTS, Hop("orders", 2, kind="queue"))),)),
    Hop("web", 3, (_CART, Hop("search", 8, chance=0.7))),
    Hop("invoices", 15, (_PAYMENTS, Hop("mail.example.com", 40, kind="external", chance=0.3))),
)
_DATABASES = {"payments-db": "postgresql", "cart-cache": "redis"}


class Shop:
    """Makes the shop's traces. Seeded: two demos tell the same story."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # noqa: S311 - a story, not a secret

    def minute(self, at: float, seconds: float, traces: int, *, broken: bool) -> ExportTraceServiceRequest:
        """`traces` requests spread over `seconds` from `at`; while `broken`, payments-db does not answer."""
        spans: dict[str, list[Span]] = {}
        for _ in range(traces):
            start = at + self._random.random() * seconds
            entry = self._random.choice(_SHOP)
            self._call(spans, self._random.randbytes(16), b"", "", entry, start, broken)
        request = ExportTraceServiceRequest()
        for service, found in sorted(spans.items()):
            resource = request.resource_spans.add()
            resource.resource.attributes.append(_text("service.name", service))
            resource.scope_spans.add().spans.extend(found)
        return request

    def _call(
        self,
        spans: dict[str, list[Span]],
        trace: bytes,
        parent: bytes,
        caller: str,
        hop: Hop,
        start: float,
        broken: bool,
    ) -> tuple[float, bool]:
        """Add the spans of one call; gives its duration in seconds and whether it failed."""
        own = hop.own_ms / 1000 * self._random.uniform(0.6, 1.8)
        client = self._random.randbytes(8)
        server = client if not caller else self._random.randbytes(8)
        failed = broken and hop.callee == "payments-db" and self._random.random() < 0.92
        duration = 5.0 if failed else own
        if hop.kind == "rpc":
            for onward in hop.calls:
                if self._random.random() <= onward.chance:
                    took, bad = self._call(spans, trace, server, hop.callee, onward, start + duration, broken)
                    duration, failed = duration + took, failed or (bad and hop.callee != "web")
            spans.setdefault(hop.callee, []).append(
                _span(trace, server, client if caller else b"", Span.SPAN_KIND_SERVER, start, duration, failed)
            )
        if caller:
            kind = Span.SPAN_KIND_PRODUCER if hop.kind == "queue" else Span.SPAN_KIND_CLIENT
            span = _span(trace, client, parent, kind, start, duration + 0.001, failed)
            span.attributes.extend(_peer(hop))
            spans.setdefault(caller, []).append(span)
        if hop.kind == "queue":
            consumer = _span(trace, server, client, Span.SPAN_KIND_CONSUMER, start + 0.05, 0.02, False)
            consumer.attributes.extend(_peer(hop))
            spans.setdefault("shipping", []).append(consumer)
        return duration + 0.001, failed


def _peer(hop: Hop) -> list[KeyValue]:
    if hop.kind == "database":
        return [_text("db.system.name", _DATABASES[hop.callee]), _text("server.address", hop.callee)]
    if hop.kind == "queue":
        return [_text("messaging.system", "kafka"), _text("messaging.destination.name", hop.callee)]
    return [_text("server.address", hop.callee)]


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _span(
    trace: bytes, span: bytes, parent: bytes, kind: Span.SpanKind.ValueType, start: float, duration: float, failed: bool
) -> Span:
    made = Span(
        trace_id=trace, span_id=span, parent_span_id=parent, kind=kind, name="demo",
        start_time_unix_nano=int(start * 1e9), end_time_unix_nano=int((start + duration) * 1e9),
    )  # fmt: skip
    if failed:
        made.status.code = Status.STATUS_CODE_ERROR
    return made


def alertmanager_webhook(started: float, firing: bool = True) -> dict[str, Any]:
    """An Alertmanager v4 webhook as Alertmanager 0.34 sends it for a rule on the payments service."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(started))
    labels = {"alertname": "HighErrorRate", "service": "payments", "severity": "critical", "env": "prod"}
    annotations = {
        "summary": "More than 10% of requests to payments fail",
        "runbook_url": "https://runbooks.example/payments",
    }
    status = "firing" if firing else "resolved"
    return {
        "version": "4", "groupKey": '{}:{alertname="HighErrorRate", service="payments"}', "truncatedAlerts": 0,
        "status": status, "receiver": "topology-bot", "groupLabels": {"alertname": "HighErrorRate", "service": "payments"},
        "commonLabels": labels, "commonAnnotations": annotations, "externalURL": "http://alertmanager.example:9093",
        "notification_reason": "first notification", "routeLabels": {},
        "alerts": [{
            "status": status, "labels": labels, "annotations": annotations, "startsAt": stamp, "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example:9090/graph?g0.expr=payments_errors", "fingerprint": "b2c1a4f09d7e6355",
        }],
    }  # fmt: skip


async def run(*, once: bool, echo: Callable[[str], None]) -> dict[str, Any]:
    """Play the whole story. Gives `posted` (whether the message went out), its text and the URLs to try."""
    with tempfile.TemporaryDirectory(prefix="topology-bot-demo-") as folder:
        catalog = Path(folder) / "services.yaml"
        catalog.write_text(_CATALOG)
        token = secrets.token_urlsafe(16)
        settings = Settings.model_validate(
            {
                "listen": f"127.0.0.1:{_free_port()}", "database_url": f"sqlite:///{folder}/demo.db", "catalog": catalog,
                "alertmanager_tokens": token, "pagerduty_secrets": token, "trace_settle_seconds": _SETTLE_SECONDS, "log_level": "error",
            }
        )  # fmt: skip
        logs.configure(settings.log_format, settings.log_level)
        echo("Starting the bot on an empty SQLite database: no tokens, no other service.")
        async with (
            app.running(settings, lambda text: echo(f"\n{text}\n")) as bot,
            aiohttp.ClientSession(bot.url) as session,
        ):
            shop = Shop()
            spans = await _play_history(session, shop)
            echo(
                f"Played {_HISTORY_MINUTES} minutes of a small shop's traces: {spans} spans over OTLP and Zipkin. "
                f"payments-db broke {_BROKEN_MINUTES} minutes ago."
            )
            await _until(lambda: _learnt(session), "the map did not learn the shop")
            started = time.time() - (_BROKEN_MINUTES - 1) * 60
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(
                "/webhooks/alertmanager", json=alertmanager_webhook(started), headers=headers
            ) as answer:
                echo(f"Alertmanager says payments fails: POST /webhooks/alertmanager answered {answer.status}.")
            text = await _posted(bot)
            result = {"posted": bool(text), "text": plain(text), "url": bot.url}
            if not text:
                echo("The message was not posted.")
            elif not once:
                echo(_urls(bot.url))
                await _stay(session, shop)
        return result


async def _play_history(session: aiohttp.ClientSession, shop: Shop) -> int:
    now = time.time()
    spans = 0
    for minute in range(_HISTORY_MINUTES, 0, -1):
        batch = shop.minute(now - minute * 60, 60, _TRACES_A_MINUTE, broken=minute <= _BROKEN_MINUTES)
        spans += await _send(session, batch)
        spans += await _send_zipkin(session, now - minute * 60 + 5)
    return spans


async def _send(session: aiohttp.ClientSession, batch: ExportTraceServiceRequest) -> int:
    headers = {"Content-Type": "application/x-protobuf"}
    async with session.post("/v1/traces", data=batch.SerializeToString(), headers=headers) as answer:
        answer.raise_for_status()
    return sum(len(scope.spans) for resource in batch.resource_spans for scope in resource.scope_spans)


async def _send_zipkin(session: aiohttp.ClientSession, at: float) -> int:
    """An older corner of the shop still speaks Zipkin: the search service asks its index, sharing one span id."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    common = {"traceId": trace, "id": span, "name": "query", "timestamp": int(at * 1e6), "duration": 21_000}
    spans = [
        common | {"kind": "CLIENT", "localEndpoint": {"serviceName": "search"}},
        common | {"kind": "SERVER", "shared": True, "localEndpoint": {"serviceName": "search-index"}},
    ]
    async with session.post("/api/v2/spans", json=spans) as answer:
        answer.raise_for_status()
    return len(spans)


async def _stay(session: aiohttp.ClientSession, shop: Shop) -> None:
    """Keep the shop going, still broken, until Ctrl-C."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        await _send(session, shop.minute(time.time() - 5, 5, _TRACES_A_MINUTE // 12, broken=True))
        try:
            await asyncio.wait_for(stop.wait(), 5)
        except TimeoutError:
            continue


async def _posted(bot: app.Running) -> str:
    found: list[str] = []

    async def out() -> bool:
        found[:] = [row.message.text for row in await bot.outbox.latest(1) if row.state == "sent"]
        return bool(found)

    try:
        await _until(out, "the message was not posted")
    except TimeoutError:
        return ""
    return found[0]


async def _learnt(session: aiohttp.ClientSession) -> bool:
    """Whether everything that was played is on the map: payments fails there, and its numbers have come to rest."""
    before = await _rates(session)
    await asyncio.sleep(_SETTLE_SECONDS + 0.4)
    return bool(before) and before == await _rates(session) and before["error_rate"] > 0.5


async def _rates(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get("/api/v1/services/payments") as answer:
        found: dict[str, Any] = json.loads(await answer.read()).get("rates", {})
    return found if found.get("calls") else {}


async def _until(check: Callable[[], Any], otherwise: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not await check():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        await asyncio.sleep(0.05)


def _free_port(wanted: int = 8080) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def _urls(url: str) -> str:
    return "\n".join(
        [
            "Still running, and the shop still broken. Try:",
            f"  {url}/preview                                the message as Slack draws it",
            f"  {url}/api/v1/services/payments               who calls it, whom it calls",
            f"  {url}/api/v1/services/payments-db/dependents the blast radius",
            f"  {url}/api/v1/path?from=web&to=payments-db    how the one reaches the other",
            f"  {url}/api/v1/doctor                          what the bot says of itself",
            f"  TOPOLOGY_BOT_URL={url} .venv/bin/topology-bot show payments",
            "Ctrl-C ends it.",
        ]
    )
