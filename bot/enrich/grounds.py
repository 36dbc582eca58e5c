"""On what grounds an answer stands: how sure the least sure part of it is, and why nobody should take it for more than that.

Comes in: an answer of `bot.enrich` as JSON, or an edge of the map. Goes out: `confidence` from 0 to 1, None where nothing in the
answer is graded, and `confidence_reasons`, short sentences; an answer without any has nothing to be doubted for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise
from typing import Any

from bot.enrich.changes_between import EdgeChange
from bot.enrich.view import MapView
from bot.model import EdgeKey
from bot.moments import age

Json = dict[str, Any]
_LISTS = ("items", "edges", "callers", "callees", "relations")
_DOUBTFUL = 0.5
_SILENT_LAYER_SECONDS = 300.0
_EDGES_LOOKED_AT = 16
_SURE = 0.9


def grounds(question: str, answer: Mapping[str, Any]) -> Json:
    """`{"confidence","confidence_reasons"}` of a whole answer to a question (`openapi.ROUTES` has their names)."""
    listed = [one for name in _LISTS for one in answer.get(name) or () if isinstance(one, dict)]
    if question == "causes":
        sure, reasons = _of_causes(answer)
    elif question == "incident":
        sure, reasons = _of_incident(answer)
    elif question == "owner":
        sure, reasons = None, _of_owner(answer)
    else:
        # A change that is gone is no weaker for the edge being hardly there any more.
        graded = [
            one["confidence"] for one in listed if one.get("confidence") is not None and one.get("kind") != "gone"
        ]
        sure, reasons = min(graded, default=None), list(_of_listed(listed, graded))
    return {"confidence": sure, "confidence_reasons": [*reasons, *_of_extent(answer, listed), *_of_coverage(answer)]}


class Ways:
    """How sure ways along the calls are, all in one answer: each call is looked at once, and many ways share their last ones."""

    def __init__(self, view: MapView, now: float) -> None:
        self._view = view
        self._now = now
        self._steps: dict[EdgeKey, tuple[float, bool]] = {}

    def grounds(self, path: Sequence[str]) -> Json:
        """As sure as its least sure call; `estimated` where no layer saw one of them directly."""
        steps = [self._step(step) for step in pairwise(path)]
        return {
            "confidence": round(min((sure for sure, _ in steps), default=1.0), 3),
            "estimated": any(estimated for _, estimated in steps),
        }

    def _step(self, edge: EdgeKey) -> tuple[float, bool]:
        found = self._steps.get(edge)
        if found is None:
            found = self._view.graph.confidence(*edge, self._now), estimated(self._view, *edge)
            self._steps[edge] = found
        return found


def service_grounds(view: MapView, service: str, now: float) -> Json:
    """How sure it is that a service is really there: as its surest call is. None where it has no calls."""
    graph = view.graph
    callers = ((one, service) for one in graph.callers(service))
    callees = ((service, one) for one in graph.callees(service))
    sure: float | None = None
    for edge in islice(chain(callers, callees), _EDGES_LOOKED_AT):
        sure = max(sure or 0.0, graph.confidence(*edge, now))
        if sure >= _SURE:
            break
    return {"confidence": None if sure is None else round(sure, 3)}


def change_grounds(view: MapView, change: EdgeChange, now: float) -> Json:
    """How sure it is that the changed edge is there now; None where the map has it no more."""
    caller, callee = change.caller, change.callee
    if caller not in view.graph or callee not in view.graph.callees(caller):
        return {"confidence": None, "estimated": None}
    return {
        "confidence": round(view.graph.confidence(caller, callee, now), 3),
        "estimated": estimated(view, caller, callee),
    }


def estimated(view: MapView, caller: str, callee: str) -> bool:
    """Whether no layer saw a call directly."""
    return all(seen.certainty < 1.0 for seen in view.graph.layers(caller, callee).values())


def _of_listed(listed: Sequence[Json], graded: Sequence[float]) -> Iterator[str]:
    if estimates := sum(1 for one in listed if one.get("estimated")):
        yield f"{estimates} of {len(listed)} rest on an estimate: no layer saw the call itself"
    if doubtful := sum(1 for one in graded if one < _DOUBTFUL):
        yield f"{doubtful} of {len(graded)} are less sure than {_DOUBTFUL:.0%}"


def _of_causes(answer: Mapping[str, Any]) -> tuple[float | None, list[str]]:
    sure = max((one["p"] for one in answer["items"]), default=None)
    return sure, [] if answer["named"] else [f"no cause is likely enough to be named: {answer['why_none']}"]


def _of_incident(answer: Mapping[str, Any]) -> tuple[float | None, list[str]]:
    cause = ((answer.get("facts") or {}).get("map") or {}).get("cause") or {}
    if cause.get("service"):
        return float(cause["p"]), ["the likely cause is a ranking of what was seen, not a finding"]
    return None, [f"no likely cause is named: {cause['why_none']}"] if cause.get("why_none") else []


def _of_owner(answer: Mapping[str, Any]) -> list[str]:
    if answer["owner"]:
        return [] if answer["on_map"] else ["not on the map: only the catalogue knows it"]
    nearest = " nearest_owned_dependent is a hint, not its owner" if answer["nearest_owned_dependent"] else ""
    return [f"no source names an owner;{nearest or ' nor has anybody who calls it one'}"]


def _of_extent(answer: Mapping[str, Any], listed: Sequence[Json]) -> Iterator[str]:
    if answer.get("truncated"):
        yield "the walk was cut at its cap: there are more"
    if answer.get("next_cursor"):
        total = f" of {answer['total']}" if "total" in answer else ""
        yield f"only {len(listed)}{total} are listed: ask again with next_cursor for more"


def _of_coverage(answer: Mapping[str, Any]) -> Iterator[str]:
    coverage = answer.get("coverage")
    if coverage is None:
        return
    if not coverage["layers"]:
        yield "no telemetry has ever arrived"
    if silent := coverage["services"] - coverage["reporting"]:
        yield f"{silent} of {coverage['services']} services here that send telemetry have been silent for two minutes or more"
    for layer, seen in coverage["layers"].items():
        if seen["age_seconds"] > _SILENT_LAYER_SECONDS:
            yield f"the {layer} layer has been silent for {age(seen['age_seconds'])}"
