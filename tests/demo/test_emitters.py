"""Each emitter leaves out what its layer does not see, and nothing else."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bot.demo import flows, metrics
from bot.demo.shop import BROKEN, SERVICES, Call, How, Shop, every
from bot.demo.traces import ONE_IN, Tracing
from bot.telemetry import sampling

SINCE, BROKE, UNTIL = 1_800_000_000.0, 1_800_000_240.0, 1_800_000_480.0


@pytest.fixture(scope="module")
def requests() -> list[Call]:
    return Shop(BROKE).requests(SINCE, UNTIL)


def edges(calls: list[Call], *kinds: How) -> Counter[tuple[str, str]]:
    return Counter((one.caller, one.callee) for one in every(calls) if one.how in kinds)


def test_the_same_moment_is_the_same_story(requests: list[Call]) -> None:
    assert Shop(BROKE).requests(SINCE, UNTIL) == requests
    assert all(SINCE <= one.start < UNTIL for one in requests)


def test_the_incident_climbs_from_the_database_to_checkout_and_stops_at_the_apology(requests: list[Call]) -> None:
    failed = {(one.caller, one.callee) for one in every(requests) if one.failed}

    assert failed == {
        ("payments", BROKEN), ("ledger", BROKEN), ("checkout", "payments"), ("invoices", "payments"), ("web", "checkout"),
        ("", "invoices"), ("", "ledger"),
    }  # fmt: skip
    assert min(one.start for one in every(requests) if one.failed and one.callee == BROKEN) >= BROKE


def test_traces_are_sampled_consistently_and_say_so(requests: list[Call]) -> None:
    body = Tracing().otlp(requests)
    spans = [span for resource in body.resource_spans for scope in resource.scope_spans for span in scope.spans]
    traced = {span.trace_id for span in spans}
    begun = sum(one.callee not in ("tills", "ledger") for one in requests)

    assert {sampling.weight(span.trace_state.encode()) for span in spans} == {ONE_IN}
    assert begun / ONE_IN * 0.8 < len(traced) < begun / ONE_IN * 1.2
    assert all(sum(span.trace_id == one and not span.parent_span_id for span in spans) == 1 for one in traced)


def test_traces_come_from_services_that_send_spans(requests: list[Call]) -> None:
    body = Tracing().otlp(requests)
    senders = {resource.resource.attributes[0].value.string_value for resource in body.resource_spans}

    assert senders == {"web", "checkout", "payments", "cart", "search", "invoices", "shipping"}
    assert {name for name, service in SERVICES.items() if service.spans} == senders


def test_only_users_come_in_from_outside(requests: list[Call]) -> None:
    roots = {
        (resource.resource.attributes[0].value.string_value, span.kind)
        for resource in Tracing().otlp(requests).resource_spans
        for span in resource.scope_spans[0].spans
        if not span.parent_span_id
    }

    assert roots == {("web", Span.SPAN_KIND_SERVER), ("invoices", Span.SPAN_KIND_INTERNAL)}


def test_the_older_corner_reports_both_ends_under_one_id(requests: list[Call]) -> None:
    spans = Tracing().zipkin(requests)
    calls = edges(requests, How.ZIPKIN)

    assert calls == {("search", "search-index"): len(spans) // 2}
    assert set(Counter(span["id"] for span in spans).values()) == {2}


def test_metrics_count_every_http_call_of_who_counts(requests: list[Call]) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    for resource in metrics.otlp(requests, SINCE, UNTIL).resource_metrics:
        caller = resource.resource.attributes[0].value.string_value
        for point in resource.scope_metrics[0].metrics[0].histogram.data_points:
            callee = next(one.value.string_value for one in point.attributes if one.key == "server.address")
            assert sum(point.bucket_counts) == point.count
            counted[caller, callee] += point.count
    wanted = edges(requests, How.RPC, How.EXTERNAL)

    assert counted == {edge: count for edge, count in wanted.items() if SERVICES[edge[0]].metrics}
    assert ("fraud", "fraud-rules") in counted
    assert ("payments", BROKEN) not in counted


def test_every_address_in_the_flow_log_has_an_owner_and_both_legs_pass_the_balancer(requests: list[Call]) -> None:
    known = [json.loads(line) for line in flows.identities(SINCE).splitlines()]
    owners = {one["ip"]: one["service"] for one in known if "service" in one}
    legs = Counter((owners[one["src_ip"]], owners[one["dst_ip"]]) for one in flows.FlowLog().records(requests))

    assert len(owners) == sum("service" in one for one in known), "an address has two owners"
    assert {callee for caller, callee in legs if caller == flows.BALANCER} == {flows.BALANCED}
    assert {caller for caller, callee in legs if callee == flows.BALANCER} == {"checkout", "invoices", "tills"}
    assert not [caller for caller, callee in legs if callee == flows.BALANCED and caller != flows.BALANCER]
    through = sum(count for (_, callee), count in legs.items() if callee == flows.BALANCER)
    assert through == legs[flows.BALANCER, flows.BALANCED]


def test_the_network_sees_more_connections_and_fewer_bytes_once_nobody_answers(requests: list[Call]) -> None:
    port = SERVICES[BROKEN].port
    found = [one for one in flows.FlowLog().records(requests) if one["dst_port"] == port]
    before = [one["bytes"] for one in found if one["start"] < BROKE]
    after = [one["bytes"] for one in found if one["start"] >= BROKE]

    assert len(after) > 2 * len(before) > 0
    assert sum(after) < sum(before) / 2


def test_a_moment_in_which_nothing_happened_makes_bodies_that_say_nothing() -> None:
    assert Shop(BROKE).requests(SINCE, SINCE) == []
    assert flows.ndjson(flows.FlowLog().records([])) == b""
    assert not metrics.otlp([], SINCE, UNTIL).resource_metrics
