"""Sends what happened in the shop to the bot's own doors: each layer its part.

Comes in: a stretch of time. Goes out: HTTP requests, as exporters and agents make them. What is lost: nothing silently: an
answer other than 2xx, or a record refused, ends the demo with an error.
"""

from __future__ import annotations

from collections import Counter

import aiohttp
from google.protobuf.message import Message

from bot.demo import flows, metrics
from bot.demo.shop import Shop
from bot.demo.traces import ONE_IN, Tracing
from bot.layers.windows import minute_of
from bot.model import WINDOW_SECONDS

_PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Sender:
    """The shop's exporters. `since`: when the shop opened (epoch s); `broke_at`: when its database did."""

    def __init__(self, session: aiohttp.ClientSession, broke_at: float, since: float) -> None:
        self._session = session
        self._since = since
        self._shop, self._tracing, self._flow_log = Shop(broke_at), Tracing(), flows.FlowLog()
        self._counts: Counter[str] = Counter()

    @property
    def sent(self) -> str:
        """What was sent so far, in words."""
        counts = self._counts
        return (
            f"{counts['spans']} OTLP spans (1 request in {ONE_IN}), {counts['zipkin']} Zipkin spans, "
            f"{counts['points']} points of call metrics, {counts['flows']} flow records"
        )

    async def history(self, now: float) -> None:
        """Everything from the shop's beginning until `now` (epoch s), minute by minute."""
        for since in range(minute_of(self._since), minute_of(now) + 1, WINDOW_SECONDS):
            await self.play(since, min(since + WINDOW_SECONDS, now))

    async def play(self, since: float, until: float) -> None:
        """What happened in `[since, until)` (epoch s), which must not reach over the end of a minute by much: metrics are
        counted where it ends."""
        requests = self._shop.requests(since, until)
        # Every time: a claim on an address that nobody repeats is not believed for ever.
        await self._records("/ingest/identities", flows.identities(self._since))
        records = self._flow_log.records(requests)
        await self._records("/ingest/flows", flows.ndjson(records))
        points = metrics.otlp(requests, since, until)
        await self._protobuf("/v1/metrics", points)
        spans, zipkin = self._tracing.otlp(requests), self._tracing.zipkin(requests)
        await self._protobuf("/v1/traces", spans)
        async with self._session.post("/api/v2/spans", json=zipkin):
            pass
        self._counts["flows"] += len(records)
        self._counts["points"] += sum(
            len(metric.histogram.data_points)
            for resource in points.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        )
        self._counts["zipkin"] += len(zipkin)
        self._counts["spans"] += sum(
            len(scope.spans) for resource in spans.resource_spans for scope in resource.scope_spans
        )

    async def _protobuf(self, path: str, body: Message) -> None:
        async with self._session.post(path, data=body.SerializeToString(), headers=_PROTOBUF):
            pass

    async def _records(self, path: str, body: bytes) -> None:
        async with self._session.post(path, data=body) as answer:
            told = await answer.json()
        if told["rejected"]:
            raise ValueError(f"{path} refused {told['rejected']} records: {told['errors'][0]['why']}")
