"""What troubled services share without calling it: a machine, or a zone.

Comes in: the evidence found for services. Goes out: the same kind of evidence for the places they run in. A place is worth
suspecting where several services in it make trouble of their own that no callee explains, the others in it too, and those elsewhere
do not: services of one team or one call path are often in one place, and innocent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from bot.enrich.causes.evidence import Evidence
from bot.enrich.causes.situation import Situation
from bot.graph.places import spoken

_TROUBLED = 0.1
_FEWEST = 2
_NAMED = 4


def of_places(
    situation: Situation, by_service: Mapping[str, Sequence[Evidence]], measured: Collection[str]
) -> Iterator[Evidence]:
    """One word on each place with more than one troubled service.

    `strength` is the share of the trouble in view that its services make (effects add up as their squares do, see
    `bot.enrich.causes.evidence`), times how much more of those here are troubled than of those elsewhere.
    """
    effects = {service: _effect(evidence) for service, evidence in by_service.items()}
    judged = {service for service in situation.services if service in measured}
    troubled = {service for service in judged if effects.get(service, 0.0) >= _TROUBLED}
    if len(troubled) < _FEWEST:
        return
    for place, shares in sorted(situation.places.items()):
        here = {service: share for service, share in shares.items() if service in judged}
        hurt = sorted((one for one in here if one in troubled), key=lambda one: (-effects[one], one))
        if len(hurt) < _FEWEST:
            continue
        weight, others = sum(here.values()), len(judged) - sum(here.values())
        if others < 1.0:
            continue  # all that is known runs here: nothing to compare with
        hurt_here = sum(here[one] for one in hurt)
        contrast = hurt_here / weight - (len(troubled) - hurt_here) / others
        made = math.sqrt(sum(here[one] * effects[one] ** 2 for one in hurt))
        strength = min(1.0, made) * max(0.0, contrast)
        if strength > 0:
            yield Evidence(place, "shared place", strength, _sentence(place, hurt, len(here), troubled, judged))


def _effect(evidence: Sequence[Evidence]) -> float:
    return max((one.strength for one in evidence if one.family == "effect"), default=0.0)


def _sentence(place: str, hurt: Sequence[str], here: int, troubled: Collection[str], judged: Collection[str]) -> str:
    named = ", ".join(hurt[:_NAMED]) + (f" and {len(hurt) - _NAMED} more" if len(hurt) > _NAMED else "")
    elsewhere = f"{len(troubled) - len(hurt)} of {len(judged) - here} elsewhere"
    where = "in" if place.startswith("zone:") else "on"
    return f"{len(hurt)} of {here} services {where} {spoken(place)} are in trouble of their own ({named}), {elsewhere}"
