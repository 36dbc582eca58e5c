"""A service's direct dependencies in Backstage's words: an entity for a `catalog-info.yaml`, and its relations with their grounds.

Comes in: a map, its catalogue and a service. Goes out: `entity`, which states only what is known: relations to entities that the
catalogue has, each seen by a layer and above the display threshold; and `relations`, all of them, each with who it is, how sure,
which layers saw it and whether its reference is Backstage's own. What is lost: what is beyond the limit, counted in the totals.

Format: backstage.io/docs/features/software-catalog/{descriptor-format,references,well-known-relations}. An entity's own
`relations` are for Backstage to write; a file says `dependsOn` and `dependencyOf`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bot.catalog.entries import CatalogEntry
from bot.enrich.answers import Query, frame, usable_edges
from bot.enrich.grounds import estimated
from bot.enrich.view import MapView
from bot.graph.sighting import SHOWN
from bot.model import Kind
from bot.moments import iso

Json = dict[str, Any]
DEPENDS_ON, DEPENDENCY_OF = "dependsOn", "dependencyOf"
ANNOTATION = "topology-bot"
_LONGEST_NAME = 63
_LEFT_OUT_NAMED = 20
_NOBODY = "unknown"
_API = "api"
_NOTHING = CatalogEntry()
_RESOURCES = {Kind.DATABASE: "database", Kind.QUEUE: "queue", Kind.CACHE: "cache", Kind.EXTERNAL: "external"}


@dataclass(frozen=True, slots=True)
class _Reference:
    """An entity's `kind:namespace/name`. `known`: as the catalogue has it from Backstage, not put together from our id."""

    kind: str
    namespace: str
    name: str
    known: bool

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.namespace}/{self.name}"


def entity(view: MapView, identifier: str, now: float, query: Query) -> Json:
    """The answer for one service on the map."""
    relations: list[Json] = []
    totals: dict[str, int] = {}
    for kind in (DEPENDS_ON, DEPENDENCY_OF):
        found = _relations(view, identifier, kind, now, query)
        totals[kind] = len(found)
        relations += found[: query.limit]
    reference = _reference(view, identifier)
    sure = [one for one in relations if _stated(reference, one)]
    concerned = {identifier, *(name for one in relations for name in one["ids"])}
    return {
        "id": identifier,
        "ref": reference.text,
        "in_catalogue": reference.known,
        "entity": _entity(view, identifier, reference, sure, [one for one in relations if one not in sure], now),
        "relations": relations,
        "depends_on_total": totals[DEPENDS_ON],
        "dependency_of_total": totals[DEPENDENCY_OF],
        "truncated": any(total > query.limit for total in totals.values()),
    } | frame(view, concerned, now)


def _relations(view: MapView, identifier: str, kind: str, now: float, query: Query) -> list[Json]:
    """The relations of one kind by reference; several services of ours may be one entity of theirs."""
    graph, usable, hidden = view.graph, usable_edges(view, now, query), query.reaches_hidden
    outward = kind == DEPENDS_ON
    if outward:
        others: Iterable[str] = graph.callees(identifier) if hidden else graph.shown_callees(identifier)
    else:
        others = graph.callers(identifier) if hidden else graph.shown_callers(identifier)
    found: dict[str, Json] = {}
    for other in sorted(others):
        ends = (identifier, other) if outward else (other, identifier)
        if other == identifier or (other in graph.background and not hidden) or (usable and not usable(*ends)):
            continue
        reference = _reference(view, other)
        parts = graph.layers(*ends)
        one = {
            "type": kind,
            "targetRef": reference.text,
            "in_catalogue": reference.known,
            "ids": [other],
            "layers": [layer.value for layer in sorted(parts)],
            "confidence": round(graph.confidence(*ends, now), 3),
            "estimated": estimated(view, *ends),
            "last_seen": iso(max(seen.last_seen for seen in parts.values())),
        }
        known = found.get(reference.text)
        found[reference.text] = one if known is None else _joined(known, one)
    return [found[text] for text in sorted(found)]


def _joined(one: Json, other: Json) -> Json:
    """Two services of ours that are one entity: the relation is as sure as the surer of the two."""
    return one | {
        "ids": [*one["ids"], *other["ids"]],
        "in_catalogue": one["in_catalogue"] and other["in_catalogue"],
        "layers": sorted({*one["layers"], *other["layers"]}),
        "confidence": max(one["confidence"], other["confidence"]),
        "estimated": one["estimated"] and other["estimated"],
        "last_seen": max(one["last_seen"], other["last_seen"]),
    }


def _stated(reference: _Reference, relation: Json) -> bool:
    """Whether an entity may state a relation as a fact. Backstage has other relations than these two for an API."""
    if _API in (reference.kind, relation["targetRef"].partition(":")[0]):
        return False
    return relation["in_catalogue"] and not relation["estimated"] and relation["confidence"] >= SHOWN


def _entity(
    view: MapView, identifier: str, reference: _Reference, sure: list[Json], guesses: list[Json], now: float
) -> Json:
    entry = view.entry(identifier) or _NOTHING
    marks = {f"{ANNOTATION}/id": identifier, f"{ANNOTATION}/as-of": iso(now)}
    if sure:
        marks[f"{ANNOTATION}/confidence"] = f"{min(one['confidence'] for one in sure):.3f}"
        marks[f"{ANNOTATION}/layers"] = ",".join(sorted({layer for one in sure for layer in one["layers"]}))
        marks[f"{ANNOTATION}/last-seen"] = max(one["last_seen"] for one in sure)
    if guesses:
        named = [f"{one['type']} {one['targetRef']} {one['confidence']:.2f}" for one in guesses[:_LEFT_OUT_NAMED]]
        more = f", and {len(guesses) - _LEFT_OUT_NAMED} more" if len(guesses) > _LEFT_OUT_NAMED else ""
        marks[f"{ANNOTATION}/left-out"] = ", ".join(named) + more
    node = view.graph.node(identifier)
    spec: Json = {"type": _RESOURCES.get(node.kind, node.kind.value), "owner": _owner(entry)}
    if reference.kind == "component":
        spec["lifecycle"] = _NOBODY
    spec |= {
        kind: [one["targetRef"] for one in sure if one["type"] == kind]
        for kind in (DEPENDS_ON, DEPENDENCY_OF)
        if any(one["type"] == kind for one in sure)
    }
    return {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": {"component": "Component", "resource": "Resource", "api": "API"}[reference.kind],
        "metadata": {"name": reference.name, "namespace": reference.namespace, "annotations": marks},
        "spec": spec,
    }


def _owner(entry: CatalogEntry) -> str:
    team = _part(entry.owner.team) if entry.owner is not None else ""
    return f"group:default/{team}" if team else _NOBODY


def _reference(view: MapView, identifier: str) -> _Reference:
    entry = view.entry(identifier)
    if entry is not None and entry.reference:
        kind, _, rest = entry.reference.partition(":")
        namespace, _, name = rest.partition("/")
        return _Reference(kind, namespace, name, known=True)
    node = view.graph.node(identifier)
    namespace = _part(node.namespace).replace("_", "-").replace(".", "-") or "default"
    kind = "resource" if node.kind in _RESOURCES else "component"
    return _Reference(kind, namespace, _part(node.name or identifier) or "unnamed", known=False)


def _part(text: str) -> str:
    """A text as a name that Backstage takes: letters and digits, joined by single `-`, `_` or `.`, 63 in all."""
    plain = re.sub(r"([-_.])[-_.]+", r"\1", re.sub(r"[^a-z0-9._-]+", "-", text.lower()))
    return plain.strip("-_.")[:_LONGEST_NAME].rstrip("-_.")
