"""Google Cloud's VPC flow logs: entries however they come, both reporters, and who the ends are."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from bot.errors import BadRequest
from bot.telemetry.flow_faults import BACKWARDS, BAD_PORT, BAD_START, NEGATIVE
from bot.telemetry.flow_records import NO_ADDRESS, PORTLESS, FlowOptions
from tests.telemetry.flow_bodies import GCP, START, changed, decoded, lines, only, sent


def entry(**changes: Any) -> dict[str, Any]:
    return changed(GCP, {f"jsonPayload.{key.replace('__', '.')}": value for key, value in changes.items()})


def read(**changes: Any) -> dict[str, Any]:
    return sent(only(decoded("gcp", lines(entry(**changes)))))


def test_an_entry_becomes_a_record_with_its_workloads_named() -> None:
    assert read() == {
        "start": START + 0.5, "end": START + 2.5, "src_ip": "10.0.1.5", "src_port": 41000, "dst_ip": "10.0.2.6",
        "dst_port": 8080, "proto": "tcp", "bytes": 4249, "packets": 20, "src_service": "web.shop",
        "dst_service": "db.shop", "reporter": "src",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        lines(GCP, GCP),
        json.dumps([GCP, GCP], indent=2),
        lines(GCP["jsonPayload"], GCP),
        lines(*[{"message": {"data": base64.b64encode(json.dumps(GCP).encode()).decode()}, "subscription": "s"}] * 2),
    ],
)
def test_entries_come_in_lines_in_an_array_bare_or_pushed(body: str) -> None:
    batch = decoded("gcp", body)

    assert [sent(one) for one in batch.records] == [read(), read()]
    assert batch.rejected == 0


@pytest.mark.parametrize(
    ("reporter", "side"),
    [("SRC", "src"), ("DEST", "dst"), ("SRC_GATEWAY", "src"), ("DEST_GATEWAY", "dst"), ("ELSE", None), (None, None)],
)
def test_the_reporter_says_at_which_end_it_was_seen(reporter: str | None, side: str | None) -> None:
    assert read(reporter=reporter).get("reporter") == side


def test_numbers_are_text_or_numbers() -> None:
    assert (
        read(bytes_sent=5, packets_sent="2", connection__src_port="41000", connection__protocol="17")["proto"] == "udp"
    )


@pytest.mark.parametrize(
    ("changes", "service"),
    [
        ({"src_gke_details": {"pod": {"pod_name": "db-0", "pod_namespace": "shop"}}}, "db.shop"),
        ({"src_gke_details": {"service": [{"service_name": "vip", "service_namespace": "shop"}]}}, None),
        ({"src_gke_details": ...}, None),
        ({"src_gke_details": ..., "src_google_service": {"service_name": "storage.googleapis.com"}}, "storage.googleapis.com"),
        ({"src_gke_details": ..., "src_google_service": {"type": "GOOGLE_API"}}, None),
    ],
)  # fmt: skip
def test_pods_are_workloads_google_is_a_host_and_machines_and_services_are_left_to_their_addresses(
    changes: dict[str, Any], service: str | None
) -> None:
    assert read(**changes).get("src_service") == service


def test_workloads_belong_to_the_configured_environment() -> None:
    record = only(decoded("gcp", lines(GCP), FlowOptions(environment="prod")))

    assert (record.src_service, record.dst_service) == ("web.shop@prod", "db.shop@prod")


def test_a_protocol_without_ports_is_counted_and_passed_over() -> None:
    batch = decoded("gcp", lines(entry(connection={"src_ip": "10.0.1.5", "dest_ip": "10.0.2.6", "protocol": 1})))

    assert (batch.accepted, batch.rejected, batch.ignored) == (0, 0, {PORTLESS: 1})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"start_time": ...}, BAD_START),
        ({"start_time": "1970-01-01T00:00:00Z"}, BAD_START),
        ({"end_time": "2023-11-14T22:13:19Z"}, BACKWARDS),
        ({"connection__src_ip": "web"}, NO_ADDRESS),
        ({"connection__dest_port": 65_536}, BAD_PORT),
        ({"bytes_sent": "-5"}, NEGATIVE),
        ({"bytes_sent": "many"}, "Expected `int`"),
        ({"connection__protocol": ...}, "protocol '-1'"),
        ({"connection": ...}, "no connection in it"),
        ({"start_time": "soon"}, "RFC3339"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused_with_its_reason_and_costs_nobody_else(
    changes: dict[str, Any], why: str
) -> None:
    for body in (lines(GCP, entry(**changes), GCP), json.dumps([GCP, entry(**changes), GCP])):
        batch = decoded("gcp", body)

        assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (2, 1, 2)
        assert why in str(batch.errors[0]["why"])


@pytest.mark.parametrize("broken", ['{"jsonPayload":{"conn', '{"message":{"data":"not base64!"}}', "[]", "5"])
def test_a_line_that_cannot_be_read_costs_only_itself(broken: str) -> None:
    batch = decoded("gcp", f"{lines(GCP)}{broken}\n{lines(GCP)}")

    assert (batch.accepted, batch.rejected, batch.errors[0]["line"]) == (2, 1, 2)


@pytest.mark.parametrize("body", ["[", "[5]", "{}", "hello"])
def test_a_body_without_a_single_flow_is_refused_as_a_whole(body: str) -> None:
    with pytest.raises(BadRequest):
        decoded("gcp", body)
