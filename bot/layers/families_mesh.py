"""Metrics of service meshes and proxies: Istio, Linkerd, Envoy.

Comes in: labels of one series. Goes out: who calls whom. What is lost: inbound counts of Linkerd and Envoy, which do not say
who called; traffic to nowhere (Istio's `PassthroughCluster`); a proxy's talk with its own control plane.

Sources: istio.io "Istio Standard Metrics"; linkerd.io "Proxy metrics"; envoyproxy.io "Cluster manager statistics".
"""

from __future__ import annotations

import re

from bot import names
from bot.layers.family import (
    MILLISECONDS,
    SCRAPED_LABELS,
    Family,
    Labels,
    Reading,
    Role,
    first,
    is_grpc_fault,
    known,
    latencies,
    scraped,
    scraped_workload,
    workloads,
)
from bot.model import Node, Report
from bot.telemetry.releases import release

_ISTIO_LABELS = (
    "reporter", "source_canonical_service", "source_workload", "source_workload_namespace", "destination_canonical_service",
    "destination_workload", "destination_workload_namespace", "destination_service", "destination_service_name",
    "destination_service_namespace", "source_cluster", "destination_cluster", "request_protocol",
)  # fmt: skip
_ISTIO_RESULT = ("response_code", "grpc_response_status")
_ISTIO_RELEASE = (
    "source_canonical_revision", "source_version", "destination_canonical_revision", "destination_version",
)  # fmt: skip
# What Istio calls a cluster that nobody named (istio.io, installation options, `clusterName`).
_NO_CLUSTER = "Kubernetes"
_NOWHERE = frozenset(("PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"))


def _istio(labels: Labels) -> Reading | None:
    caller = names.service(
        first(labels, "source_canonical_service", "source_workload"), known(labels.get("source_workload_namespace"))
    )
    workload = first(labels, "destination_canonical_service", "destination_workload")
    if workload:
        namespace = first(labels, "destination_workload_namespace", "destination_service_namespace")
        callee = names.service(workload, namespace)
    else:  # outside the mesh, or nobody there: the host is all that is known
        host = first(labels, "destination_service", "destination_service_name")
        callee = None if host in _NOWHERE else names.from_host(host)
    if callee is None:
        return None
    code = labels.get("response_code", "")
    failed = code.startswith("5") or code == "0" or is_grpc_fault(labels.get("grpc_response_status", ""))
    protocol = labels.get("request_protocol", "").lower()
    running = () if caller is None else _istio_release(caller, labels, "source")
    running += _istio_release(callee, labels, "destination") if workload else ()
    witness = f"istio {labels.get('reporter', '')}"
    pair = workloads(_istio_workload(labels, "source"), _istio_workload(labels, "destination"))
    return Reading(caller, callee, witness, protocol, failed=failed, reports=running, workloads=pair)


def _istio_release(service: Node, labels: Labels, end: str) -> tuple[Report, ...]:
    """The release at one end: Istio's canonical revision is the workload's label `version`, or `latest` where it has none."""
    revision = known(labels.get(f"{end}_canonical_revision"))
    return release(service.id, "revision", revision) or release(service.id, "revision", labels.get(f"{end}_version"))


def _istio_workload(labels: Labels, end: str) -> str:
    name, cluster = known(labels.get(f"{end}_workload")), known(labels.get(f"{end}_cluster"))
    namespace = known(labels.get(f"{end}_workload_namespace"))
    return names.workload(name, namespace, "" if cluster == _NO_CLUSTER else cluster) if name else ""


_WORKLOADS = ("deployment", "statefulset", "daemonset", "k8s_job", "cronjob")
_LINKERD_LABELS = (
    "direction", "namespace", "authority", "dst_namespace", "dst_service", "classification", "target_addr",
    *_WORKLOADS, *(f"dst_{kind}" for kind in _WORKLOADS),
)  # fmt: skip


def _linkerd(labels: Labels) -> Reading | None:
    if labels.get("direction") != "outbound":  # inbound proxies count the same calls, without saying who made them
        return None
    namespace, dst_namespace = known(labels.get("namespace")), known(labels.get("dst_namespace"))
    name, workload = first(labels, *_WORKLOADS), first(labels, *(f"dst_{kind}" for kind in _WORKLOADS))
    caller = names.service(name, namespace)
    if called := workload or known(labels.get("dst_service")):
        callee = names.service(called, dst_namespace)
    else:
        callee = names.from_host(known(labels.get("authority"))) or names.from_host(known(labels.get("target_addr")))
    if caller is None or callee is None:
        return None
    pair = workloads(names.workload(name, namespace), names.workload(workload, dst_namespace))
    return Reading(caller, callee, "linkerd", "http", failed=labels.get("classification") == "failure", workloads=pair)


_ENVOY_LABELS = (
    "envoy_cluster_name", "cluster_name", "envoy_response_code", "envoy_response_code_class", *SCRAPED_LABELS,
)  # fmt: skip
# An Envoy's own clusters: those of Istio's and Consul's bootstrap configurations, and everything that comes in.
_ENVOY_OWN = re.compile(
    r"^(inbound[|_].*|xds[-_].*|ads_cluster|prometheus_stats|agent|zipkin|sds-grpc|local_agent|local_app|self_admin)$",
    re.IGNORECASE,
)
_ISTIO_CLUSTER = re.compile(r"^outbound(?:\|[^|]*\|[^|]*\||_\.[^_]*_\.[^_]*_\.)(?P<host>[^|;]+)")


def _envoy(labels: Labels) -> Reading | None:
    cluster = first(labels, "envoy_cluster_name", "cluster_name")
    if not cluster or _ENVOY_OWN.match(cluster) or cluster in _NOWHERE:
        return None
    # Istio's are `outbound|9080|v1|reviews.ns.svc.cluster.local`, or `outbound_.9080_.v1_.reviews...` where bars are not taken.
    match = _ISTIO_CLUSTER.match(cluster)
    caller, callee = scraped(labels), names.from_host(match["host"] if match else cluster)
    if caller is None or callee is None:
        return None
    code = first(labels, "envoy_response_code", "envoy_response_code_class")
    pair = workloads(scraped_workload(labels), "")
    return Reading(caller, callee, "envoy", "http", failed=code.startswith("5"), workloads=pair)


_REQUESTS = (*_ISTIO_LABELS, *_ISTIO_RESULT, *_ISTIO_RELEASE)
_SENT_AND_RECEIVED = ("istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total")

MESH_FAMILIES: tuple[Family, ...] = (
    Family("istio", ("istio_requests_total",), _REQUESTS, Role.CALLS, _istio),
    *latencies("istio", ("istio_request_duration_milliseconds",), MILLISECONDS, _ISTIO_LABELS, _istio),
    Family("istio tcp", ("istio_tcp_connections_opened_total",), _ISTIO_LABELS, Role.CALLS, _istio),
    Family("istio tcp", _SENT_AND_RECEIVED, _ISTIO_LABELS, Role.BYTES, _istio),
    Family("linkerd", ("response_total",), _LINKERD_LABELS, Role.CALLS, _linkerd),
    *latencies("linkerd", ("response_latency_ms",), MILLISECONDS, _LINKERD_LABELS, _linkerd),
    Family("envoy", ("envoy_cluster_upstream_rq",), _ENVOY_LABELS, Role.CALLS, _envoy),
    *latencies("envoy", ("envoy_cluster_upstream_rq_time",), MILLISECONDS, _ENVOY_LABELS, _envoy),
)
