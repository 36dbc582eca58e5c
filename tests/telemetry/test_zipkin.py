"""The Zipkin door: what it takes, what it puts right, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.errors import BadRequest
from bot.layers.linker import link
from bot.model import Kind
from bot.telemetry import zipkin
from bot.telemetry.spans import DURATION, ENDPOINT, FAILED, KIND, LOCAL, PARENT, PEER, SERVICE, START, SpanBatch
from tests.telemetry.bodies import NOW

MICROS = int(NOW * 1e6)
SPAN: dict[str, Any] = {
    "traceId": "4d1e00c0db9010db86154a4ba6e91385",
    "id": "4d1e00c0db9010db",
    "kind": "CLIENT",
    "timestamp": MICROS,
    "duration": 207_000,
    "localEndpoint": {"serviceName": "frontend", "ipv6": "2001:db8::c001"},
    "remoteEndpoint": {"serviceName": "backend", "ipv4": "192.168.99.101", "port": 9000},
}


def decode(*spans: Any, oldest: float | None = 30 * 86_400.0) -> SpanBatch:
    return zipkin.decode(json.dumps(spans).encode(), NOW, oldest)


def changed(**fields: Any) -> dict[str, Any]:
    """The usual span with some fields changed, and those that are ... left out."""
    return {key: value for key, value in {**SPAN, **fields}.items() if value is not ...}


def test_a_span_is_reduced_to_what_linking_needs() -> None:
    batch = decode(changed(parentId="86154a4ba6e91385", tags={"error": "", "http.path": "/"}))

    [(trace_id, spans)] = batch.traces.items()
    assert trace_id == bytes.fromhex(SPAN["traceId"])
    assert spans == {
        bytes.fromhex(SPAN["id"]): (
            bytes.fromhex("86154a4ba6e91385"), 3, "frontend", "backend", True, MICROS * 1000, 207_000_000, 1.0,
            ("frontend", "", "2001:db8::c001", 0), 0,
        )
    }  # fmt: skip
    assert batch.tangled == {trace_id}


def test_an_empty_array_is_fine() -> None:
    assert decode().accepted == 0


@pytest.mark.parametrize(
    ("text", "padded"),
    [("a", "0" * 31 + "a"), ("86154a4ba6e91385", "0" * 16 + "86154a4ba6e91385"), ("F" * 32, "f" * 32), ("b" * 20, "0" * 12 + "b" * 20)],
)  # fmt: skip
def test_trace_ids_are_padded_to_128_bits(text: str, padded: str) -> None:
    assert list(decode(changed(traceId=text)).traces) == [bytes.fromhex(padded)]


def test_span_ids_are_padded_to_64_bits() -> None:
    [spans] = decode(changed(id="b", parentId="0a")).traces.values()

    assert {span_id: span[PARENT] for span_id, span in spans.items()} == {bytes(7) + b"\x0b": bytes(7) + b"\x0a"}


@pytest.mark.parametrize("parent", [None, ..., "", "0", "0" * 16, SPAN["id"], SPAN["id"].upper()])
def test_no_parent_a_zero_parent_and_itself_as_parent_are_no_parent(parent: Any) -> None:
    assert [span[PARENT] for span in decode(changed(parentId=parent)).spans] == [b""]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": ""}, "trace id"),
        ({"traceId": "0" * 32}, "trace id"),
        ({"traceId": "a" * 33}, "trace id"),
        ({"traceId": "xyz"}, "trace id"),
        ({"id": ""}, "span id"),
        ({"id": "0"}, "span id"),
        ({"id": "1" * 17}, "span id"),
        ({"id": "12 45678 0abcdef"}, "span id"),
        ({"parentId": "not hex!"}, "parent id"),
        ({"parentId": "1" * 17}, "parent id"),
        ({"timestamp": 1}, "clock"),
        ({"timestamp": -5}, "clock"),
        ({"timestamp": MICROS + 90_000_000_000}, "clock"),
        ({"timestamp": MICROS - 31 * 86_400_000_000}, "clock"),
        ({"traceId": ...}, "malformed"),
        ({"id": ...}, "malformed"),
        ({"id": 5}, "malformed"),
        ({"kind": "BOTH"}, "malformed"),
        ({"timestamp": "soon"}, "malformed"),
        ({"localEndpoint": "frontend"}, "malformed"),
        ({"localEndpoint": {"serviceName": 5}}, "malformed"),
        ({"shared": "yes"}, "malformed"),
    ],
)
def test_a_bad_span_costs_itself_and_no_other(fields: dict[str, Any], reason: str) -> None:
    batch = decode(changed(id="a"), changed(**fields), changed(id="b"))

    assert (batch.accepted, dict(batch.reasons)) == (2, {reason: 1})
    assert batch.errors[0].startswith(f"{reason}: span ")


@pytest.mark.parametrize("entry", [1, None, "span", []])
def test_an_entry_that_is_no_span_is_rejected(entry: Any) -> None:
    assert (decode(entry, SPAN).accepted, dict(decode(entry).reasons)) == (1, {"malformed": 1})


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[{]", b"\xff", b'[{"id": 5}]' * 2, b"[" * 100_000, b"[" + b"[" * 100_000 + b"]" * 100_001]
)  # fmt: skip
def test_what_is_no_array_of_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not a JSON array of Zipkin v2 spans"):
        zipkin.decode(body, NOW)


def test_old_spans_are_taken_where_the_caller_says_any_age_will_do() -> None:
    old = changed(timestamp=1_472_470_996_199_000)

    assert decode(old).accepted == 0
    assert decode(old, oldest=None).accepted == 1


@pytest.mark.parametrize("missing", [..., None, 0])
def test_a_missing_time_is_now_and_a_missing_duration_is_not_known(missing: Any) -> None:
    [span] = decode(changed(timestamp=missing, duration=missing)).spans

    assert (span[START], span[DURATION]) == (int(NOW * 1e9), 0)


def test_names_are_lower_cased_and_otherwise_left_alone() -> None:
    local, remote = {"serviceName": "Yelp_Main/API_proxy"}, {"serviceName": "MySQL"}
    [span] = decode(changed(localEndpoint=local, remoteEndpoint=remote)).spans

    assert (span[SERVICE], span[PEER]) == ("yelp_main/api_proxy", "mysql")


@pytest.mark.parametrize("endpoint", [..., None, {}, {"serviceName": ""}, {"serviceName": None}, {"ipv4": "1.2.3.4"}])
def test_an_endpoint_without_a_name_is_nobody(endpoint: Any) -> None:
    batch = decode(changed(localEndpoint=endpoint, remoteEndpoint=endpoint))

    assert [(span[SERVICE], span[PEER]) for span in batch.spans] == [(None, None)]
    assert batch.nodes == {}


def test_a_span_of_no_kind_is_local_and_keeps_what_it_names() -> None:
    for kind in (..., None):
        [span] = decode(changed(kind=kind)).spans
        assert (span[KIND], span[SERVICE], span[PEER]) == (LOCAL, "frontend", "backend")


@pytest.mark.parametrize(("tags", "failed"), [(..., False), ({}, False), ({"error": ""}, True), ({"error": "false"}, True),
                                              ({"errors": "1"}, False), ({"http.path": "error"}, False)])  # fmt: skip
def test_the_tag_error_marks_a_failed_span_whatever_it_says(tags: Any, failed: bool) -> None:
    annotations = [{"timestamp": MICROS, "value": "error"}]

    assert [span[FAILED] for span in decode(changed(tags=tags, annotations=annotations)).spans] == [failed]


def test_who_is_messaged_through_is_a_queue_and_who_is_called_is_a_service() -> None:
    batch = decode(changed(kind="PRODUCER", remoteEndpoint={"serviceName": "rabbitmq"}), changed(id="a"))

    assert {node.id: node.kind for node in batch.nodes.values()} == {
        "frontend": Kind.SERVICE,
        "rabbitmq": Kind.QUEUE,
        "backend": Kind.SERVICE,
    }


def test_a_span_twice_in_a_body_counts_once() -> None:
    batch = decode(SPAN, SPAN, dict(reversed(SPAN.items())))

    assert (batch.accepted, batch.duplicates, len(batch.spans)) == (3, 2, 1)


def test_a_client_and_its_server_with_one_id_are_linked() -> None:
    server = changed(kind="SERVER", shared=True, localEndpoint={"serviceName": "app"}, remoteEndpoint=...)
    batch = decode(server, SPAN, server)
    [spans] = batch.traces.values()

    assert batch.duplicates == 1
    assert [(caller, callee) for caller, callee, *_ in link(spans)] == [("frontend", "app")]


def test_endpoints_are_told_apart_by_address_and_port() -> None:
    endpoints = [{"serviceName": "App", "ipv4": "10.0.0.1"}, {"serviceName": "app", "ipv4": "10.0.0.1", "port": 80}]
    batch = decode(*(changed(id=str(number + 1), localEndpoint=one) for number, one in enumerate(endpoints)))

    assert [span[ENDPOINT] for span in batch.spans] == [("app", "10.0.0.1", "", 0), ("app", "10.0.0.1", "", 80)]


def test_hostile_names_are_bounded_and_harmless() -> None:
    hostile = ["x" * 10_000, "a\x00b\x1f", "<!channel>", "(entry)", "web@prod", "\ud83d"]
    batch = zipkin.decode(
        json.dumps(
            [changed(id=str(number + 1), localEndpoint={"serviceName": one}) for number, one in enumerate(hostile[:-1])]
        ).encode(),
        NOW,
    )

    assert batch.accepted == 5
    for span in batch.spans:
        assert span[SERVICE] is not None
        assert 0 < len(span[SERVICE]) <= 200
        assert span[SERVICE].isprintable()
        assert not set(span[SERVICE]) & set("()@")
