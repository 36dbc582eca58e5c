"""The Prometheus Alertmanager webhook, version 4 (alertmanager 0.34: notify/webhook, docs/configuration.md).

Comes in: one group notification, which repeats every current alert of the group. Goes out: each alert in its own state
(the group's says only that any of them fires) with the labels that may name its service. What is lost: alerts beyond
`MAX_ALERTS` or cut off by the sender, counted in `Delivery.ignored`. Unknown fields are left alone. There is no signature,
so the door asks for a bearer token or basic auth.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from bot import names
from bot.alerts.reading import first, identity, json_object, mapping, moment, text, texts, web_address
from bot.alerts.verify import Secrets, bearer_or_basic
from bot.errors import BadRequest
from bot.model import Alert, AlertStatus, Delivery, ServiceHint

SOURCE = "alertmanager"
MAX_ALERTS = 5_000
MAX_FINGERPRINT = 128

_EXPECTED = "want Alertmanager's own version 4 webhook (with a custom `payload:` remove it, the body is read as it is by default)"
_STATUSES = {"firing": AlertStatus.FIRING, "resolved": AlertStatus.RESOLVED}
_ENVIRONMENTS = ("environment", "env", "deployment_environment_name", "deployment_environment")

# Labels a scrape gives to everything one target exports. Where the target is an exporter they say who looked, not who fails.
_TARGET_NAMES = ("job", "service", "app", "k8s_app", "app_kubernetes_io_name", "app_kubernetes_io_instance", "instance")
_WATCHERS = re.compile(
    r"(?:^|[^a-z0-9])(?:kube-state-metrics|node[-_]exporter|cadvisor|kubelet|pushgateway)(?:[^a-z0-9]|$)"
    r"|^prometheus(?:-k8s|-server|-operated)?$"
)
_EXPORTERS = re.compile(r"^blackbox|[-_]exporter(?:[^a-z0-9]|$)")

_OWN_NAMES = ("service", "service_name", "app", "app_kubernetes_io_instance", "app_kubernetes_io_name")
_WORKLOADS = ("deployment", "statefulset", "daemonset", "cronjob", "workload", "job_name", "pod", "container")


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """Bearer or basic auth; the body is not signed. Raises Unauthorized."""
    bearer_or_basic(headers, secrets)


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Delivery:
    """The alerts of one notification. Raises BadRequest naming what is missing or wrong."""
    given = json_object(body)
    listed, group_key = given.get("alerts"), given.get("groupKey")
    if not isinstance(listed, list):
        raise BadRequest(f"`alerts` is missing or not a list: {_EXPECTED}")
    if not isinstance(group_key, str) or not group_key:
        raise BadRequest(f"`groupKey` is missing or not a text: {_EXPECTED}")
    read = [mapping(one, f"alerts[{index}]") for index, one in enumerate(listed[:MAX_ALERTS])]
    group, common = identity(group_key), texts(given.get("commonAnnotations"))
    alerts = tuple(_alert(one, f"alerts[{index}]", group, common, received_at) for index, one in enumerate(read))
    left_out = len(listed) - len(read) + _count(given.get("truncatedAlerts"))
    return Delivery(
        key=_key(group, text(given.get("receiver")), alerts, read),
        alerts=alerts,
        ignored=f"{left_out} alerts were left out of the notification" if left_out else "",
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _key(group: str, receiver: str, alerts: tuple[Alert, ...], read: list[dict[str, Any]]) -> str:
    """Alertmanager numbers nothing: what a notification says is what makes it the same one.

    A retry, and the twin of a highly available pair, say the same. Times are taken as sent: a missing one is filled in
    with the time of receipt, which is another for each.
    """
    said = sorted(
        (alert.fingerprint, text(one.get("startsAt")), alert.status.value, _ended(alert, one))
        for alert, one in zip(alerts, read, strict=True)
    )
    return hashlib.blake2b(repr((group, receiver, said)).encode(), digest_size=16).hexdigest()


def _ended(alert: Alert, given: Mapping[str, Any]) -> str:
    # While an alert fires, endsAt is when it would lapse: another time in each notification.
    return text(given.get("endsAt")) if alert.status is AlertStatus.RESOLVED else ""


def _alert(given: dict[str, Any], where: str, group: str, common: Mapping[str, str], received_at: float) -> Alert:
    labels = texts(mapping(given.get("labels"), f"{where}.labels"))
    annotations = {**common, **texts(given.get("annotations"))}
    status = _STATUSES.get(text(given.get("status"), 20))
    if status is None:
        raise BadRequest(f"{where}.status is neither `firing` nor `resolved`")
    resolved = status is AlertStatus.RESOLVED
    return Alert(
        source=SOURCE,
        fingerprint=identity(given.get("fingerprint"), MAX_FINGERPRINT) or _fingerprint(labels),
        status=status,
        starts_at=moment(given.get("startsAt"), f"{where}.startsAt") or received_at,
        # While an alert fires, endsAt is Go's zero time or lies in the future: it means nothing.
        ends_at=(moment(given.get("endsAt"), f"{where}.endsAt") or received_at) if resolved else None,
        title=labels.get("alertname") or "alert",
        summary=first(annotations, "summary", "description", "message"),
        severity=labels.get("severity", ""),
        environment=first(labels, *_ENVIRONMENTS),
        group_key=group,
        service_hints=hints(labels),
        labels=labels,
        link=web_address(given.get("generatorURL")),
        runbook=web_address(annotations.get("runbook_url")),
    )


def _fingerprint(labels: Mapping[str, str]) -> str:
    return hashlib.blake2b(repr(sorted(labels.items())).encode(), digest_size=8).hexdigest()


def hints(labels: Mapping[str, str]) -> tuple[ServiceHint, ...]:
    """Labels that may name the failing service, surest first.

    What kube-state-metrics and its kin export carries their own name in `job`, `service` and `app_kubernetes_io_*`, and
    what they report on in the workload labels or, where the two collide, in `exported_*`. Any other exporter's labels may
    be its target's (a `service` beside a probed address), so they come last. Everybody else's own labels come first.
    """
    target = [labels[name].lower() for name in _TARGET_NAMES if labels.get(name)]
    if any(_WATCHERS.search(value) for value in target):
        found = [*_exported(labels), *_workload(labels)]
    elif any(_EXPORTERS.search(value) for value in target):
        found = [
            *_exported(labels),
            *_probed(labels),
            *_workload(labels),
            *_own(labels, ("service", "service_name", "app")),
        ]
        found += _job(labels)
    else:
        found = [*_own(labels, _OWN_NAMES), *_workload(labels), *_exported(labels), *_job(labels)]
    return tuple(dict.fromkeys(hint for hint in found if hint.name))


def _own(labels: Mapping[str, str], wanted: tuple[str, ...]) -> Iterator[ServiceHint]:
    for name in wanted:
        namespace = labels.get("service_namespace", "") if name == "service_name" else ""
        yield ServiceHint(labels.get(name, ""), f"label {name}", namespace or _namespace(labels))


def _exported(labels: Mapping[str, str]) -> Iterator[ServiceHint]:
    for name in ("exported_service", "exported_app"):
        yield ServiceHint(labels.get(name, ""), f"label {name}", _namespace(labels))
    yield from _job(labels, "exported_job")


def _workload(labels: Mapping[str, str]) -> Iterator[ServiceHint]:
    # Once a scrape has renamed one label of what is reported on, plain `pod` and `container` are the exporter's own.
    renamed = any(f"exported_{name}" in labels for name in ("namespace", "pod", "container"))
    for plain in _WORKLOADS:
        name = f"exported_{plain}" if labels.get(f"exported_{plain}") else plain
        if renamed and name in ("pod", "container"):
            continue
        value = labels.get(name, "")
        yield ServiceHint(
            names.workload_of_pod(value) if plain == "pod" else value, f"label {name}", _namespace(labels)
        )


def _probed(labels: Mapping[str, str]) -> Iterator[ServiceHint]:
    """The host behind the address a blackbox probe asked for, which relabelling puts into `instance` or `target`."""
    for name in ("target", "instance"):
        address = labels.get(name, "")
        if address.startswith(("http://", "https://")):
            try:
                node = names.from_host(urlsplit(address).hostname or "")
            except ValueError:  # brackets around something that is no IPv6 address
                continue
            if node is not None:
                yield ServiceHint(node.name, f"label {name}", node.namespace)


def _job(labels: Mapping[str, str], label: str = "job") -> Iterator[ServiceHint]:
    # Prometheus writes OTLP's `service.namespace/service.name` into `job`, and some operators `kind/namespace/name`.
    rest, _, name = labels.get(label, "").rpartition("/")
    yield ServiceHint(name, f"label {label}", rest.rpartition("/")[2] or _namespace(labels))


def _namespace(labels: Mapping[str, str]) -> str:
    return first(labels, "exported_namespace", "namespace")
