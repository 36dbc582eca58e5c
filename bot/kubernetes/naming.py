"""Which service a pod belongs to, and since when it has had its addresses. Pure.

Comes in: a pod. Goes out: names and times. What is lost: a pod's own name.

The order is the one OpenTelemetry uses for `service.name` in Kubernetes, so that this layer and the traces agree: the
annotation, the label `app.kubernetes.io/instance`, the workload. `app.kubernetes.io/name` is left out: it is the software
(`postgresql`), and two databases are two services.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from bot import names
from bot.kubernetes.objects import Metadata, Owner, Pod, Ran

_OTEL = "resource.opentelemetry.io/"
_INSTANCE = "app.kubernetes.io/instance"
_TEMPLATE_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")
_CRON_TIME = re.compile(r"-\d{8}$")  # a CronJob's Jobs are called after the minute they were due


class Named(NamedTuple):
    """What a pod's metadata says of its service.

    `explicit`: somebody wrote it down for that purpose. `instance` is the release it belongs to, which is the service's name
    only where the release has no other workload; the Jobs of a release (hooks, migrations) do not share it.
    """

    workload: str
    namespace: str
    explicit: str = ""
    instance: str = ""
    environment: str = ""


def named(pod: Pod) -> Named:
    """The names of a pod's service."""
    return _said(pod.metadata, workload(pod), pod.metadata.namespace, released=_owner(pod).kind != "Job")


def templated(template: Metadata, owner: Metadata) -> Named:
    """The same before there is a pod: of the pods that `owner` makes after a template."""
    return _said(template, owner.name, owner.namespace, released=True)


def _said(metadata: Metadata, workload_name: str, namespace: str, *, released: bool) -> Named:
    annotations, labels = metadata.annotations or {}, metadata.labels or {}
    return Named(
        workload_name,
        annotations.get(f"{_OTEL}service.namespace") or namespace,
        annotations.get(f"{_OTEL}service.name", ""),
        labels.get(_INSTANCE, "") if released else "",
        annotations.get(f"{_OTEL}deployment.environment.name", ""),
    )


def workload(pod: Pod) -> str:
    """The name of the Deployment, StatefulSet, DaemonSet, CronJob … a pod belongs to; a bare pod's own name."""
    name, labels = pod.metadata.name, pod.metadata.labels or {}
    owner = _owner(pod)
    match owner.kind:
        case "":
            return name
        case "ReplicaSet":
            for hash_label in _TEMPLATE_HASHES:
                suffix = f"-{labels.get(hash_label, '')}"
                if len(suffix) > 1 and owner.name.endswith(suffix):
                    return owner.name.removesuffix(suffix)
            return owner.name
        case "Job":
            return _CRON_TIME.sub("", owner.name)
        case "Node":  # a static pod, which its kubelet made
            return name.removesuffix(f"-{owner.name}")
    return owner.name or names.workload_of_pod(name)


def _owner(pod: Pod) -> Owner:
    owners = pod.metadata.owner_references or []
    return next((one for one in owners if one.controller), owners[0] if owners else Owner())


def addresses(pod: Pod) -> tuple[str, ...]:
    """The addresses that are this pod's own now: none on the host's network, none before it has any or when it is over.

    A finished pod keeps its addresses in its status, while somebody else may have them.
    """
    if pod.spec.host_network or pod.status.phase in ("Succeeded", "Failed"):
        return ()
    given = [one.ip for one in pod.status.pod_ips or ()] or [pod.status.pod_ip]
    return tuple(ip for ip in given if ip)


def started(pod: Pod) -> float | None:
    """When its addresses became its own (epoch s); None where nothing says so.

    `status.startTime` is too early: it is when the kubelet heard of the pod, and its address may still have been another's.
    """
    for condition in pod.status.conditions or ():
        if condition.type == "PodReadyToStartContainers" and condition.status == "True":
            return _epoch(condition.last_transition_time)
    times = [ran.started_at for ran in _ran(pod) if ran.started_at is not None]
    return _epoch(min(times)) if times else None


def finished(pod: Pod) -> float | None:
    """When the last of its containers ended; None while one runs or where none ever did."""
    statuses = pod.status.container_statuses or []
    ends = [one.state.terminated.finished_at for one in statuses if one.state and one.state.terminated]
    known = [end for end in ends if end is not None]
    return _epoch(max(known)) if known and len(known) == len(statuses) else None


def _ran(pod: Pod) -> Iterator[Ran]:
    for status in (*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())):
        for state in (status.state, status.last_state):
            if state is not None:
                yield from (ran for ran in (state.running, state.terminated) if ran is not None)


def _epoch(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None
