"""What a thread is told, and what it is spared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.enrich.facts import CauseFacts, Followed, IncidentFacts, MapFacts
from bot.enrich.thread_evidence import Evidence
from bot.enrich.thread_lines import CAUSE_SECONDS, FLAP_SECONDS, MAX_WAITING, PAUSE_SECONDS, Joining, tell
from bot.enrich.told import Line

NOW = 1_700_000_000.0
FIRST = Followed(
    ("payments",), ("checkout", "web", "cart"), causes=(("payments-db", 0.8, ("effect",)),), named="payments-db"
)


def facts(**changes: Any) -> IncidentFacts:
    cause = CauseFacts("payments-db", 0.8, ("40% of requests fail",))
    given: dict[str, Any] = {
        "state": "open", "title": "HighErrorRate", "summary": "", "severity": "critical", "environment": "prod",
        "opened_at": NOW, "updated_at": NOW, "resolved_at": None, "sources": (), "services": ("payments",),
        "map": MapFacts(NOW, (), cause=cause), "outcome": FIRST,
    }  # fmt: skip
    return IncidentFacts(**given | changes)


def named(service: str, **more: Any) -> MapFacts:
    return MapFacts(NOW, (), cause=CauseFacts(service, 0.6, **more))


class Thread:
    """Tells a thread of one reading after another."""

    def __init__(self) -> None:
        self.before: dict[str, Any] | None = None
        self.now = NOW

    def read(self, after: IncidentFacts, *joining: Joining, later: float = PAUSE_SECONDS) -> list[Line]:
        self.now += later if self.before else 0.0
        told, lines = tell(self.before, after, joining, self.now)
        self.before = replace(after, told=told).stored()
        return list(lines)


def opened() -> Thread:
    made = Thread()
    assert made.read(facts()) == []
    return made


def test_what_the_message_says_at_first_is_no_news() -> None:
    assert opened().read(facts()) == []


def test_a_predicted_service_that_fails_is_told_of_once_and_an_unpredicted_one_as_a_miss() -> None:
    thread = opened()
    hit = facts(outcome=replace(FIRST, hit=("checkout",), missed=("search",)))

    assert thread.read(hit) == [("hit", ["checkout"], 1, 3), ("missed", ["search"])]
    assert thread.read(hit) == []
    assert thread.read(facts(outcome=replace(FIRST, hit=("checkout", "web", "cart"), missed=("search",)))) == [
        ("hit", ["web", "cart"], 3, 3)
    ]


def test_an_alert_that_joins_is_told_of_with_its_reason() -> None:
    joins = Joining("payments-db", "DiskFull", "payments-db is what incident 7 likely comes from")
    assert opened().read(facts(services=("payments-db", "payments")), joins) == [
        ("alert", "payments-db", "DiskFull", "payments-db is what incident 7 likely comes from")
    ]


def test_another_alert_of_a_service_that_alerts_already_is_no_news() -> None:
    assert opened().read(facts(), Joining("payments", "HighLatency", "same service")) == []


def test_news_within_the_pause_wait_and_are_told_together() -> None:
    thread = opened()
    assert thread.read(facts(outcome=replace(FIRST, hit=("checkout",))), later=5) == []
    both = facts(outcome=replace(FIRST, hit=("checkout", "web")))
    assert thread.read(both, later=5) == []

    assert thread.read(both, later=PAUSE_SECONDS) == [("hit", ["checkout"], 1, 3), ("hit", ["web"], 2, 3)]


def test_no_more_lines_wait_than_there_is_room_for_and_the_rest_is_counted() -> None:
    thread = opened()
    for number in range(MAX_WAITING + 5):
        missed = tuple(f"s{each}" for each in range(number + 1))
        assert thread.read(facts(outcome=replace(FIRST, missed=missed)), later=0.1) == []

    lines = thread.read(facts(outcome=replace(FIRST, missed=missed)))

    assert len(lines) == MAX_WAITING + 1
    assert lines[-1] == ("more", 5)
    assert thread.read(facts(outcome=replace(FIRST, missed=missed))) == []


def test_the_cause_that_changes_is_told_of_with_what_it_was() -> None:
    thread = opened()
    assert thread.read(facts(map=named("ledger", evidence=("slow",))), later=CAUSE_SECONDS) == [
        ("cause", "ledger", "payments-db", 0.6, "slow")
    ]
    gone = MapFacts(NOW, (), cause=CauseFacts(why_none="nothing is unusual", ruled_out=("ledger",)))
    assert thread.read(facts(map=gone), later=CAUSE_SECONDS) == [("no cause", "ledger", "nothing is unusual", True)]


def test_a_cause_that_flickers_is_not_told_of() -> None:
    thread = opened()
    assert thread.read(facts(map=named("ledger"))) == []
    assert thread.read(facts()) == []
    assert thread.read(facts(), later=CAUSE_SECONDS) == []


def test_a_service_that_comes_and_goes_is_said_to_and_then_left_alone() -> None:
    thread = opened()
    both, one, joins = facts(services=("payments", "cart")), facts(), Joining("cart", "Slow", "same group")
    assert thread.read(both, joins) == [("alert", "cart", "Slow", "same group")]
    assert thread.read(one) == [("recovered", "cart", 1)]
    assert thread.read(both, joins) == [("flapping", "cart")]
    assert thread.read(one) == []
    assert thread.read(both, joins) == []
    assert thread.read(one, later=FLAP_SECONDS) == [("recovered", "cart", 1)]


def test_a_change_on_the_path_is_told_of_when_it_is_new() -> None:
    thread = opened()
    evidence = Evidence((), (("d1", "deploy payments: v42"),))
    assert thread.read(facts(evidence=evidence)) == [("change", "deploy payments: v42")]
    assert thread.read(facts(evidence=evidence)) == []


def test_changes_that_the_first_evidence_shows_are_not_told_again() -> None:
    thread = Thread()
    known = facts(evidence=Evidence((), (("d1", "deploy payments: v42"),)))
    assert thread.read(known) == []
    assert thread.read(known) == []


def test_what_waits_is_told_when_the_incident_is_over_whatever_the_pause() -> None:
    thread = opened()
    hit = replace(FIRST, hit=("checkout",))
    thread.read(facts(outcome=hit), later=1)

    over = facts(state="resolved", resolved_at=NOW + 60, outcome=hit)
    assert thread.read(over, later=1) == [("hit", ["checkout"], 1, 3), ("over",)]
    assert thread.read(over, later=1) == []
    assert thread.read(facts(outcome=hit)) == [("again",)]


def test_somebody_who_takes_it_is_told_of() -> None:
    assert opened().read(facts(state="acknowledged")) == [("acknowledged",)]
