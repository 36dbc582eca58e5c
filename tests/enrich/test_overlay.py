"""One trace over the map, in each of the formats people have traces in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.enrich.overlay import linked, overlay
from bot.errors import BadRequest
from bot.telemetry import trace_file
from tests.kit.maps import NOW, MapMaker

START = int(NOW) * 1_000_000
ZIPKIN = [
    {"traceId": "a1", "id": "1", "kind": "SERVER", "timestamp": START, "duration": 90_000, "localEndpoint": {"serviceName": "web"}},
    {"traceId": "a1", "id": "2", "parentId": "1", "kind": "CLIENT", "timestamp": START, "duration": 80_000,
     "localEndpoint": {"serviceName": "web"}, "remoteEndpoint": {"serviceName": "cart"}, "tags": {"error": "500"}},
    {"traceId": "a1", "id": "3", "parentId": "1", "kind": "CLIENT", "timestamp": START, "duration": 2_000,
     "localEndpoint": {"serviceName": "web"}, "remoteEndpoint": {"serviceName": "ledger"}},
]  # fmt: skip


def jaeger(*, kinds: bool) -> dict[str, Any]:
    def span(number: str, parent: str, process: str, kind: str, microseconds: int, **tags: object) -> dict[str, Any]:
        given = [{"key": key, "value": value} for key, value in tags.items()]
        return {
            "traceID": "a1", "spanID": number, "processID": process, "startTime": START, "duration": microseconds,
            "references": [{"refType": "CHILD_OF", "traceID": "a1", "spanID": parent}] if parent else [],
            "tags": given + ([{"key": "span.kind", "value": kind}] if kinds else []),
        }  # fmt: skip

    spans = [span("1", "", "p1", "server", 90_000), span("2", "1", "p2", "server", 80_000, error=True)]
    processes = {"p1": {"serviceName": "web"}, "p2": {"serviceName": "cart"}}
    return {"data": [{"traceID": "a1", "processes": processes, "spans": spans}]}


def laid_over(document: object) -> dict[str, Any]:
    view = MapMaker("web>cart").view
    batch = trace_file.decode(json.dumps(document).encode(), NOW)
    return overlay(view, batch, linked(batch), NOW)


def test_each_call_is_shown_beside_what_the_map_knows_of_it() -> None:
    answer = laid_over(ZIPKIN)
    calls = {(item["caller"], item["callee"]): item for item in answer["items"]}
    known, new = calls["web", "cart"], calls["web", "ledger"]

    assert (known["calls"], known["errors"], known["duration_ms"], known["slower"]) == (1, 1, 80.0, True)
    assert known["edge"]["layers"]["trace"]["calls"] == 10
    assert (new["edge"], new["usual_p95_ms"], new["slower"]) == (None, None, False)
    assert answer["new"] == 2  # what came in from outside is no edge of the map either


@pytest.mark.parametrize("kinds", [True, False])
def test_a_trace_as_jaegers_page_downloads_it_needs_no_span_kinds(kinds: bool) -> None:
    calls = {(item["caller"], item["callee"]): item for item in laid_over(jaeger(kinds=kinds))["items"]}
    assert calls["web", "cart"]["errors"] == 1
    assert calls["web", "cart"]["duration_ms"] == 80.0


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"{}", b'{"data": [5]}', b'{"data": [{"spans": [{}]}]}', b"5", b"\xff"]
)
def test_what_is_no_trace_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        trace_file.decode(body, NOW)
