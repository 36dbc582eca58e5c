"""Azure's flow logs: both layouts, which tuples count, and what of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.errors import BadRequest
from bot.telemetry.flow_faults import BAD_PORT, BAD_START, NEGATIVE
from bot.telemetry.flow_records import DENIED, NO_ADDRESS, PORTLESS
from bot.telemetry.flows_azure import BEGUN
from tests.telemetry.flow_bodies import AZURE_TUPLE, NSG_TUPLE, START, azure, decoded, only, security_group, sent

PUBLISHED = Path(__file__).parents[3] / "shared" / "payloads" / "ingest" / "flows" / "azure_vnet_flow_v4.json"

FLOW: dict[str, Any] = {
    "start": START, "end": START, "src_ip": "10.0.1.5", "src_port": 41000, "dst_ip": "10.0.2.6", "dst_port": 8080,
    "proto": "tcp", "bytes": 4249, "packets": 20, "client": "src", "reporter": "src",
}  # fmt: skip


def edited(flow: str, **fields: str) -> str:
    """The tuple with other fields at positions `_0`, `_1` …"""
    parts = flow.split(",")
    for position, value in fields.items():
        parts[int(position[1:])] = value
    return ",".join(parts)


def test_a_virtual_networks_tuple_has_milliseconds_and_the_bytes_of_both_directions() -> None:
    assert sent(only(decoded("azure", azure(AZURE_TUPLE)))) == FLOW | {"start": START + 0.5, "end": START + 0.5}


def test_a_security_groups_tuple_has_seconds_and_letters_for_protocols() -> None:
    assert sent(only(decoded("azure", security_group(NSG_TUPLE)))) == FLOW
    assert only(decoded("azure", security_group(edited(NSG_TUPLE, _5="U")))).proto == "udp"


def test_the_first_version_of_a_security_groups_log_counts_flows_and_no_bytes() -> None:
    flow = ",".join(NSG_TUPLE.split(",")[:8])
    without = {key: value for key, value in FLOW.items() if key not in ("bytes", "packets")}

    assert sent(only(decoded("azure", security_group(flow, version=1)))) == without


@pytest.mark.parametrize(("direction", "reporter"), [("I", "dst"), ("O", "src")])
def test_the_source_began_the_flow_and_the_direction_says_whose_interface_saw_it(direction: str, reporter: str) -> None:
    record = only(decoded("azure", azure(edited(AZURE_TUPLE, _6=direction))))

    assert (record.client, record.reporter) == ("src", reporter)


def test_a_flow_that_goes_on_counts_with_each_tuple_and_its_beginning_with_none() -> None:
    began = edited(AZURE_TUPLE, _7="B", _9="0", _10="0", _11="0", _12="0")
    batch = decoded("azure", azure(began, edited(AZURE_TUPLE, _7="C"), AZURE_TUPLE))

    assert (batch.accepted, sum(one.bytes for one in batch.records), batch.ignored) == (2, 2 * 4249, {BEGUN: 1})


def test_a_security_groups_beginning_leaves_its_counts_empty() -> None:
    batch = decoded("azure", security_group(edited(NSG_TUPLE, _8="B", _9="", _10="", _11="", _12="")))

    assert (batch.accepted, batch.ignored) == (0, {BEGUN: 1})


@pytest.mark.parametrize("body", [azure(edited(AZURE_TUPLE, _7="D")), security_group(edited(NSG_TUPLE, _7="D"))])
def test_what_was_denied_is_counted_and_passed_over(body: str) -> None:
    batch = decoded("azure", body)

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {DENIED: 1})


@pytest.mark.parametrize("protocol", ["1", "58", "ICMP"])
def test_a_protocol_without_ports_is_counted_and_passed_over(protocol: str) -> None:
    assert decoded("azure", azure(edited(AZURE_TUPLE, _5=protocol))).ignored == {PORTLESS: 1}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (edited(AZURE_TUPLE, _0="0"), BAD_START),
        (edited(AZURE_TUPLE, _0="soon"), "invalid literal"),
        (edited(AZURE_TUPLE, _1="here"), NO_ADDRESS),
        (edited(AZURE_TUPLE, _3="65536"), BAD_PORT),
        (edited(AZURE_TUPLE, _10="-4000"), NEGATIVE),
        (edited(AZURE_TUPLE, _7="Z"), "flow state 'Z'"),
        (AZURE_TUPLE[:40], "fields, and a virtual network's tuple has 13"),
        (5, "1 fields"),
        (None, "1 fields"),
        ({}, "1 fields"),
    ],
)
def test_a_tuple_that_cannot_be_used_is_refused_with_its_number_and_costs_nobody_else(bad: object, why: str) -> None:
    batch = decoded("azure", azure(AZURE_TUPLE, bad, AZURE_TUPLE))

    assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (2, 1, 2)
    assert why in str(batch.errors[0]["why"])


def test_an_unknown_version_is_refused_record_by_record() -> None:
    whole = {"records": [json.loads(one)["records"][0] for one in (azure(AZURE_TUPLE, version=5), azure(AZURE_TUPLE))]}
    batch = decoded("azure", json.dumps(whole))

    assert (batch.accepted, batch.errors) == (
        1,
        [{"line": None, "why": "record 1: flowLogVersion 5, and only 4 is known"}],
    )
    assert decoded("azure", security_group(NSG_TUPLE, version=3)).errors[0]["why"] == (
        "record 1: Version 3, and only 1 and 2 are known"
    )


@pytest.mark.parametrize("record", [5, {}, {"properties": 5}, {"flowRecords": {"flows": [{"flowGroups": 1}]}}])
def test_a_record_that_cannot_be_read_costs_only_itself(record: object) -> None:
    whole = {"records": [record, json.loads(azure(AZURE_TUPLE))["records"][0]]}
    batch = decoded("azure", json.dumps(whole))

    assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (1, 1, None)
    assert str(batch.errors[0]["why"]).startswith("record 1: ")


@pytest.mark.parametrize("body", ["[]", "{}", azure(AZURE_TUPLE)[:-20], '{"records":5}', '{"records":[{}]}', "x"])
def test_a_body_that_is_no_flow_log_of_azures_is_refused_as_a_whole(body: str) -> None:
    with pytest.raises(BadRequest, match=r"^not .*Azure flow log"):
        decoded("azure", body)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="no published flows beside the repository")
def test_a_log_that_others_published_is_read_to_the_last_tuple() -> None:
    batch = decoded("azure", PUBLISHED.read_bytes())

    assert (batch.accepted, batch.rejected, batch.ignored) == (5, 0, {BEGUN: 5, DENIED: 9})
