"""Grades rankings of labelled cases: top-1, top-3, Avg@5, calibration, time a case; blast radius where it is labelled."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bot.enrich.causes.affected import affected
from bot.enrich.causes.metric_kinds import TABLE, MetricTable
from bot.enrich.causes.ranking import Verdict, rank
from bot.grading.cases import Case
from bot.grading.plain import METHODS

_BINS = 10
_BEST = 5


@dataclass(slots=True)
class Marks:
    """How often a method was right. `average_at_5` is the mean of top-1 to top-5."""

    top_1: float = 0.0
    top_3: float = 0.0
    average_at_5: float = 0.0


@dataclass(slots=True)
class Grades:
    """A set of labelled cases, graded. `calibration` is the expected calibration error of the first candidate's
    probability over ten equal bins; `radius` the mean Jaccard index given the cause, None where no case has a label."""

    cases: int
    ours: Marks
    plain: dict[str, Marks]
    calibration: float
    median_ms: float
    radius: float | None

    def stored(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    places: dict[str, list[int | None]] = field(default_factory=lambda: defaultdict(list))
    said: list[tuple[float, bool]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    radii: list[float] = field(default_factory=list)


def answers(cases: Iterable[Case], table: MetricTable = TABLE) -> Iterator[tuple[Case, Verdict, float]]:
    """Each case with its verdict and the seconds it took."""
    for case in cases:
        started = time.perf_counter()
        verdict = rank(case.situation, table)
        yield case, verdict, time.perf_counter() - started


def grade(answered: Iterable[tuple[Case, Verdict, float]]) -> Grades | None:
    """Grades of those that have a label; None where none has."""
    tally = _Tally()
    for case, verdict, seconds in answered:
        if not case.root_cause:
            continue
        ranking = [one.service for one in verdict.candidates]
        tally.places["ours"].append(_place(ranking, case.root_cause))
        for name, method in METHODS.items():
            tally.places[name].append(_place(method(case.situation), case.root_cause))
        if verdict.candidates:
            tally.said.append((verdict.candidates[0].p, ranking[0] in case.root_cause))
        tally.times.append(seconds)
        if case.blast_radius is not None:
            tally.radii.append(jaccard(affected(case.situation, case.root_cause), case.blast_radius))
    if not tally.times:
        return None
    return Grades(
        cases=len(tally.times),
        ours=_marks(tally.places["ours"]),
        plain={name: _marks(tally.places[name]) for name in METHODS},
        calibration=calibration_error(tally.said),
        median_ms=1_000 * statistics.median(tally.times),
        radius=statistics.fmean(tally.radii) if tally.radii else None,
    )


def _place(ranking: Sequence[str], truth: Sequence[str]) -> int | None:
    return next((place for place, service in enumerate(ranking) if service in truth), None)


def _marks(places: Sequence[int | None]) -> Marks:
    within = [sum(place is not None and place < most for place in places) / len(places) for most in range(1, _BEST + 1)]
    return Marks(within[0], within[2], statistics.fmean(within))


def calibration_error(said: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error: how far stated probabilities are from how often they were right, over ten equal bins
    (Naeini, Cooper, Hauskrecht: "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015)."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for p, right in said:
        bins[min(_BINS - 1, int(p * _BINS))].append((p, right))
    return sum(abs(sum(p - right for p, right in found)) for found in bins.values()) / max(1, len(said))


def jaccard(one: Iterable[str], other: Iterable[str]) -> float:
    """Size of what both have over the size of what either has; 1 where both are empty."""
    first, second = set(one), set(other)
    return len(first & second) / len(first | second) if first | second else 1.0
