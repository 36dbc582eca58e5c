"""One trace as people have it at hand: OTLP JSON, Zipkin v2 JSON, or what Jaeger's page downloads -> spans.

Comes in: a file's bytes. Goes out: a `SpanBatch`. What is lost: see the OTLP and the Zipkin door; of Jaeger's spans, logs
and all references but the first `CHILD_OF` (or, without one, the first `FOLLOWS_FROM`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bot.errors import BadRequest
from bot.telemetry import otlp_json, zipkin
from bot.telemetry.spans import SpanBatch

_KINDS = {"server": 2, "client": 3, "producer": 4, "consumer": 5}  # OTLP's numbers for OpenTracing's span.kind


def decode(body: bytes, now: float) -> SpanBatch:
    """Read a trace in any of the three formats, however old. Raises BadRequest where it is none of them."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("not a JSON document: want a trace as OTLP JSON, Zipkin v2 JSON or Jaeger JSON") from None
    if isinstance(found, list):
        return zipkin.decode(body, now, None)
    if isinstance(found, dict) and "resourceSpans" in found:
        return otlp_json.decode_json(body, now, None)
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        return otlp_json.decode_json(msgspec.json.encode(_from_jaeger(found["data"])), now, None)
    raise BadRequest("no trace in it: want OTLP JSON (resourceSpans), Zipkin v2 JSON (an array) or Jaeger JSON (data)")


def _from_jaeger(traces: list[Any]) -> dict[str, Any]:
    """Jaeger's query answer (jaegertracing.io, `/api/traces/{id}`) as OTLP JSON."""
    resources = []
    try:
        for trace in traces:
            processes = trace.get("processes", {})
            services = {
                span["spanID"]: (span.get("process") or processes.get(span.get("processID"), {})).get("serviceName", "")
                for span in trace["spans"]
            }
            for span in trace["spans"]:
                service = services[span["spanID"]]
                resources.append(
                    {
                        "resource": {"attributes": [_text("service.name", service)]},
                        "scopeSpans": [{"spans": [_span(span, services)]}],
                    }
                )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRequest(f"not what Jaeger writes: {type(error).__name__} at {str(error)[:80]}") from None
    return {"resourceSpans": resources}


def _span(span: Mapping[str, Any], services: Mapping[str, str]) -> dict[str, Any]:
    tags = {tag["key"]: tag["value"] for tag in span.get("tags") or ()}
    references = sorted(span.get("references") or (), key=lambda one: one["refType"] != "CHILD_OF")
    parent = references[0]["spanID"] if references else ""
    # Older clients say nothing of kinds: a span without a parent in its own service is the server's half of a call.
    called = services.get(parent) != services[span["spanID"]]
    kind = _KINDS.get(str(tags.get("span.kind", "")).lower(), 2 if called and "span.kind" not in tags else 1)
    start = int(span["startTime"]) * 1_000
    failed = tags.get("error") in (True, "true") or tags.get("otel.status_code") == "ERROR"
    return {
        "traceId": str(span["traceID"]).zfill(32),
        "spanId": str(span["spanID"]).zfill(16),
        "parentSpanId": str(parent).zfill(16) if parent else "",
        "kind": kind,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(span["duration"]) * 1_000),
        "attributes": [_text(key, str(value)) for key, value in tags.items() if isinstance(value, str | int)],
        "status": {"code": 2 if failed else 0},
    }


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}
