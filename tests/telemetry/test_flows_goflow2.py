"""goflow2's and NetObserv's flows: spellings, units, sampling, flags and workloads."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bot.errors import BadRequest
from bot.telemetry.flow_faults import BACKWARDS, BAD_PORT, BAD_START, NEGATIVE
from bot.telemetry.flow_records import NO_ADDRESS, PORTLESS, FlowOptions
from bot.telemetry.flows_goflow2 import DUPLICATE
from tests.telemetry.flow_bodies import GOFLOW1, GOFLOW2, NETOBSERV, START, changed, decoded, lines, only, sent


def read(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return sent(only(decoded("goflow2", lines(changed(base, changes)))))


PLAIN = {
    "src_ip": "10.0.1.5", "src_port": 41000, "dst_ip": "10.0.2.6", "dst_port": 8080, "proto": "tcp", "bytes": 4249,
    "packets": 20, "client": "src",
}  # fmt: skip


def test_every_spelling_of_a_flow_reads_the_same_with_its_times_in_their_units() -> None:
    assert read(GOFLOW2) == PLAIN | {"start": START + 0.5, "end": START + 2.5}
    assert read(GOFLOW1) == PLAIN | {"start": START, "end": START + 2}
    assert read(NETOBSERV) == PLAIN | {
        "start": START + 0.5, "end": START + 2.5, "reporter": "src", "src_service": "web.shop", "dst_service": "db.shop",
    }  # fmt: skip


def test_the_finest_time_given_is_the_one_taken() -> None:
    assert read(GOFLOW1, TimeFlowStartMs=1_700_000_000_250)["start"] == START + 0.25
    assert read(GOFLOW1, TimeFlowStartMs=1, TimeFlowStartNs=1_700_000_000_125_000_000)["start"] == START + 0.125


def test_a_flow_without_an_end_ends_as_it_starts() -> None:
    assert read(GOFLOW2, time_flow_end_ns=0)["end"] == START + 0.5


@pytest.mark.parametrize("base", [GOFLOW1, GOFLOW2])
@pytest.mark.parametrize("packed", [b"\x0a\x00\x01\x05", bytes(10) + b"\xff\xff\x0a\x00\x01\x05"])
def test_an_address_may_be_base64_of_its_bytes(base: dict[str, Any], packed: bytes) -> None:
    key = "src_addr" if "src_addr" in base else "SrcAddr"

    assert read(base, **{key: base64.b64encode(packed).decode()})["src_ip"] == "10.0.1.5"


@pytest.mark.parametrize("number", ["6", 6, "TCP", "tcp"])
def test_a_protocol_is_a_number_or_a_name_and_numbers_may_be_text(number: object) -> None:
    assert read(GOFLOW2, proto=number, bytes="4249", src_port="41000")["bytes"] == 4249


@pytest.mark.parametrize("number", [1, "ICMP", "IPv6-ICMP", 47])
def test_a_protocol_without_ports_is_counted_and_passed_over(number: object) -> None:
    batch = decoded("goflow2", lines(GOFLOW2 | {"proto": number}))

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {PORTLESS: 1})


@pytest.mark.parametrize(
    ("base", "key"), [(GOFLOW2, "sampling_rate"), (GOFLOW1, "SamplingRate"), (NETOBSERV, "Sampling")]
)
@pytest.mark.parametrize(("rate", "factor"), [(100, 100), (1, 1), (0, 1)])
def test_sampled_counts_are_scaled_and_an_unknown_rate_is_one(
    base: dict[str, Any], key: str, rate: int, factor: int
) -> None:
    record = read(base, **{key: rate})

    assert (record["bytes"], record["packets"]) == (4249 * factor, 20 * factor)


@pytest.mark.parametrize(
    ("flags", "packets", "client"),
    [(2, 20, "src"), (3, 1, "src"), (18, 1, "dst"), (27, 20, None), (16, 20, None), (0, 1, None)],
)
def test_netflow_ors_all_flags_so_only_a_lone_syn_or_a_single_packet_tells(
    flags: int, packets: int, client: str
) -> None:
    assert read(GOFLOW2, tcp_flags=flags, packets=packets).get("client") == client


@pytest.mark.parametrize(
    ("flags", "client"),
    [(2, "src"), (2 + 16, "src"), (256, "dst"), (256 + 16, "dst"), (16, None), (["SYN", "ACK"], "src"), (["SYN_ACK"], "dst"), ([], None)],
)  # fmt: skip
def test_netobserv_has_a_flag_of_its_own_for_the_servers_answer(flags: object, client: str | None) -> None:
    assert read(NETOBSERV, Flags=flags).get("client") == client


def test_flags_say_nothing_of_udp() -> None:
    assert "client" not in read(GOFLOW2, proto="UDP")


@pytest.mark.parametrize(("direction", "reporter"), [(0, "dst"), (1, "src"), (2, None), (None, None)])
def test_a_node_that_a_flow_enters_stands_at_its_destination(direction: int | None, reporter: str | None) -> None:
    assert read(NETOBSERV, FlowDirection=direction).get("reporter") == reporter


def test_the_same_packets_at_another_interface_count_once() -> None:
    batch = decoded("goflow2", lines(NETOBSERV, NETOBSERV | {"Duplicate": True}))

    assert (batch.accepted, batch.ignored) == (1, {DUPLICATE: 1})


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"DstK8S_OwnerName": ...}, "db.shop"),
        ({"DstK8S_Type": "Service", "DstK8S_OwnerName": "db-vip", "DstK8S_OwnerType": "Service"}, None),
        ({"DstK8S_Type": "Node", "DstK8S_Name": "node-1", "DstK8S_OwnerName": "node-1"}, None),
        ({"DstK8S_OwnerName": ..., "DstK8S_Name": ...}, None),
        ({"DstWorkload": "ledger", "DstNamespace": "bank", "DstPod": "ledger-x2x9z"}, "ledger.bank"),
    ],
)
def test_pods_are_their_workloads_and_services_and_nodes_are_left_to_their_addresses(
    changes: dict[str, Any], service: str | None
) -> None:
    assert read(NETOBSERV, **changes).get("dst_service") == service


def test_workloads_belong_to_the_configured_environment() -> None:
    record = only(decoded("goflow2", lines(NETOBSERV), FlowOptions(environment="prod")))

    assert record.dst_service == "db.shop@prod"


def test_a_translated_destination_is_on_the_wire_and_the_other_one_was_dialled() -> None:
    record = read(NETOBSERV, XlatSrcAddr="10.0.1.5", XlatDstAddr="10.0.2.99", XlatDstPort=9090, DstK8S_Type="Service")

    assert (record["dst_ip"], record["dst_port"]) == ("10.0.2.99", 9090)
    assert (record["orig_dst_ip"], record["orig_dst_port"]) == ("10.0.2.6", 8080)
    assert "orig_src_ip" not in record


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"time_flow_start_ns": 0}, BAD_START),
        ({"time_flow_start_ns": ...}, BAD_START),
        ({"time_flow_end_ns": 1}, BACKWARDS),
        ({"src_addr": ""}, NO_ADDRESS),
        ({"src_addr": "AAAA"}, NO_ADDRESS),
        ({"dst_addr": "0.0.0.0"}, NO_ADDRESS),
        ({"dst_port": 65_536}, BAD_PORT),
        ({"dst_port": ...}, BAD_PORT),
        ({"bytes": -1}, NEGATIVE),
        ({"bytes": 10**30}, NEGATIVE),
        ({"time_flow_start_ns": 10**400}, "int too large to convert to float"),
        ({"proto": ...}, "protocol '-1'"),
        ({"dst_addr": ...}, "not a flow"),
        ({"src_port": [1]}, "Expected `int`"),
    ],
)
def test_a_flow_that_cannot_be_used_is_refused_with_its_reason_and_costs_nobody_else(
    changes: dict[str, Any], why: str
) -> None:
    batch = decoded("goflow2", lines(GOFLOW2, changed(GOFLOW2, changes), GOFLOW1))

    assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (2, 1, 2)
    assert why in str(batch.errors[0]["why"])


@pytest.mark.parametrize("broken", [b'{"src_addr":"10.', b"5", b"\xff", b'{"SrcAddr":"\xff"}', b"null"])
def test_a_line_that_cannot_be_read_costs_only_itself(broken: bytes) -> None:
    good = json.dumps(GOFLOW2).encode()
    batch = decoded("goflow2", b"\n".join((good, broken, good)))

    assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (2, 1, 2)


def test_a_body_without_a_single_flow_is_refused_as_a_whole() -> None:
    with pytest.raises(BadRequest, match="not flows of goflow2 or NetObserv as JSON lines: line 1"):
        decoded("goflow2", '{"flow":{}}\n[]')
