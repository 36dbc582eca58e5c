"""The weight of a sampled span."""

from __future__ import annotations

import pytest

from bot.telemetry.sampling import MAX_WEIGHT, weight


@pytest.mark.parametrize(
    ("tracestate", "expected"),
    [
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("ot=th:c", 4.0),
        ("ot=th:fd70a3d70a3d71", 100.0),
        ("ot=th:fd70a4", 100.0),
        ("ot=rv:6e6d1a75832a2f;th:c", 4.0),
        ("ot=th:c;rv:6e6d1a75832a2f", 4.0),
        ("congo=t61rcWkgMzE,ot=th:c", 4.0),
        ("congo=t61rcWkgMzE , \tot=th:c , other=1", 4.0),
        ("ot=th:ffffffffffffff", MAX_WEIGHT),
        ("ot=th:ffffffffffff", MAX_WEIGHT),
    ],
)
def test_the_rejection_threshold_gives_the_adjusted_count(tracestate: str, expected: float) -> None:
    assert weight(tracestate.encode()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "tracestate",
    ["", "ot=", "ot=th:", "ot=th:xyz", "ot=th:FF", "ot=th:fffffffffffffff", "ot=p:8", "other=th:c", "not=th:c", "ot=xth:c", "th:c", "\xff"],
)  # fmt: skip
def test_a_tracestate_without_a_threshold_or_with_a_broken_one_counts_one(tracestate: str) -> None:
    assert weight(tracestate.encode("latin-1")) == 1.0
