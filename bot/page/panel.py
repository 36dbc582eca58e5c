"""What stands beside the map of a service: who owns it, who calls it, what changed, why it may be in trouble.

Comes in: the API's own answers about the service. Goes out: values for `panel.html.j2`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.enrich.recent_changes import change_line
from bot.moments import age
from bot.page import address, say
from bot.page.address import Look
from bot.page.around import layers
from bot.page.incident import listed

Json = Mapping[str, Any]

_LISTED = 25
_ENDPOINTS = 12
_CHANGES = 8
_OWNERS = 8


@dataclass(frozen=True, slots=True)
class Known:
    """The answers of `service`, of `dependents`, of `causes` where it is in trouble, and its incidents."""

    service: Json
    radius: Json
    causes: Json | None
    incidents: Sequence[Json]


def panel(known: Known, look: Look, now: float) -> dict[str, Any]:
    """Everything that is known of it, in words."""
    found, causes = known.service, known.causes
    return {
        "name": say.name(found["id"]),
        "id": found["id"],
        "state": found["state"],
        "why": say.WHY.get(found["why"], found["why"]),
        "tags": _tags(found),
        "numbers": _numbers(found["rates"]),
        "owner": _owner(found),
        "links": _links(found),
        "incidents": listed(known.incidents, {}, now),
        "causes": None if causes is None else _causes(causes, look),
        "radius": _radius(known.radius, found["id"]),
        "callers": _ends(found["callers"], "caller", look, now),
        "callees": _ends(found["callees"], "callee", look, now),
        "callers_total": found["callers_total"],
        "callees_total": found["callees_total"],
        "endpoints": _endpoints(found["callers"]),
        "changes": [
            {"text": say.name(change_line(one)), "link": say.page(one["link"]), "at": one["at"]}
            for one in found["changes"][:_CHANGES]
        ],
        "seen": say.ago(found["last_seen"], now),
        "coverage": coverage(found["coverage"]),
    }


def _tags(found: Json) -> list[str]:
    said = [found["kind"] if found["kind"] != "service" else "", f"tier {found['tier']}" if found["tier"] else "", found["domain"],
            found["environment"], "users enter here" if found["entry_point"] else ""]  # fmt: skip
    return [say.name(one) for one in said if one]


def _numbers(rates: Json) -> list[dict[str, str]]:
    """Now, beside what is usual."""
    now = say.rates(rates)
    usual_failed, usual_p95 = say.share(rates["usual_error_rate"]), say.ms(rates["usual_p95_ms"])
    return [
        {"label": "Calls, last minutes", "value": now["calls"], "usual": ""},
        {
            "label": "Fail",
            "value": now["failed"],
            "usual": f"usually {usual_failed}" if rates["usual_error_rate"] is not None else "",
        },
        {
            "label": "p95",
            "value": now["p95"],
            "usual": f"usually {usual_p95}" if rates["usual_p95_ms"] is not None else "",
        },
    ]


def _owner(found: Json) -> dict[str, Any]:
    owner, nearest, sources = found["owner"], found["nearest_owned_dependent"], found["sources"]
    source = sources.get("owner") or sources.get("slack") or {}
    return {
        "known": owner is not None,
        "team": say.name(owner["team"]) if owner and owner["team"] else "",
        "slack": owner["slack"] if owner else "",
        "email": owner["email"] if owner else "",
        "on_call": owner["on_call"] if owner else "",
        "source": source.get("source", ""),
        "nearest": None if nearest is None else {"name": say.name(nearest["id"]), "href": address.service(nearest["id"]),
                                                 "label": nearest["owner"]["label"]},
    }  # fmt: skip


def _links(found: Json) -> list[dict[str, str]]:
    named = [
        ("Runbook", found["runbook"]),
        ("Repository", found["repository"]),
        *((one["name"], one["url"]) for one in found["links"]),
    ]
    return [{"name": name, "url": url} for name, url in named if say.page(url)]


def _causes(found: Json, look: Look) -> dict[str, Any]:
    return {
        "named": found["named"],
        "why_none": found["why_none"],
        "items": [
            {"name": say.name(one["id"]), "href": look.but(service=one["id"]), "p": say.share(one["p"]),
             "evidence": [say.name(text) for text in one["evidence"]], "named": one["id"] == found["named"]}
            for one in found["items"]
        ],
        "ruled_out": [say.name(one) for one in found["ruled_out"]],
        "unknown": [say.name(one) for one in found["unknown"]],
    }  # fmt: skip


def _radius(found: Json, identifier: str) -> dict[str, Any]:
    return {
        "hit": f"{found['hit']:,}",
        "at_risk": f"{found['at_risk']:,}",
        "more": found["truncated"],
        "owners": [{"label": one["owner"]["label"], "services": one["services"]} for one in found["owners"][:_OWNERS]],
        "owners_more": max(0, len(found["owners"]) - _OWNERS),
        "plan": address.plan([identifier]),
    }


def _ends(calls: Sequence[Json], end: str, look: Look, now: float) -> list[dict[str, Any]]:
    return [
        {"name": say.name(call[end]), "href": look.but(service=call[end]), "confidence": say.share(call["confidence"]),
         "freshness": call["freshness"], "layers": layers(call, now), "estimated": call["estimated"]}
        for call in calls[:_LISTED]
    ]  # fmt: skip


def _endpoints(calls: Sequence[Json]) -> list[tuple[str, str]]:
    """What is called of a service, the most called first; from the layer that counts best."""
    met: Counter[str] = Counter()
    for call in calls:
        for layer in ("ipc", "trace"):
            if endpoints := call["layers"].get(layer, {}).get("endpoints"):
                met.update(endpoints)
                break
    return [(say.name(name), say.count(calls)) for name, calls in met.most_common(_ENDPOINTS)]


def coverage(found: Json) -> dict[str, Any]:
    """How complete the map is, in words."""
    heard = found["layers"]
    return {
        "layers": [
            {"label": label, "age": age(heard[layer]["age_seconds"]) if layer in heard else "",
             "late": layer in heard and heard[layer]["age_seconds"] > 180}
            for layer, label in say.LAYERS.items()
        ],
        "reporting": found["reporting"],
        "services": found["services"],
        "silent": [(say.name(one["id"]), age(one["age_seconds"])) for one in found["silent"]],
    }  # fmt: skip
