"""Health: now against usual, and never decided by a handful of calls."""

from __future__ import annotations

import pytest

from bot.enrich.health import Rates, edge_rates, failing_services, service_rates
from bot.model import ENTRY, UNATTRIBUTED, Layer
from tests.kit.maps import NOW, MapMaker, edge


def rates(
    calls: float = 100,
    error_rate: float = 0.0,
    usual_error_rate: float | None = 0.0,
    p95: float | None = None,
    usual_p95: float | None = None,
    usual_calls: float = 100,
) -> Rates:
    return Rates(calls, error_rate, p95, usual_calls, usual_error_rate, usual_p95)


# -- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (rates(error_rate=0.05), "errors"),
        (rates(error_rate=0.049), ""),
        (rates(calls=5, error_rate=1.0), "errors"),
        (rates(calls=4, error_rate=1.0), ""),
        (rates(error_rate=0.31, usual_error_rate=0.1), "errors"),
        (rates(error_rate=0.29, usual_error_rate=0.1), ""),
        (rates(error_rate=0.06, usual_error_rate=0.001), "errors"),
        (rates(error_rate=0.5, usual_error_rate=None), "errors"),
        (rates(error_rate=1.0, usual_error_rate=0.4), ""),
    ],
)
def test_errors_must_be_many_enough_and_more_than_usual(found: Rates, verdict: str) -> None:
    assert found.failing == verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (rates(p95=250, usual_p95=100), "latency"),
        (rates(p95=249, usual_p95=100), ""),
        (rates(p95=101, usual_p95=1), "latency"),
        (rates(p95=100, usual_p95=1), ""),
        (rates(p95=20, usual_p95=4), ""),
        (rates(calls=20, p95=900, usual_p95=100), "latency"),
        (rates(calls=19, p95=900, usual_p95=100), ""),
        (rates(usual_calls=19, p95=900, usual_p95=100), ""),
        (rates(p95=900, usual_p95=None), ""),
        (rates(p95=None, usual_p95=100), ""),
    ],
)
def test_slowness_must_be_far_from_usual_and_told_by_enough_calls(found: Rates, verdict: str) -> None:
    assert found.failing == verdict


def test_errors_are_said_before_slowness() -> None:
    assert rates(error_rate=0.5, p95=900, usual_p95=100).failing == "errors"


# -- now and usual ---------------------------------------------------------------------------------------------------


def test_now_is_this_minute_and_three_before_and_usual_is_the_rest_of_the_hour() -> None:
    made = MapMaker("a>b")
    for ago in (1, 2, 3):
        made.calls("a>b", ago=ago)
    for ago in (4, 60):
        made.calls("a>b", count=1, ago=ago)
    made.calls("a>b", count=1_000, ago=62)
    found = edge_rates(made.view, edge("a>b"), NOW)

    assert (found.calls, found.usual_calls) == (40, 2)


def test_without_traffic_nothing_is_usual_and_nothing_fails() -> None:
    found = edge_rates(MapMaker("a>b").view, edge("b>a"), NOW)

    assert found == Rates(0, 0, None, 0, None, None)
    assert found.failing == ""


def test_an_edge_that_fails_and_one_that_is_slow_are_told_apart() -> None:
    made = MapMaker().usually("a>b", "a>c", bucket=3)
    made.calls("a>b", failed=5).calls("a>c", count=40, bucket=11)

    assert edge_rates(made.view, edge("a>b"), NOW).failing == "errors"
    assert edge_rates(made.view, edge("a>c"), NOW).failing == "latency"


def test_the_minutes_before_trouble_was_noticed_are_not_what_is_usual() -> None:
    """An alert fires only after its condition has held: by then those minutes look like the failure itself."""
    made = MapMaker().usually("a>b", count=2).calls("a>b", failed=10, ago=range(9))

    assert edge_rates(made.view, edge("a>b"), NOW).failing == ""
    assert edge_rates(made.view, edge("a>b"), NOW, onset=NOW - 240).failing == "errors"


def test_metrics_count_every_call_and_are_believed_before_traces() -> None:
    made = MapMaker().calls("a>b", count=5, failed=5).calls("a>b", count=100, layer=Layer.IPC)
    found = edge_rates(made.view, edge("a>b"), NOW)

    assert (found.calls, found.error_rate) == (100, 0)


def test_a_service_is_judged_by_all_it_serves_whoever_asks() -> None:
    made = MapMaker(f"{ENTRY}>b", f"{UNATTRIBUTED}>b").calls("a>b", failed=10)

    found = service_rates(made.view, "b", NOW)
    assert found.calls == 30
    assert found.error_rate == pytest.approx(1 / 3)


# -- who fails -------------------------------------------------------------------------------------------------------


def test_a_service_that_fails_its_callers_is_found() -> None:
    made = MapMaker("web>pay>db").calls("web>pay", failed=5)

    assert failing_services(made.view, NOW) == {"pay": "errors"}


def test_a_failing_alert_is_enough() -> None:
    made = MapMaker("web>pay")
    made.view.firing["pay"] = NOW - 60

    assert failing_services(made.view, NOW) == {"pay": "alert"}


def test_an_alert_is_said_before_what_the_numbers_say() -> None:
    made = MapMaker().calls("web>pay", failed=5)
    made.view.firing["pay"] = NOW - 60

    assert failing_services(made.view, NOW) == {"pay": "alert"}


def test_what_failed_a_while_ago_does_not_fail_now() -> None:
    made = MapMaker("web>pay").calls("web>pay", failed=10, ago=4)

    assert failing_services(made.view, NOW) == {}


def test_one_failing_caller_among_many_healthy_ones_is_not_the_services_failure() -> None:
    made = MapMaker(*(f"s{number}>pay" for number in range(30))).calls("web>pay", count=10, failed=10)

    assert failing_services(made.view, NOW) == {}


def test_failed_calls_from_outside_count_and_no_pseudo_caller_is_named() -> None:
    made = MapMaker().calls(f"{ENTRY}>web", failed=10)

    assert failing_services(made.view, NOW) == {"web": "errors"}
