"""The Prometheus Alertmanager webhook, version 4 (alertmanager 0.34, notify/webhook).

Comes in: one group notification, which repeats every current alert of the group. Goes out: each alert in its own state
(the group's says only that any of them fires). Unknown fields are left alone; there is no signature, so the door asks
for a bearer token or basic auth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from bot import names
from bot.alerts.reading import json_object, mapping, moment, text, texts, web_address
from bot.alerts.verify import Secrets, bearer_or_basic
from bot.errors import BadRequest
from bot.model import Alert, AlertStatus, Delivery, ServiceHint

SOURCE = "alertmanager"
MAX_ALERTS = 5_000

# Exporters put their own names into these labels; what they report on is named elsewhere (see `_hints`).
_EXPORTERS = (
    "kube-state-metrics",
    "blackbox",
    "node-exporter",
    "node_exporter",
    "cadvisor",
    "kubelet",
    "pushgateway",
    "-exporter",
)
_EXPORTER_LABELS = (
    "job",
    "service",
    "app",
    "k8s_app",
    "app_kubernetes_io_name",
    "app_kubernetes_io_instance",
    "instance",
)
_EXPLICIT = (
    "exported_service",
    "service_name",
    "service",
    "app",
    "app_kubernetes_io_instance",
    "app_kubernetes_io_name",
)
_WORKLOADS = ("deployment", "statefulset", "daemonset", "cronjob", "job_name", "container")
_ENVIRONMENTS = ("environment", "env", "deployment_environment_name", "deployment_environment")


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """Bearer or basic auth. Raises Unauthorized."""
    bearer_or_basic(headers, secrets)


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Delivery:
    """The alerts of one notification. Raises BadRequest naming what is missing."""
    given = json_object(body)
    if not isinstance(given.get("alerts"), list) or not isinstance(given.get("groupKey"), str):
        raise BadRequest(
            "not an Alertmanager v4 webhook: `alerts` and `groupKey` are missing (a custom `payload:` cannot be read)"
        )
    group_key = text(given["groupKey"])
    common = texts(given.get("commonAnnotations"))
    listed = given["alerts"]
    alerts = tuple(
        _alert(mapping(one, f"alerts[{index}]"), group_key, common, received_at)
        for index, one in enumerate(listed[:MAX_ALERTS])
    )
    left_out = len(listed) - len(alerts) + _count(given.get("truncatedAlerts"))
    ignored = f"{left_out} alerts were left out of the notification" if left_out else ""
    return Delivery(_key(given, alerts), alerts, ignored)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _key(given: dict[str, Any], alerts: tuple[Alert, ...]) -> str:
    """Alertmanager numbers nothing: what a notification says is what makes it the same one."""
    said = [text(given["groupKey"]), text(given.get("receiver"))]
    said += sorted(f"{one.fingerprint} {one.starts_at} {one.status} {one.ends_at}" for one in alerts)
    return hashlib.blake2b("\n".join(said).encode(), digest_size=16).hexdigest()


def _alert(given: dict[str, Any], group_key: str, common: Mapping[str, str], received_at: float) -> Alert:
    labels = texts(mapping(given.get("labels"), "labels of an alert"))
    annotations = {**common, **texts(given.get("annotations"))}
    status = AlertStatus.RESOLVED if given.get("status") == "resolved" else AlertStatus.FIRING
    fingerprint = text(given.get("fingerprint"), 128)
    if not fingerprint:
        fingerprint = hashlib.blake2b(repr(sorted(labels.items())).encode(), digest_size=8).hexdigest()
    return Alert(
        source=SOURCE,
        fingerprint=fingerprint,
        status=status,
        starts_at=moment(given.get("startsAt")) or received_at,
        # While an alert fires, endsAt is Go's zero time or lies in the future: it means nothing.
        ends_at=(moment(given.get("endsAt")) or received_at) if status is AlertStatus.RESOLVED else None,
        title=labels.get("alertname") or "alert",
        summary=next(
            (annotations[name] for name in ("summary", "description", "message") if annotations.get(name)), ""
        ),
        severity=labels.get("severity", ""),
        environment=next((labels[name] for name in _ENVIRONMENTS if labels.get(name)), ""),
        group_key=group_key,
        service_hints=_hints(labels),
        labels=labels,
        link=web_address(given.get("generatorURL")),
        runbook=web_address(annotations.get("runbook_url")),
    )


def _hints(labels: Mapping[str, str]) -> tuple[ServiceHint, ...]:
    """Labels that may name the failing service, surest first.

    Alerts from kube-state-metrics, blackbox exporter and their kin carry the exporter's own name in `job`, `service`
    and `app_kubernetes_io_*`; the failing workload is then in the workload labels, the pod, or `exported_*`.
    """
    by_exporter = any(exporter in labels.get(name, "") for name in _EXPORTER_LABELS for exporter in _EXPORTERS)
    namespace = labels.get("exported_namespace") or labels.get("namespace", "")
    hints = []
    for name in _EXPLICIT:
        if labels.get(name) and not (by_exporter and name in _EXPORTER_LABELS):
            space = labels.get("service_namespace", "") if name == "service_name" else namespace
            hints.append(ServiceHint(labels[name], f"label {name}", space))
    hints += [ServiceHint(labels[name], f"label {name}", namespace) for name in _WORKLOADS if labels.get(name)]
    for name in ("exported_pod", "pod"):
        if labels.get(name):
            hints.append(ServiceHint(names.workload_of_pod(labels[name]), f"label {name}", namespace))
    job = labels.get("exported_job") or ("" if by_exporter else labels.get("job", ""))
    if job:
        # Prometheus writes OTLP's service.namespace/service.name into `job`.
        space, _, name = job.rpartition("/")
        hints.append(ServiceHint(name, "label job", space))
    return tuple(dict.fromkeys(hints))
