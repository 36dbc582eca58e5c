"""Minute windows: the same counts whatever the order, each handed out for writing exactly once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.layers.windows import PendingWindows, Windows, minute_of, slices
from bot.model import ENTRY, EdgeKey, Layer, LayerDelta, Tally

NOW = 1_700_000_070.0
MINUTE = minute_of(NOW)
AB, CB, XB = ("a", "b"), ("c", "b"), (ENTRY, "b")
Counts = tuple[int, EdgeKey, float, float]


def tally(calls: float = 1.0, errors: float = 0.0) -> Tally:
    made = Tally()
    made.calls, made.errors, made.sampled = calls, errors, int(calls)
    made.histogram[5] = calls
    return made


def windows(*counts: Counts, now: float = NOW, **limits: int) -> Windows:
    found = Windows(Layer.TRACE, **limits)
    for minute, edge, calls, errors in counts:
        found.add(minute, [(edge, tally(calls, errors))], now)
    return found


def plain(pending: PendingWindows) -> dict[tuple[int, EdgeKey], tuple[float, float]]:
    return {(minute, edge): (one.calls, one.errors) for minute, edges in pending.items() for edge, one in edges.items()}


# Quarters, so that sums are exact; now and then a correction. Two hours, of which one is kept.
COUNTS = st.lists(
    st.tuples(
        st.integers(-120, 1).map(lambda minute: MINUTE + 60 * minute),
        st.sampled_from([AB, CB, XB, ("b", "a")]),
        st.integers(-8, 20).map(lambda calls: calls / 4),
        st.integers(-4, 8).map(lambda errors: errors / 4),
    ),
    max_size=40,
)


@pytest.mark.parametrize(("at", "minute"), [(0, 0), (59.999, 0), (60, 60), (119.5, 60), (-0.5, -60)])
def test_a_window_is_half_open(at: float, minute: int) -> None:
    assert minute_of(at) == minute


@settings(deadline=None)
@given(COUNTS, st.randoms())
def test_the_order_of_arrival_never_matters(counts: list[Counts], chance: random.Random) -> None:
    one, other = windows(*counts), windows(*chance.sample(counts, len(counts)))

    for edge in (AB, CB, XB, ("b", "a")):
        assert one.calls(edge) == other.calls(edge)
        for since in (NOW - 7_200, NOW - 600):
            mine, theirs = one.sum(edge, since, NOW + 60), other.sum(edge, since, NOW + 60)
            assert (mine.calls, mine.errors, mine.histogram) == (theirs.calls, theirs.errors, theirs.histogram)
    assert one.erring(0, NOW + 60) == other.erring(0, NOW + 60)
    assert plain(one.take_pending()) == plain(other.take_pending())


@settings(deadline=None)
@given(COUNTS, st.lists(st.integers(0, 90), max_size=4), st.integers(1, 60))
def test_the_running_totals_are_what_summing_anew_would_give(counts: list[Counts], steps: list[int], most: int) -> None:
    found = windows(*counts, max_tallies=most)
    now = NOW
    for minutes in [0, *sorted(steps)]:
        now = NOW + minutes * 60
        found.expire(now)
        # A late correction of a minute that may be gone already.
        found.add(MINUTE - 60, [(AB, tally(-1.5))], now)

        everything = (float("-inf"), float("inf"))
        for edge in (AB, CB, XB, ("b", "a")):
            assert found.calls(edge) == found.sum(edge, *everything).calls
        for service in ("a", "b"):
            into = [edge for edge in (AB, CB, XB, ("b", "a")) if edge[1] == service]
            assert found.served(service) == sum(found.sum(edge, *everything).calls for edge in into)
            assert found.sum_inward(service, *everything).calls == found.served(service)


def test_nothing_is_left_of_what_has_expired() -> None:
    found = windows((MINUTE, AB, 8, 1), (MINUTE - 60, AB, -5, 0), (MINUTE - 60, CB, 0.1, 0), (MINUTE, CB, 0.2, 0))
    found.take_pending()
    found.expire(NOW + 10_000)

    assert vars(found) == vars(Windows(Layer.TRACE))


def test_a_correction_below_zero_is_made_good_by_what_comes_later() -> None:
    """The minute that was corrected has left; the correction is still there, and so is what came after it."""
    found = windows((MINUTE - 3_600, AB, 8, 0), (MINUTE, AB, -5, 0))
    found.expire(NOW + 120)
    assert found.calls(AB) == -5
    found.add(MINUTE + 60, [(AB, tally(6))], NOW + 120)

    assert found.calls(AB) == 1


def test_counts_that_were_scaled_and_taken_back_leave_nothing() -> None:
    """Else an edge that was a mistake stays on the map for a rounding error."""
    found = windows((MINUTE, AB, 10 / 3, 0), (MINUTE, AB, 1.1, 0), (MINUTE, AB, -10 / 3, 0), (MINUTE, AB, -1.1, 0))

    assert found.calls(AB) == 0
    assert found.served("b") == 0


# -- reading ---------------------------------------------------------------------------------------------------------


def test_a_sum_takes_windows_by_their_start() -> None:
    found = windows((MINUTE - 120, AB, 1, 0), (MINUTE - 60, AB, 2, 1), (MINUTE, AB, 4, 0), (MINUTE, CB, 100, 0))

    assert found.sum(AB, MINUTE - 60, MINUTE).calls == 2
    assert found.sum(AB, MINUTE - 119, MINUTE + 1).calls == 6
    assert found.sum(AB, 0, MINUTE + 60).calls == 7
    assert found.sum(("no", "body"), 0, MINUTE + 60).calls == 0


def test_what_a_service_was_asked_counts_callers_nobody_knows_too() -> None:
    found = windows((MINUTE, AB, 1, 1), (MINUTE, CB, 2, 0), (MINUTE - 60, XB, 4, 0), (MINUTE, ("b", "a"), 100, 0))

    assert found.served("b") == 7
    assert found.sum_inward("b", MINUTE, MINUTE + 60).calls == 3
    assert found.sum_inward("b", MINUTE, MINUTE + 60).errors == 1
    assert found.sum_inward("nobody", 0, NOW).calls == 0


def test_reading_changes_nothing() -> None:
    found = windows((MINUTE, AB, 1, 0))
    found.sum(AB, 0, NOW).add(tally(100))
    found.sum_inward("b", 0, NOW).add(tally(100))

    assert found.sum(AB, 0, NOW).calls == found.sum_inward("b", 0, NOW).calls == 1


def test_counts_added_stay_the_senders_own() -> None:
    counts = tally(1)
    found = Windows(Layer.TRACE)
    found.add(MINUTE, [(AB, counts)], NOW)
    counts.add(tally(100))

    assert found.sum(AB, 0, NOW).calls == found.calls(AB) == 1
    assert plain(found.take_pending()) == {(MINUTE, AB): (1, 0)}


def test_edges_with_a_failed_call_are_found_by_minute() -> None:
    found = windows((MINUTE - 300, AB, 5, 1), (MINUTE, CB, 5, 2), (MINUTE, XB, 5, 0))

    assert found.erring(MINUTE - 180, NOW) == {CB}
    assert found.erring(0, NOW) == {AB, CB}
    assert found.erring(MINUTE + 60, NOW + 120) == set()


# -- writing ---------------------------------------------------------------------------------------------------------


def test_what_is_new_is_handed_out_once() -> None:
    found = windows((MINUTE, AB, 1, 0), (MINUTE, AB, 2, 1), (MINUTE - 60, CB, 4, 0))

    assert found.pending == 2
    assert plain(found.take_pending()) == {(MINUTE, AB): (3, 1), (MINUTE - 60, CB): (4, 0)}
    assert found.take_pending() == {}
    assert found.pending == 0
    assert found.sum(AB, 0, NOW).calls == 3


def test_a_minute_too_old_to_be_kept_is_still_written() -> None:
    found = windows((MINUTE - 7_200, AB, 1, 1))

    assert found.sum(AB, 0, NOW).calls == found.calls(AB) == 0
    assert found.erring(0, NOW) == set()
    assert plain(found.take_pending()) == {(MINUTE - 7_200, AB): (1, 1)}


def test_what_was_loaded_is_readable_and_not_written_again() -> None:
    found = Windows(Layer.TRACE)
    found.remember(MINUTE, [(AB, tally(3, 1))])

    assert found.sum(AB, 0, NOW).calls == found.served("b") == 3
    assert found.erring(0, NOW) == {AB}
    assert found.pending == 0
    assert found.take_pending() == {}


# -- forgetting ------------------------------------------------------------------------------------------------------


def test_minutes_leave_memory_after_their_time_but_not_before_they_are_written() -> None:
    found = windows((MINUTE, AB, 1, 1), keep_seconds=600)
    found.expire(NOW + 500)
    assert found.calls(AB) == 1
    found.expire(NOW + 800)

    assert found.calls(AB) == 0
    assert found.erring(0, NOW) == set()
    assert found.evicted == 0
    assert plain(found.take_pending()) == {(MINUTE, AB): (1, 1)}


def test_over_the_cap_the_oldest_minutes_go_and_are_counted() -> None:
    counts = [(MINUTE - 60 * minute, (f"s{number}", "b"), 1.0, 0.0) for minute in range(5) for number in range(10)]
    found = windows(*counts, max_tallies=25)
    found.expire(NOW)

    assert found.evicted == 30
    assert found.served("b") == 20
    assert found.sum_inward("b", MINUTE - 60, NOW).calls == 20
    assert found.sum_inward("b", 0, MINUTE - 60).calls == 0


def test_a_big_delta_comes_in_small_slices_with_nothing_lost() -> None:
    edges = {(f"s{number}", "b"): tally() for number in range(2_500)}
    delta = LayerDelta(Layer.TRACE, windows={MINUTE: edges, MINUTE - 60: {AB: tally()}, MINUTE - 120: {}})
    found = list(slices(delta, 1_000))

    assert [(minute, len(counts)) for minute, counts in found] == [
        (MINUTE, 1_000),
        (MINUTE, 1_000),
        (MINUTE, 500),
        (MINUTE - 60, 1),
    ]
    assert {edge for minute, counts in found if minute == MINUTE for edge, _ in counts} == edges.keys()
