"""How far a number is from usual: in either direction, with much, little or no usual time to go by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.enrich.causes.anomalies import strength
from bot.enrich.causes.deviation import deviation
from bot.enrich.causes.metric_kinds import TABLE
from bot.enrich.causes.situation import Measured, Points

AT = 1_700_000_000.0


def points(*values: float, until: float = AT) -> Points:
    return [(until - 60.0 * (len(values) - 1 - place), value) for place, value in enumerate(values)]


def wave(count: int, level: float = 100.0) -> list[float]:
    return [level + 5 * math.sin(place) for place in range(count)]


def times(usual: list[float], now: list[float], direction: int = 1) -> float:
    found = deviation(Measured("m", points(*now), points(*usual, until=AT - 86_400)), AT, direction)
    assert found is not None
    return found.times


def test_what_was_seen_before_is_quiet_and_what_was_not_is_loud() -> None:
    assert times(wave(60), wave(5)) < 1
    assert times(wave(60), [200.0] * 5) > 1.5
    assert times(wave(60), [200.0] * 5, -1) <= 0.1
    assert times(wave(60), [10.0] * 5, -1) > 1.5


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_few_points_widen_the_scale_but_never_silence_it(count: int) -> None:
    few, many = times(wave(count), [400.0] * 5), times(wave(60), [400.0] * 5)
    assert 2 < few <= many


def test_drift_over_the_day_counts_less_than_a_jump() -> None:
    drifted = [150.0] * 17
    jumped = [100.0] * 12 + [150.0] * 5
    assert times(wave(60), drifted) < times(wave(60), jumped)


def test_an_incident_just_before_does_not_hide_this_one() -> None:
    before = [*wave(6), 900.0, 900.0, 900.0, *wave(8), 300.0, 300.0, 300.0]
    assert times(wave(60), before) > 2


def test_shares_are_read_as_what_fails_on_any_scale_and_either_way_round() -> None:
    for name, usual, now in (("availability", 100.0, 80.0), ("success_rate", 1.0, 0.8), ("error_rate", 0.0, 0.2)):
        found = deviation(Measured(name, points(*[usual] * 20, *[now] * 3), ()), AT, -1, TABLE.kind(name))
        assert found is not None
        assert found.now == pytest.approx(0.2)
        assert found.usual == pytest.approx(0.0)
        assert found.times > 4


@pytest.mark.parametrize("given_points", [(), [(AT, math.nan)], [(AT, math.inf)], [(AT, 1.0)]])
def test_nothing_to_compare_is_no_deviation(given_points: Points) -> None:
    assert deviation(Measured("m", given_points), AT, 1) is None


@given(
    st.lists(st.floats(-1e12, 1e12), max_size=30),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30),
    st.sampled_from((1, -1)),
)
def test_any_numbers_give_a_finite_answer_or_none(usual: list[float], now: list[float], direction: int) -> None:
    found = deviation(Measured("m", points(*now), points(*usual, until=AT - 86_400)), AT, direction)
    if found is not None:
        assert math.isfinite(found.times)
        assert 0 <= strength(found.times) <= 1
