"""How fast messages may go out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.pace import MAX_CHANNELS, Pace


def send(pace: Pace, channel: str, count: int, now: float = 0.0, *, edit: bool = False) -> None:
    for _ in range(count):
        pace.spend(channel, now, edit=edit)


def test_the_first_post_goes_at_once() -> None:
    assert Pace().delay("C1", 100.0) == 0.0


def test_a_burst_goes_at_once_and_then_one_a_second() -> None:
    pace = Pace(burst=3)
    send(pace, "C1", 3)

    assert pace.delay("C1", 0.0) == 1.0
    assert pace.delay("C1", 0.75) == 0.25
    assert pace.delay("C1", 1.0) == 0.0


def test_an_idle_channel_saves_up_no_more_than_its_burst() -> None:
    pace = Pace(burst=2)
    send(pace, "C1", 2)
    send(pace, "C1", 2, now=1_000.0)

    assert pace.delay("C1", 1_000.0) == 1.0


def test_one_busy_channel_does_not_slow_another() -> None:
    pace = Pace(burst=1)
    send(pace, "C1", 1)

    assert pace.delay("C1", 0.0) == 1.0
    assert pace.delay("C2", 0.0) == 0.0


def test_all_channels_together_have_a_limit_too() -> None:
    pace = Pace(burst=1_000)
    for number in range(300):
        pace.spend(f"C{number}", 0.0)

    assert pace.delay("fresh", 0.0) == pytest.approx(0.2)


def test_after_a_refusal_the_channel_rests_for_as_long_as_slack_said_and_then_goes_one_a_second() -> None:
    pace = Pace(burst=120)
    pace.penalise("C1", 30.0, now=10.0)

    assert pace.delay("C1", 10.0) == 30.0
    assert pace.delay("C1", 39.5) == 0.5
    assert pace.delay("C1", 40.0) == 0.0
    pace.spend("C1", 40.0)
    assert pace.delay("C1", 40.0) == 1.0


def test_a_shorter_refusal_does_not_lift_a_longer_one() -> None:
    pace = Pace()
    pace.penalise("C1", 30.0, now=0.0)
    pace.penalise("C1", 1.0, now=0.0)

    assert pace.delay("C1", 0.0) == 30.0


def test_edits_and_posts_do_not_use_up_each_others_allowance() -> None:
    pace = Pace(burst=1)
    send(pace, "C1", 10, edit=True)

    assert pace.delay("C1", 0.0) == 0.0
    assert pace.delay("C1", 0.0, edit=True) == pytest.approx(1.5)
    assert pace.delay("C2", 0.0, edit=True) == pytest.approx(1.5)


def test_a_refused_edit_holds_back_edits_only() -> None:
    pace = Pace()
    pace.penalise("C1", 20.0, now=0.0, edit=True)

    assert pace.delay("C1", 0.0, edit=True) == 20.0
    assert pace.delay("C1", 0.0) == 0.0


def test_a_minute_of_edits_stays_under_slacks_tier() -> None:
    pace, now, sent = Pace(), 0.0, 0
    while now < 60.0:
        wait = pace.delay("C1", now, edit=True)
        if wait:
            now += wait
            continue
        pace.spend("C1", now, edit=True)
        sent += 1

    assert 49 <= sent <= 50


def test_the_channels_used_longest_ago_are_forgotten() -> None:
    pace = Pace(burst=1)
    for number in range(MAX_CHANNELS + 10):
        pace.spend(f"C{number}", 0.0)

    assert len(pace) == MAX_CHANNELS


@given(st.integers(1, 20), st.lists(st.floats(0, 5), max_size=60))
def test_no_pattern_of_waiting_gets_more_than_the_burst_and_one_a_second(burst: int, pauses: list[float]) -> None:
    pace, now, sent = Pace(burst), 0.0, 0
    for pause in pauses:
        now += pause
        while pace.delay("C1", now) == 0.0:
            pace.spend("C1", now)
            sent += 1

    assert sent <= burst + now + 1e-6


@given(st.floats(0, 1e6), st.integers(0, 40))
def test_waiting_as_long_as_asked_is_always_enough(now: float, spent: int) -> None:
    pace = Pace(burst=5)
    send(pace, "C1", spent, now=now)
    later = now + pace.delay("C1", now)

    assert pace.delay("C1", later) <= 1e-6
