"""Likely causes of an alert, ranked, with a probability, and what can be ruled out.

Pure: a situation in, a verdict out, the same one every time. The probability comes from a softmax over the candidates'
scores with one more contender, "none of these", and is capped: no evidence of this kind makes a certainty.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.enrich.causes.anomalies import Anomalies, anomalies
from bot.enrich.causes.evidence import Evidence, gather
from bot.enrich.causes.metric_kinds import TABLE, Family, MetricTable
from bot.enrich.causes.shared_places import of_places
from bot.enrich.causes.situation import Situation, callers_of, reachable

NAMED_FROM = 0.3
"""Below this the headline names no cause."""

_TEMPERATURE = 0.3
_NONE_OF_THESE = 0.9
_CERTAIN = 0.95
_UNREACHED = 0.5
_DEPENDENT = 0.15
_WORTH_COUNTING = 0.05
_HEALTHY = 0.3
_SENTENCES = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A service, or a place that several run in (`node:NAME`, `zone:NAME`), that may be the cause: `p` 0..1, what speaks for it
    (strongest first), and the score behind it."""

    service: str
    p: float
    score: float
    evidence: tuple[Evidence, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What speaks for it, in words."""
        return tuple(dict.fromkeys(one.sentence for one in self.evidence if one.sentence))[:_SENTENCES]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All candidates, likeliest first. `ruled_out`: dependencies that are measured and well; `unknown`: those nobody
    measures. `why_none` says why no cause is named, '' where one is."""

    candidates: tuple[Candidate, ...]
    ruled_out: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    why_none: str = ""

    @property
    def named(self) -> Candidate | None:
        """The cause to name in a headline, if any."""
        return self.candidates[0] if self.candidates and not self.why_none else None


def rank(situation: Situation, table: MetricTable = TABLE) -> Verdict:
    """The verdict on a situation."""
    found = anomalies(situation, table)
    by_service: dict[str, list[Evidence]] = {service: [] for service in situation.services}
    for one in gather(situation, found, table):
        by_service.setdefault(one.service, []).append(one)
    reached = reachable(situation.service, situation.callees)
    dependents = reachable(situation.service, callers_of(situation.callees))
    scores = {
        service: sum(_strongest(evidence).values()) * relevance(service, reached, dependents)
        for service, evidence in by_service.items()
    }
    for one in of_places(situation, by_service, found.measured):
        nearest = max(relevance(service, reached, dependents) for service in situation.places[one.service])
        by_service[one.service], scores[one.service] = [one], one.weight * nearest
    candidates = _candidates(scores, by_service)
    near = sorted(reached, key=lambda one: (reached[one], one))
    seen = found.measured | {event.service for event in situation.events if event.kind != "change"}
    healthy = tuple(
        one for one in near if one != situation.service and scores.get(one, 0.0) < _HEALTHY and _well(found, one)
    )
    unknown = tuple(one for one in near if one not in seen)
    return Verdict(candidates, healthy, unknown, _why_none(candidates, seen, situation))


def without(verdict: Verdict, excluded: Collection[str]) -> Verdict:
    """The verdict given that none of `excluded` is the cause: what is left shares what they had."""
    gone = sum(one.p for one in verdict.candidates if one.service in excluded)
    if not gone:
        return verdict
    left = max(1.0 - gone, 1.0 - _CERTAIN)
    kept = tuple(
        replace(one, p=min(_CERTAIN, one.p / left)) for one in verdict.candidates if one.service not in excluded
    )
    named = bool(kept) and kept[0].p >= NAMED_FROM
    why = "" if named else f"{', '.join(sorted(excluded))}: said not to be the cause, and nothing else stands out"
    return Verdict(kept, verdict.ruled_out, verdict.unknown, why)


def _well(found: Anomalies, service: str) -> bool:
    """Whether a service is measured and shows no symptom, not even one that others explain."""
    symptoms = found.of(service, Family.LATENCY, Family.ERRORS)
    return service in found.measured and all(one.strength < _HEALTHY for one in symptoms if not one.outbound)


def _candidates(scores: Mapping[str, float], by_service: Mapping[str, Sequence[Evidence]]) -> tuple[Candidate, ...]:
    best = max(scores.values(), default=0.0)
    counted = {one: score for one, score in scores.items() if score > _WORTH_COUNTING}
    total = sum(math.exp((score - best) / _TEMPERATURE) for score in (*counted.values(), _NONE_OF_THESE))
    ranked = sorted(scores, key=lambda one: (-scores[one], one))
    return tuple(
        Candidate(
            one,
            min(_CERTAIN, math.exp((scores[one] - best) / _TEMPERATURE) / total) if one in counted else 0.0,
            scores[one],
            tuple(sorted(by_service[one], key=lambda each: (-each.weight, each.family, each.sentence))),
        )
        for one in ranked
    )


def _strongest(evidence: Iterable[Evidence]) -> dict[str, float]:
    """Each family's strongest word: none counts twice."""
    found: dict[str, float] = {}
    for one in evidence:
        found[one.family] = max(found.get(one.family, 0.0), one.weight)
    return found


def relevance(service: str, reached: Mapping[str, int], dependents: Mapping[str, int]) -> float:
    """A cause is a dependency; what depends on the alerting service shows its trouble, not the cause of it."""
    if service in reached:
        return 1.0
    return _DEPENDENT if service in dependents else _UNREACHED


def _why_none(candidates: Sequence[Candidate], seen: set[str], situation: Situation) -> str:
    if candidates and candidates[0].p >= NAMED_FROM:
        return ""
    if not seen:
        return "nobody measures these services: there is only the map"
    if len(candidates) > 1 and candidates[1].p >= 0.5 * candidates[0].p and candidates[0].p > 0.1:
        return f"{candidates[0].service} and {candidates[1].service} are about as likely"
    return f"nothing around {situation.service} is clearly unusual"
