"""Builds webhook bodies for tests, as the senders make them."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from tests.kit.bots import PAGERDUTY_SECRET


def rfc3339(at: float) -> str:
    """Epoch seconds as Go writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def alertmanager(
    service: str = "payments", status: str = "firing", started: float | None = None, **changes: Any
) -> dict[str, Any]:
    """An Alertmanager v4 webhook with one alert. `changes`: `name`, `group`, `labels`, `annotations`, `fingerprint`."""
    name = changes.get("name", "HighErrorRate")
    labels = {"alertname": name, "service": service, "severity": "critical"} | changes.get("labels", {})
    annotations = changes.get("annotations", {"summary": "Too many errors"})
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": rfc3339(started if started is not None else time.time() - 120),
        "endsAt": rfc3339(time.time()) if status == "resolved" else "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        "fingerprint": changes.get("fingerprint", hashlib.md5(f"{name}{service}".encode()).hexdigest()[:16]),
    }
    return {
        "version": "4",
        "groupKey": changes.get("group", f'{{}}:{{alertname="{name}", service="{service}"}}'),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "topology-bot",
        "groupLabels": {"alertname": name},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "http://alertmanager.example",
        "notification_reason": "first notification",
        "routeLabels": {},
        "alerts": [alert],
    }


def pagerduty(
    event_type: str = "incident.triggered", service: str = "payments", number: int = 1234, **changes: Any
) -> bytes:
    """A PagerDuty v3 webhook body for one incident, as bytes (signatures are over these). `changes`: `incident`, `created`,
    `reopened`, `title`, `status`, `assignees` (names), `priority`, `event`."""
    status = {"incident.acknowledged": "acknowledged", "incident.resolved": "resolved"}.get(event_type, "triggered")
    status = changes.get("status", status)
    reopened = {"reopened_at": rfc3339(changes["reopened"])} if "reopened" in changes else {}
    priority = changes.get("priority", "P1")
    incident = {
        "id": changes.get("incident", f"Q{number}"),
        "type": "incident",
        "self": f"https://api.pagerduty.com/incidents/Q{number}",
        "html_url": f"https://acme.pagerduty.com/incidents/Q{number}",
        "number": number,
        "status": status,
        "incident_key": "abc",
        "created_at": rfc3339(changes.get("created", time.time() - 60)),
        **reopened,
        "title": changes.get("title", "Payments is failing"),
        "service": {"id": "PF9KMXH", "type": "service_reference", "summary": service},
        "assignees": [
            {"id": f"U{place}", "type": "user_reference", "summary": name}
            for place, name in enumerate(changes.get("assignees", ()))
        ],
        "escalation_policy": None,
        "teams": [],
        "priority": {"id": "PRIO", "type": "priority_reference", "summary": priority} if priority else None,
        "urgency": "high",
        "resolve_reason": None,
    }
    event = {
        "id": changes.get("event", f"01EVENT{event_type}{number}"),
        "event_type": event_type,
        "resource_type": "incident",
        "occurred_at": rfc3339(time.time()),
        "agent": None,
        "client": None,
        "data": incident,
    }
    return json.dumps({"event": event}).encode()


def pagerduty_headers(body: bytes, secret: str = PAGERDUTY_SECRET, webhook: str = "") -> dict[str, str]:
    """What PagerDuty sends along."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "X-PagerDuty-Signature": f"v1={signature}",
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
    }
    return headers | ({"X-Webhook-Id": webhook} if webhook else {})
