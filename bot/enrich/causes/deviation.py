"""How far a metric is beyond anything its own usual time reaches. Pure arithmetic, no thresholds.

Two baselines: far (days or hours that were well) and just before the alert. Mostly the smaller deviation counts, so that
neither drift over hours nor a bad moment before it wins. Short or missing baselines are never dropped: they widen the scale
smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.enrich.causes.metric_kinds import PLAIN, MetricKind
from bot.enrich.causes.situation import Measured, Points

Floats = NDArray[np.float64]

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


@dataclass(frozen=True, slots=True)
class Deviation:
    """`now` against `usual` in the metric's own unit (levels of short windows), the `reach` of usual windows beyond
    `usual`, and how many times that reach the deviation is (`times`; 1 is what was seen before, below 1 is quiet).
    `direction` is +1 or -1; `onset` when it began to be beyond (epoch s, None where it cannot be told)."""

    now: float
    usual: float
    reach: float
    times: float
    direction: int
    onset: float | None

    @property
    def excess(self) -> float:
        """How much more (or less, where low is bad) it is than usual, never negative."""
        return max(0.0, self.direction * (self.now - self.usual))


def deviation(measured: Measured, at: float, direction: int, kind: MetricKind = PLAIN) -> Deviation | None:
    """The deviation of one metric in one direction around `at` (epoch s); None where there is nothing to compare.

    A share of calls is read as the share that failed (0..1), whichever way round and on whatever scale it came.
    """
    times, values = _clean(measured.points)
    if not len(values):
        return None
    _, far = _clean(measured.baseline)
    floor = measured.noise
    if kind.ratio:
        values, far = _failed(values, far, kind.sign)
        direction, floor = 1, max(_RATIO_FLOOR, floor)
    start = _start(times, at)
    before, during = values[times < start], values[times >= start]
    if not len(during):
        during, before = values[-1:], values[:-1]
    if not len(far) and not len(before):
        return None
    width = min(_WINDOW, len(during))
    now = float(np.max(direction * _means(during, width))) * direction
    found = [_against(base, now, width, direction, floor) for base in (far, before) if len(base) > 0]
    if len(found) == 2:
        # What was just before moves the level only: its spread may hold another incident, or be of a few points.
        wide = max(found[0][1], _spread(_means(before, width)))
        found[1] = (found[1][0], wide, max(0.0, direction * (now - found[1][0])) / wide)
    usual, reach, smaller = min(found, key=lambda one: one[2])
    larger = max(one[2] for one in found)
    share = _SMALLER_COUNTS
    if len(found) == 2 and found[1][2] < found[0][2]:
        share *= len(before) / (len(before) + _FEW_BEFORE)  # the last minutes may be part of the trouble already
    combined = min(_MOST, max(smaller, _QUIET) ** share * max(larger, _QUIET) ** (1 - share)) if larger > 0 else 0.0
    beyond = direction * values > direction * usual + reach
    later = np.nonzero(beyond & (times >= start))[0]
    onset = float(times[later[0]]) if len(later) else None
    return Deviation(now, usual, reach, combined, direction, onset)


def _failed(values: Floats, far: Floats, sign: int) -> tuple[Floats, Floats]:
    whole = 100.0 if max(np.max(values, initial=0.0), np.max(far, initial=0.0)) > 1.5 else 1.0
    return (values / whole, far / whole) if sign > 0 else (1.0 - values / whole, 1.0 - far / whole)


def _clean(points: Points) -> tuple[Floats, Floats]:
    if not points:
        empty = np.empty(0)
        return empty, empty
    array = np.asarray(points[-_MOST_POINTS:], dtype=np.float64).reshape(-1, 2)
    array = np.clip(array[np.isfinite(array).all(axis=1)], -_MOST_VALUE, _MOST_VALUE)
    if len(array) > 1 and (np.diff(array[:, 0]) < 0).any():
        array = array[np.argsort(array[:, 0], kind="stable")]
    return array[:, 0], array[:, 1]


def _start(times: Floats, at: float) -> float:
    """From when on points count as 'now': an alert fires some time after what it is about began."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 60.0
    lead = _LEAD_STEPS * step
    if np.count_nonzero(times < at - _LONG_LEAD_SECONDS) >= _LONG_BEFORE:
        lead = max(lead, _LONG_LEAD_SECONDS)
    return at - lead


def _means(values: Floats, width: int) -> Floats:
    if width <= 1 or len(values) < width:
        return values if width <= 1 else np.array([float(np.mean(values))])
    sums: Floats = np.cumsum(np.concatenate(([0.0], values)))
    means: Floats = (sums[width:] - sums[:-width]) / width
    return means


def _against(base: Floats, now: float, width: int, direction: int, floor: float) -> tuple[float, float, float]:
    """(usual level, reach beyond it, how many times that reach `now` is away)."""
    levels = _means(base, width)
    usual = float(np.median(levels))
    toward = float(np.quantile(direction * levels, 0.98)) * direction
    beyond = max(0.0, direction * (toward - usual))
    spread = _spread(levels)
    # Few points have not shown how far they reach.
    unseen = 1.0 + _FEW / (len(base) + 1.0)
    reach = max(beyond, spread) * unseen + (_RELATIVE_FLOOR * abs(usual) + floor) * unseen + 1e-9
    return usual, reach, max(0.0, direction * (now - usual)) / reach


def _spread(levels: Floats) -> float:
    return float(np.median(np.abs(levels - np.median(levels)))) * 1.5
