"""PagerDuty's change events -> changes (PagerDuty developer-docs, docs/events-API-v2 and REST `change_events`).

Comes in: what a tool would send to `/v2/change/enqueue`, `{"routing_key","payload":{"summary","timestamp"?,"source"?,"custom_details"?},
"links"?}`, or what PagerDuty answers to a question for change events, `{"change_events": […]}`. Goes out: changes of the service
that `custom_details` names, else of the PagerDuty service (found by the catalogue's `pagerduty_service_id`), else of `source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.alerts.reading import identity, json_object, mapping, moment, optional, text
from bot.alerts.verify import Secrets, any_equal, bearer_or_basic, hmac_header
from bot.changes.report import MAX_TITLE, Named, Report, change, digest
from bot.errors import BadRequest, Unauthorized
from bot.model import Change, ChangeKind
from bot.telemetry.packing import unpack

SOURCE = "pagerduty"
SIGNATURE_HEADER = "X-PagerDuty-Signature"
MAX_EVENTS = 1_000
BODY_LIMIT = 512 * 1024
"""The Events API's own limit; also what is unpacked of a body before it is known who sent it."""

_SERVICE_KEYS = ("service", "service.name", "service_name", "app", "application", "component")
_KINDS = {kind.value: kind for kind in ChangeKind}


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`X-PagerDuty-Signature: v1=…` over the raw body, as PagerDuty signs its webhooks; or a bearer token; or the body's
    `routing_key` is one of the secrets. Raises Unauthorized, or BadRequest for a body that cannot be read."""
    if SIGNATURE_HEADER in headers:
        hmac_header(headers, SIGNATURE_HEADER, body, secrets, prefix="v1=")
        return
    if "Authorization" in headers:
        bearer_or_basic(headers, secrets)
        return
    key = json_object(unpack(body, headers.get("Content-Encoding", ""), BODY_LIMIT)).get("routing_key")
    if not isinstance(key, str) or not any_equal(key, secrets):
        raise Unauthorized("routing_key is missing or not one of this source's secrets")


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Report:
    """The changes of one body. Raises BadRequest naming what is missing or wrong."""
    data = json_object(body)
    if data.get("change_events") is None:
        payload = mapping(data.get("payload"), "payload")
        return Report((_change(payload, data.get("links"), "payload", received_at),))
    changes = listed(data, received_at)
    return Report(changes, "" if changes else "change_events is empty")


def listed(data: Mapping[str, Any], received_at: float) -> tuple[Change, ...]:
    """The changes of `{"change_events": […]}`, as PagerDuty answers. Raises BadRequest naming what is missing or wrong."""
    events = data.get("change_events")
    if not isinstance(events, list) or len(events) > MAX_EVENTS:
        raise BadRequest(f"change_events: want a list of at most {MAX_EVENTS}")
    found = [mapping(one, f"change_events[{place}]") for place, one in enumerate(events)]
    return tuple(
        _change(one, one.get("links"), f"change_events[{place}]", received_at) for place, one in enumerate(found)
    )


def _change(event: Mapping[str, Any], links: object, where: str, received_at: float) -> Change:
    summary = text(event.get("summary"), MAX_TITLE)
    if not summary:
        raise BadRequest(f"{where}.summary is missing")
    at = moment(event.get("timestamp"), f"{where}.timestamp")
    details = optional(event.get("custom_details"))
    service = _service(event, details)
    if not service.name:
        raise BadRequest(f"{where}: no service; say custom_details.service, or source")
    kind = _KINDS.get(text(details.get("kind"), 20), ChangeKind.DEPLOY)
    return change(
        SOURCE, received_at if at is None else at, service, (kind, summary),
        # One that was enqueued has no id, and none that PagerDuty gave it; without a time it is news whenever it comes.
        identity(event.get("id"), 100) or digest(summary, received_at if at is None else at, *service),
        link=_link(links), author=details.get("author") or details.get("user"),
    )  # fmt: skip


def _service(event: Mapping[str, Any], details: Mapping[str, Any]) -> Named:
    environment = text(details.get("environment"), 100)
    for key in _SERVICE_KEYS:
        if name := text(details.get(key), 200):
            return Named(name, text(details.get("namespace"), 200), environment)
    services = event.get("services")
    for one in services if isinstance(services, list) else ():
        if name := text(optional(one).get("id"), 200):
            return Named(name)
    return Named(text(event.get("source"), 200), "", environment)


def _link(links: object) -> object:
    return optional(links[0]).get("href") if isinstance(links, list) and links else ""
