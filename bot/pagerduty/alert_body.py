"""What the alerts of a PagerDuty incident say of themselves: the API's JSON in, labels and names of services out. Pure.

An alert's `body` holds what its sender sent: `cef_details.details` or `details`, an object or a text. Alertmanager's own
PagerDuty receiver writes each alert's labels into `firing` as lines ` - name = value`. What is lost: alerts beyond the
first `MAX_ALERTS`, labels beyond `MAX_LABELS`, and whatever is not a short text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot import names
from bot.alerts.alertmanager import hints
from bot.model import ServiceHint

MAX_ALERTS = 100
MAX_LABELS = 60
_MAX_TEXT = 300
_MAX_DETAILS = 20_000
_LINE = re.compile(r"^[ \t]*-[ \t]*([A-Za-z_][\w.]{0,99})[ \t]*=[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_OWN_KEYS = ("service.name", "service", "service_name", "app", "application", "component")

Json = Mapping[str, Any]


def labels_of(alerts: Sequence[Json]) -> dict[str, str]:
    """The alerts' labels. Where two alerts differ in one, the first alert's stands."""
    found: dict[str, str] = {}
    for alert in alerts[:MAX_ALERTS]:
        for name, value in _details(_part(alert, "body")):
            if len(found) >= MAX_LABELS:
                return found
            found.setdefault(name[:100], value)
    return found


def hints_of(alerts: Sequence[Json]) -> tuple[ServiceHint, ...]:
    """Names the alerts give their services, surest first: their own labels, then what the event's fields say."""
    found: list[ServiceHint] = []
    for alert in alerts[:MAX_ALERTS]:
        labels = dict(_details(_part(alert, "body")))
        event = _part(_part(alert, "body"), "cef_details")
        found += hints(labels)
        found += [ServiceHint(labels[key], f"alert's {key}") for key in _OWN_KEYS if labels.get(key)]
        for key in ("source_component", "service_group", "source_origin"):
            found.append(ServiceHint(_text(event.get(key)), f"alert's {key}"))
    return tuple(dict.fromkeys(hint for hint in found if hint.name))


def _details(body: Json) -> Iterator[tuple[str, str]]:
    for details in (_part(body, "cef_details").get("details"), body.get("details")):
        if isinstance(details, str):
            yield from _lines(details)
        elif isinstance(details, Mapping):
            for name, value in details.items():
                if isinstance(value, str) and "\n" in value:
                    yield from _lines(value)
                elif isinstance(name, str) and (plain := _text(value)):
                    yield name, plain


def _lines(given: str) -> Iterator[tuple[str, str]]:
    # Annotations are written in the same way behind the labels: prose, in which a name would be found by accident.
    for part in re.split(r"^\s*Labels:\s*$", given[:_MAX_DETAILS], flags=re.MULTILINE)[1:]:
        for name, value in _LINE.findall(re.split(r"^\s*Annotations:", part, maxsplit=1, flags=re.MULTILINE)[0]):
            yield name, _text(value)


def _part(given: Json, name: str) -> Json:
    value = given.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return names.printable(value[:_MAX_TEXT]).strip() if isinstance(value, str) else ""
