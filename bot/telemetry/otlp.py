"""The OTLP door: bodies in, spans out, and the answers the protocol asks for.

Protocol: opentelemetry-proto docs/specification.md (OTLP/HTTP). A sender that is told of rejected spans must not send
them again; a 400 with a google.rpc.Status is permanent; answers come in the encoding of the request.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from bot.telemetry.otlp_json import decode_json
from bot.telemetry.otlp_protobuf import decode_protobuf
from bot.telemetry.otlp_schema import RpcStatus
from bot.telemetry.samples import SampleBatch
from bot.telemetry.spans import SpanBatch

__all__ = ["INVALID_ARGUMENT", "decode_json", "decode_protobuf", "metrics_response", "response", "status"]

INVALID_ARGUMENT = 3
"""google.rpc.Code of a request that will not be taken however often it is sent."""

_TOLD = 5  # errors of single spans that go back to the sender; more would only repeat them


def response(batch: SpanBatch, json: bool) -> bytes:
    """The ExportTraceServiceResponse: empty where every span was taken, else how many were not, and why."""
    if not batch.rejected:
        return b"{}" if json else b""
    told = _told(batch.errors, batch.rejected)
    if json:  # OTLP JSON writes 64-bit integers as strings
        partial = {"rejectedSpans": str(batch.rejected), "errorMessage": told}
        return msgspec.json.encode({"partialSuccess": partial})
    success = ExportTracePartialSuccess(rejected_spans=batch.rejected, error_message=told)
    return ExportTraceServiceResponse(partial_success=success).SerializeToString()


def metrics_response(batch: SampleBatch, json: bool) -> bytes:
    """The ExportMetricsServiceResponse, likewise."""
    if not batch.rejected:
        return b"{}" if json else b""
    told = _told(batch.errors, batch.rejected)
    if json:
        partial = {"rejectedDataPoints": str(batch.rejected), "errorMessage": told}
        return msgspec.json.encode({"partialSuccess": partial})
    success = ExportMetricsPartialSuccess(rejected_data_points=batch.rejected, error_message=told)
    return bytes(ExportMetricsServiceResponse(partial_success=success).SerializeToString())


def _told(errors: Sequence[str], rejected: int) -> str:
    told = "; ".join(errors[:_TOLD])
    return told + f"; and {rejected - _TOLD} more" if rejected > _TOLD else told


def status(message: str, json: bool, code: int = INVALID_ARGUMENT) -> bytes:
    """A google.rpc.Status, the body of a refusal."""
    if json:
        return msgspec.json.encode({"code": code, "message": message})
    return bytes(RpcStatus(code=code, message=message).SerializeToString())
