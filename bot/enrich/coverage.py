"""How complete an answer is: which layers reported, which services are silent. Wrong data shown as complete is worse than none."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bot.enrich.view import MapView

REPORTING_SECONDS = 120.0
_SILENT_LISTED = 10


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of `services` that send telemetry, `reporting` were seen in the last two minutes; `silent` are the first of the rest.

    `layers` gives the age in seconds of each layer's newest data; a layer that is not there has never reported.
    """

    services: int
    reporting: int
    silent: tuple[tuple[str, float], ...]
    layers: dict[str, float]


def coverage(view: MapView, services: Collection[str], now: float) -> Coverage:
    """Coverage of a set of services at `now`; those that only their callers see (databases, hosts) are not counted."""
    reporters, unseen = view.graph.reporters(services, now - REPORTING_SECONDS)
    silent = heapq.nsmallest(_SILENT_LISTED, unseen, key=lambda one: (one[1], one[0]))
    return Coverage(
        services=reporters,
        reporting=reporters - len(unseen),
        silent=tuple((service, now - seen) for service, seen in silent),
        layers={layer.value: max(0.0, now - last) for layer, last in sorted(view.heard.items())},
    )


def coverage_json(found: Coverage) -> dict[str, Any]:
    """Coverage as every answer carries it."""
    return {
        "services": found.services,
        "reporting": found.reporting,
        "silent": [{"id": service, "age_seconds": round(age)} for service, age in found.silent],
        "layers": {layer: {"age_seconds": round(age)} for layer, age in found.layers.items()},
    }
