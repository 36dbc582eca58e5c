"""The telemetry doors: OTLP/HTTP traces and Zipkin v2 spans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web

from bot.errors import BadRequest, Overloaded, UnsupportedMediaType
from bot.intake import Intake
from bot.layers.trace import TraceLayer
from bot.model import Layer
from bot.telemetry import otlp, zipkin
from bot.telemetry.packing import BODY_LIMIT, unpack
from bot.telemetry.spans import SpanBatch
from bot.web.auth import Gate
from bot.web.body import read

Decoder = Callable[[bytes, float, float | None], SpanBatch]
"""(body, now, oldest accepted age in seconds or None) -> spans. Raises BadRequest."""

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"


class TelemetryDoors:
    """POST `/v1/traces` and `/api/v2/spans`."""

    def __init__(self, intake: Intake, trace: TraceLayer, gate: Gate, span_max_age: float) -> None:
        self._intake = intake
        self._trace = trace
        self._gate = gate
        self._span_max_age = span_max_age

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/v1/traces", self.otlp_traces), web.post("/api/v2/spans", self.zipkin_spans)]

    async def otlp_traces(self, request: web.Request) -> web.Response:
        """OTLP/HTTP. Answers in the content type of the request; refusals are a google.rpc.Status, as the specification
        asks; only 503 (and 429) make the sender try again."""
        self._gate.check(request, "ingest")
        kind = request.content_type
        as_json = kind == _JSON
        try:
            if kind not in (_PROTOBUF, _JSON):
                raise UnsupportedMediaType(f"Content-Type {kind[:60]!r}: send {_PROTOBUF} or {_JSON}")
            batch = await self._take(request, "otlp", otlp.decode_json if as_json else otlp.decode_protobuf)
        except BadRequest as error:
            return web.Response(
                status=error.status,
                body=otlp.status(str(error), json=as_json),
                content_type=kind if as_json else _PROTOBUF,
            )
        except Overloaded as error:
            headers = {"Retry-After": str(error.retry_after)}
            return web.Response(
                status=503, body=otlp.status(str(error), json=as_json), content_type=kind, headers=headers
            )
        return web.Response(body=otlp.response(batch, json=as_json), content_type=kind)

    async def zipkin_spans(self, request: web.Request) -> web.Response:
        """Zipkin v2 JSON: an array of spans. 202 with nothing in it; spans that cannot be used are counted."""
        self._gate.check(request, "ingest")
        if request.content_type != _JSON:
            raise UnsupportedMediaType(f"Content-Type {request.content_type[:60]!r}: send {_JSON}")
        await self._take(request, "zipkin", zipkin.decode)
        return web.Response(status=202)

    async def _take(self, request: web.Request, source: str, decode: Decoder) -> SpanBatch:
        body = await read(request, BODY_LIMIT)
        # Unpacking is left to the worker thread, with the decoding: a big body must not hold the event loop.
        encoding = request.headers.get("Content-Encoding", "")
        return await self._intake.take(
            source, Layer.TRACE, body, partial(_unpacked, encoding, decode, self._span_max_age), self._trace.add
        )


def _unpacked(encoding: str, decode: Decoder, oldest: float, body: bytes, now: float) -> SpanBatch:
    return decode(unpack(body, encoding), now, oldest)
