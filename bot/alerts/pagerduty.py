"""PagerDuty webhooks v3 (PagerDuty developer-docs, docs/webhooks).

Comes in: one signed event. Goes out: the incident as one alert in its state of that moment. Events that say nothing of an
incident's state (notes, pings, services, types yet unknown) give no alert and a reason: an error would be dropped by
PagerDuty, and three in a row switch the subscription off. The body holds no alert details; those would have to be fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bot.alerts.reading import identity, json_object, mapping, moment, optional, text, web_address
from bot.alerts.verify import Secrets, hmac_header
from bot.errors import BadRequest
from bot.model import ASSIGNED_TO, Alert, AlertStatus, Delivery, ServiceHint

SOURCE = "pagerduty"
SIGNATURE_HEADER = "X-PagerDuty-Signature"
DELIVERY_HEADER = "X-Webhook-Id"

_STATUSES = {
    "triggered": AlertStatus.FIRING,
    "acknowledged": AlertStatus.ACKNOWLEDGED,
    "resolved": AlertStatus.RESOLVED,
}
_STATE_EVENTS = frozenset(
    f"incident.{change}"
    for change in ("triggered", "acknowledged", "unacknowledged", "resolved", "reopened", "escalated", "reassigned",
                   "delegated", "priority_updated", "service_updated")
)  # fmt: skip
_MAX_ID = 200
_MAX_ASSIGNEES = 5


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`X-PagerDuty-Signature: v1=…[,v1=…]` over the raw body. Raises Unauthorized."""
    hmac_header(headers, SIGNATURE_HEADER, body, secrets, prefix="v1=")


def delivery_key(headers: Mapping[str, str], body: bytes) -> str:
    """What every attempt of one delivery has in common. Raises BadRequest where the body holds no event.

    The signature carries no time, so a repeat is known by this alone: the webhook's id with the event's, which the
    signature covers; a body that has neither is its own name.
    """
    return _key(headers, mapping(json_object(body).get("event"), "event"), body)


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Delivery:
    """The incident of one event. Raises BadRequest naming what is missing or wrong."""
    event = mapping(json_object(body).get("event"), "event")
    kind = text(event.get("event_type"), 100)
    if not kind:
        raise BadRequest("event.event_type is missing or not a text")
    key = _key(headers, event, body)
    data = optional(event.get("data"))
    shape = text(data.get("type"), 100)
    if kind not in _STATE_EVENTS and not (kind.startswith("incident.") and shape == "incident"):
        return Delivery(key, (), f"{kind} says nothing of an incident's state")
    if shape not in ("incident", ""):
        raise BadRequest(f"event.data of {kind} is not an incident")
    return Delivery(key, (_alert(data, event, received_at),))


def _key(headers: Mapping[str, str], event: Mapping[str, Any], body: bytes) -> str:
    found = identity(headers.get(DELIVERY_HEADER) or headers.get(DELIVERY_HEADER.lower()), _MAX_ID)
    found = found or identity(event.get("id"), _MAX_ID)
    return found or hashlib.blake2b(body, digest_size=16).hexdigest()


def _alert(data: dict[str, Any], event: dict[str, Any], received_at: float) -> Alert:
    identifier = identity(data.get("id"), _MAX_ID)
    status = _STATUSES.get(text(data.get("status"), 20))
    if not identifier:
        raise BadRequest("event.data.id is missing")
    if status is None:
        raise BadRequest("event.data.status is none of triggered, acknowledged, resolved")
    service, priority = optional(data.get("service")), optional(data.get("priority"))
    happened = moment(event.get("occurred_at"), "event.occurred_at") or received_at
    number = data.get("number")
    hints = (
        ServiceHint(text(service.get("id"), 100), "PagerDuty service id", opaque=True),
        ServiceHint(text(service.get("summary"), 200), "PagerDuty service"),
    )
    return Alert(
        source=SOURCE,
        fingerprint=identifier,
        status=status,
        starts_at=_started(data) or happened,
        ends_at=happened if status is AlertStatus.RESOLVED else None,
        title=text(data.get("title")) or f"PagerDuty incident {identifier}",
        severity=text(priority.get("summary"), 50) or text(data.get("urgency"), 50),
        group_key=identifier,
        labels={ASSIGNED_TO: who} if (who := _assignees(data)) else {},
        service_hints=tuple(hint for hint in hints if hint.name),
        link=web_address(data.get("html_url")),
        number=f"#{number}" if isinstance(number, int) and not isinstance(number, bool) else "",
    )


def _assignees(data: Mapping[str, Any]) -> str:
    listed = data.get("assignees")
    named = [text(optional(one).get("summary"), 100) for one in listed] if isinstance(listed, list) else []
    return ", ".join([name for name in named if name][:_MAX_ASSIGNEES])


def _started(data: Mapping[str, Any]) -> float | None:
    """When the trouble at hand began: a reopened incident begins again."""
    created = moment(data.get("created_at"), "event.data.created_at")
    reopened = moment(data.get("reopened_at"), "event.data.reopened_at")
    return max((at for at in (created, reopened) if at is not None), default=None)
