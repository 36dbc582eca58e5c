"""The JSON schemas of the answers, as the OpenAPI document has them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "number"}
_MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
_INTEGER: Schema = {"type": "integer"}
_TRUTH: Schema = {"type": "boolean"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": sorted(required), "properties": required | (optional or {})}


def _many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_MAYBE_SHARE: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_GROUNDS: dict[str, Schema] = {"confidence": _MAYBE_SHARE, "confidence_reasons": _many(_TEXT)}
"""How sure the least sure thing in an answer is, and why; null where nothing in it is graded."""
_WAY: dict[str, Schema] = {"confidence": _SHARE, "estimated": _TRUTH}
_FRAME = {"as_of": _MOMENT, "coverage": _ref("Coverage"), **_GROUNDS}
_PAGE = {"next_cursor": _MAYBE_TEXT, **_FRAME}


def _list(item: Schema, **more: Schema) -> Schema:
    return _object({"items": _many(item), **_PAGE, **more})


_OWNER: Schema = {
    "type": ["object", "null"],
    "properties": {
        "team": _TEXT,
        "slack": _TEXT,
        "email": _TEXT,
        "on_call": _TEXT,
        "mention": _TEXT,
        "source": _TEXT,
        "label": _TEXT,
    },
}
_ABOUT: dict[str, Schema] = {
    "owner": _OWNER, "tier": _TEXT, "domain": _TEXT, "runbook": _TEXT, "repository": _TEXT, "aliases": _many(_TEXT),
    "depends_on": _many(_TEXT), "links": _many(_object({"name": _TEXT, "url": _TEXT})),
    "sources": {"type": "object", "additionalProperties": _object({"source": _TEXT, "age_seconds": _MAYBE_NUMBER})},
    "nearest_owned_dependent": {"type": ["object", "null"], "properties": {"id": _TEXT, "owner": _OWNER}},
}  # fmt: skip
_NUMBERS: Schema = {"type": ["object", "null"], "properties": {
    "calls": _NUMBER, "calls_per_minute": _NUMBER, "error_rate": _MAYBE_NUMBER, "p95_ms": _MAYBE_NUMBER}}  # fmt: skip

_CHANGE_EVENT = _object({
    "at": _MOMENT, "service": _TEXT, "kind": {"enum": ["deploy", "config", "flag", "scale", "other"]}, "title": _TEXT,
    "link": _TEXT, "author": _TEXT, "source": _TEXT, "id": _TEXT,
})  # fmt: skip
# Of answers at the level of workloads.
_EDGES = _many({"anyOf": [_ref("Edge"), _ref("WorkloadEdge")]})
_ON_WORKLOAD: dict[str, Schema] = {"level": _TEXT, "application": _TEXT, "workload": _TEXT}
_UNKNOWN: dict[str, Schema] = {
    "unknown": _many(_object({"caller": _TEXT, "callee": _TEXT})), "unknown_total": _INTEGER}  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Document": {"type": "object"},
    "Problem": _object({"type": _TEXT, "title": _TEXT, "status": _INTEGER, "detail": _TEXT}, {"suggestions": _many(_TEXT)}),
    "Receipt": _object({
        "accepted": _INTEGER, "rejected": _INTEGER, "ignored": {"type": "object", "additionalProperties": _INTEGER},
        "errors": _many(_object({"line": {"type": ["integer", "null"]}, "why": _TEXT})),
    }),
    "Coverage": _object({
        "services": _INTEGER, "reporting": _INTEGER, "silent": _many(_object({"id": _TEXT, "age_seconds": _INTEGER})),
        "layers": {"type": "object", "additionalProperties": _object({"age_seconds": _INTEGER}, {"calls": _NUMBER, "sampled": _INTEGER})},
    }),
    "CoverageAnswer": _object(_FRAME),
    "LayerPart": _object({
        "first_seen": _MOMENT, "last_seen": _MOMENT, "freshness": {"enum": ["fresh", "fading", "stale"]}, "interval_seconds": _INTEGER,
        "protocols": _many(_TEXT), "endpoints": {"type": "object", "additionalProperties": _NUMBER}, "how": _TEXT, "certainty": _SHARE,
    }, {
        "calls": _NUMBER, "errors": _NUMBER, "bytes": _INTEGER, "sampled": _INTEGER,
        "latency_ms": _object({"p50": _MAYBE_NUMBER, "p95": _MAYBE_NUMBER, "p99": _MAYBE_NUMBER}),
    }),
    "Edge": _object({
        "caller": _TEXT, "callee": _TEXT, "layers": {"type": "object", "additionalProperties": _ref("LayerPart")}, "confidence": _SHARE,
        "confidence_reasons": _many(_TEXT), "freshness": {"enum": ["fresh", "fading", "stale"]}, "estimated": _TRUTH,
        "via": _many(_many(_TEXT)), "first_seen": _MOMENT, "last_seen": _MOMENT,
    }),
    "WorkloadEdge": _object({
        "caller": _TEXT, "callee": _TEXT, "caller_application": _TEXT, "callee_application": _TEXT,
        "calls": {"type": "object", "additionalProperties": _NUMBER}, "confidence": _SHARE,
        "freshness": {"enum": ["fresh", "fading", "stale"]}, "last_seen": _MOMENT,
    }),
    "Service": _object({
        "id": _TEXT, "name": _TEXT, "namespace": _TEXT, "environment": _TEXT,
        "kind": {"enum": ["database", "queue", "cache", "gateway", "service", "external"]}, "state": {"enum": ["ok", "failing"]},
        "why": _TEXT, "entry_point": _TRUTH, "tier": _TEXT, "domain": _TEXT, "owner": _OWNER, "runbook": _TEXT, "last_seen": _MOMENT,
    }),
    "ServiceList": _list({"allOf": [_ref("Service"), _object({"confidence": _MAYBE_SHARE})]}, total=_INTEGER,
        suggestions=_many(_TEXT)),
    "ServiceDetail": {"allOf": [_ref("Service"), _object({
        "callers": _EDGES, "callees": _EDGES, "callers_total": _INTEGER, "callees_total": _INTEGER, **_ABOUT, **_FRAME,
    }, {"rates": {"type": "object"}, "changes": _many(_ref("ChangeAround")), "workloads": _many(_TEXT), **_ON_WORKLOAD, **_UNKNOWN})]},
    "Ownership": _object({"id": _TEXT, "on_map": _TRUTH, **_ABOUT, **_FRAME}),
    "DependentList": _list(_object({
        "id": _TEXT, "hops": _INTEGER, "path": _many(_TEXT), "state": {"enum": ["hit", "at_risk"]},
        "tier": _TEXT, "domain": _TEXT, "owner": _OWNER, "asynchronous": _TRUTH, "entry_point": _TRUTH,
    }, {"share": _MAYBE_NUMBER, **_WAY, **_ON_WORKLOAD}), id=_TEXT, hit=_INTEGER, at_risk=_INTEGER, truncated=_TRUTH, total=_INTEGER,
        owners=_many(_object({"owner": _OWNER, "services": _INTEGER})), **{"with": _many(_TEXT)}),
    "CauseList": _list(_object({"id": _TEXT, "p": _SHARE, "evidence": _many(_TEXT)}), id=_TEXT, at=_MOMENT, total=_INTEGER,
        named=_MAYBE_TEXT, why_none=_TEXT, ruled_out=_many(_TEXT), unknown=_many(_TEXT),
        changes=_many(_ref("ChangeAround"))),
    "DependencyList": _list(_object({
        "id": _TEXT, "hops": _INTEGER, "path": _many(_TEXT), "state": {"enum": ["ok", "failing"]}, "kind": _TEXT,
    }, {**_WAY, **_ON_WORKLOAD}), id=_TEXT, truncated=_TRUTH, total=_INTEGER),
    "BackstageEntity": _object({
        "id": _TEXT, "ref": _TEXT, "in_catalogue": _TRUTH, "truncated": _TRUTH, "depends_on_total": _INTEGER,
        "dependency_of_total": _INTEGER, **_FRAME,
        "entity": _object({
            "apiVersion": _TEXT, "kind": {"enum": ["Component", "Resource", "API"]}, "spec": {"type": "object"},
            "metadata": _object({"name": _TEXT, "namespace": _TEXT,
                "annotations": {"type": "object", "additionalProperties": _TEXT}}),
        }),
        "relations": _many(_object({
            "type": {"enum": ["dependsOn", "dependencyOf"]}, "targetRef": _TEXT, "in_catalogue": _TRUTH, "ids": _many(_TEXT),
            "layers": _many(_TEXT), "last_seen": _MOMENT, **_WAY,
        })),
    }),
    "PathList": _list(_object({"path": _many(_TEXT), "hops": _INTEGER, "edges": _many(_ref("Edge")), **_WAY}),
        **{"from": _TEXT, "to": _TEXT}),
    "Graph": _object({"nodes": _many(_ref("Service")), "edges": _EDGES, **_PAGE}, {"level": _TEXT, **_UNKNOWN}),
    "ChangeList": _list(_object({
        "caller": _TEXT, "callee": _TEXT, "layer": {"enum": ["network", "ipc", "trace", None]},
        "kind": {"enum": ["new", "gone", "changed"]}, "what": _many(_TEXT), "before": _NUMBERS, "after": _NUMBERS,
        "confidence": _MAYBE_SHARE, "estimated": {"type": ["boolean", "null"]},
    }), total=_INTEGER, **{"from": _MOMENT, "to": _MOMENT}),
    "DigestList": _list(_object({
        "kind": {"enum": ["new", "gone", "changed"]}, "caller": _TEXT, "callee": _TEXT, "what": _many(_TEXT),
        "layers": {"type": "object", "additionalProperties": _object({"calls": _NUMBER})}, "owner": _MAYBE_TEXT, "cross_team": _TRUTH,
        "external": _TRUTH, "tier_inversion": _MAYBE_TEXT, "first_seen": _MOMENT, "last_seen": _MOMENT,
    }), total=_INTEGER, unattributed=_MAYBE_NUMBER, layers={"type": "object"}, **{"from": _MOMENT, "to": _MOMENT}),
    "ChangeEvent": _CHANGE_EVENT,
    "ChangeAround": {"allOf": [_ref("ChangeEvent"), _object({
        "hops": _INTEGER, "on_path": _TRUTH, "age_seconds": _NUMBER, "seconds_before": _MAYBE_NUMBER})]},
    "ChangeEventList": _list(_ref("ChangeEvent"), **{"from": _MOMENT, "to": _MOMENT}),
    "IncidentList": _list(_object({"id": _INTEGER, "state": _TEXT, "title": _TEXT, "opened_at": _MOMENT, "updated_at": _MOMENT})),
    "Incident": _object({
        "id": _INTEGER, "state": _TEXT, "title": _TEXT, "facts": {"type": "object"}, "alerts": _many({"type": "object"}),
        "decisions": _many(_object({"at": _MOMENT, "step": _TEXT, "verdict": _TEXT, "reason": _TEXT})), **_FRAME,
    }),
    "Accuracy": _object({
        "incidents": _INTEGER, "radius": {"type": "object"}, "causes": {"type": "object"}, "calibration": _many({"type": "object"}),
        "weeks": _many({"type": "object"}), "layers": {"type": "object"}, "evidence": {"type": "object"}, "says": _TEXT,
        "from": _MOMENT, "as_of": _MOMENT,
    }),
}  # fmt: skip
