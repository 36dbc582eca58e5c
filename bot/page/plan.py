"""Planning maintenance: which services go down together, who would be hit, and whom to tell, as a list to copy.

Comes in: the answer of `dependents` about the services picked. Goes out: values for `plan.html.j2`. What is lost: dependents beyond a
page of them; their number is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.page import address, say

Json = Mapping[str, Any]

MOST = 20
"""Services picked at once."""


def plan(picked: Sequence[str], found: Json | None, unknown: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The planner's page. `found` is None while nothing is picked; `unknown` are names that nobody has, with those like them."""
    values: dict[str, Any] = {
        "picked": [{"id": one, "name": say.name(one), "href": address.service(one),
                    "without": address.plan([other for other in picked if other != one])} for one in picked],
        "service": ",".join(picked),
        "unknown": [(say.name(name), [(say.name(one), address.plan([*picked, one])) for one in near]) for name, near in unknown.items()],
        "found": None,
    }  # fmt: skip
    if found is None:
        return values
    owners = _owners(found["items"])
    return values | {
        "found": {
            "total": found["total"], "hit": found["hit"], "more": found["truncated"], "listed": len(found["items"]),
            "owners": owners, "users": [say.name(one["id"]) for one in found["items"] if one["entry_point"]],
        },
        "text": _text(picked, found, owners),
    }  # fmt: skip


def _owners(items: Sequence[Json]) -> list[dict[str, Any]]:
    """The dependents by whom to tell, in the order of the blast radius; those that nobody owns last."""
    met: dict[str, dict[str, Any]] = {}
    for one in items:
        owner = one["owner"]
        label = owner["label"] if owner else ""
        team = owner["team"] if owner else ""
        entry = met.setdefault(label, {"label": say.name(label) if label else "", "team": say.name(team) if team else "",
                                       "on_call": owner["on_call"] if owner else "", "email": owner["email"] if owner else "",
                                       "services": []})  # fmt: skip
        entry["services"].append({
            "name": say.name(one["id"]), "href": address.service(one["id"]), "hops": one["hops"], "tier": one["tier"],
            "share": say.share(one["share"]) if one["share"] is not None else "", "hit": one["state"] == "hit",
            "entry": one["entry_point"], "through": "a queue" if one["asynchronous"] else "",
        })  # fmt: skip
    return sorted(met.values(), key=lambda one: one["label"] == "")


def _text(picked: Sequence[str], found: Json, owners: Sequence[Json]) -> str:
    """What to paste into a ticket or a channel."""
    lines = [
        f"Planned maintenance: {', '.join(map(say.name, picked))}",
        f"{say.many(found['total'], 'dependent')} at risk. To tell:",
    ]
    lines += [
        f"- {one['label'] or 'no owner known'}: {', '.join(service['name'] for service in one['services'])}"
        for one in owners
    ]
    more = found["total"] - len(found["items"])
    return "\n".join([*lines, *([f"and {more} more dependents"] if more > 0 else [])])
