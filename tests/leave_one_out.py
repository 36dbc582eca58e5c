"""Chooses the weights of evidence on all files of labelled cases but one, and grades them on that one:
`python -m tests.leave_one_out CASES.jsonl.gz…`.

The weights in use are set by hand. This says what they would be worth had they been learnt elsewhere, and how little is to
be gained: each family's weight is halved and doubled in turn, for as long as the mean of the reciprocal places gets better.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.enrich.causes.anomalies import anomalies
from bot.enrich.causes.evidence import WEIGHTS, gather
from bot.enrich.causes.metric_kinds import TABLE
from bot.enrich.causes.ranking import relevance
from bot.enrich.causes.situation import callers_of, reachable
from bot.grading.cases import Case, read

_STEPS = (0.5, 2.0)
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Known:
    """A case with the strength of each family for each service, so that other weights cost little to try."""

    truth: tuple[str, ...]
    strengths: Mapping[str, Mapping[str, float]]

    def place(self, weights: Mapping[str, float]) -> int:
        """Where the cause comes out."""
        scores = {
            one: sum(weights[name] * each for name, each in those.items()) for one, those in self.strengths.items()
        }
        ranked = sorted(scores, key=lambda one: (-scores[one], one))
        return min((ranked.index(one) for one in self.truth if one in scores), default=len(ranked))


def known(case: Case) -> Known:
    """Work one case out, but for the weights."""
    situation = case.situation
    reached, above = (
        reachable(situation.service, situation.callees),
        reachable(situation.service, callers_of(situation.callees)),
    )
    found: dict[str, dict[str, float]] = {service: {} for service in situation.services}
    for one in gather(situation, anomalies(situation, TABLE), TABLE):
        mine = found.setdefault(one.service, {})
        strength = one.strength * relevance(one.service, reached, above)
        mine[one.family] = max(mine.get(one.family, 0.0), strength)
    return Known(case.root_cause, found)


def chosen(files: Sequence[Sequence[Known]]) -> dict[str, float]:
    """The weights that do best on these files, each file counting alike."""
    weights, best = dict(WEIGHTS), _worth(files, WEIGHTS)
    for _ in range(_ROUNDS):
        for family in weights:
            for step in _STEPS:
                tried = weights | {family: weights[family] * step}
                if (worth := _worth(files, tried)) > best + 1e-9:
                    weights, best = tried, worth
    return weights


def _worth(files: Sequence[Sequence[Known]], weights: Mapping[str, float]) -> float:
    return sum(sum(1 / (1 + one.place(weights)) for one in each) / len(each) for each in files)


def main(paths: Sequence[str]) -> None:
    """Print each file's top-1 and top-3, by hand and with weights chosen on the others."""
    files = {Path(path).name: [known(one) for one in read(Path(path)) if one.root_cause] for path in paths}
    for name, held_out in files.items():
        others = [each for other, each in files.items() if other != name]
        print(f"{name}: by hand {_marks(held_out, WEIGHTS)}, chosen on the others {_marks(held_out, chosen(others))}")


def _marks(cases: Sequence[Known], weights: Mapping[str, float]) -> str:
    places = [one.place(weights) for one in cases]
    return "/".join(f"{sum(place < most for place in places) / len(places):.2f}" for most in (1, 3))


if __name__ == "__main__":
    main(sys.argv[1:])
