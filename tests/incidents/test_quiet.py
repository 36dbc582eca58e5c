"""Quiet hours as rules: when they hold, until when, and how they are written."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.incidents.quiet import LONGEST_SECONDS, parse_quiet_hours, quiet

BERLIN = "Europe/Berlin"
PAY = {"owner": ("Payments",), "severity": ("warning",)}
WEB = {"owner": ("Web",), "severity": ("warning",)}
HOUR = 3_600.0


def at(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def until(rule: str, moment: float) -> float | None:
    found = quiet([parse_quiet_hours(one) for one in rule.split(";")], [PAY], moment)
    return found.until if found is not None else None


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-11-23T21:59:59", ""), ("2026-11-23T22:00", "2026-11-24T07:00"), ("2026-11-24T03:00", "2026-11-24T07:00"),
        ("2026-11-24T06:59:59", "2026-11-24T07:00"), ("2026-11-24T07:00", ""),
    ],
)  # fmt: skip
def test_a_night_begins_on_one_day_and_ends_on_the_next(moment: str, end: str) -> None:
    assert until("team=Payments 22:00-07:00 Europe/Berlin", at(moment)) == (at(end) if end else None)


@pytest.mark.parametrize(
    ("rule", "moment", "end"),
    [
        ("* sat,sun Europe/Berlin", "2026-11-27T23:59", ""), ("* sat,sun Europe/Berlin", "2026-11-28T00:00", "2026-11-30T00:00"),
        ("* fri-mon Europe/Berlin", "2026-11-27T00:00", "2026-12-01T00:00"),
        ("* fri 22:00-07:00 Europe/Berlin", "2026-11-28T06:00", "2026-11-28T07:00"),
        ("* fri 22:00-07:00 Europe/Berlin", "2026-11-27T06:00", ""), ("* mon-fri 12:00-13:00 Europe/Berlin", "2026-11-28T12:30", ""),
        ("* 22:00-07:00 Europe/Berlin;* sat,sun Europe/Berlin", "2026-11-27T23:00", "2026-11-30T07:00"),
        ("* 22:00-07:00 Asia/Tokyo", "2026-11-23T14:00", "2026-11-23T23:00"),
    ],
)  # fmt: skip
def test_days_are_those_on_which_hours_begin_and_hours_that_join_are_one(rule: str, moment: str, end: str) -> None:
    assert until(rule, at(moment)) == (at(end) if end else None)


def test_the_night_in_which_clocks_go_forward_is_an_hour_shorter_and_the_other_an_hour_longer() -> None:
    rule = "* 22:00-07:00 Europe/Berlin"
    spring, autumn = at("2026-03-28T22:00"), at("2026-10-24T22:00")

    assert (until(rule, spring) or 0) - spring == 8 * HOUR
    assert (until(rule, autumn) or 0) - autumn == 10 * HOUR


def test_an_end_that_clocks_skip_comes_as_much_later_and_one_that_comes_twice_the_first_time() -> None:
    rule = "* 22:00-02:30 Europe/Berlin"

    assert until(rule, at("2026-03-28T23:00")) == at("2026-03-29T03:30")
    assert until(rule, at("2026-10-24T23:00")) == at("2026-10-25T02:30", fold=0)
    assert until(rule, at("2026-10-25T02:15", fold=1)) is None


def test_only_where_everybody_has_quiet_hours_is_it_quiet() -> None:
    rules = [
        parse_quiet_hours("team=Payments 22:00-07:00 Europe/Berlin"),
        parse_quiet_hours("team=Web 23:00-06:00 UTC"),
    ]
    evening, night = at("2026-11-23T22:30"), at("2026-11-24T01:00")

    assert quiet(rules, [PAY, WEB], evening) is None
    found = quiet(rules, [PAY, WEB], night)
    assert found is not None
    assert (found.until, found.why) == (at("2026-11-24T07:00"), "quiet hours: owner=payments 22:00-07:00 Europe/Berlin")
    assert quiet(rules, [PAY, {"owner": ()}], night) is None


def test_nothing_waits_for_ever() -> None:
    now = at("2026-11-23T22:30")

    assert until("* mon-sun Europe/Berlin", now) == now + LONGEST_SECONDS


@given(st.floats(1_700_000_000, 1_900_000_000), st.integers(0, 1_439), st.integers(0, 1_439),
       st.sampled_from([BERLIN, "UTC", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Casablanca"]))  # fmt: skip
def test_the_end_lies_ahead_and_nothing_is_quiet_there(now: float, start: int, end: int, zone: str) -> None:
    if start == end:
        return
    rule = parse_quiet_hours(f"* {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02} {zone}")
    found = quiet([rule], [PAY], now)

    if found is not None:
        assert now < found.until <= now + 26 * HOUR
        assert quiet([rule], [PAY], found.until) is None
        assert quiet([rule], [PAY], found.until - 1) is not None


@pytest.mark.parametrize(
    "rule",
    [
        "owner=payments 22:00-07:00 Europe/Berlin",
        "* sat,sun UTC",
        "* mon-sun UTC",
        'owner="pay ments" mon,wed 09:30-10:00 UTC',
    ],
)
def test_a_rule_is_written_as_it_is_read(rule: str) -> None:
    assert str(parse_quiet_hours(rule)) == rule


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("22:00-07:00 UTC", "say for whom"), ("* team=a 22:00-07:00 UTC", "say for whom"), ("* UTC", "say when"),
        ("* 22:00-07:00", "one time zone"),
        ("* 22:00-07:00 Mars/Base", "no time zone 'Mars/Base'"), ("* 22:00 UTC", "want times such as"),
        ("* 25:00-07:00 UTC", "no time of day"),
        ("* 07:00-07:00 UTC", "end when they begin"), ("* someday UTC", "say when"),
        ("colour=red 22:00-07:00 UTC", "'colour' is not one of"),
        ("* sat sun UTC", "one time zone"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_says_what_is_wrong(rule: str, why: str) -> None:
    with pytest.raises(ValueError, match="quiet hours") as caught:
        parse_quiet_hours(rule)
    assert why in str(caught.value)
