"""Hubble's flows: who called whom, who they are, and what is one connection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.errors import BadRequest
from bot.names import on_workload
from bot.telemetry.flow_faults import BAD_PORT, BAD_START
from bot.telemetry.flow_records import DENIED, NO_ADDRESS, PORTLESS, FlowOptions
from bot.telemetry.flows_hubble import NO_ENDS, NO_FLOW, NO_IP, NOT_FORWARDED, SAME_CONNECTION
from tests.telemetry.flow_bodies import START, decoded, hubble, lines, only, sent

PUBLISHED = Path(__file__).parents[3] / "shared" / "payloads" / "ingest" / "hubble"
SYN = {"SYN": True}
SYN_ACK = {"SYN": True, "ACK": True}


def read(*flows: object) -> dict[str, Any]:
    return sent(only(decoded("hubble", lines(*flows))))


def test_a_request_packet_becomes_a_record_from_the_client_with_both_workloads_named() -> None:
    assert read(hubble()) == {
        "start": START + 0.5, "end": START + 0.5, "src_ip": "10.0.1.5", "src_port": 41000, "dst_ip": "10.0.2.6",
        "dst_port": 8080, "proto": "tcp", "client": "src", "reporter": "src", "src_service": on_workload("web.shop", "web.shop"),
        "dst_service": "db.shop",
    }  # fmt: skip


def test_a_flow_without_its_wrapper_reads_the_same() -> None:
    assert read(hubble()["flow"]) == read(hubble())


def test_a_flow_without_a_time_has_no_start() -> None:
    flow = {key: value for key, value in hubble()["flow"].items() if key != "time"}

    assert decoded("hubble", lines(flow)).errors == [{"line": 1, "why": BAD_START}]


@pytest.mark.parametrize(
    ("reply", "direction", "client", "reporter"),
    [
        (False, "EGRESS", "src", "src"),
        (False, "INGRESS", "src", "dst"),
        (True, "EGRESS", "dst", "dst"),  # an answer as it arrives at the client's end
        (True, "INGRESS", "dst", "src"),  # an answer as it leaves the server's end
        (False, "TRAFFIC_DIRECTION_UNKNOWN", "src", None),
    ],
)
def test_the_direction_is_the_connections_and_says_at_whose_end_it_was_seen(
    reply: bool, direction: str, client: str, reporter: str | None
) -> None:
    record = read(hubble(is_reply=reply, traffic_direction=direction))

    assert (record["client"], record.get("reporter")) == (client, reporter)


@pytest.mark.parametrize(("flags", "client"), [(SYN, "src"), (SYN_ACK, "dst"), ({"ACK": True}, None), (None, None)])
def test_where_conntrack_was_not_asked_tcps_handshake_tells_who_called(flags: object, client: str | None) -> None:
    record = read(hubble(is_reply=None, traffic_direction=..., l4__TCP__flags=flags))

    assert (record.get("client"), record.get("reporter")) == (client, None)


@pytest.mark.parametrize(("reply", "client"), [({"reply": True}, "dst"), ({}, "src")])
def test_old_files_leave_reply_out_where_it_is_false(reply: dict[str, bool], client: str) -> None:
    assert read(hubble(is_reply=..., traffic_direction="INGRESS", **reply))["client"] == client


def test_null_is_unknown_even_where_a_direction_is_given() -> None:
    record = read(hubble(is_reply=None, traffic_direction="EGRESS"))

    assert "client" not in record
    assert "reporter" not in record


@pytest.mark.parametrize(("kind", "client"), [("REQUEST", "src"), ("RESPONSE", "dst")])
@pytest.mark.parametrize("layer7", ["http", "dns", "kafka"])
def test_a_request_comes_from_the_client_and_a_response_from_the_server(layer7: str, kind: str, client: str) -> None:
    assert read(hubble(is_reply=None, l7={"type": kind, layer7: {}}))["client"] == client


def test_layer_7_without_addresses_has_no_ends_to_draw_a_line_between() -> None:
    batch = decoded("hubble", lines(hubble(l7={"type": "REQUEST"}, IP=...), hubble(l7={"type": "REQUEST"}, l4=...)))

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {NO_ENDS: 2})


@pytest.mark.parametrize("verdict", ["FORWARDED", "REDIRECTED", "TRACED"])
def test_what_was_let_through_counts(verdict: str) -> None:
    assert decoded("hubble", lines(hubble(verdict=verdict))).accepted == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verdict": "DROPPED"}, DENIED),
        ({"verdict": "ERROR"}, DENIED),
        ({"verdict": "AUDIT"}, NOT_FORWARDED),
        ({"verdict": "TRANSLATED"}, NOT_FORWARDED),
        ({"verdict": ...}, NOT_FORWARDED),
        ({"IP": ...}, NO_IP),
        ({"l4": {"ICMPv4": {"type": 8}}}, PORTLESS),
        ({"l4": ...}, PORTLESS),
    ],
)
def test_what_says_nothing_about_calls_is_counted_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    batch = decoded("hubble", lines(hubble(**changes)))

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {reason: 1})


@pytest.mark.parametrize("event", ["lost_events", "node_status", "agent_event", "debug_event"])
def test_what_hubble_says_about_itself_is_no_flow(event: str) -> None:
    batch = decoded("hubble", lines({event: {"num_events_lost": "3"}, "node_name": "node-1"}, hubble()))

    assert (batch.accepted, batch.rejected, batch.ignored) == (1, 0, {NO_FLOW: 1})


# -- who the ends are ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "service"),
    [
        ({"namespace": "shop", "pod_name": "web-7d9f8b6c5d-x2x9z"}, "web.shop"),
        (
            {"namespace": "shop", "pod_name": "x-1", "workloads": [{"name": "Checkout"}], "cluster_name": "east"},
            on_workload("checkout.shop", "checkout.shop@east"),
        ),
        ({"namespace": "shop", "pod_name": "db-0", "workloads": []}, "db.shop"),
        ({"identity": 7, "labels": ["reserved:kube-apiserver", "reserved:remote-node"]}, "kube-apiserver.kube-system"),
        ({"identity": 4, "labels": ["reserved:health"]}, "cilium-health.kube-system"),
        ({"identity": 1, "labels": ["reserved:host"]}, None),
        ({"identity": 6, "labels": ["reserved:remote-node"]}, None),
        ({"identity": 8, "labels": ["reserved:ingress"]}, None),
        ({"identity": 2, "labels": ["reserved:world"]}, None),
        ({"identity": 16_777_217, "labels": ["cidr:203.0.113.0/24", "reserved:world"]}, None),
        ({"identity": 2002, "namespace": "shop", "labels": ["k8s:app=db"]}, None),
        ({}, None),
        (None, None),
        (..., None),
    ],
)
def test_an_end_is_its_workload_or_left_to_its_address(end: object, service: str | None) -> None:
    assert read(hubble(destination=end)).get("dst_service") == service


def test_workloads_belong_to_the_configured_environment() -> None:
    record = only(decoded("hubble", lines(hubble()), FlowOptions(environment="prod")))

    assert (record.src_service, record.dst_service) == (
        on_workload("web.shop@prod", "web.shop"),
        "db.shop@prod",
    )


@pytest.mark.parametrize(
    ("known_as", "service"),
    [
        (["api.stripe.com"], "api.stripe.com"),
        (["db.internal"], "db.internal"),
        (["a.cdn.example", "b.cdn.example"], None),  # one address, two hosts: nobody knows which was meant
        ([], None),
    ],
)
def test_an_end_outside_the_cluster_is_the_one_name_it_was_looked_up_by(known_as: list[str], service: str) -> None:
    world = {"identity": 2, "labels": ["reserved:world"]}

    assert read(hubble(destination=world, destination_names=known_as)).get("dst_service") == service
    assert read(hubble(source=world, source_names=known_as)).get("src_service") == service


def test_a_pod_is_its_workload_whatever_names_its_address_has() -> None:
    assert read(hubble(destination_names=["db.shop.svc.cluster.local"]))["dst_service"] == "db.shop"


def test_a_service_that_was_dialled_names_nobody_and_its_pod_stays() -> None:
    vip = {"destination_service": {"name": "db-vip", "namespace": "shop"}}

    assert read(hubble(**vip))["dst_service"] == "db.shop"
    assert "dst_service" not in read(hubble(destination={"identity": 0}, **vip))


def test_a_translated_source_is_on_the_wire_and_the_pod_is_who_dialled() -> None:
    record = read(hubble(IP__source_xlated="10.9.9.9"))

    assert (record["src_ip"], record["orig_src_ip"]) == ("10.9.9.9", "10.0.1.5")


# -- what one connection is ------------------------------------------------------------------------------------------------------


def test_the_packets_of_one_connection_are_one_record_from_the_first_to_the_last() -> None:
    times = ["2023-11-14T22:13:21Z", "2023-11-14T22:13:20.5Z", "2023-11-14T22:13:24Z"]
    batch = decoded("hubble", lines(*(hubble(time=time) for time in times)))

    assert [(one.start, one.end) for one in batch.records] == [(START + 0.5, START + 4)]
    assert batch.ignored == {SAME_CONNECTION: 2}


def test_answers_other_ports_the_other_ends_view_and_the_next_minute_are_records_of_their_own() -> None:
    answer = hubble(
        IP={"source": "10.0.2.6", "destination": "10.0.1.5"},
        l4={"TCP": {"source_port": 8080, "destination_port": 41000}},
        is_reply=True,
    )
    others = (
        answer,
        hubble(l4__TCP__source_port=41001),
        hubble(traffic_direction="INGRESS"),
        hubble(time="2023-11-14T22:14:20Z"),
        hubble(l4={"UDP": {"source_port": 41000, "destination_port": 8080}}),
    )

    assert decoded("hubble", lines(hubble(), *others)).accepted == 6


def test_what_the_overlay_cannot_tell_of_a_connection_another_point_of_the_datapath_tells() -> None:
    unknown = {"is_reply": ..., "traffic_direction": ..., "trace_observation_point": "TO_OVERLAY"}
    back = {
        "IP": {"source": "10.0.2.6", "destination": "10.0.1.5"},
        "l4": {"TCP": {"source_port": 8080, "destination_port": 41000}},
    }
    batch = decoded("hubble", lines(hubble(**unknown), hubble(**unknown, **back), hubble()))

    assert [(one.src_ip, one.client) for one in batch.records] == [
        ("10.0.1.5", "src"),
        ("10.0.2.6", "dst"),
        ("10.0.1.5", "src"),
    ]


def test_what_a_later_event_knows_of_a_connection_is_added_to_its_record() -> None:
    batch = decoded(
        "hubble", lines(hubble(is_reply=..., traffic_direction=..., source=...), hubble(traffic_direction=...))
    )

    assert [(one.client, one.src_service) for one in batch.records] == [("src", on_workload("web.shop", "web.shop"))]


# -- faults ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"time": None}, BAD_START),
        ({"time": "1970-01-01T00:00:00Z"}, BAD_START),
        ({"IP__source": "10.0.1.500"}, NO_ADDRESS),
        ({"IP__destination": ""}, NO_ADDRESS),
        ({"IP__destination": "::"}, NO_ADDRESS),
        ({"l4__TCP__source_port": 70_000}, BAD_PORT),
        ({"l4__TCP__destination_port": ...}, BAD_PORT),
    ],
)
def test_a_flow_that_contradicts_itself_is_refused_with_its_line_and_its_neighbours_are_kept(
    changes: dict[str, Any], why: str
) -> None:
    batch = decoded("hubble", lines(hubble(), hubble(**changes), hubble(l4__TCP__source_port=2)))

    assert (batch.accepted, batch.rejected, batch.errors) == (2, 1, [{"line": 2, "why": why}])


@pytest.mark.parametrize(
    "broken",
    [
        b'{"flow":{"time":"2023-11-14T22:1',
        b"nothing",
        b"[]",
        b"{}",
        b'{"flow":{"time":"yesterday","verdict":"FORWARDED"}}',
        b'{"flow":{"time":"2023-11-14T22:13:20","verdict":"FORWARDED"}}',
        b'{"flow":{"verdict":5}}',
        b'{"flow":{"verdict":"\xff\xfe"}}',
        b'{"x":' + b"[" * 5_000,
        json.dumps(hubble(destination={"labels": 5})).encode(),
    ],
)
def test_a_line_that_cannot_be_read_costs_only_itself(broken: bytes) -> None:
    good = json.dumps(hubble()).encode()
    batch = decoded("hubble", b"\n".join((good, broken, b"", good.replace(b"41000", b"41001"))))

    assert (batch.accepted, batch.rejected) == (2, 1)
    assert batch.errors[0]["line"] == 2


def test_a_body_without_a_single_flow_of_hubbles_is_refused_as_a_whole() -> None:
    with pytest.raises(BadRequest, match="not Hubble's flows as JSON lines: line 2: no flow in it"):
        decoded("hubble", '\n{"start":1,"src_ip":"10.0.0.1"}\n{}')


def test_an_ipv6_flow_has_its_addresses_in_one_spelling() -> None:
    record = read(hubble(IP={"source": "2001:DB8:0::1", "destination": "::ffff:10.0.2.6", "ipVersion": "IPv6"}))

    assert (record["src_ip"], record["dst_ip"]) == ("2001:db8::1", "10.0.2.6")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published flows beside the repository")
@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_flows_that_others_published_are_read_to_the_last(path: Path) -> None:
    body = path.read_bytes()
    batch = decoded("hubble", body)

    assert batch.rejected == 0
    assert batch.accepted + batch.ignored.total() == len(body.splitlines())
    assert all(one.client for one in batch.records if one.reporter)
