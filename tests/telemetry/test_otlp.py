"""The OTLP door, in both encodings: what it takes, what it refuses, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from google.protobuf.internal import api_implementation
from google.rpc.status_pb2 import Status as RpcStatus  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bot.errors import BadRequest, ConfigError
from bot.telemetry import otlp
from bot.telemetry.otlp_schema import require_upb
from bot.telemetry.spans import CLIENT, DURATION, FAILED, KIND, LOCAL, PEER, SERVER, SERVICE, START, WEIGHT, SpanBatch
from tests.telemetry.bodies import NOW, TRACE, Sent, as_otlp_json, attributes, otlp_json, protobuf, request

Door = Callable[..., SpanBatch]
ENCODINGS = {"protobuf": (protobuf, otlp.decode_protobuf), "json": (otlp_json, otlp.decode_json)}
DAY = 86_400.0


@pytest.fixture(params=ENCODINGS)
def read(request: pytest.FixtureRequest) -> Door:
    """Encodes spans the one way or the other and gives them to the door."""
    encode, decode = ENCODINGS[request.param]

    def through(
        spans: list[Sent], resource: dict[str, str] | None = None, oldest: float | None = 30 * DAY
    ) -> SpanBatch:
        return decode(encode(spans, resource), NOW, oldest)

    return through


@pytest.fixture(params=ENCODINGS)
def read_request(request: pytest.FixtureRequest) -> Callable[[ExportTraceServiceRequest], SpanBatch]:
    """The same for a request that no well-behaved sender would make."""
    if request.param == "json":
        return lambda found: otlp.decode_json(as_otlp_json(found), NOW)
    return lambda found: otlp.decode_protobuf(found.SerializeToString(), NOW)


def test_a_span_is_reduced_to_what_linking_needs(read: Door) -> None:
    batch = read([Sent("b", "CLIENT", "web", "a", peer="cart", failed=True, start=NOW - 5, duration=0.25)])

    [(trace_id, spans)] = batch.traces.items()
    [(span_id, span)] = spans.items()
    start = int((NOW - 5) * 1e9)
    assert (trace_id, span_id) == (TRACE, b"\x01" * 7 + b"b")
    assert span == (b"\x01" * 7 + b"a", CLIENT, "web", "cart", True, start, 250_000_000, 1.0, None, 0)
    assert batch.accepted == 1


def test_an_empty_request_is_fine() -> None:
    for batch in (otlp.decode_protobuf(b"", NOW), otlp.decode_json(b"{}", NOW)):
        assert (batch.accepted, batch.rejected, batch.traces, batch.nodes) == (0, 0, {}, {})


def test_resources_without_spans_and_spans_without_a_resource_are_fine() -> None:
    found = ExportTraceServiceRequest()
    found.resource_spans.add()
    span = found.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE, span_id=b"12345678")
    span.start_time_unix_nano = span.end_time_unix_nano = int(NOW * 1e9)

    for batch in (
        otlp.decode_protobuf(found.SerializeToString(), NOW),
        otlp.decode_json(as_otlp_json(found), NOW),
        otlp.decode_json(as_otlp_json(found).replace(b'"scopeSpans"', b'"resource": null, "scopeSpans"'), NOW),
    ):
        assert [span[SERVICE] for span in batch.spans] == [None]


@pytest.mark.parametrize(
    ("resource", "service"),
    [
        ({}, "web"),
        ({"service.namespace": "shop"}, "web.shop"),
        ({"deployment.environment.name": "Prod"}, "web@prod"),
        ({"deployment.environment": "prod", "service.namespace": "shop"}, "web.shop@prod"),
        ({"service.name": ""}, None),
        ({"service.name": "unknown_service:java"}, None),
        ({"service.name": "\u0000\u001f"}, None),
    ],
)
def test_the_resource_says_who_reports(read: Door, resource: dict[str, str], service: str | None) -> None:
    batch = read([Sent("a", "SERVER", "Web")], resource)

    assert [span[SERVICE] for span in batch.spans] == [service]
    assert set(batch.nodes) == ({service} if service else set())


def test_a_name_of_ten_kilobytes_is_bounded_and_two_such_stay_two(read: Door) -> None:
    batch = read([Sent("a", "SERVER", "x" * 10_000), Sent("b", "SERVER", "x" * 10_001)])

    assert len(batch.nodes) == 2
    assert all(len(service) <= 200 for service in batch.nodes)


def test_every_id_a_span_mentions_is_described(read: Door) -> None:
    batch = read([Sent("a", "CLIENT", "web", peer="cart"), Sent("b", "SERVER", "cart", "a")])

    assert {node.id: node.name for node in batch.nodes.values()} == {"web": "web", "cart": "cart"}


def test_internal_spans_are_local_and_name_nobody(read: Door) -> None:
    [span] = read([Sent("b", "INTERNAL", "web", "a", peer="cart", failed=True)]).spans

    assert (span[KIND], span[SERVICE], span[PEER]) == (LOCAL, "web", None)


def test_a_span_of_no_kind_may_name_a_service(read: Door) -> None:
    [span] = read([Sent("b", "UNSPECIFIED", "web", "a", peer="cart", attributes={"server.address": "db"})]).spans

    assert (span[KIND], span[PEER]) == (LOCAL, "cart")


def test_a_kind_of_the_future_is_local(
    read_request: Callable[[ExportTraceServiceRequest], SpanBatch],
) -> None:
    found = request([Sent("a", "CLIENT", "web", peer="cart")])
    found.resource_spans[0].scope_spans[0].spans[0].kind = 77  # type: ignore[assignment]

    assert [span[KIND] for span in read_request(found).spans] == [LOCAL]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.25, 250_000_000), (0, 1), (-3, -3_000_000_000), (40 * DAY, int(40 * DAY * 1e9))],
    ids=["usual", "less than the clock can tell", "ended before it began", "absurd"],
)
def test_durations_are_taken_as_they_are(read: Door, seconds: float, expected: int) -> None:
    assert [span[DURATION] for span in read([Sent("a", "SERVER", "web", duration=seconds)]).spans] == [expected]


@pytest.mark.parametrize(
    ("age", "reason"),
    [(0, ""), (29 * DAY, ""), (31 * DAY, "clock"), (-0.9 * DAY, ""), (-1.1 * DAY, "clock"), (NOW, "clock")],
)
def test_a_start_no_clock_should_show_is_refused(read: Door, age: float, reason: str) -> None:
    batch = read([Sent("a", "SERVER", "web", start=NOW - age), Sent("b", "SERVER", "web")])

    assert batch.accepted == 1 + (not reason)
    assert dict(batch.reasons) == ({reason: 1} if reason else {})
    assert [error.startswith("clock: span ") for error in batch.errors] == [True] * bool(reason)


def test_old_spans_are_taken_where_the_caller_says_any_age_will_do(read: Door) -> None:
    spans = [Sent("a", "SERVER", "web", start=NOW - 10 * 365 * DAY), Sent("b", "SERVER", "web", start=0)]
    batch = read(spans, oldest=None)

    assert (batch.accepted, dict(batch.reasons)) == (1, {"clock": 1})


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("trace_id", b"", "trace id"),
        ("trace_id", b"123", "trace id"),
        ("trace_id", bytes(16), "trace id"),
        ("trace_id", b"1" * 17, "trace id"),
        ("span_id", b"", "span id"),
        ("span_id", b"1234567", "span id"),
        ("span_id", bytes(8), "span id"),
        ("span_id", b"1" * 9, "span id"),
        ("parent_span_id", b"1234567", "parent id"),
        ("parent_span_id", b"1" * 16, "parent id"),
    ],
)
def test_a_bad_id_costs_its_span_and_no_other(
    read_request: Callable[[ExportTraceServiceRequest], SpanBatch], field: str, value: bytes, reason: str
) -> None:
    found = request([Sent("a", "SERVER", "web"), Sent("b", "SERVER", "web"), Sent("c", "SERVER", "web")])
    setattr(found.resource_spans[0].scope_spans[0].spans[1], field, value)
    batch = read_request(found)

    assert (batch.accepted, dict(batch.reasons)) == (2, {reason: 1})
    assert batch.errors[0].startswith(f"{reason}: span ")


def test_only_the_first_hundred_errors_are_kept_and_every_one_counts(read: Door) -> None:
    batch = read([Sent(chr(40 + number), "SERVER", "web", start=0) for number in range(85)] * 2)

    assert (batch.rejected, len(batch.errors)) == (170, 100)
    assert all(len(error) <= 200 for error in batch.errors)


def test_a_span_twice_in_a_body_counts_once(read: Door) -> None:
    once = Sent("a", "SERVER", "web")
    batch = read([once, once, Sent("a", "SERVER", "web", duration=9.0)])

    assert (batch.accepted, batch.duplicates, len(batch.spans)) == (3, 2, 1)
    assert not batch.tangled


def test_a_client_and_a_server_may_share_an_id(read: Door) -> None:
    batch = read([Sent("a", "CLIENT", "web"), Sent("a", "SERVER", "cart"), Sent("a", "SERVER", "cart")])

    assert sorted(span[KIND] for span in batch.spans) == [SERVER, CLIENT]
    assert (batch.tangled, batch.duplicates) == ({TRACE}, 1)


@pytest.mark.parametrize(
    ("tracestate", "weight"), [("", 1.0), ("ot=th:c", 4.0), ("vendor=1,ot=rv:abc;th:8", 2.0), ("ot=th:zz", 1.0)]
)
def test_a_sampled_span_stands_for_several_calls(read: Door, tracestate: str, weight: float) -> None:
    assert [span[WEIGHT] for span in read([Sent("a", "SERVER", "web", tracestate=tracestate)]).spans] == [weight]


@pytest.mark.parametrize(
    ("given", "peer"),
    [
        ({"service.peer.name": "Cart", "peer.service": "old"}, "cart@prod"),
        ({"service.peer.name": "cart", "service.peer.namespace": "shop"}, "cart.shop@prod"),
        ({"peer.service": "cart", "server.address": "10.0.0.1"}, "cart@prod"),
        ({"server.address": "cart"}, "cart@prod"),
        ({"server.address": "cart.shop.svc.cluster.local"}, "cart.shop@prod"),
        ({"net.peer.name": "cart"}, "cart@prod"),
        ({"server.address": "api.example.com", "url.full": "https://other.example.com/"}, "api.example.com"),
        ({"url.full": "https://user:secret@api.example.com:8443/v1?x=http://no"}, "api.example.com"),
        ({"http.url": "http://cart:8080/add"}, "cart@prod"),
        ({"url.full": "not a url"}, None),
        ({"server.address": "localhost"}, None),
        ({"server.address": "10.1.2.3"}, None),
        ({"http.request.method": "GET", "http.response.status_code": 200}, None),
        ({"db.system.name": "postgresql", "server.address": "orders-db", "db.namespace": "orders"}, "orders-db@prod"),
        ({"db.system": "mysql", "net.peer.name": "orders-db", "db.name": "orders"}, "orders-db@prod"),
        ({"db.system.name": "postgresql", "db.namespace": "orders"}, "orders.postgresql@prod"),
        ({"db.system.name": "redis"}, "redis@prod"),
        ({"db.system.name": "redis", "server.address": "localhost", "db.namespace": "0"}, "0.redis@prod"),
        ({"messaging.system": "kafka", "messaging.destination.name": "paid"}, "paid.kafka@prod"),
        ({"messaging.system": "kafka"}, "kafka@prod"),
        ({"server.address": 5, "peer.service": True}, None),
    ],
)
def test_a_client_names_its_peer(read: Door, given: dict[str, str | int | bool], peer: str | None) -> None:
    sent = [Sent("a", "CLIENT", "web", attributes=given), Sent("b", "CLIENT", "web", attributes=given)]
    batch = read(sent, {"deployment.environment.name": "prod"})

    assert [span[PEER] for span in batch.spans] == [peer, peer]
    assert set(batch.nodes) == {"web@prod"} | ({peer} if peer else set())


def test_peers_are_not_mixed_up_between_spans_services_and_environments(read: Door) -> None:
    spans = [
        Sent("a", "CLIENT", "web", attributes={"server.address": "db", "db.system.name": "mysql"}),
        Sent("b", "CLIENT", "web", attributes={"server.address": "db"}),
        Sent("c", "CLIENT", "web", attributes={"server.address": "db", "peer.service": "cart"}),
        Sent("d", "CLIENT", "cart", attributes={"server.address": "db2", "db.system.name": "mysql"}),
    ]

    assert [span[PEER] for span in read(spans, {"deployment.environment.name": "blue"}).spans] == [
        "db@blue", "db@blue", "cart@blue", "db2@blue",
    ]  # fmt: skip
    assert [span[PEER] for span in read(spans).spans] == ["db", "db", "cart", "db2"]


def test_a_servers_own_address_is_not_its_caller(read: Door) -> None:
    given = {"server.address": "web.example.com", "url.full": "https://web.example.com/"}
    batch = read([Sent("a", "SERVER", "web", attributes=given), Sent("b", "SERVER", "web", peer="proxy")])

    assert [span[PEER] for span in batch.spans] == [None, "proxy"]


@pytest.mark.parametrize("size", [500, 100_000])
def test_long_attributes_name_the_same_as_short_ones(read: Door, size: int) -> None:
    given = {"db.system.name": "postgresql", "server.address": "orders-db", "db.namespace": "n" * size}
    batch = read([Sent("a", "CLIENT", "web", attributes=given)], {"process.command_args": "x" * size})

    assert [(span[SERVICE], span[PEER]) for span in batch.spans] == [("web", "orders-db")]


def test_an_attribute_without_a_value_names_nobody(
    read_request: Callable[[ExportTraceServiceRequest], SpanBatch],
) -> None:
    found = request([Sent("a", "CLIENT", "web")])
    span = found.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.extend(attributes({"peer.service": None, "server.address": "cart"}))

    assert [span[PEER] for span in read_request(found).spans] == ["cart"]


def test_an_attribute_that_is_no_any_value_costs_nothing_but_itself() -> None:
    """A broken value is skipped, not the span: `\\xff` is no AnyValue."""
    span = Span(trace_id=TRACE, span_id=b"12345678", kind=Span.SPAN_KIND_CLIENT, start_time_unix_nano=int(NOW * 1e9))
    broken = span.SerializeToString() + b"\x4a\x11\x0a\x0cpeer.service\x12\x01\xff"
    body = b"\x0a" + bytes((len(broken) + 4,)) + b"\x12" + bytes((len(broken) + 2,)) + b"\x12" + bytes((len(broken),))

    assert [span[PEER] for span in otlp.decode_protobuf(body + broken, NOW).spans] == [None]


@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff\xff", b"\x0a\x05abc", b"{}", protobuf([Sent("a", "SERVER", "web")])[:-3]]
)
def test_bytes_that_are_no_protobuf_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not an ExportTraceServiceRequest in protobuf"):
        otlp.decode_protobuf(body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b'{"resourceSpans": 5}', b'{"resourceSpans": [{"scopeSpans": [{"spans": [1]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_SERVER"}]}]}]}',
        b'{"unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", protobuf([Sent("a", "SERVER", "web")]),
    ],
)  # fmt: skip
def test_bytes_that_are_no_otlp_json_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="not an ExportTraceServiceRequest in OTLP JSON"):
        otlp.decode_json(body, NOW)


def test_otlp_json_takes_ids_of_either_case_times_of_either_type_and_fields_it_does_not_know() -> None:
    nanos = int(NOW * 1e9)
    spans = [
        {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "kind": 3,
         "startTimeUnixNano": str(nanos), "endTimeUnixNano": nanos + 5, "futureField": {"a": [1]}},
        {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b175", "kind": 2, "parentSpanId": "eee19b7ec3c1b174",
         "startTimeUnixNano": nanos, "endTimeUnixNano": nanos, "status": None, "attributes": None, "traceState": None},
        {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b176", "startTimeUnixNano": "soon"},
        {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "ee 19b7ec3c1b17 ", "startTimeUnixNano": nanos},
        {"traceId": "zz", "spanId": "eee19b7ec3c1b176", "startTimeUnixNano": nanos},
    ]  # fmt: skip
    body = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}], "more": True}
    batch = otlp.decode_json(json.dumps(body).encode(), NOW)

    [spans_by_id] = batch.traces.values()
    assert list(spans_by_id) == [bytes.fromhex("eee19b7ec3c1b174"), bytes.fromhex("eee19b7ec3c1b175")]
    assert [span[START] for span in batch.spans] == [nanos, nanos]
    assert dict(batch.reasons) == {"clock": 1, "span id": 1, "trace id": 1}


def test_full_success_is_answered_with_an_empty_message() -> None:
    assert otlp.response(SpanBatch(), json=True) == b"{}"
    assert not ExportTraceServiceResponse.FromString(otlp.response(SpanBatch(), json=False)).HasField("partial_success")


def test_partial_success_says_how_many_and_why() -> None:
    batch = SpanBatch()
    for number in range(7):
        batch.reject("clock", f"span {number}")

    partial = ExportTraceServiceResponse.FromString(otlp.response(batch, json=False)).partial_success
    assert partial.rejected_spans == 7
    assert partial.error_message.startswith("clock: span 0; clock: span 1; ")
    assert partial.error_message.endswith("; and 2 more")
    assert json.loads(otlp.response(batch, json=True)) == {
        "partialSuccess": {"rejectedSpans": "7", "errorMessage": partial.error_message}
    }


def test_a_refusal_is_a_google_rpc_status() -> None:
    assert json.loads(otlp.status("no «good»", json=True)) == {"code": 3, "message": "no «good»"}
    status = RpcStatus.FromString(otlp.status("no «good»", json=False))
    assert (status.code, status.message) == (3, "no «good»")
    assert RpcStatus.FromString(otlp.status("full", json=False, code=14)).code == 14


def test_errors_are_marked_whether_or_not_they_have_a_message(
    read_request: Callable[[ExportTraceServiceRequest], SpanBatch],
) -> None:
    found = request([Sent(letter, "SERVER", "web") for letter in "abcd"])
    spans = found.resource_spans[0].scope_spans[0].spans
    spans[0].status.code = Status.STATUS_CODE_ERROR
    spans[1].status.code, spans[1].status.message = Status.STATUS_CODE_ERROR, "it broke"
    spans[2].status.code, spans[2].status.message = Status.STATUS_CODE_OK, "fine"

    assert [span[FAILED] for span in read_request(found).spans] == [True, True, False, False]


def test_the_fast_protobuf_core_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    require_upb()
    monkeypatch.setattr(api_implementation, "Type", lambda: "python")

    with pytest.raises(ConfigError, match="'python' backend"):
        require_upb()
