"""What PagerDuty sends, and what the door makes of it."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from bot.alerts import pagerduty
from bot.errors import BadRequest, Unauthorized
from bot.model import ASSIGNED_TO, Alert, AlertStatus, Delivery, ServiceHint
from tests.alerts.bodies import (
    ANY_JSON,
    EVENT,
    FIRED_AT,
    INCIDENT,
    RECEIVED_AT,
    event,
    incident,
    paths,
    replaced,
    texts_of,
)

SAMPLES = Path(__file__).parents[2].parent / "shared" / "payloads" / "pagerduty"
SECRET = "pd-secret"


def parse(body: bytes, headers: dict[str, str] | None = None, received_at: float = RECEIVED_AT) -> Delivery:
    return pagerduty.parse(body, CIMultiDict(headers or {}), received_at)


def one(body: bytes) -> Alert:
    (found,) = parse(body).alerts
    return found


def outcome(body: bytes) -> tuple[Delivery, str]:
    """What the door makes of a body: alerts, or none and the reason."""
    try:
        return parse(body), ""
    except BadRequest as error:
        return Delivery("", ()), str(error)


def signed(body: bytes, *secrets: str) -> CIMultiDict[str]:
    items = [f"v1={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}" for secret in secrets]
    return CIMultiDict({"x-pagerduty-signature": ",".join(items)})


def test_the_raw_body_is_signed_and_any_live_secret_will_do() -> None:
    body = event()

    pagerduty.verify(signed(body, SECRET), body, ("older", SECRET))
    pagerduty.verify(signed(body, "unknown", SECRET), body, (SECRET,))


def test_one_byte_more_and_the_signature_is_wrong() -> None:
    body = event()

    with pytest.raises(Unauthorized, match="X-PagerDuty-Signature"):
        pagerduty.verify(signed(body, SECRET), body + b"\n", (SECRET,))


def test_an_event_becomes_one_alert_in_our_words() -> None:
    assert one(event()) == Alert(
        source="pagerduty",
        fingerprint="Q1ABCDEFGHIJKL",
        status=AlertStatus.FIRING,
        starts_at=FIRED_AT,
        title="Payments: 5xx over 10%",
        group_key="Q1ABCDEFGHIJKL",
        service_hints=(
            ServiceHint("PSVC123", "PagerDuty service id", opaque=True),
            ServiceHint("Payments API", "PagerDuty service"),
        ),
        severity="P1",
        link="https://acme.pagerduty.com/incidents/Q1ABCDEFGHIJKL",
        number="#1234",
    )


@pytest.mark.parametrize(
    "kind",
    ["triggered", "acknowledged", "unacknowledged", "reopened", "escalated", "reassigned", "delegated", "priority_updated",
     "service_updated", "resolved", "conference_bridge.updated", "a_type_of_next_year"],
)  # fmt: skip
@pytest.mark.parametrize("status", ["triggered", "acknowledged", "resolved"])
def test_the_state_is_the_incidents_whatever_happened_to_it(kind: str, status: str) -> None:
    found = one(event(f"incident.{kind}", incident(status=status)))

    assert found.status.value == {"triggered": "firing"}.get(status, status)


def test_a_resolved_incident_ended_when_it_happened_and_not_when_we_heard() -> None:
    found = one(event("incident.resolved", incident(status="resolved"), occurred_at="2026-10-31T03:11:00.5+00:00"))

    assert found.ends_at == FIRED_AT + 1_200.5
    assert one(event()).ends_at is None


def test_a_reopened_incident_begins_again() -> None:
    assert one(event("incident.reopened", incident(reopened_at="2026-10-31T04:51:00Z"))).starts_at == FIRED_AT + 7_200
    assert one(event(data=incident(reopened_at="2020-01-01T00:00:00Z"))).starts_at == FIRED_AT


@pytest.mark.parametrize(
    "stamp", ["2026-10-31T02:51:00Z", "2026-10-31T02:51:00.000Z", "2026-10-31T04:51:00+02:00", "2026-10-31t02:51:00z"]
)
def test_times_are_read_with_and_without_fractions_and_offsets(stamp: str) -> None:
    assert one(event(data=incident(created_at=stamp))).starts_at == FIRED_AT


@pytest.mark.parametrize(
    ("assignees", "said"),
    [
        ([{"summary": "Ada"}, {"summary": "Grace"}], {ASSIGNED_TO: "Ada, Grace"}),
        ([{"summary": str(number)} for number in range(9)], {ASSIGNED_TO: "0, 1, 2, 3, 4"}),
        ([{"id": "U1"}, None, "Ada"], {}),
        ([], {}),
        (None, {}),
        ("Ada", {}),
    ],
)
def test_who_was_given_it_is_said_where_they_have_names(assignees: Any, said: dict[str, str]) -> None:
    assert one(event(data=incident(assignees=assignees))).labels == said


def test_without_a_priority_the_urgency_stands_for_it() -> None:
    assert one(event(data=incident(priority=None))).severity == "high"


def test_an_incident_without_service_or_title_is_an_alert_all_the_same() -> None:
    found = one(event(data=incident(service=None, title=None, number=None, html_url="javascript:x")))

    assert found.title == "PagerDuty incident Q1ABCDEFGHIJKL"
    assert (found.service_hints, found.number, found.link) == ((), "", "")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("pagey.ping", {"type": "ping", "message": "Hello from your friend Pagey!"}),
        ("incident.annotated", {"type": "incident_note", "incident": {"id": "Q1"}, "id": "N1", "content": "noted"}),
        ("incident.responder.added", {"type": "incident_responder", "incident": {"id": "Q1"}}),
        ("incident.status_update_published", {"type": "incident_status_update", "id": "S1"}),
        ("incident.workflow.started", {"type": "incident_workflow_instance", "id": "W1"}),
        ("service.updated", {"type": "service", "id": "PSVC123", "summary": "Payments API"}),
        ("service.deleted", None),
        ("incident.of_next_year", []),
        ("something.else.entirely", "text"),
    ],
)
def test_events_that_say_nothing_of_a_state_are_ignored_with_a_reason(kind: str, data: Any) -> None:
    delivery = parse(json.dumps({"event": EVENT | {"event_type": kind, "data": data}}).encode())

    assert delivery.alerts == ()
    assert delivery.ignored == f"{kind} says nothing of an incident's state"


class TestRepeats:
    """PagerDuty retries for 48 hours; only an id tells a retry from a repetition."""

    def test_the_webhooks_id_is_the_same_on_every_attempt(self) -> None:
        headers = {"x-webhook-id": "W-1"}

        assert parse(event(), headers, RECEIVED_AT).key == parse(event(), headers, RECEIVED_AT + 3_600).key == "W-1"

    def test_headers_stored_in_lower_case_are_read_too(self) -> None:
        assert pagerduty.parse(event(), {"x-webhook-id": "W-1"}, RECEIVED_AT).key == "W-1"

    def test_without_the_header_the_events_id_stands_for_it(self) -> None:
        assert parse(event()).key == EVENT["id"]

    def test_without_any_id_the_bytes_are_their_own_name(self) -> None:
        assert parse(event(id=None)).key == parse(event(id=None), received_at=RECEIVED_AT + 60).key
        assert parse(event(id=None)).key != parse(event("incident.resolved", id=None)).key

    def test_two_long_ids_that_differ_at_the_end_stay_two(self) -> None:
        first, second = (parse(event(), {"X-Webhook-Id": "w" * 5_000 + end}).key for end in "ab")

        assert first != second
        assert len(first) == len(second) == 200

    def test_the_key_can_be_had_without_reading_the_incident(self) -> None:
        body = event(data=incident(status="?"))

        assert pagerduty.delivery_key({"X-Webhook-Id": "W-1"}, body) == "W-1"
        assert pagerduty.delivery_key({}, body) == EVENT["id"]
        with pytest.raises(BadRequest, match="event"):
            pagerduty.delivery_key({}, b"{}")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b'{"event": -Infinity}', "not JSON"),
        (b'{"event":' * 100_000, "not JSON"),
        (b"[1]", "the body"),
        (b"{}", "event"),
        (b'{"event": []}', "event"),
        (b'{"messages": [{"event": "incident.trigger"}]}', "event"),
        (event(event_type=None), "event.event_type"),
        (event(event_type={"a": 1}), "event.event_type"),
        (event(data=[]), "event.data.id"),
        (event(data={"type": "incident_note"}), "not an incident"),
        (event(data=incident(id=None)), "event.data.id"),
        (event(data=incident(id={"id": "Q1"})), "event.data.id"),
        (event(data=incident(status=None)), "event.data.status"),
        (event(data=incident(status="suppressed")), "event.data.status"),
        (event(data=incident(created_at=7)), "event.data.created_at"),
        (event(data=incident(reopened_at="later")), "event.data.reopened_at"),
        (event(occurred_at="10000-01-01T00:00:00Z"), "event.occurred_at"),
    ],
)
def test_what_is_missing_or_wrong_is_named(body: bytes, told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(body)

    assert told in str(refused.value)


def test_long_texts_are_cut_and_control_characters_left_out() -> None:
    found = one(
        event(
            data=incident(
                title="\x1b]0;\u202epwned\x07 " + "t" * 9_000, service={"id": "P" * 999, "summary": "s" * 999}
            )
        )
    )

    assert found.title.startswith("]0;pwned t")
    assert len(found.title) <= 2_000
    assert [len(hint.name) for hint in found.service_hints] == [100, 200]


@given(st.data())
def test_a_wrong_type_anywhere_is_a_refusal_or_an_alert_and_never_a_crash(data: st.DataObject) -> None:
    document = {"event": EVENT}
    path = data.draw(st.sampled_from(paths(document)))
    delivery, refusal = outcome(json.dumps(replaced(document, path, data.draw(ANY_JSON))).encode())

    assert refusal.isprintable()
    assert refusal or delivery.key
    for found in delivery.alerts:
        assert found.title
        assert found.fingerprint
        assert 0 <= found.starts_at < 2**33
        for text in texts_of(dataclasses.asdict(found)):
            assert len(text) <= 2_000
            assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs", "Cf")]


@given(st.binary(max_size=200))
def test_no_bytes_break_the_door(body: bytes) -> None:
    _, refusal = outcome(body)

    assert refusal


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the collection of vendors' samples is not beside this repository")
class TestSamplesOfTheVendor:
    """Its own examples, which nobody here wrote."""

    def test_the_documented_event_is_read(self) -> None:
        found = one((SAMPLES / "webhook_v3_incident.priority_updated.json").read_bytes())

        assert (found.fingerprint, found.number, found.severity) == ("PGR0VU2", "#2", "P1")
        assert [hint.name for hint in found.service_hints] == ["PF9KMXH", "API Service"]
        assert found.starts_at == 1_601_664_322.0, "reopened on 2020-10-02T18:45:22Z"

    def test_every_documented_kind_of_data_is_an_incident_or_ignored(self) -> None:
        kinds = {}
        for sample in sorted(SAMPLES.glob("webhook_v3_data_*.json")):
            data = json.loads(sample.read_bytes())
            delivery = parse(
                json.dumps({"event": EVENT | {"event_type": "incident.of_next_year", "data": data}}).encode()
            )
            kinds[data["type"]] = len(delivery.alerts)

        assert len(kinds) >= 8
        assert {kind for kind, count in kinds.items() if count} == {INCIDENT["type"]}
