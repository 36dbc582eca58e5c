"""What a silence of several alerts would match."""

from __future__ import annotations

from bot.actions import covering

ERRORS = {"alertname": "HighErrorRate", "service": "payments", "severity": "critical", "pod": "payments-1"}


def test_one_alert_is_matched_by_all_it_says() -> None:
    assert covering([ERRORS | {"empty": ""}]) == ERRORS


def test_several_alerts_are_matched_by_what_they_share() -> None:
    assert covering([ERRORS, ERRORS | {"pod": "payments-2"}]) == {
        "alertname": "HighErrorRate", "service": "payments", "severity": "critical",
    }  # fmt: skip
    assert covering([ERRORS, ERRORS | {"alertname": "Slow"}]) == {
        "service": "payments", "severity": "critical", "pod": "payments-1",
    }  # fmt: skip


def test_where_they_share_neither_name_nor_service_the_first_alone_is_matched() -> None:
    assert covering([ERRORS, {"alertname": "Slow", "service": "checkout", "severity": "critical"}]) == ERRORS
