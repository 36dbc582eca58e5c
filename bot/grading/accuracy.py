"""How right the bot was about real incidents: the blast radius against who was hit, the causes against what people confirmed.

Comes in: what was said of each incident and what became of it. Goes out: shares, each with the count it rests on. What is lost:
incidents nobody confirmed say nothing of causes, and are counted as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

NONE_OF_THEM = "none"
ENOUGH = 20
"""From how many incidents on a share says something."""

_BINS = (0.0, 0.3, 0.5, 0.7, 0.9, 1.01)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Graded:
    """One incident that is over: `outcome` as `bot.enrich.facts.Followed` is stored; `confirmed` a service id, `none`, or ''."""

    closed_at: float
    outcome: Mapping[str, Any]
    confirmed: str

    def right(self, service: str) -> bool:
        """Whether a service is the confirmed cause."""
        return service == self.confirmed


def accuracy(incidents: Sequence[Graded]) -> Json:
    """`{"incidents","radius","causes","calibration","weeks","layers","evidence","says"}`; shares are None where nothing counts."""
    confirmed = [one for one in incidents if one.confirmed]
    families = sorted({family for one in confirmed for _, _, found in _causes(one)[:1] for family in found})
    layers = sorted({layer for one in incidents for layer in one.outcome.get("layers", ())})
    weeks = sorted({_week(one.closed_at) for one in incidents})
    return {
        "incidents": len(incidents),
        "radius": _radius(incidents),
        "causes": _cause_shares(confirmed),
        "calibration": _calibration(confirmed),
        "weeks": [{"week": week} | _both([one for one in incidents if _week(one.closed_at) == week]) for week in weeks],
        "layers": {name: _both([one for one in incidents if name in one.outcome.get("layers", ())]) for name in layers},
        "evidence": {
            family: _cause_shares([one for one in confirmed if family in _families_of_first(one)])
            for family in families
        },
        "says": _says(len(incidents), len(confirmed)),
    }


def week_line(incidents: Sequence[Graded]) -> str:
    """What a week's incidents taught, in one sentence; "" where none was over."""
    if not incidents:
        return ""
    radius, confirmed = _radius(incidents), [one for one in incidents if one.confirmed]
    told = [f"{len(incidents)} {'incident' if len(incidents) == 1 else 'incidents'} over"]
    if radius["predicted"] or radius["missed"]:
        told.append(
            f"{radius['hit']} of {radius['predicted']} services predicted to fail did, {radius['missed']} unpredicted"
        )
    first = sum(any(map(one.right, [service for service, _, _ in _causes(one)[:1]])) for one in confirmed)
    told.append(
        f"likely cause right in {first} of {len(confirmed)} confirmed" if confirmed else "no cause confirmed by anybody"
    )
    return f"Accuracy, last 7 days: {'; '.join(told)}."


def _both(incidents: Sequence[Graded]) -> Json:
    confirmed = [one for one in incidents if one.confirmed]
    return {"incidents": len(incidents), "radius": _radius(incidents), "causes": _cause_shares(confirmed)}


def _radius(incidents: Iterable[Graded]) -> Json:
    """Of those said to depend, how many were hit (precision); of those hit, how many had been said (recall)."""
    predicted = hit = missed = 0
    for one in incidents:
        predicted += len(one.outcome.get("predicted", ()))
        hit += len(one.outcome.get("hit", ()))
        missed += len(one.outcome.get("missed", ()))
    return {
        "predicted": predicted,
        "hit": hit,
        "missed": missed,
        "precision": _share(hit, predicted),
        "recall": _share(hit, hit + missed),
    }


def _cause_shares(confirmed: Sequence[Graded]) -> Json:
    named = [one for one in confirmed if one.outcome.get("named")]
    first = sum(any(map(one.right, [service for service, _, _ in _causes(one)[:1]])) for one in confirmed)
    three = sum(any(map(one.right, [service for service, _, _ in _causes(one)[:3]])) for one in confirmed)
    return {
        "confirmed": len(confirmed),
        "first": _share(first, len(confirmed)),
        "among_three": _share(three, len(confirmed)),
        "named": len(named),
        "named_right": _share(sum(one.outcome["named"] == one.confirmed for one in named), len(named)),
    }


def _calibration(confirmed: Sequence[Graded]) -> list[Json]:
    """Of the first candidates said to be about so likely, how many were right."""
    firsts = [(p, one.right(service)) for one in confirmed for service, p, _ in _causes(one)[:1]]
    found = []
    for low, high in pairwise(_BINS):
        inside = [(p, right) for p, right in firsts if low <= p < high]
        found.append(
            {
                "from": low,
                "to": min(high, 1.0),
                "count": len(inside),
                "said": _share(sum(p for p, _ in inside), len(inside)),
                "right": _share(sum(right for _, right in inside), len(inside)),
            }
        )
    return found


def _causes(one: Graded) -> Sequence[tuple[str, float, Sequence[str]]]:
    causes: Sequence[tuple[str, float, Sequence[str]]] = one.outcome.get("causes", ())
    return causes


def _families_of_first(one: Graded) -> Sequence[str]:
    causes = _causes(one)
    return causes[0][2] if causes else ()


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 3) if whole else None


def _week(at: float) -> str:
    """ISO 8601 week, such as `2026-W48`."""
    year, week, _ = datetime.fromtimestamp(at, UTC).isocalendar()
    return f"{year}-W{week:02d}"


def _says(incidents: int, confirmed: int) -> str:
    if not incidents:
        return "no incident is over yet: there is nothing to grade"
    if confirmed < ENOUGH:
        return f"{confirmed} of {incidents} incidents have a confirmed cause: too few to say how right the causes are"
    return f"{confirmed} of {incidents} incidents have a confirmed cause"
