"""Finds the service an alert is about: hints of its sender in, an id of the map out, or the closest names there are."""

from __future__ import annotations

from bot import names
from bot.enrich.view import MapView
from bot.incidents.case import Found
from bot.model import Alert, ServiceHint
from bot.near_names import close_matches


def find_service(alert: Alert, view: MapView) -> Found:
    """The service on the map that an alert speaks of; where there is none, what the sender called it and what is closest."""
    index = view.graph.names
    for hint in alert.service_hints:
        for text in _spellings(hint, alert.environment):
            if (service := index.find(text)) is not None:
                return Found(service, hint.name, f"{hint.origin} says {hint.name!r}")
    readable = [hint for hint in alert.service_hints if not hint.opaque]
    if not readable:
        return Found("", "", "the alert names no service")
    first = readable[0]
    name = names.clean(first.name)[: names.MAX_ID]
    near = [one for one in close_matches(name, view.graph.services()) if (name, one) not in view.apart]
    return Found("", name, f"no service called {first.name!r} on the map", tuple(near[:3]))


def surely_known(view: MapView, alert: Alert) -> bool:
    """Whether an identifier of the sender's own, which the catalogue has, tells the service: no label would be surer."""
    index = view.graph.names
    return any(index.find(names.clean(hint.name)) is not None for hint in alert.service_hints if hint.opaque)


def _spellings(hint: ServiceHint, environment: str) -> list[str]:
    """The ids a hint may mean, surest first. A display name's spaces stand for the dashes of an id."""
    plain = names.clean(hint.name)
    spelt = [plain, plain.replace(" ", "-")] if " " in plain else [plain]
    found = [f"{text}.{names.clean(hint.namespace)}" for text in spelt if hint.namespace] + spelt
    suffix = names.clean(environment)
    return [f"{text}@{suffix}" for text in found if suffix] + found
