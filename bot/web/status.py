"""How the bot itself does: liveness, readiness with reasons, Prometheus metrics, and the `doctor`'s findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bot import metrics
from bot.enrich.view import MapView
from bot.errors import DeliveryError
from bot.intake import SourceStats
from bot.moments import iso
from bot.sinks import Sink
from bot.storage.alert_store import AlertStore
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database, DatabaseUnavailable
from bot.storage.outbox_store import OutboxStore
from bot.web.auth import Gate
from bot.web.problem import json_response

_SILENT_SECONDS = 300.0
_OUTBOX_OLD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything whose health is asked."""

    database: Database
    alerts: AlertStore
    outbox: OutboxStore
    changes: ChangeStore
    view: MapView
    sink: Sink
    telemetry: Mapping[str, SourceStats]
    sender_problems: Mapping[str, str]
    loops: Callable[[], Mapping[str, str]]
    closed_doors: tuple[str, ...]
    stray_settings: tuple[str, ...]
    started: float
    drops: Callable[[], Mapping[tuple[str, str], int]] = dict
    """Telemetry and map entries left out since the start, by (where, reason)."""
    feeds: Mapping[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    """What the bot goes and gets by itself: each says how that goes, with `problem` where it does not."""
    change_sources: tuple[str, ...] = ()
    """Sources that may tell of changes, whether or not one has."""


class Status:
    """GET `/healthz`, `/readyz`, `/metrics`, `/api/v1/doctor`."""

    def __init__(self, parts: Parts, gate: Gate) -> None:
        self._parts = parts
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/api/v1/doctor", self.doctor),
        ]

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process answers."""
        return json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Whether alerts can be taken in and worked; 503 with the reasons where not."""
        reasons = []
        try:
            await self._parts.database.ping()
        except DatabaseUnavailable as error:
            reasons.append(f"database: {error}")
        reasons += [f"{name}: {why}" for name, why in self._parts.loops().items()]
        return json_response(
            {"status": "not ready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text format."""
        self._gate.check(request, "read")
        waiting, _ = await self._parts.outbox.backlog()
        metrics.OUTBOX_WAITING.set(waiting)
        return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def doctor(self, request: web.Request) -> web.Response:
        """What a person would check, with what to do about each problem."""
        self._gate.check(request, "read")
        return json_response(await examine(self._parts, time.time()))


async def examine(parts: Parts, now: float) -> dict[str, Any]:
    """The findings: per source the last event, count, lag and drops; database, Slack, outbox; problems in words."""
    problems = list(parts.view.catalog.problems)
    telemetry = {name: _telemetry(stats, now) for name, stats in sorted(parts.telemetry.items())}
    layers = {
        layer.value: {"last_seen": iso(last), "age_seconds": round(now - last, 1)}
        for layer, last in sorted(parts.view.heard.items())
    }
    if not layers:
        problems.append("no telemetry has ever arrived: point an OpenTelemetry exporter at /v1/traces")
    for layer, last in sorted(parts.view.heard.items()):
        if now - last > _SILENT_SECONDS:
            problems.append(f"layer {layer.value} has been silent for {round(now - last)} s")
    alerts = {}
    for name, found in sorted((await parts.alerts.sources()).items()):
        last = found["last"]
        alerts[name] = {
            "last_event": iso(last),
            "lag_seconds": round(now - last, 1),
            "count": found["deliveries"],
            "failed": found["failed"],
        }
        if found["failed"]:
            problems.append(f"{found['failed']} deliveries from {name} could not be worked and were forwarded plain")
    problems += [f"alert source {name} has no secret, so it refuses all" for name in parts.closed_doors]
    problems += [f"{name} is set, but there is no such setting" for name in parts.stray_settings]
    feeds = {name: dict(state()) for name, state in parts.feeds.items()}
    problems += [f"{name}: {state['problem']}" for name, state in feeds.items() if state.get("problem")]
    slack = await _slack(parts.sink, problems)
    waiting, oldest = await parts.outbox.backlog()
    if oldest is not None and now - oldest > _OUTBOX_OLD_SECONDS:
        problems.append(f"the oldest of {waiting} waiting messages is {round(now - oldest)} s old")
    problems += [f"{what}: {why}" for what, why in parts.sender_problems.items()]
    problems += [f"background loop {name} failed: {why}" for name, why in parts.loops().items()]
    return {
        "ok": not problems,
        "problems": problems,
        "as_of": iso(now),
        "uptime_seconds": round(now - parts.started),
        "telemetry": telemetry,
        "layers": layers,
        "feeds": feeds,
        "left_out": {f"{place}: {reason}": count for (place, reason), count in sorted(parts.drops().items()) if count},
        "alerts": alerts,
        "changes": await _changes(parts, now),
        "map": {"services": parts.view.graph.service_count, "edges": parts.view.graph.edge_count},
        "database": {
            "reachable": True,
            "kind": "sqlite" if parts.database.is_sqlite else "postgresql",
            "version": await parts.database.version(),
        },
        "slack": slack,
        "outbox": {"waiting": waiting, "oldest_seconds": None if oldest is None else round(now - oldest)},
    }


def _telemetry(stats: SourceStats, now: float) -> dict[str, Any]:
    return {
        "last_event": iso(stats.last),
        "lag_seconds": round(now - stats.last, 1),
        "batches": stats.batches,
        "accepted": stats.accepted,
        "dropped": dict(stats.dropped),
    }


async def _changes(parts: Parts, now: float) -> dict[str, Any]:
    """Per source of change events, when it last told of one; never is a finding, too, but no problem: perhaps nothing changed."""
    never: dict[str, Any] = {"last_event": None, "lag_seconds": None, "count": 0}
    told = {
        source: {"last_event": iso(one["last"]), "lag_seconds": round(now - one["last"], 1), "count": one["changes"]}
        for source, one in (await parts.changes.sources()).items()
    }
    return dict(sorted((dict.fromkeys(parts.change_sources, never) | told).items()))


async def _slack(sink: Sink, problems: list[str]) -> dict[str, Any]:
    try:
        text = await sink.check()
    except DeliveryError as error:
        problems.append(f"{sink.name} cannot be reached: {error}")
        return {"sink": sink.name, "reachable": False, "says": str(error)}
    return {"sink": sink.name, "reachable": True, "says": text}
