"""Which open incident explains a new alert."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.incidents.correlate import NewAlerts, OpenIncident, explained, same

NOW = 1_700_000_000.0
WINDOW_SECONDS = 1_800.0
PAYMENTS = OpenIncident(
    7, "prod", NOW - 300, NOW - 300, firing=frozenset({"payments"}), predicted=frozenset({"checkout", "web"}),
    suspects={"payments-db": 0.8, "ledger": 0.15, "auth": 0.02}, named="payments-db", below=frozenset({"payments-db", "ledger", "auth"}),
)  # fmt: skip


def new(service: str, environment: str = "prod", onset: float = NOW, **more: frozenset[str]) -> NewAlerts:
    return NewAlerts((service,), environment, onset, **more)


@pytest.mark.parametrize(
    ("alerts", "verdict", "reason"),
    [
        pytest.param(new("payments-db"), "likely_cause", "payments-db is what incident 7 likely comes from", id="the cause"),
        pytest.param(new("ledger"), "likely_cause", "ledger is what incident 7 likely comes from", id="the second guess"),
        pytest.param(new("checkout"), "predicted", "incident 7 said that checkout would be hit", id="a dependent"),
        pytest.param(
            new("cart", needs=frozenset({"payments"})), "needs", "cart needs payments, which fails in incident 7",
            id="a dependent nobody counted",
        ),
        pytest.param(
            new("invoices", needs=frozenset({"payments-db"})), "shares_cause",
            "invoices rests on payments-db, the likely cause of incident 7", id="another that needs the cause",
        ),
        pytest.param(new("auth"), "dependency", "what fails in incident 7 calls auth", id="what it calls"),
    ],
)  # fmt: skip
def test_what_the_map_explains_joins(alerts: NewAlerts, verdict: str, reason: str) -> None:
    assert explained(alerts, [PAYMENTS], WINDOW_SECONDS) == (7, verdict, reason)


@pytest.mark.parametrize(
    "alerts",
    [
        pytest.param(new("search"), id="no way between them"),
        pytest.param(new("checkout", "staging"), id="another environment"),
        pytest.param(new("checkout", onset=NOW + WINDOW_SECONDS), id="long after"),
        pytest.param(new("checkout", onset=NOW - 3_600), id="long before"),
        pytest.param(new("auth", onset=NOW + 600), id="what it calls, but not within minutes"),
    ],
)
def test_what_it_does_not_explain_is_another_incident(alerts: NewAlerts) -> None:
    assert explained(alerts, [PAYMENTS], WINDOW_SECONDS) is None


def test_the_strongest_reason_goes_first_then_the_oldest_incident() -> None:
    weak = replace(PAYMENTS, id=3, suspects={}, named="", predicted=frozenset({"payments-db"}))
    older = replace(PAYMENTS, id=5)

    found = explained(new("payments-db"), [weak, older, PAYMENTS], WINDOW_SECONDS)

    assert found is not None
    assert (found.incident, found.verdict) == (5, "likely_cause")


def test_services_of_a_place_that_is_the_cause_join() -> None:
    zone = replace(PAYMENTS, named="zone:eu-1a", suspects={"zone:eu-1a": 0.7})

    found = explained(new("search", places=frozenset({"zone:eu-1a", "node:n4"})), [zone], WINDOW_SECONDS)

    assert found is not None
    assert found.verdict == "shares_cause"


def opened(number: int, root: str, **more: Any) -> OpenIncident:
    return OpenIncident(number, "prod", NOW - 60, NOW - 60, root=root, firing=frozenset({root}), **more)


def test_two_incidents_are_one_where_what_alerted_first_in_one_is_explained_by_the_other() -> None:
    checkout = opened(4, "checkout", needs=frozenset({"payments", "payments-db"}))
    cause = opened(9, "payments-db")

    assert (
        same(checkout, cause, WINDOW_SECONDS)
        == same(cause, checkout, WINDOW_SECONDS)
        == (4, 9, "checkout needs payments-db, which fails in incident 9")
    )


def test_two_incidents_that_only_began_together_stay_two() -> None:
    one = opened(4, "checkout", below=frozenset({"search"}))
    assert same(one, opened(9, "search"), WINDOW_SECONDS) is None
    assert same(one, opened(9, ""), WINDOW_SECONDS) is None
    assert (
        same(replace(one, needs=frozenset({"db"})), replace(opened(9, "db"), environment="staging"), WINDOW_SECONDS)
        is None
    )
