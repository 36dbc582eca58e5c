"""What the samples of one counter come to, whatever happens to it."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.layers.counters import SILENCE_SECONDS, Counters
from bot.telemetry.samples import Sample, identity

BORN = 1_760_000_000.0
ONE = identity("calls_total", {"client": "web"})


class Told:
    """One series, and what it grew by in all."""

    def __init__(self, max_series: int = 100) -> None:
        self.dropped: Counter[str] = Counter()
        self.counters = Counters(BORN, self.dropped, max_series)
        self.sinces: list[float] = []
        self.total = 0.0

    def tell(
        self, at: float, value: float, start: float = 0.0, *, replica: int = 0, delta: bool = False, key: int = 1
    ) -> float:
        """Give a sample `at` seconds after the birth, of a counter that began `start` seconds after it; what it added."""
        began = BORN + start if start else 0.0
        growth = self.counters.grew(key, replica, Sample(ONE, BORN + at, value, began, delta), BORN + at)
        if growth is None:
            return 0.0
        assert growth.increase >= 0
        assert growth.since <= BORN + at
        self.sinces.append(growth.since - BORN)
        self.total += growth.increase
        return growth.increase


def test_a_restart_counts_what_came_after_it() -> None:
    told = Told()
    assert [told.tell(at, value) for at, value in ((0, 100), (15, 110), (30, 3), (45, 5))] == [0, 10, 3, 2]


def test_an_increase_says_since_when_it_was_counted() -> None:
    told = Told()
    told.tell(10, 5)
    told.tell(400, 9)
    told.tell(460, 2, start=430)
    assert told.sinces == [10, 10, 400]  # nobody said when the first two began, so the third may have gone on from them


def test_a_counter_that_began_before_we_did_is_a_base_line_only() -> None:
    told = Told()
    assert told.tell(10, 1_000_000, start=-500) == 0
    assert told.tell(25, 1_000_003, start=-500) == 3


def test_a_counter_that_began_since_we_listen_counts_from_nothing() -> None:
    assert Told().tell(60, 7, start=50) == 7


def test_a_start_at_the_moment_of_the_sample_is_a_start_nobody_knows() -> None:
    told = Told()
    assert told.tell(60, 1_000_000, start=60) == 0
    assert told.tell(75, 1_000_004, start=60) == 4
    assert told.tell(90, 1_000_005, start=90) == 1, "the collector in between began anew"


def test_a_restart_that_has_overtaken_the_old_value_shows_by_its_start() -> None:
    told = Told()
    told.tell(10, 100, start=-100)
    assert told.tell(60, 150, start=40) == 150


def test_a_start_that_wavers_by_a_second_is_the_same_start() -> None:
    told = Told()
    assert [told.tell(at, at, start=20 + at % 3) for at in range(30, 90, 10)] == [30, 10, 10, 10, 10, 10]


def test_two_processes_under_the_same_labels_are_never_taken_for_one_that_restarts() -> None:
    """As where nobody sets `service.instance.id`: one counts to a thousand, the other began later and counts to ten."""
    told = Told()
    told.tell(0, 1_000, start=-500)
    for turn in range(1, 9):
        told.tell(turn * 15, 1_000 + turn, start=-500)
        told.tell(turn * 15 + 1, turn, start=-60)
    assert told.total == 8
    assert told.dropped["sample of a second process under the same labels"] == 8


def test_the_second_process_takes_over_when_the_first_is_gone() -> None:
    told = Told()
    told.tell(0, 1_000, start=-500)
    told.tell(1, 10, start=-60)
    assert told.tell(SILENCE_SECONDS + 1, 50, start=-60) == 0
    assert told.tell(SILENCE_SECONDS + 16, 54, start=-60) == 4


def test_a_counter_that_says_when_it_began_cannot_fall_without_a_new_start() -> None:
    told = Told()
    told.tell(0, 1_000, start=-500)
    assert told.tell(15, 3, start=-500) == 0
    assert told.tell(30, 1_002, start=-500) == 2


def test_two_replicas_of_one_prometheus_are_heard_one_at_a_time() -> None:
    told = Told()
    for turn, replica in enumerate([1, 2] * 4):
        told.tell(turn * 5, 100 + turn, replica=replica)
    assert told.total == 6
    assert told.dropped["sample of another replica"] == 4


def test_a_replica_that_falls_silent_is_followed_by_the_other_without_a_gap() -> None:
    told = Told()
    told.tell(0, 100, replica=1)
    told.tell(10, 104, replica=2)
    assert told.tell(SILENCE_SECONDS + 1, 130, replica=2) == 30
    assert told.tell(SILENCE_SECONDS + 16, 131, replica=2) == 1
    assert told.tell(SILENCE_SECONDS + 17, 133, replica=1) == 0


def test_a_counter_two_scrapers_look_at_may_step_back_a_little_and_has_not_restarted() -> None:
    told = Told()
    assert [told.tell(at, value) for at, value in ((0, 1_000), (1, 999), (15, 1_004), (16, 1_003))] == [0, 0, 4, 0]


def test_samples_repeated_or_out_of_order_add_nothing() -> None:
    told = Told()
    for at, value in ((0, 100), (15, 105), (15, 105), (3, 101), (0, 100)):
        told.tell(at, value)
    assert told.total == 5
    assert told.dropped["sample repeated or out of order"] == 3


def test_deltas_count_once_each_in_any_order() -> None:
    told = Told()
    for at in (30, 10, 20, 10, 30):
        told.tell(at, 4, delta=True)
    assert told.total == 12
    assert told.dropped["sample repeated or out of order"] == 2


def test_a_delta_older_than_all_that_is_remembered_may_be_a_repeat_and_is_left_out() -> None:
    told = Told()
    for at in range(10, 310, 10):
        told.tell(at, 1, delta=True)
    assert told.tell(20, 1, delta=True) == 0
    assert told.total == 30


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_what_is_no_count_is_left_out_and_spoils_nothing(value: float) -> None:
    told = Told()
    told.tell(0, value)
    told.tell(15, 100)
    told.tell(30, value)
    assert told.tell(45, 103) == 3
    assert told.dropped["sample that is no count"] == 2


def test_a_series_silent_for_an_hour_is_forgotten_and_begins_anew() -> None:
    told = Told()
    told.tell(0, 100)
    told.counters.expire(BORN + 3_601)
    assert len(told.counters) == 0
    assert told.tell(3_602, 500) == 0


def test_series_beyond_the_cap_go_the_longest_unseen_first() -> None:
    told = Told(max_series=2)
    for key in (1, 2, 1, 3):
        told.tell(key + 10 * (told.counters.dropped.total() + len(told.sinces)), 5, key=key)
    assert told.tell(100, 9, key=1) == 4
    assert told.tell(100, 9, key=2) == 0
    assert told.dropped["series: too many"] == 2


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), min_size=2, max_size=15),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_whatever_a_network_does_to_samples_they_never_come_to_more_than_was_counted(
    steps: list[tuple[int, bool]], with_starts: bool, rng: object
) -> None:
    shuffle, chance = rng.shuffle, rng.random  # type: ignore[attr-defined]
    sent, value, true, start = [], 0, 0, -100.0
    for turn, (step, restarts) in enumerate(steps):
        at = turn * 15.0
        if restarts:
            value, start = 0, at - 5
        value += step
        true += step
        sent.append((at, float(value), start if with_starts else 0.0))
    sent += [one for one in sent if chance() < 0.3]
    if chance() < 0.5:
        shuffle(sent)
    told = Told()
    for at, counted, began in sent:
        told.tell(at, counted, began)
    assert told.total <= true
