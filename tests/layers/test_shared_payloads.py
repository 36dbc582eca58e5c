"""Traces that others published, where a folder of them lies beside the repository: Zipkin's own links, pair by pair.

Everything these show is also shown by situations of our own; real traces only show that nothing was overlooked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.layers.linker import link
from bot.layers.trace import TraceLayer
from bot.model import UNATTRIBUTED
from bot.telemetry import otlp, zipkin
from bot.telemetry.spans import CLIENT, SERVER, SpanBatch
from tests.layers.traces import Counted, counted

INGEST = Path(__file__).parents[3] / "shared" / "payloads" / "ingest"
NOW = 1_790_000_000.0

pytestmark = pytest.mark.skipif(not INGEST.is_dir(), reason=f"no published traces in {INGEST.parents[1].name}/")


def files(folder: str) -> list[Path]:
    return sorted(path for path in (INGEST / folder).glob("*.json") if path.stem != "EXPECTED_LINKS")


def links(batch: SpanBatch) -> Counted:
    return counted(made for trace, spans in batch.traces.items() for made in link(spans, trace in batch.tangled))


def read_zipkin(path: Path) -> SpanBatch:
    body = path.read_bytes()
    return zipkin.decode(body if body.lstrip().startswith(b"[") else b"[" + body + b"]", NOW, None)


@pytest.mark.parametrize("path", files("zipkin_v2"), ids=lambda path: path.stem)
def test_zipkin_traces_link_as_zipkin_links_them(path: Path) -> None:
    expected = json.loads((INGEST / "zipkin_v2" / "EXPECTED_LINKS.json").read_text())
    batch = read_zipkin(path)
    found = links(batch)

    assert (batch.rejected, batch.duplicates) == (0, 0)
    if path.name in expected:
        assert sorted([*pair, *numbers] for pair, numbers in found.items()) == sorted(expected[path.name])
    else:
        assert found, "a trace nobody has counted links all the same"


@pytest.mark.parametrize("path", files("zipkin_v2"), ids=lambda path: path.stem)
@pytest.mark.parametrize("pieces", [2, 7])
def test_it_makes_no_difference_in_how_many_batches_a_trace_comes(path: Path, pieces: int) -> None:
    body = json.loads(path.read_text())
    spans = body if isinstance(body, list) else [body]
    layer = TraceLayer(settle=1, lifetime=1_000)
    total: dict[tuple[str, str], float] = {}
    for piece in range(pieces):
        layer.add(zipkin.decode(json.dumps(spans[piece::pieces]).encode(), NOW, None), NOW + 10 * piece)
        for edges in layer.collect(NOW + 10 * piece + 5).windows.values():
            for edge, tally in edges.items():
                total[edge] = total.get(edge, 0) + tally.calls

    whole = {pair: float(calls) for pair, (calls, _) in links(read_zipkin(path)).items()}
    assert {edge: calls for edge, calls in total.items() if calls and edge[0][0] != "("} == whole


def jaeger_spans(body: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """(span, service) of what Jaeger's query API answers with, and of the array its anonymizer writes."""
    traces = body["data"] if isinstance(body, dict) else [{"spans": body}]
    for trace in traces:
        for span in trace["spans"]:
            process = span.get("process") or trace["processes"][span["processID"]]
            yield span, process["serviceName"]


def as_zipkin(spans: Iterable[tuple[dict[str, Any], str]]) -> bytes:
    """Jaeger's spans as Zipkin's: the span.kind and error tags, the first reference as parent."""
    made = []
    for span, service in spans:
        tags = {tag["key"]: tag["value"] for tag in span.get("tags") or ()}
        parent = [reference["spanID"] for reference in span.get("references") or ()][:1]
        made.append(
            {
                "traceId": _hex(span["traceID"]), "id": _hex(span["spanID"]), "parentId": _hex(*parent) if parent else None,
                "kind": {"client": "CLIENT", "server": "SERVER"}.get(tags.get("span.kind", "")),
                "timestamp": span["startTime"] or None, "duration": span["duration"],
                "localEndpoint": {"serviceName": service},
                "remoteEndpoint": {"serviceName": tags["peer.service"]} if "peer.service" in tags else None,
                "tags": {"error": ""} if str(tags.get("error", "")).lower() == "true" else {},
            }
        )  # fmt: skip
    for span in made:  # CRISP's traces start at the epoch
        span["timestamp"] = span["timestamp"] if (span["timestamp"] or 0) > 1e15 else None
    return json.dumps(made).encode()


def _hex(text: str) -> str:
    """An id as it is, or made one: CRISP's are letters of the alphabet."""
    return text if len(text) >= 16 else text.encode().hex()


def jaeger_files() -> list[Path]:
    """Those in the shape of the query API; the others are Jaeger's internal ones, which no sender posts."""
    return [path for path in files("jaeger") if "raceID" in path.read_text()]


@pytest.mark.parametrize("path", jaeger_files(), ids=lambda path: path.stem)
def test_jaeger_traces_decode_and_link(path: Path) -> None:
    spans = list(jaeger_spans(json.loads(path.read_text())))
    batch = zipkin.decode(as_zipkin(spans), NOW, None)

    assert (batch.accepted, batch.rejected) == (len(spans), 0)
    assert {name for pair in links(batch) for name in pair} <= set(batch.nodes)
    if path.name.startswith("crisp"):
        assert links(batch) == {}, "spans of no kind that name no peer are local, whoever reports them"


def test_a_jaeger_client_below_a_server_shows_the_call_between_them() -> None:
    path = INGEST / "jaeger" / "trace_success.json"
    batch = zipkin.decode(as_zipkin(jaeger_spans(json.loads(path.read_text()))), NOW, None)

    assert links(batch) == {("16af988c443cff37", "3c220036602f839e"): (1, 0)}


def test_jaegers_own_conversion_of_a_trace_links_like_the_otlp_it_was_made_from() -> None:
    before = otlp.decode_json((INGEST / "jaeger" / "otlp2jaeger-in.json").read_bytes(), NOW, None)
    after = json.loads((INGEST / "jaeger" / "otlp2jaeger-out.json").read_text())

    assert links(before) == links(zipkin.decode(as_zipkin(jaeger_spans(after)), NOW, None))
    assert links(before), "the server names its caller"


def test_the_example_of_the_otlp_specification_is_a_server_whose_caller_is_not_there() -> None:
    batch = otlp.decode_json((INGEST / "otlp" / "trace.json").read_bytes(), NOW, None)
    [spans] = batch.traces.values()

    assert (batch.accepted, batch.rejected) == (1, 0)
    assert [(made[:2], made[3]) for made in link(spans)] == [((UNATTRIBUTED, "my.service"), False)]


@pytest.mark.parametrize("name", ["metrics.json", "logs.json"])
def test_other_signals_posted_to_the_wrong_door_hold_no_spans(name: str) -> None:
    assert otlp.decode_json((INGEST / "otlp" / name).read_bytes(), NOW, None).accepted == 0


def test_the_big_trace_has_clients_and_servers_under_one_id() -> None:
    batch = read_zipkin(INGEST / "zipkin_v2" / "smartthings-mobile-web-install.json")
    [spans] = batch.traces.values()
    shared = [key for key in spans if isinstance(key, tuple)]

    assert (len(spans), len(shared)) == (1_041, 378)
    assert {span[1] for span in spans.values()} == {0, CLIENT, SERVER}
