"""What a metric family is, and how labels are looked at.

Comes in: the labels of one series. Goes out: a `Reading`: caller, callee, protocol, endpoint, whether it failed, and who
witnessed it. What is lost: the words the meshes have for "nobody", which read as no label at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot import names
from bot.edge_detail import WorkloadPair
from bot.model import UNATTRIBUTED, Node, Report

Labels = Mapping[str, str]

SECONDS, MILLISECONDS = 1e6, 1e3
"""Microseconds in one."""


class Role(StrEnum):
    """What a metric's increase means."""

    CALLS = "calls"
    FAILED = "failed"
    BUCKET = "bucket"
    LATENCY = "latency"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Reading:
    """One series read. `caller` is None for a pseudo-caller, which `unknown` then names. `reports` are the releases its labels name;
    `workloads` is None where the series knows neither end's."""

    caller: Node | None
    callee: Node
    witness: str
    protocol: str = ""
    endpoint: str = ""
    failed: bool = False
    unknown: str = UNATTRIBUTED
    reports: tuple[Report, ...] = ()
    workloads: WorkloadPair | None = None


Read = Callable[[Labels], Reading | None]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric of a family. `labels` are those a query has to sum by; `unit` is the microseconds in one of its units."""

    name: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...]
    role: Role
    read: Read
    unit: float = 0.0


def timed(name: str, metrics: tuple[str, ...], unit: float, labels: tuple[str, ...], read: Read) -> tuple[Family, ...]:
    """A histogram of durations that is counted by its own `_count`."""
    counts = Family(name, tuple(f"{metric}_count" for metric in metrics), labels, Role.CALLS, read)
    return (counts, *latencies(name, metrics, unit, labels, read))


def latencies(
    name: str, metrics: tuple[str, ...], unit: float, labels: tuple[str, ...], read: Read
) -> tuple[Family, ...]:
    """A histogram of durations beside a counter of the same calls."""
    return (
        Family(name, tuple(f"{metric}_sum" for metric in metrics), labels, Role.LATENCY, read, unit),
        Family(name, tuple(f"{metric}_bucket" for metric in metrics), (*labels, "le"), Role.BUCKET, read, unit),
    )


def known(value: str | None) -> str:
    """A label's value, without the words the meshes have for "nobody"."""
    return "" if value in (None, "unknown", "", "-") else str(value)


def first(labels: Labels, *keys: str) -> str:
    """The first of some labels that says anything."""
    return next((value for key in keys if (value := known(labels.get(key)))), "")


# Codes by which a server says that it, not the request, is at fault: grpc.io "Status codes", by number and by name.
_GRPC_FAULTS = frozenset((
    "2", "4", "8", "12", "13", "14", "15",
    "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
))  # fmt: skip


def is_grpc_fault(status: str) -> bool:
    """Whether a gRPC status says that the server is at fault."""
    return status.upper() in _GRPC_FAULTS


SCRAPED_LABELS = (
    "service_name", "exported_job", "job", "app_kubernetes_io_name", "app", "service", "service_namespace", "namespace",
    "deployment_environment_name", "deployment_environment", "k8s_deployment_name", "k8s_statefulset_name", "k8s_daemonset_name",
    "k8s_namespace_name", "k8s_cluster_name",
)  # fmt: skip
# What the usual scrape configurations call a job that is many services.
_SHARED_JOBS = frozenset((
    "kubernetes-pods", "kubernetes-service-endpoints", "kubernetes-services", "kubernetes-nodes", "envoy-stats", "istio-proxy",
    "otel-collector", "opentelemetry-collector", "pods",
))  # fmt: skip


def scraped(labels: Labels) -> Node | None:
    """The service whose own metrics these are.

    `service.name` itself, or `job`, where "Prometheus and OpenMetrics Compatibility" (opentelemetry.io) puts it as
    `namespace/name`, by its other name where a scrape of a collector took `job` for itself; else what the scrape
    configuration says of the pod.
    """
    name = first(labels, "service_name", "exported_job")
    job = known(labels.get("job"))
    if not name and (job.count("/") == 1 and not job.startswith(("/", "integrations/"))):
        name = job
    if not name:
        name = first(labels, "app_kubernetes_io_name", "app") or ("" if job in _SHARED_JOBS else job)
        name = name or known(labels.get("service"))
    namespace = first(labels, "service_namespace", "namespace")
    if "/" in name and not known(labels.get("service_name")):
        namespace, _, name = name.rpartition("/")
    if name.startswith("unknown_service"):  # the SDK's stand-in: programs that did not say who they are stay apart
        return None
    return names.service(name, namespace, environment(labels))


def workloads(caller: str, callee: str) -> WorkloadPair | None:
    """The pair, None where there is nothing in it."""
    return (caller, callee) if caller or callee else None


def scraped_workload(labels: Labels) -> str:
    """The Kubernetes workload whose own metrics these are, where its resource says so."""
    name = first(labels, "k8s_deployment_name", "k8s_statefulset_name", "k8s_daemonset_name")
    namespace, cluster = known(labels.get("k8s_namespace_name")), known(labels.get("k8s_cluster_name"))
    return names.workload(name, namespace, cluster) if name else ""


def environment(labels: Labels) -> str:
    """The deployment environment a process says it runs in."""
    return first(labels, "deployment_environment_name", "deployment_environment")
