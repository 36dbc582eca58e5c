"""PagerDuty's change events, as they are enqueued and as PagerDuty lists them."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from bot.changes import pagerduty
from bot.changes.report import Report
from bot.errors import BadRequest, TooLarge, Unauthorized
from bot.model import Change, ChangeKind
from tests.changes import bodies
from tests.changes.bodies import SECRET, packed, signed

NOW = 1_795_400_000.0


def read(body: object) -> Report:
    return pagerduty.parse(packed(body), {}, NOW)


def one(**changes: Any) -> Change:
    (change,) = read(bodies.pagerduty(**changes)).changes
    return change


def test_an_enqueued_event_is_a_change_of_the_service_its_details_name() -> None:
    change = one()

    assert (change.service, change.kind, change.title) == ("payments", ChangeKind.DEPLOY, "Build 2 of payments is out")
    assert (change.at, change.link) == (1_795_401_840.0, "https://ci.example/2")
    assert one().id == change.id != one(summary="Build 3").id


def test_the_details_may_say_more() -> None:
    details = {"service_name": "ledger", "namespace": "money", "environment": "prod", "kind": "flag", "user": "ada"}
    change = one(custom_details=details)

    assert (change.service, change.kind, change.author) == ("ledger.money@prod", ChangeKind.FLAG, "ada")


def test_without_details_it_is_of_its_source_and_happened_when_it_came() -> None:
    change = one(custom_details="text", timestamp=None)

    assert (change.service, change.at) == ("pipeline-1", NOW)


def test_events_as_pagerduty_lists_them_are_changes_of_pagerdutys_service() -> None:
    listed = [
        {
            "id": "01B",
            "summary": "Build 2",
            "timestamp": "2026-11-23T02:44:00Z",
            "services": [{"id": "PF9KMXH"}],
            "links": None,
        },
        {"id": "01C", "summary": "Build 3", "source": "ledger", "services": "none"},
    ]
    changes = read({"change_events": listed}).changes

    assert [(change.id, change.service) for change in changes] == [("01B", "pf9kmxh"), ("01C", "ledger")]
    assert read({"change_events": []}).ignored == "change_events is empty"


def test_the_routing_key_or_a_bearer_token_lets_in() -> None:
    body = packed(bodies.pagerduty())
    pagerduty.verify({}, body, ("older", SECRET))
    pagerduty.verify({"Content-Encoding": "gzip"}, gzip.compress(body), (SECRET,))
    pagerduty.verify({"Authorization": f"Bearer {SECRET}"}, b"anything", (SECRET,))
    signature = signed("", body)[""].replace("sha256=", "v1=")
    pagerduty.verify({"X-PagerDuty-Signature": f"v1=00,{signature}"}, body, (SECRET,))
    with pytest.raises(Unauthorized):  # a key in the body does not make up for a wrong signature
        pagerduty.verify({"X-PagerDuty-Signature": "v1=00"}, body, (SECRET,))

    for given, headers in (
        (b"{}", {}),
        (packed({"routing_key": [SECRET]}), {}),
        (body, {"Authorization": "Bearer wrong"}),
    ):
        with pytest.raises(Unauthorized):
            pagerduty.verify(headers, given, (SECRET,))


def test_a_stranger_has_little_unpacked() -> None:
    with pytest.raises(TooLarge):
        pagerduty.verify({"Content-Encoding": "gzip"}, gzip.compress(bytes(1024 * 1024)), (SECRET,))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "payload is missing"),
        (bodies.pagerduty(summary=""), "payload.summary is missing"),
        (bodies.pagerduty(timestamp="soon"), "payload.timestamp is not"),
        (bodies.pagerduty(custom_details=None, source=None), "no service; say custom_details.service"),
        ({"change_events": {}}, "want a list of at most"),
        ({"change_events": [{}] * 1_001}, "want a list of at most"),
        ({"change_events": [7]}, r"change_events\[0\] is missing"),
        ({"change_events": [{"summary": "x"}]}, r"change_events\[0\]: no service"),
    ],
)
def test_what_is_missing_is_named(body: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read(body)
