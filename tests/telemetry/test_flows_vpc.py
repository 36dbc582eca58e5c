"""AWS VPC flow logs: fields by name, translated addresses, envelopes, and whose interface it was."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bot.errors import BadRequest, TooLarge
from bot.telemetry.aws_envelopes import CONTROL
from bot.telemetry.flow_faults import BACKWARDS, BAD_PORT, BAD_START, NEGATIVE
from bot.telemetry.flow_records import DENIED, HEADER, NO_ADDRESS, NO_DATA, PORTLESS, SKIPPED_DATA, FlowOptions
from bot.telemetry.flows_vpc import lacking
from bot.telemetry.packing import BODY_LIMIT
from tests.telemetry.flow_bodies import START, VPC, VPC_CUSTOM, decoded, only, sent, vpc

PUBLISHED = Path(__file__).parents[3] / "shared" / "payloads" / "ingest" / "flows"


def read(body: str, options: FlowOptions | None = None) -> dict[str, Any]:
    return sent(only(decoded("vpc", body, options)))


def test_a_line_of_the_default_format_needs_no_header() -> None:
    assert read(VPC) == {
        "start": START, "end": START + 60, "src_ip": "10.0.1.5", "src_port": 41000, "dst_ip": "10.0.2.6", "dst_port": 8080,
        "proto": "tcp", "bytes": 4249, "packets": 20,
    }  # fmt: skip


def test_a_header_says_how_to_read_what_follows_and_another_one_changes_it() -> None:
    body = f"{vpc()}srcport srcaddr dstaddr dstport protocol start\n5 10.0.0.1 10.0.0.2 6 17 1700000000\n"
    batch = decoded("vpc", body)

    assert [(one.src_ip, one.src_port, one.proto, one.end) for one in batch.records] == [
        ("10.0.1.5", 41000, "tcp", START + 60),
        ("10.0.0.1", 5, "udp", START),
    ]
    assert batch.ignored == {HEADER: 2}


def test_fields_without_a_header_come_in_the_configured_order() -> None:
    options = FlowOptions(vpc_fields=("dstaddr", "srcaddr", "dstport", "srcport", "protocol", "start"))

    assert read("10.0.0.2 10.0.0.1 6 5 6 1700000000", options)["src_ip"] == "10.0.0.1"


def test_fields_of_later_versions_are_known_by_name_or_passed_over() -> None:
    body = "srcaddr ecs-service-name dstaddr srcport dstport protocol start some-day-new\n10.0.0.1 - 10.0.0.2 1 2 6 1700000000 x"

    assert read(body)["dst_ip"] == "10.0.0.2"


@pytest.mark.parametrize(
    ("flags", "client"),
    [
        ("2", "src"),
        ("3", "src"),
        ("6", "src"),
        ("18", "dst"),
        ("19", "dst"),
        ("0", None),
        ("1", None),
        ("4", None),
        ("-", None),
    ],
)
def test_whoever_sent_the_syn_alone_is_the_client(flags: str, client: str | None) -> None:
    assert read(vpc(tcp_flags=flags)).get("client") == client


@pytest.mark.parametrize(("direction", "reporter"), [("ingress", "dst"), ("egress", "src")])
def test_the_interface_stands_where_the_flow_came_in_or_went_out(direction: str, reporter: str) -> None:
    assert read(vpc(flow_direction=direction))["reporter"] == reporter


def test_without_a_direction_an_interface_is_the_address_all_its_records_share() -> None:
    line = "2 1 {} {} {} 41000 8080 6 1 40 1700000000 1700000060 ACCEPT OK"
    flows = [
        ("eni-a", "10.0.0.1", "10.0.0.2"),
        ("eni-a", "10.0.0.3", "10.0.0.1"),
        ("eni-b", "10.0.0.1", "10.0.0.2"),  # the other end's view of the first one
        ("eni-b", "10.0.0.2", "10.0.0.4"),
        ("eni-c", "10.0.0.5", "10.0.0.6"),  # either could be its own
        ("eni-d", "10.0.0.1", "10.0.0.2"),
        ("eni-d", "10.0.0.3", "10.0.0.4"),  # nothing in common
    ]
    batch = decoded("vpc", "\n".join(line.format(*flow) for flow in flows))

    assert [one.reporter for one in batch.records] == ["src", "dst", "dst", "src", None, None, None]


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        # A request into a NAT gateway: its interface is the destination, the packet is for the internet.
        ({"dstaddr": "10.0.0.220", "pkt_dstaddr": "203.0.113.5"}, ("10.0.1.5", "10.0.0.220", None, "203.0.113.5")),
        # The answer on its way from the gateway to the caller.
        (
            {"srcaddr": "10.0.0.220", "pkt_srcaddr": "203.0.113.5", "dstaddr": "10.0.1.5", "pkt_dstaddr": "10.0.1.5"},
            ("10.0.0.220", "10.0.1.5", "203.0.113.5", None),
        ),
        # The gateway's outer side: nobody can tell whose packet it is.
        (
            {
                "srcaddr": "10.0.0.220",
                "pkt_srcaddr": "10.0.0.220",
                "dstaddr": "203.0.113.5",
                "pkt_dstaddr": "203.0.113.5",
            },
            ("10.0.0.220", "203.0.113.5", None, None),
        ),
        # A balancer that preserves the client's address, on its way to a target.
        ({"srcaddr": "10.0.0.90", "pkt_srcaddr": "198.51.100.7"}, ("10.0.0.90", "10.0.2.6", "198.51.100.7", None)),
        # A pod with a secondary address of its node's interface.
        ({"dstaddr": "10.0.2.1", "pkt_dstaddr": "10.0.2.77"}, ("10.0.1.5", "10.0.2.1", None, "10.0.2.77")),
        ({"pkt_srcaddr": "-", "pkt_dstaddr": "-"}, ("10.0.1.5", "10.0.2.6", None, None)),
    ],
)
def test_what_passed_the_interface_and_what_was_in_the_packet_are_both_kept(
    changes: dict[str, str], ends: tuple[str | None, ...]
) -> None:
    record = only(decoded("vpc", vpc(**changes)))

    assert (record.src_ip, record.dst_ip, record.orig_src_ip, record.orig_dst_ip) == ends


def test_packet_addresses_alone_are_the_ends() -> None:
    record = read("pkt-srcaddr pkt-dstaddr srcport dstport protocol start\n2001:DB8::1 2001:db8:0::2 1 2 6 1700000000")

    assert (record["src_ip"], record["dst_ip"]) == ("2001:db8::1", "2001:db8::2")
    assert "orig_src_ip" not in record


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"action": "REJECT"}, DENIED),
        ({"log_status": "NODATA", "srcaddr": "-", "start": "-"}, NO_DATA),
        ({"log_status": "SKIPDATA", "srcaddr": "-"}, SKIPPED_DATA),
        ({"protocol": "1"}, PORTLESS),
        ({"protocol": "58", "srcport": "0", "dstport": "0"}, PORTLESS),
    ],
)
def test_what_says_nothing_about_calls_is_counted_with_its_reason(changes: dict[str, str], reason: str) -> None:
    batch = decoded("vpc", vpc(**changes))

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {HEADER: 1, reason: 1})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"start": "0"}, BAD_START),
        ({"start": "-"}, BAD_START),
        ({"start": "1700000000000000"}, BAD_START),
        ({"end": "1699999999"}, BACKWARDS),
        ({"srcaddr": "10.0.0.256"}, NO_ADDRESS),
        ({"srcport": "65536"}, BAD_PORT),
        ({"bytes": "-1"}, NEGATIVE),
        ({"bytes": "9" * 30}, NEGATIVE),
        ({"packets": "many"}, "invalid literal"),
        ({"protocol": "999"}, "protocol '999'"),
        ({"version": "1"}, "version 1:"),
        ({"version": "x"}, "invalid literal"),
        ({"action": "ACCEPT extra"}, "18 fields, and the field list has 17"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_its_reason_and_costs_nobody_else(
    changes: dict[str, str], why: str
) -> None:
    batch = decoded("vpc", vpc() + vpc(**changes).splitlines()[1] + "\n" + vpc().splitlines()[1])

    assert (batch.accepted, batch.rejected) == (2, 1)
    assert batch.errors[0]["line"] == 3
    assert why in str(batch.errors[0]["why"])


def test_a_line_that_is_not_utf_8_is_refused() -> None:
    batch = decoded("vpc", VPC.encode() + b"\n\xff\xfe\n" + VPC.encode())

    assert (batch.accepted, batch.errors) == (2, [{"line": 2, "why": "not UTF-8"}])


def test_a_custom_format_read_with_the_default_fields_is_refused_not_misread() -> None:
    batch = decoded("vpc", f"{VPC}\n5{VPC[1:]}")

    assert batch.accepted == 1
    assert batch.errors[0]["why"] == "version 5: configure the field list in use, or send its header"


def test_a_field_list_without_what_is_needed_says_what_it_lacks() -> None:
    batch = decoded("vpc", f"{VPC}\nsrcaddr dstaddr start\n10.0.0.1 10.0.0.2 1700000000")

    assert (batch.accepted, batch.rejected) == (1, 2)
    assert batch.errors[0] == {"line": 2, "why": "the field list lacks srcport, dstport, protocol"}
    assert lacking(VPC_CUSTOM.split()) == lacking(FlowOptions().vpc_fields) == ()


# -- envelopes -------------------------------------------------------------------------------------------------------------------


def subscription(*messages: str) -> dict[str, Any]:
    events = [{"id": str(n), "timestamp": 1_700_000_000_000, "message": text} for n, text in enumerate(messages)]
    return {"messageType": "DATA_MESSAGE", "logGroup": "flows", "logEvents": events}


def packed(content: str | bytes) -> str:
    return base64.b64encode(gzip.compress(content.encode() if isinstance(content, str) else content)).decode()


PLAIN = json.dumps(subscription(VPC, VPC))


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        json.dumps(subscription(VPC)) * 2,  # as Firehose writes them to S3, nothing between
        "\n".join([json.dumps(subscription(VPC))] * 2),
        json.dumps({"awslogs": {"data": packed(PLAIN)}}),
        json.dumps({"requestId": "1", "timestamp": 1, "records": [{"data": packed(PLAIN)}]}),
        json.dumps({"records": [{"data": base64.b64encode(f"{VPC}\n{VPC}\n".encode()).decode()}]}),
        json.dumps({"records": [{"data": base64.b64encode(PLAIN.encode()).decode()}]}),
    ],
)
def test_lines_come_out_of_every_envelope_aws_puts_them_in(body: str) -> None:
    batch = decoded("vpc", body)

    assert (batch.accepted, batch.rejected, batch.errors) == (2, 0, [])


def test_the_message_that_tests_whether_anybody_listens_is_no_flow() -> None:
    batch = decoded("vpc", json.dumps({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "CWL CONTROL"}]}))

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {CONTROL: 1})


@pytest.mark.parametrize(
    "part",
    [
        {"data": "not base64!"},
        {"data": base64.b64encode(gzip.compress(b"x")[:-9]).decode()},
        {"data": packed(b"\xff\xfe")},
        {"data": packed("{")},
        {"data": packed('{"records":[]}')},
        {"data": packed(json.dumps({"awslogs": {"data": packed(PLAIN)}}))},  # AWS nests no deeper, and neither do we
        {"nothing": 1},
        5,
    ],
)
def test_a_part_that_cannot_be_opened_costs_only_itself(part: object) -> None:
    batch = decoded("vpc", json.dumps({"records": [{"data": packed(VPC)}, part, {"data": packed(VPC)}]}))

    assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (2, 1, None)


def test_parts_share_one_limit_however_well_they_are_packed() -> None:
    bomb = packed(b" " * (BODY_LIMIT // 2 + 1))

    with pytest.raises(TooLarge):
        decoded("vpc", json.dumps({"records": [{"data": bomb}, {"data": bomb}]}))


@pytest.mark.parametrize("body", ["{}", "{", '{"records":5}', "hello world", "\x00" * 50, '{"a":' * 5_000])
def test_a_body_that_is_nothing_of_the_kind_is_refused_as_a_whole(body: str) -> None:
    with pytest.raises(BadRequest, match="not AWS VPC flow logs"):
        decoded("vpc", body)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published flows beside the repository")
@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("aws_*")), ids=lambda path: path.stem)
def test_flows_that_others_published_are_read_to_the_last(path: Path) -> None:
    batch = decoded("vpc", path.read_bytes())

    assert (batch.accepted, batch.rejected) == (1, 0)
