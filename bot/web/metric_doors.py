"""The doors of the IPC layer: Prometheus remote write and OTLP metrics."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from bot.errors import BadRequest, Overloaded, UnsupportedMediaType
from bot.intake import Intake
from bot.layers.families import BY_METRIC
from bot.layers.ipc import IpcLayer
from bot.model import Layer
from bot.telemetry import otlp, otlp_metrics, remote_write
from bot.telemetry.packing import BODY_LIMIT, unpack
from bot.telemetry.samples import SampleBatch
from bot.web.auth import Gate
from bot.web.body import read
from bot.web.problem import problem

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class MetricDoors:
    """POST `/api/v1/write` and `/v1/metrics`."""

    def __init__(self, intake: Intake, ipc: IpcLayer, gate: Gate) -> None:
        self._intake = intake
        self._ipc = ipc
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """This room's part of the route table."""
        return [web.post("/api/v1/write", self.write), web.post("/v1/metrics", self.otlp)]

    async def write(self, request: web.Request) -> web.Response:
        """Remote write. A sender drops what got 4xx and repeats what got 5xx; the counts are what 2.0 asks for."""
        self._gate.check(request, "ingest")
        headers = request.headers
        proto = remote_write.protocol(headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
        body = await read(request, BODY_LIMIT)
        batch = await self._intake.take(
            "remote-write", Layer.IPC, body, partial(remote_write.decode, proto), self._ipc.add
        )
        samples = len(batch.samples) + batch.ignored["stale marker"]
        written = {"Samples": samples, "Histograms": batch.histograms, "Exemplars": 0}
        answer = {_WRITTEN.format(what): str(count) for what, count in written.items()}
        if not batch.rejected:
            return web.Response(status=204, headers=answer)
        # The rest was taken: 400 keeps the sender from repeating it, and the counts say so.
        why = f"{batch.rejected} of the samples cannot be used: {'; '.join(batch.errors[:5])}"
        return problem(BadRequest.status, BadRequest.slug, why, answer)

    async def otlp(self, request: web.Request) -> web.Response:
        """OTLP/HTTP metrics; answers as the trace door does."""
        self._gate.check(request, "ingest")
        kind = request.content_type
        as_json = kind == _JSON
        try:
            if kind not in (_PROTOBUF, _JSON):
                raise UnsupportedMediaType(f"Content-Type {kind[:60]!r}: send {_PROTOBUF} or {_JSON}")
            body = await read(request, BODY_LIMIT)
            encoding = request.headers.get("Content-Encoding", "")
            batch = await self._intake.take(
                "otlp-metrics", Layer.IPC, body, partial(_unpacked, encoding, as_json), self._ipc.add
            )
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
        return web.Response(body=otlp.metrics_response(batch, json=as_json), content_type=kind)


def _unpacked(encoding: str, as_json: bool, body: bytes, now: float) -> SampleBatch:
    decode = otlp_metrics.decode_json if as_json else otlp_metrics.decode_protobuf
    return decode(unpack(body, encoding), now, BY_METRIC)
