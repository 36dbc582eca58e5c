"""When a digest is due, in every zone and through every change of clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.digest.due import LATEST_SECONDS, LONGEST_PERIOD, decide, due_at, minute_of, zone
from bot.errors import BadRequest
from bot.model import Subscription

NINE = Subscription(1, "C1", "U1", 0.0, 9 * 60, "Europe/Berlin")
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu",
     "America/St_Johns", "Africa/Casablanca", "Pacific/Kiritimati", "America/Santiago"]
)  # fmt: skip
MOMENTS = st.floats(1_262_304_000.0, 1_893_456_000.0)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_morning_digest_tells_of_the_day_up_to_its_time() -> None:
    found = decide(NINE, utc("2026-11-23T08:00:30"))

    assert (found.verdict, found.date) == ("send", "2026-11-23")
    assert (found.since, found.until) == (utc("2026-11-22T08:00:00"), utc("2026-11-23T08:00:00"))


def test_a_time_that_the_clocks_skip_is_due_an_hour_later() -> None:
    assert due_at(date(2026, 3, 29), 150, "Europe/Berlin") == utc("2026-03-29T01:30:00")  # 03:30 in summer time


def test_a_time_that_comes_twice_is_due_once_and_the_first_time() -> None:
    night = replace(NINE, minute=150)
    first = utc("2026-10-25T00:30:00")
    assert decide(night, first).date == "2026-10-25"
    assert decide(replace(night, last_date="2026-10-25", told_until=first), first + 3_600).verdict == "wait"


def test_the_day_of_a_change_of_clocks_has_23_or_25_hours() -> None:
    for text, hours in (("2026-03-29T07:00:00", 23), ("2026-10-25T08:00:00", 25)):
        found = decide(NINE, utc(text))
        assert found.until - found.since == hours * 3_600


def test_a_digest_is_late_within_a_bound_and_beyond_it_is_missed() -> None:
    due = utc("2026-11-23T08:00:00")
    assert decide(NINE, due + LATEST_SECONDS).verdict == "send"
    assert decide(NINE, due + LATEST_SECONDS + 1).verdict == "miss"


def test_after_a_missed_day_the_next_tells_of_both_and_says_so() -> None:
    told = utc("2026-11-21T08:00:00")
    found = decide(replace(NINE, told_until=told, last_date="2026-11-22"), utc("2026-11-23T08:01:00"))

    assert (found.reason, found.since) == ("catching up", told)


def test_a_bot_that_was_down_for_a_month_tells_of_a_week() -> None:
    found = decide(replace(NINE, told_until=utc("2026-10-01T07:00:00")), utc("2026-11-23T08:01:00"))

    assert found.until - found.since == LONGEST_PERIOD


def test_who_subscribes_after_nine_waits_for_tomorrow() -> None:
    late = replace(NINE, created_at=utc("2026-11-23T08:30:00"))
    assert decide(late, utc("2026-11-23T08:31:00")).verdict == "wait"
    assert decide(late, utc("2026-11-24T08:00:00")).verdict == "send"


def test_a_clock_that_jumps_back_sends_nothing_again() -> None:
    settled = replace(NINE, last_date="2026-11-23")
    for text in ("2026-11-23T09:00:00", "2026-11-22T09:00:00", "2026-01-01T09:00:00"):
        assert decide(settled, utc(text)).verdict == "wait"


@given(ZONES, st.integers(0, 1_439), MOMENTS)
def test_every_moment_belongs_to_a_date_whose_time_has_come_and_the_next_has_not(
    name: str, minute: int, now: float
) -> None:
    found = decide(Subscription(1, "C1", "U1", 0.0, minute, name), now, latest=float("inf"))

    assert found.verdict == "send"
    assert found.until <= now < found.until + 2 * 86_400.0
    assert 0 <= found.until - found.since <= 49 * 3_600


@given(ZONES, st.integers(0, 1_439), MOMENTS, st.lists(st.floats(-200_000.0, 200_000.0), max_size=8))
def test_no_date_is_settled_twice_however_the_clock_jumps(
    name: str, minute: int, start: float, jumps: list[float]
) -> None:
    subscription, now, settled = Subscription(1, "C1", "U1", 0.0, minute, name), start, []
    for jump in [0.0, *jumps]:
        now += jump
        found = decide(subscription, now)
        if found.verdict != "wait":
            settled.append(found.date)
            subscription = replace(subscription, last_date=found.date)
    assert settled == sorted(set(settled))


@pytest.mark.parametrize("text", ["", "9", "24:00", "09:60", "9:5", "-1:30", "٠٩:٠٠", "09:00:00", "x" * 5_000])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="09:00"):
        minute_of(text)


@pytest.mark.parametrize(
    "text", ["", "Mars/Base", "../../etc/passwd", "/etc/localtime", "é", "A" * 999, "Europe", "x\0y"]
)
def test_what_is_no_time_zone_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="Europe/Berlin"):
        zone(text)


def test_times_of_day_are_read() -> None:
    assert [minute_of(text) for text in ("09:00", "9:30", "00:00", "23:59")] == [540, 570, 0, 1_439]
