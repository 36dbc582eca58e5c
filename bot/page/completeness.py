"""How much of the world the map sees: layer by layer, source by source, and what to mend.

Comes in: the answers of `/api/v1/coverage` and `/api/v1/doctor`. Goes out: values for `coverage.html.j2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.moments import age
from bot.page import address, say
from bot.page.start import layers

Json = Mapping[str, Any]


def completeness(found: Json, doctor: Json) -> dict[str, Any]:
    """The whole page."""
    return {
        "reporting": found["reporting"],
        "services": found["services"],
        "silent": [(say.name(one["id"]), address.service(one["id"]), age(one["age_seconds"])) for one in found["silent"]],
        "layers": layers(found),
        "sources": [_source(name, one) for name, one in doctor["telemetry"].items()],
        "alerts": [_heard(name, one) for name, one in doctor["alerts"].items()],
        "changes": [_heard(name, one) for name, one in doctor["changes"].items()],
        "feeds": [
            {"name": name, "problem": state.get("problem") or "",
             "facts": [f"{key.replace('_', ' ')}: {_plain(key, value)}" for key, value in state.items() if key != "problem"]}
            for name, state in doctor["feeds"].items()
        ],
        "left_out": [(say.name(what), say.count(count)) for what, count in doctor["left_out"].items()],
        "problems": [say.name(one) for one in doctor["problems"]],
        "map": doctor["map"],
    }  # fmt: skip


def _source(name: str, one: Json) -> dict[str, Any]:
    return {
        "name": name, "ago": age(one["lag_seconds"]), "late": one["lag_seconds"] > 180, "accepted": say.count(one["accepted"]),
        "batches": say.count(one["batches"]),
        "dropped": [(say.name(why), say.count(count)) for why, count in one["dropped"].items() if count],
    }  # fmt: skip


def _heard(name: str, one: Json) -> dict[str, Any]:
    lag = one["lag_seconds"]
    return {"name": name, "ago": "never heard" if lag is None else f"{age(lag)} ago", "count": say.count(one["count"])}


def _plain(key: str, value: object) -> str:
    """A value of a feed's state as people read it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return say.clock(float(value)) if key.startswith("last") and value > 1e9 else f"{value:,}"
    return say.name(str(value))
