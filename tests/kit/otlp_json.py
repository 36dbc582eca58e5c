"""Exports spans as OTLP/JSON, which the official Python SDK cannot.

The mapping is that of the OTLP specification ("JSON Protobuf Encoding"): protobuf's own, except that trace and span ids are
hex and enumerations are numbers.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import requests
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_IDS = frozenset(("traceId", "spanId", "parentSpanId"))


class JsonSpanExporter(SpanExporter):
    """Posts to `endpoint`, once: what is refused is lost."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch."""
        document = _with_hex_ids(MessageToDict(encode_spans(spans), use_integers_for_enums=True))
        try:
            accepted = requests.post(self._endpoint, json=document, timeout=5).ok
        except requests.RequestException:
            accepted = False
        return SpanExportResult.SUCCESS if accepted else SpanExportResult.FAILURE


def as_json(body: bytes) -> bytes:
    """The same export request as OTLP/JSON."""
    request = ExportTraceServiceRequest.FromString(body)
    return json.dumps(_with_hex_ids(MessageToDict(request, use_integers_for_enums=True))).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: base64.b64decode(inner).hex() if key in _IDS else _with_hex_ids(inner) for key, inner in value.items()
        }
    return [_with_hex_ids(inner) for inner in value] if isinstance(value, list) else value
