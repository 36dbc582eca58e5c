"""Webhook bodies as the vendors send them, to be bent by the tests, and hostile JSON."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

# 2026-10-31T02:51:00Z
FIRED_AT = 1_793_415_060.0
RECEIVED_AT = FIRED_AT + 30

ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "HighErrorRate", "service": "payments", "severity": "critical", "env": "prod"},
    "annotations": {
        "summary": "14% of requests fail",
        "description": "The rate of 5xx answers is over 10%.",
        "runbook_url": "https://runbooks.example/payments/5xx",
    },
    "startsAt": "2026-10-31T02:51:00.000Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus.example:9090/graph?g0.expr=errors+%3E+0.1",
    "fingerprint": "c5a2f0e0d1b34477",
}

NOTIFICATION: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}/{team="shop"}:{alertname="HighErrorRate"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "topology-bot",
    "groupLabels": {"alertname": "HighErrorRate"},
    "commonLabels": {"alertname": "HighErrorRate"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager.example:9093",
    "notification_reason": "first notification",
    "routeLabels": {"team": "shop"},
    "alerts": [ALERT],
}

INCIDENT: dict[str, Any] = {
    "id": "Q1ABCDEFGHIJKL",
    "type": "incident",
    "self": "https://api.pagerduty.com/incidents/Q1ABCDEFGHIJKL",
    "html_url": "https://acme.pagerduty.com/incidents/Q1ABCDEFGHIJKL",
    "number": 1234,
    "status": "triggered",
    "incident_key": "0b2f",
    "created_at": "2026-10-31T02:51:00Z",
    "title": "Payments: 5xx over 10%",
    "service": {"id": "PSVC123", "summary": "Payments API", "type": "service_reference"},
    "assignees": [],
    "priority": {"id": "PPRIO01", "summary": "P1", "type": "priority_reference"},
    "urgency": "high",
    "conference_bridge": None,
    "resolve_reason": None,
}

EVENT: dict[str, Any] = {
    "id": "01EVENT0000000000000000000",
    "event_type": "incident.triggered",
    "resource_type": "incident",
    "occurred_at": "2026-10-31T02:51:01.169Z",
    "agent": None,
    "client": None,
    "data": INCIDENT,
}


def alert(labels: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """One alert of a notification; `labels` replaces all of them."""
    made = copy.deepcopy(ALERT) | changes
    return made if labels is None else made | {"labels": {"alertname": "HighErrorRate"} | labels}


def notification(*alerts: dict[str, Any], **changes: Any) -> bytes:
    """An Alertmanager v4 webhook body."""
    return json.dumps(NOTIFICATION | {"alerts": list(alerts) or [ALERT]} | changes).encode()


def event(kind: str = "incident.triggered", data: Any = None, **changes: Any) -> bytes:
    """A PagerDuty v3 webhook body; `data` replaces the incident."""
    return json.dumps(
        {"event": EVENT | {"event_type": kind, "data": INCIDENT if data is None else data} | changes}
    ).encode()


def incident(**changes: Any) -> dict[str, Any]:
    """The data of an event."""
    return INCIDENT | changes


_NASTY_TEXTS = st.one_of(
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        [
            "",
            "\x00",
            "\u202e\u2066",
            "\ud800",
            "<!channel>",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59-12:00",
            "a/b/c",
            "http://[",
            "@(",
        ]
    ),
)
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _NASTY_TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NASTY_TEXTS, inner, max_size=3)),
    max_leaves=6,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of a JSON document stands, the document itself first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(found for key, item in inner for found in paths(item, (*here, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy of a JSON document with one of its values exchanged."""
    if not path:
        return by
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], by)
    return changed


def texts_of(value: Any) -> list[str]:
    """Every text anywhere in a value made of dicts, lists, tuples and dataclass fields."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [found for pair in value.items() for one in pair for found in texts_of(one)]
    if isinstance(value, list | tuple):
        return [found for one in value for found in texts_of(one)]
    return []
