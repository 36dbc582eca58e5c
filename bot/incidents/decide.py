"""Decisions of the alert path as pure functions: what they were told in, a named verdict and its reason out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.model import ASSIGNED_TO, Alert, AlertStatus
from bot.storage.alert_records import StoredAlert


def alert_change(known: StoredAlert | None, alert: Alert) -> str:
    """What is new about an alert: `new`, `resolved`, `fires again`, `acknowledged`, `handed over`, `renamed`, or '' for nothing.

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
    if alert.status is not AlertStatus.RESOLVED and _assigned(known.alert) != _assigned(alert):
        return "handed over"
    same = (known.alert.title, known.alert.summary, known.alert.severity) == (
        alert.title,
        alert.summary,
        alert.severity,
    )
    return "" if same else "renamed"


def superseded(known: Iterable[StoredAlert], alerts: Sequence[Alert]) -> list[Alert]:
    """Alerts that are known to fire and have begun anew since: their end never reached us, and they are over. Each ends where
    the next begins."""
    begins = {alert.fingerprint: alert.starts_at for alert in alerts if alert.status is not AlertStatus.RESOLVED}
    return [
        replace(stored.alert, status=AlertStatus.RESOLVED, ends_at=begins[stored.alert.fingerprint])
        for stored in known
        if stored.alert.status is not AlertStatus.RESOLVED
        and stored.alert.starts_at < begins.get(stored.alert.fingerprint, 0.0)
    ]


def _assigned(alert: Alert) -> str:
    return alert.labels.get(ASSIGNED_TO, "")


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
    if _holders(before.get("sources", ())) != _holders(now["sources"]):
        return "edit", "it was handed over"
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


def _holders(sources: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {one["source"]: one["holder"] for one in sources if one.get("holder")}


def _plain(value: Any) -> Any:
    """Tuples and lists alike: what was stored as JSON comes back as lists."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
