"""PagerDuty webhooks v3 (PagerDuty developer-docs, docs/webhooks).

Comes in: one signed event. Goes out: the incident as one alert in its state of that moment. Events that say nothing of an
incident's state (notes, pings, services, types yet unknown) give no alert and a reason. The body holds no alert details;
those would have to be fetched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.alerts.reading import json_object, mapping, moment, optional, text, web_address
from bot.alerts.verify import Secrets, hmac_sha256
from bot.errors import BadRequest
from bot.model import Alert, AlertStatus, Delivery, ServiceHint

SOURCE = "pagerduty"

_STATUSES = {
    "triggered": AlertStatus.FIRING,
    "acknowledged": AlertStatus.ACKNOWLEDGED,
    "resolved": AlertStatus.RESOLVED,
}


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`X-PagerDuty-Signature: v1=…[,v1=…]` over the raw body. Raises Unauthorized."""
    hmac_sha256(headers.get("X-PagerDuty-Signature", ""), body, secrets, prefix="v1=")


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Delivery:
    """The incident of one event. Raises BadRequest naming what is missing."""
    event = mapping(json_object(body).get("event"), "event")
    kind = text(event.get("event_type"), 100)
    if not kind:
        raise BadRequest("event.event_type is missing")
    # The signature carries no time, so a repeat is known by its id alone: the same on every attempt.
    key = text(headers.get("X-Webhook-Id") or headers.get("x-webhook-id"), 200) or text(event.get("id"), 200)
    if not key:
        raise BadRequest("neither the X-Webhook-Id header nor event.id is there to know a repeat by")
    key = f"{key}/{kind}"
    data = mapping(event.get("data"), "event.data")
    if not kind.startswith("incident.") or data.get("type") != "incident":
        return Delivery(key, (), f"{kind} says nothing of an incident's state")
    return Delivery(key, (_alert(data, event, received_at),))


def _alert(data: dict[str, Any], event: dict[str, Any], received_at: float) -> Alert:
    identifier = text(data.get("id"), 100)
    status = _STATUSES.get(text(data.get("status")))
    if not identifier or status is None:
        raise BadRequest("event.data has no id, or a status other than triggered, acknowledged or resolved")
    service, priority = optional(data.get("service")), optional(data.get("priority"))
    number = data.get("number")
    hints = (
        ServiceHint(text(service.get("id"), 100), "PagerDuty service id", opaque=True),
        ServiceHint(text(service.get("summary"), 200), "PagerDuty service"),
    )
    return Alert(
        source=SOURCE,
        fingerprint=identifier,
        status=status,
        starts_at=moment(data.get("created_at")) or received_at,
        ends_at=(moment(event.get("occurred_at")) or received_at) if status is AlertStatus.RESOLVED else None,
        title=text(data.get("title")) or f"PagerDuty incident {identifier}",
        severity=text(priority.get("summary"), 50) or text(data.get("urgency"), 50),
        group_key=identifier,
        service_hints=tuple(hint for hint in hints if hint.name),
        link=web_address(data.get("html_url")),
        number=f"#{number}" if isinstance(number, int) and not isinstance(number, bool) else "",
    )
