"""One incident as a page shows it: what was said, the causes with their evidence, what was predicted and what came of it, and why the
bot did what it did.

Comes in: an incident as `IncidentReader` gives it. Goes out: values for `incident.html.j2`. What is lost: nothing that is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.moments import age, iso
from bot.page import address, say

Json = Mapping[str, Any]

_FOLLOWED = 60


def services_of(found: Json) -> list[str]:
    """The services its alerts are about, the first first."""
    named = [one["service"] for one in found["alerts"] if one["service"]]
    return list(dict.fromkeys([*named, *((found["facts"] or {}).get("services") or ())]))


def seen_at(found: Json) -> float:
    """The moment of its first picture: when the bot first thought about it. An alert fires before anything can be seen."""
    return float(found["decisions"][0]["at"] if found["decisions"] else found["opened_at"])


def incident_page(found: Json, now: float) -> dict[str, Any]:
    """Everything but the picture."""
    facts = found["facts"] or {}
    told = facts.get("map") or {}
    at = iso(seen_at(found))
    over = found["resolved_at"]
    return {
        "number": found["id"],
        "title": say.name(found["title"]),
        "state": "over" if over is not None else found["state"],
        "over": over is not None,
        "summary": say.name(facts["summary"]) if facts.get("summary") else "",
        "severity": facts.get("severity", ""),
        "environment": found["environment"],
        "opened": say.clock(found["opened_at"]),
        "lasted": age((now if over is None else over) - found["opened_at"]),
        "ended": "" if over is None else say.clock(over),
        "at": at,
        "services": [{"name": say.name(one), "href": address.service(one), "then": address.service(one, at)} for one in services_of(found)],
        "links": [(name, url) for name, url in (("Alert", facts.get("link")), ("Runbook", facts.get("runbook") or told.get("runbook")))
                  if say.page(url)],
        "channel": facts.get("channel", ""),
        "degraded": facts.get("degraded", ""),
        "cause": _cause(told.get("cause") or {}, at),
        "path": [_call(one) for one in (facts.get("evidence") or {}).get("path", ())],
        "changes": [say.name(text) for _, text in (facts.get("evidence") or {}).get("changes", ())],
        "owners": [_owner(*one) for one in told.get("owners", ())],
        "followed": _followed(facts.get("outcome") or {}),
        "alerts": [_alert(one) for one in found["alerts"]],
        "timeline": sorted(_timeline(found), key=lambda one: one["order"]),
    }  # fmt: skip


def _owner(service: str, who: str, note: str) -> dict[str, str]:
    return {"service": say.name(service), "who": who, "note": say.name(note) if note else ""}


def _cause(said: Json, at: str) -> dict[str, Any]:
    return {
        "service": say.name(said["service"]) if said.get("service") else "",
        "href": address.service(said["service"], at) if said.get("service") else "",
        "p": say.share(said.get("p")),
        "evidence": [say.name(one) for one in said.get("evidence", ())],
        "why_none": said.get("why_none", ""),
        "ranked": [
            (say.name(service), say.share(p), ", ".join(families)) for service, p, families in said.get("ranked", ())
        ],
        "ruled_out": [say.name(one) for one in said.get("ruled_out", ())],
        "unknown": [say.name(one) for one in said.get("unknown", ())],
    }


def _call(one: Json) -> dict[str, Any]:
    return {
        "caller": say.name(one["caller"]), "callee": say.name(one["callee"]), "calls": say.count(one["calls"]),
        "failed": say.share(one["error_rate"]), "layers": ", ".join(say.LAYERS.get(layer, layer) for layer, _ in one["layers"]),
    }  # fmt: skip


def _followed(outcome: Json) -> dict[str, Any]:
    """What was predicted, and what came of it."""
    predicted, hit, missed = (list(outcome.get(name, ())) for name in ("predicted", "hit", "missed"))
    rows = [(one, True, one in hit) for one in predicted] + [(one, False, True) for one in missed]
    rows.sort(key=lambda row: (not row[2], not row[1], row[0]))
    return {
        "predicted": len(predicted), "hit": len(hit), "missed": len(missed),
        "rows": [{"name": say.name(one), "href": address.service(one), "predicted": foretold, "hit": failed}
                 for one, foretold, failed in rows[:_FOLLOWED]],
        "more": max(0, len(rows) - _FOLLOWED),
    }  # fmt: skip


def _alert(one: Json) -> dict[str, Any]:
    return {
        "title": say.name(one["title"]), "source": one["source"], "status": one["status"], "severity": one["severity"],
        "service": say.name(one["service"] or one["named"]) if one["service"] or one["named"] else "", "number": one["number"],
        "since": say.clock(one["starts_at"]), "until": say.clock(one["ends_at"]) if one["ends_at"] else "",
        "link": say.page(one["link"]),
    }  # fmt: skip


def _timeline(found: Json) -> Iterator[dict[str, Any]]:
    for one in found["alerts"]:
        yield _event(one["starts_at"], "alert", f"{one['title']} fires", one["service"] or one["named"])
        if one["ends_at"]:
            yield _event(one["ends_at"], "alert", f"{one['title']} is over", one["service"] or one["named"])
    for one in found["decisions"]:
        yield _event(one["at"], one["step"], one["verdict"], one["reason"])


def _event(at: float, step: str, what: str, why: str) -> dict[str, Any]:
    day, _, clock = iso(at).partition("T")
    return {
        "order": at, "at": clock.removesuffix("Z"), "day": day, "step": step, "what": say.name(what), "why": say.name(why) if why else "",
    }  # fmt: skip


def listed(found: Sequence[Json], services: Mapping[int, Sequence[str]], now: float) -> list[dict[str, Any]]:
    """Incidents in a list, with whose they are."""
    return [
        {
            "id": one["id"], "href": f"/incidents/{one['id']}", "title": say.name(one["title"]), "state": one["state"],
            "since": say.clock(one["opened_at"]), "ago": age(now - one["opened_at"]), "environment": one["environment"],
            "over": one["resolved_at"] is not None, "services": [say.name(name) for name in services.get(one["id"], ())],
            "lasted": "" if one["resolved_at"] is None else age(one["resolved_at"] - one["opened_at"]),
        }
        for one in found
    ]  # fmt: skip
