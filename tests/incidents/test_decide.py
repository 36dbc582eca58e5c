"""Decisions of the alert path: what is new, how the incident stands, whether a reader must see it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from bot.enrich.facts import FailingService, IncidentFacts, MapFacts, SourceCount
from bot.incidents.decide import alert_change, incident_state, message_action, superseded
from bot.model import ASSIGNED_TO, Alert, AlertStatus
from bot.storage.alert_records import StoredAlert

FIRING, ACKNOWLEDGED, RESOLVED = AlertStatus.FIRING, AlertStatus.ACKNOWLEDGED, AlertStatus.RESOLVED
NOW = 1_700_000_070.0

ALERT = Alert("alertmanager", "f1", FIRING, NOW - 60, "HighErrorRate", "g1", summary="5xx", severity="critical")
MAP = MapFacts(
    as_of=NOW,
    services=(FailingService("pay", known=True, calls=100.0, error_rate=0.4),),
    hit=("web", "cart"),
    hit_count=2,
    at_risk=("app",),
    at_risk_count=1,
    layers={"trace": 3.0},
)
FACTS = IncidentFacts(
    state="open",
    title="HighErrorRate",
    summary="5xx",
    severity="critical",
    environment="prod",
    opened_at=NOW - 60,
    updated_at=NOW,
    resolved_at=None,
    sources=(SourceCount("alertmanager", 1, 1),),
    services=("pay",),
    map=MAP,
)


def stored(alert: Alert) -> StoredAlert:
    return StoredAlert(alert, 1, "pay", "pay")


def known(facts: IncidentFacts) -> dict[str, Any]:
    """As the database gives it back: what was a tuple is a list."""
    return dict(json.loads(json.dumps(facts.stored())))


# -- what is new about an alert --------------------------------------------------------------------------------------


def test_an_alert_nobody_saw_is_new() -> None:
    assert alert_change(None, ALERT) == "new"
    assert alert_change(None, replace(ALERT, status=ACKNOWLEDGED)) == "new"


def test_an_alert_nobody_saw_that_arrives_resolved_is_nothing_to_tell() -> None:
    assert alert_change(None, replace(ALERT, status=RESOLVED)) == ""


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (FIRING, RESOLVED, "resolved"),
        (ACKNOWLEDGED, RESOLVED, "resolved"),
        (FIRING, ACKNOWLEDGED, "acknowledged"),
        (RESOLVED, ACKNOWLEDGED, "acknowledged"),
        (RESOLVED, FIRING, "fires again"),
        (ACKNOWLEDGED, FIRING, "fires again"),
        (FIRING, FIRING, ""),
        (ACKNOWLEDGED, ACKNOWLEDGED, ""),
        (RESOLVED, RESOLVED, ""),
    ],
)
def test_a_change_of_state_is_named_and_a_repeat_is_nothing(
    before: AlertStatus, after: AlertStatus, change: str
) -> None:
    assert alert_change(stored(replace(ALERT, status=before)), replace(ALERT, status=after)) == change


@pytest.mark.parametrize("changed", [{"title": "Worse"}, {"summary": "5xx 90%"}, {"severity": "warning"}])
def test_other_words_for_the_same_alert_are_news(changed: dict[str, str]) -> None:
    assert alert_change(stored(ALERT), replace(ALERT, **changed)) == "renamed"  # type: ignore[arg-type]


def test_a_change_of_state_is_said_before_a_change_of_words() -> None:
    assert alert_change(stored(ALERT), replace(ALERT, status=RESOLVED, summary="ok")) == "resolved"


@pytest.mark.parametrize("changed", [{"labels": {"pod": "b"}}, {"link": "https://x.test"}, {"ends_at": NOW}])
def test_what_no_reader_sees_is_not_news(changed: dict[str, Any]) -> None:
    assert alert_change(stored(ALERT), replace(ALERT, **changed)) == ""


def test_an_alert_that_somebody_else_was_given_is_handed_over_unless_it_is_over() -> None:
    ada, grace = replace(ALERT, labels={ASSIGNED_TO: "Ada"}), replace(ALERT, labels={ASSIGNED_TO: "Grace"})

    assert alert_change(stored(ada), grace) == "handed over"
    assert alert_change(stored(ada), ada) == ""
    assert alert_change(stored(replace(ada, status=RESOLVED)), replace(grace, status=RESOLVED)) == ""
    assert alert_change(stored(ada), replace(grace, status=ACKNOWLEDGED)) == "acknowledged"


def test_an_alert_that_begins_anew_has_ended_before() -> None:
    anew = replace(ALERT, starts_at=NOW)

    assert superseded([stored(ALERT)], [anew]) == [replace(ALERT, status=RESOLVED, ends_at=NOW)]
    assert superseded([stored(replace(ALERT, status=RESOLVED, ends_at=NOW - 5))], [anew]) == []
    assert superseded([stored(anew)], [ALERT]) == [], "an old word that comes late ends nothing"
    assert superseded([stored(ALERT)], [ALERT]) == []
    assert superseded([stored(ALERT)], [replace(anew, fingerprint="f2")]) == []
    assert superseded([stored(ALERT)], [replace(anew, status=RESOLVED)]) == []


# -- the state of an incident ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ((FIRING,), "open"),
        ((ACKNOWLEDGED,), "acknowledged"),
        ((RESOLVED,), "resolved"),
        ((RESOLVED, RESOLVED), "resolved"),
        ((FIRING, RESOLVED), "open"),
        ((ACKNOWLEDGED, RESOLVED), "acknowledged"),
        ((FIRING, ACKNOWLEDGED), "acknowledged"),
        ((FIRING, ACKNOWLEDGED, RESOLVED), "acknowledged"),
        ((), "resolved"),
    ],
)
def test_an_incident_is_resolved_when_every_alert_is_and_taken_when_somebody_took_what_fires(
    statuses: tuple[AlertStatus, ...], state: str
) -> None:
    assert {incident_state(order) for order in permutations(statuses)} == {state}


# -- whether a reader must see it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [None, {}])
def test_a_new_incident_is_posted(before: dict[str, Any] | None) -> None:
    assert message_action(before, FACTS.stored()) == ("post", "first alert of a new incident")


def test_what_is_as_it_was_is_left_although_time_went_on() -> None:
    later = replace(FACTS, updated_at=NOW + 60, map=replace(MAP, as_of=NOW + 60, layers={"trace": 9.0}))

    assert message_action(known(FACTS), later.stored()) == ("leave", "nothing a reader would miss changed")
    assert message_action(FACTS.stored(), later.stored())[0] == "leave"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"state": "acknowledged"}, "the incident is acknowledged"),
        ({"state": "resolved", "resolved_at": NOW}, "the incident is resolved"),
        ({"services": ("pay", "web")}, "another service is concerned"),
        ({"sources": (SourceCount("alertmanager", 2, 2),)}, "the number of alerts changed"),
        ({"sources": (SourceCount("alertmanager", 0, 1),)}, "the number of alerts changed"),
        ({"sources": (SourceCount("alertmanager", 1, 1, holder="Ada"),)}, "it was handed over"),
        ({"severity": "warning"}, "the severity changed"),
        ({"summary": "5xx 90%"}, "the alert's words changed"),
        ({"title": "Worse"}, "the alert's words changed"),
        ({"map": replace(MAP, hit_count=3)}, "who is hit changed"),
        ({"map": replace(MAP, hit=("web", "app"))}, "who is hit changed"),
        ({"map": replace(MAP, at_risk_count=0)}, "who is at risk changed"),
        ({"map": None, "degraded": "the map could not be read"}, "who is hit changed"),
    ],
)
def test_what_a_reader_would_miss_is_edited_in_with_its_reason(changed: dict[str, Any], reason: str) -> None:
    assert message_action(known(FACTS), replace(FACTS, **changed).stored()) == ("edit", reason)


def test_the_order_of_those_hit_is_no_reason_to_edit() -> None:
    turned = replace(FACTS, map=replace(MAP, hit=("cart", "web")))

    assert message_action(known(FACTS), turned.stored())[0] == "leave"


def test_a_map_that_can_be_read_again_is_edited_in() -> None:
    plain = replace(FACTS, map=None, degraded="the map could not be read")

    assert message_action(known(plain), FACTS.stored()) == ("edit", "who is hit changed")
    assert message_action(known(plain), plain.stored())[0] == "leave"


def test_of_several_reasons_the_weightiest_is_given() -> None:
    worse = replace(FACTS, state="resolved", severity="warning", map=replace(MAP, hit_count=0, hit=()))

    assert message_action(known(FACTS), worse.stored()) == ("edit", "the incident is resolved")


def test_facts_an_older_version_stored_do_not_stop_the_path() -> None:
    assert message_action({"state": "open"}, FACTS.stored()) == ("edit", "another service is concerned")
