"""Decisions of the alert path as pure functions: what they were told in, a named verdict and its reason out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.model import Alert, AlertStatus
from bot.storage.alert_records import StoredAlert


def alert_change(known: StoredAlert | None, alert: Alert) -> str:
    """What is new about an alert: `new`, `resolved`, `fires again`, `acknowledged`, `renamed`, or '' for nothing.

    An alert we never saw that arrives resolved is nothing to tell anybody about.
    """
    if known is None:
        return "" if alert.status is AlertStatus.RESOLVED else "new"
    if known.alert.status is not alert.status:
        return {
            AlertStatus.RESOLVED: "resolved",
            AlertStatus.ACKNOWLEDGED: "acknowledged",
            AlertStatus.FIRING: "fires again",
        }[alert.status]
    same = (known.alert.title, known.alert.summary, known.alert.severity) == (
        alert.title,
        alert.summary,
        alert.severity,
    )
    return "" if same else "renamed"


def incident_state(statuses: Sequence[AlertStatus]) -> str:
    """`resolved` when every alert is, `acknowledged` when somebody has taken what still fires, else `open`."""
    live = [status for status in statuses if status is not AlertStatus.RESOLVED]
    if not live:
        return "resolved"
    return "acknowledged" if AlertStatus.ACKNOWLEDGED in live else "open"


def message_action(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> tuple[str, str]:
    """`post`, `edit` or `leave`, with the reason. `before` is what the message was last written from, as it was stored; `now` what
    it would be written from."""
    if not before:
        return "post", "first alert of a new incident"
    for name, reason in (
        ("state", f"the incident is {now['state']}"),
        ("services", "another service is concerned"),
        ("sources", "the number of alerts changed"),
        ("severity", "the severity changed"),
        ("title", "the alert's words changed"),
        ("summary", "the alert's words changed"),
    ):
        if _plain(before.get(name)) != _plain(now[name]):
            return "edit", reason
    was, new = before.get("map") or {}, now["map"] or {}
    # Who is named as hit matters, their order does not: it follows call ratios, which never stand still.
    if was.get("hit_count") != new.get("hit_count") or set(was.get("hit", ())) != set(new.get("hit", ())):
        return "edit", "who is hit changed"
    if was.get("at_risk_count") != new.get("at_risk_count"):
        return "edit", "who is at risk changed"
    if (was.get("cause") or {}).get("service", "") != (new.get("cause") or {}).get("service", ""):
        return "edit", "the likely cause changed"
    return "leave", "nothing a reader would miss changed"


def _plain(value: Any) -> Any:
    """Tuples and lists alike: what was stored as JSON comes back as lists."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
