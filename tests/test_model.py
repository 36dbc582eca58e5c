"""The value types: what they promise about adding up and about what may be missing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.model import LATENCY_BUCKETS, Kind, Layer, LayerDelta, Node, Tally

COUNT = st.integers(-50, 1_000).map(float)


def tally(calls: float = 0.0, errors: float = 0.0, histogram: dict[int, float] | None = None) -> Tally:
    made = Tally()
    made.calls, made.errors, made.sampled = calls, errors, int(calls)
    for bucket, count in (histogram or {}).items():
        made.histogram[bucket] = count
    return made


def values(counts: Tally) -> tuple[object, ...]:
    return (counts.calls, counts.errors, counts.sampled, counts.latency_us, *counts.histogram)


def total(counts: list[Tally]) -> Tally:
    found = Tally()
    for one in counts:
        found.add(one)
    return found


@settings(deadline=None)
@given(st.lists(st.builds(tally, COUNT, COUNT, st.dictionaries(st.integers(0, 15), COUNT))), st.randoms())
def test_counts_add_up_to_the_same_in_any_order_and_any_grouping(counts: list[Tally], chance: random.Random) -> None:
    shuffled = chance.sample(counts, len(counts))
    middle = chance.randint(0, len(shuffled))

    grouped = total([total(shuffled[:middle]), total(shuffled[middle:])])
    assert values(grouped) == values(total(counts))


def test_a_correction_takes_a_count_back_to_nothing() -> None:
    counts = total([tally(3, 1, {4: 3}), tally(-3, -1, {4: -3})])

    assert values(counts) == values(Tally())
    assert counts.error_rate == 0
    assert counts.quantile_ms(0.95) is None


def test_adding_leaves_the_added_counts_alone() -> None:
    added = tally(3, 1, {4: 3})
    total([added, added])

    assert values(added) == values(tally(3, 1, {4: 3}))


@pytest.mark.parametrize(
    ("calls", "errors", "rate"), [(10, 1, 0.1), (10, 10, 1.0), (0, 0, 0.0), (0, 3, 0.0), (2, 3, 1.0), (10, -1, 0.0)]
)
def test_an_error_rate_is_a_share_even_halfway_through_a_correction(calls: float, errors: float, rate: float) -> None:
    assert tally(calls, errors).error_rate == rate


def test_without_timed_calls_there_is_no_latency() -> None:
    assert tally(100).quantile_ms(0.95) is None


@pytest.mark.parametrize(("bucket", "low", "high"), [(0, 0.0, 0.5), (1, 0.5, 1.0), (5, 8.0, 16.0), (15, 8_192, 16_384)])
def test_a_quantile_lies_in_its_bucket(bucket: int, low: float, high: float) -> None:
    """Bucket i counts calls from 250 µs * 2**i up to twice that; the first takes everything below, too."""
    counts = tally(histogram={bucket: 10})

    found = [counts.quantile_ms(q) for q in (0.01, 0.5, 0.95, 1.0)]
    assert all(one is not None and low <= one <= high for one in found)
    assert found[-1] == high


def test_quantiles_tell_slow_calls_from_fast_ones() -> None:
    counts = tally(histogram={3: 90, 10: 10})

    assert counts.quantile_ms(0.5) == pytest.approx(2 + 2 * 50 / 90, abs=0.001)
    assert counts.quantile_ms(0.95) == 384.0
    assert counts.quantile_ms(0.90) == 4.0


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, LATENCY_BUCKETS - 1), st.floats(0.001, 1e6), min_size=1))
def test_a_higher_quantile_is_never_a_shorter_time(histogram: dict[int, float]) -> None:
    counts = tally(histogram=histogram)
    found = [counts.quantile_ms(q / 20) for q in range(21)]

    known = [one for one in found if one is not None]
    assert len(known) == 21
    assert known == sorted(known)
    assert known[-1] <= 16_384


@pytest.mark.parametrize("told", [Kind.DATABASE, Kind.QUEUE, Kind.CACHE, Kind.GATEWAY])
def test_who_says_what_a_service_is_knows_more_than_who_says_service(told: Kind) -> None:
    plain, telling = Node("x"), Node("x", told)

    assert plain.merged(telling) is telling.merged(plain) is telling
    assert Node("x", Kind.EXTERNAL).merged(plain) is plain


def test_of_two_equal_descriptions_the_first_stays() -> None:
    first, second = Node("x.shop", name="x", namespace="shop"), Node("x.shop", name="x.shop")

    assert first.merged(second) is first


def test_a_delta_that_says_nothing_is_nothing() -> None:
    assert not LayerDelta(Layer.TRACE)
    assert LayerDelta(Layer.TRACE, nodes={"x": Node("x")})
    assert LayerDelta(Layer.TRACE, windows={60: {("a", "b"): tally(1)}})
