"""What a layer knows of an edge besides counts, as the JSON it is stored as, and back."""

from __future__ import annotations

from typing import Any

from bot.edge_detail import EdgeDetail


def to_json(detail: EdgeDetail | None) -> dict[str, Any]:
    """A detail's JSON, the same for the same detail; `{}` for none."""
    if detail is None:
        return {}
    return {
        "protocols": sorted(detail.protocols),
        "endpoints": detail.endpoints,
        "via": sorted(list(route) for route in detail.via),
        "certainty": detail.certainty,
        "how": detail.how,
        "workloads": sorted([*pair, calls, last] for pair, (calls, last) in detail.workloads.items()),
    }


def from_json(stored: dict[str, Any]) -> EdgeDetail | None:
    """The detail of a stored edge; None where nothing is stored."""
    if not stored:
        return None
    return EdgeDetail(
        set(stored.get("protocols", ())),
        dict(stored.get("endpoints", {})),
        {tuple(route) for route in stored.get("via", ())},
        stored.get("certainty", 1.0),
        stored.get("how", ""),
        {(caller, callee): (calls, last) for caller, callee, calls, last in stored.get("workloads", ())},
    )
