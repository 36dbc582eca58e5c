"""Histograms of any bounds -> the model's power-of-two bins.

Comes in: cumulative buckets as Prometheus counts them. Goes out: `LATENCY_BUCKETS` counts. What is lost: where in a bucket
its calls lay; they are spread evenly.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import inf, log2

from bot.model import LATENCY_BUCKETS

_NOTHING = 1e-9
_FIRST_BOUND_US = 250.0


def rebinned(bounds: Mapping[float, float]) -> list[float]:
    """A cumulative histogram (upper bound in µs -> calls up to it) in the model's bins; what lies between two bounds is
    spread over the bins between them in proportion."""
    found = [0.0] * LATENCY_BUCKETS
    below = 0.0
    for low, high in pairwise([0.0, *sorted(bound for bound in bounds if bound > 0)]):
        calls = bounds[high] - below
        below = max(below, bounds[high])
        if calls <= _NOTHING:
            continue
        if high == inf:
            found[_bin(max(low, 1.0))] += calls
            continue
        for index in range(_bin(low), _bin(high) + 1):
            left = 0.0 if index == 0 else _FIRST_BOUND_US * 2**index
            right = _FIRST_BOUND_US * 2 ** (index + 1) if index < LATENCY_BUCKETS - 1 else inf
            found[index] += calls * max(0.0, min(right, high) - max(left, low)) / (high - low)
    return found


def _bin(latency_us: float) -> int:
    """The bin of a latency, see `bot.model.LATENCY_BUCKETS`."""
    if latency_us < 2 * _FIRST_BOUND_US:
        return 0
    return min(LATENCY_BUCKETS - 1, int(log2(latency_us / _FIRST_BOUND_US)))
