"""How far a metric is beyond anything its own usual time reaches. Pure arithmetic, no thresholds.

Two baselines: far (days or hours that were well) and just before the alert. Mostly the smaller deviation counts, so that
neither drift over hours nor a bad moment before it wins. Short or missing baselines are never dropped: they widen the scale
smoothly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bot.enrich.causes.metric_kinds import PLAIN, MetricKind
from bot.enrich.causes.situation import Measured, Points

_MOST_POINTS = 2_000
_RELATIVE_FLOOR = 0.2
_RATIO_FLOOR = 0.004
_WINDOW = 3
_LEAD_STEPS = 2
_LONG_LEAD_SECONDS = 300.0
_LONG_BEFORE = 10
_SMALLER_COUNTS = 0.75
_FEW_BEFORE = 4.0
_MOST = 1e6
_MOST_VALUE = 1e15  # sums and differences of these are still exact enough, and never overflow
_QUIET = 0.1
_FEW = 1.5
_EXTREME = 0.98


@dataclass(frozen=True, slots=True)
class Deviation:
    """`now` against `usual` in the metric's own unit (levels of short windows), the `reach` of usual windows beyond
    `usual`, and how many times that reach the deviation is (`times`; 1 is what was seen before, below 1 is quiet).
    `direction` is +1 or -1."""

    now: float
    usual: float
    reach: float
    times: float
    direction: int

    @property
    def excess(self) -> float:
        """How much more (or less, where low is bad) it is than usual, never negative."""
        return max(0.0, self.direction * (self.now - self.usual))


def deviation(measured: Measured, at: float, direction: int, kind: MetricKind = PLAIN) -> Deviation | None:
    """The deviation of one metric in one direction around `at` (epoch s); None where there is nothing to compare."""
    return next(iter(deviations(measured, at, (direction,), kind)), None)


def deviations(measured: Measured, at: float, directions: Sequence[int], kind: MetricKind = PLAIN) -> list[Deviation]:
    """The deviations of one metric in these directions around `at` (epoch s); none where there is nothing to compare.

    A share of calls is read as the share that failed (0..1), whichever way round and on whatever scale it came. In plain
    Python: these are lists of some dozens of numbers, which it is done with before numpy has begun.
    """
    times, values = _clean(measured.points)
    if not values:
        return []
    _, far = _clean(measured.baseline)
    floor = measured.noise
    if kind.ratio:
        values, far = _failed(values, far, kind.sign)
        directions, floor = (1,), max(_RATIO_FLOOR, floor)
    start = _start(times, at)
    split = next((place for place, moment in enumerate(times) if moment >= start), len(times) - 1)
    before, during = values[:split], values[split:]
    if not far and not before:
        return []
    width = min(_WINDOW, len(during))
    levels = _means(during, width)
    stretches = [_Usual(base, width) for base in (far, before) if base]
    return [_against(stretches, max(levels) if each > 0 else min(levels), each, floor) for each in directions]


class _Usual:
    """A stretch of usual time: its levels in order, their median and their spread (a robust one)."""

    __slots__ = ("count", "levels", "median", "spread")

    def __init__(self, values: Sequence[float], width: int) -> None:
        self.count = len(values)
        self.levels = sorted(_means(values, width))
        self.median = _quantile(self.levels, 0.5)
        self.spread = 1.5 * _quantile(sorted(abs(one - self.median) for one in self.levels), 0.5)

    def reach(self, direction: int, floor: float) -> float:
        """How far its levels reach beyond the median; few points have not shown how far they do."""
        toward = _quantile(self.levels, _EXTREME if direction > 0 else 1 - _EXTREME)
        unseen = 1.0 + _FEW / (self.count + 1.0)
        beyond = max(direction * (toward - self.median), self.spread)
        return beyond * unseen + (_RELATIVE_FLOOR * abs(self.median) + floor) * unseen + 1e-9


def _against(stretches: Sequence[_Usual], now: float, direction: int, floor: float) -> Deviation:
    """One or two stretches of usual time, the far one first, against `now`."""
    found: list[tuple[float, float, float]] = []
    for place, usual in enumerate(stretches):
        # What was just before moves the level only: its spread may hold another incident, or be of a few points.
        reach = usual.reach(direction, floor) if place == 0 else max(found[0][1], usual.spread)
        found.append((usual.median, reach, max(0.0, direction * (now - usual.median)) / reach))
    level, reach, smaller = min(found, key=lambda one: one[2])
    larger = max(one[2] for one in found)
    share = _SMALLER_COUNTS
    if len(found) == 2 and found[1][2] < found[0][2]:
        count = stretches[1].count
        share *= count / (count + _FEW_BEFORE)  # the last minutes may be part of the trouble already
    combined = min(_MOST, max(smaller, _QUIET) ** share * max(larger, _QUIET) ** (1 - share)) if larger > 0 else 0.0
    return Deviation(now, level, reach, combined, direction)


def _failed(values: list[float], far: list[float], sign: int) -> tuple[list[float], list[float]]:
    whole = 100.0 if max((*values, *far)) > 1.5 else 1.0
    if sign > 0:
        return [one / whole for one in values], [one / whole for one in far]
    return [1.0 - one / whole for one in values], [1.0 - one / whole for one in far]


def _clean(points: Points) -> tuple[list[float], list[float]]:
    """(moments, values) in order, without what is no number, or beyond all measure."""
    kept = [one for one in points[-_MOST_POINTS:] if abs(one[1]) <= _MOST_VALUE and math.isfinite(one[0])]
    if any(later[0] < earlier[0] for earlier, later in pairwise(kept)):
        kept.sort(key=lambda one: one[0])
    return [at for at, _ in kept], [value for _, value in kept]


def _start(times: Sequence[float], at: float) -> float:
    """From when on points count as 'now': an alert fires some time after what it is about began."""
    steps = sorted(later - earlier for earlier, later in pairwise(times))
    lead = _LEAD_STEPS * (_quantile(steps, 0.5) if steps else 60.0)
    if sum(one < at - _LONG_LEAD_SECONDS for one in times) >= _LONG_BEFORE:
        lead = max(lead, _LONG_LEAD_SECONDS)
    return at - lead


def _means(values: Sequence[float], width: int) -> Sequence[float]:
    """Means over windows of `width`, one for each place; of all of it where there is less."""
    if width <= 1:
        return values
    if len(values) < width:
        return [sum(values) / len(values)]
    sums = list(accumulate(values, initial=0.0))
    return [(later - earlier) / width for earlier, later in zip(sums, sums[width:], strict=False)]


def _quantile(ordered: Sequence[float], q: float) -> float:
    """A quantile of sorted numbers, interpolated."""
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
