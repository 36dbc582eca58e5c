"""Metrics of agents that watch from the kernel: OBI/Beyla, Coroot, Caretta.

Comes in: labels of one series. Goes out: who calls whom. What is lost: ends that are addresses nobody can name, and the
server's sight of a link that its client saw too.

Sources: opentelemetry.io "OBI network metrics" (and Beyla's, from which it comes); docs.coroot.com "Container metrics" and
the agent's `containers/metrics.go`; github.com/groundcover-com/caretta (README).
"""

from __future__ import annotations

import re

from bot import names
from bot.layers.family import SECONDS, Family, Labels, Read, Reading, Role, known, latencies
from bot.model import ENTRY, Kind, Node

_OBI_LABELS = (
    "direction", "iface_direction", "k8s_src_owner_name", "k8s_src_namespace", "k8s_dst_owner_name", "k8s_dst_namespace",
    "src_name", "dst_name", "transport",
)  # fmt: skip


def _obi(labels: Labels) -> Reading | None:
    swapped = labels.get("direction") == "response"
    src, dst = _obi_end(labels, "src", callee=swapped), _obi_end(labels, "dst", callee=not swapped)
    caller, callee = (dst, src) if swapped else (src, dst)
    if caller is None or callee is None or caller == callee:
        return None
    # Both ends' nodes count a packet, on its way out and on its way in.
    outward = labels.get("iface_direction", "")
    at_caller = (outward == "egress") is not swapped
    witness = f"obi {'caller' if at_caller else 'callee'}" if outward in ("ingress", "egress") else "obi"
    return Reading(caller, callee, witness, labels.get("transport", "").lower())


def _obi_end(labels: Labels, end: str, *, callee: bool) -> Node | None:
    name, namespace = labels.get(f"{end}_name", ""), known(labels.get(f"k8s_{end}_namespace"))
    owner = names.service(known(labels.get(f"k8s_{end}_owner_name")), namespace)
    # A callee outside the cluster is worth its name; callers outside are anybody.
    return owner or (names.from_host(known(name)) if callee and "." in name else None)


_COROOT_LABELS = ("container_id", "destination", "actual_destination", "status")
_COROOT_ID = re.compile(r"^/k8s(?:-cronjob)?/(?P<namespace>[^/]+)/(?P<pod>[^/]+)(?:/|$)")


def _coroot(protocol: str, kind: Kind | None = None) -> Read:
    def read(labels: Labels) -> Reading | None:
        found = _COROOT_ID.match(labels.get("container_id", ""))
        if found is None:
            return None
        caller = names.service(names.workload_of_pod(found["pod"]), found["namespace"])
        ends = labels.get("destination", ""), labels.get("actual_destination", "")
        callee = names.from_host(ends[0], kind=kind) or names.from_host(ends[1], kind=kind)
        if caller is None or callee is None:
            return None
        status = labels.get("status", "")
        failed = status.startswith("5") or status == "failed"
        return Reading(caller, callee, f"coroot {protocol}", protocol, failed=failed)

    return read


_CARETTA_LABELS = (
    "client_name", "client_namespace", "client_kind", "server_name", "server_namespace", "server_kind", "server_port", "role",
)  # fmt: skip
_CARETTA_NOBODY = frozenset(("node", "external", "unknown"))


def _caretta(labels: Labels) -> Reading | None:
    kinds = labels.get("client_kind", "").lower(), labels.get("server_kind", "").lower()
    if labels.get("role") == "2" or "node" in kinds:  # 2 is the server's sight of the same link
        return None
    server, namespace = known(labels.get("server_name")), known(labels.get("server_namespace"))
    callee = names.from_host(server) if kinds[1] == "external" else names.service(server, namespace)
    if callee is None:
        return None
    outside = kinds[0] in _CARETTA_NOBODY
    caller = None if outside else names.service(known(labels.get("client_name")), known(labels.get("client_namespace")))
    return Reading(caller, callee, "caretta", f"tcp/{labels.get('server_port', '')}".rstrip("/"), unknown=ENTRY)


# protocol -> the metric, less its `_total`; what the callee is
_COROOT_CALLS: dict[str, tuple[str, Kind | None]] = {
    "http": ("container_http_requests", None),
    "postgresql": ("container_postgres_queries", Kind.DATABASE),
    "mysql": ("container_mysql_queries", Kind.DATABASE),
    "mongodb": ("container_mongo_queries", Kind.DATABASE),
    "clickhouse": ("container_clickhouse_queries", Kind.DATABASE),
    "cassandra": ("container_cassandra_queries", Kind.DATABASE),
    "redis": ("container_redis_queries", Kind.CACHE),
    "memcached": ("container_memcached_queries", Kind.CACHE),
    "kafka": ("container_kafka_requests", Kind.QUEUE),
    "rabbitmq": ("container_rabbitmq_messages", Kind.QUEUE),
    "nats": ("container_nats_messages", Kind.QUEUE),
}
_COROOT_BYTES = ("container_net_tcp_bytes_sent_total", "container_net_tcp_bytes_received_total")


def _coroot_families() -> tuple[Family, ...]:
    families = []
    for protocol, (metric, kind) in _COROOT_CALLS.items():
        read = _coroot(protocol, kind)
        families.append(Family("coroot", (f"{metric}_total",), _COROOT_LABELS, Role.CALLS, read))
        # The agent's histograms do have `_total` in their names.
        families += latencies("coroot", (f"{metric}_duration_seconds_total",), SECONDS, _COROOT_LABELS, read)
    connects = ("container_net_tcp_successful_connects_total",)
    families.append(Family("coroot", connects, _COROOT_LABELS, Role.CALLS, _coroot("tcp")))
    families.append(Family("coroot", _COROOT_BYTES, _COROOT_LABELS, Role.BYTES, _coroot("tcp")))
    return tuple(families)


_OBI_BYTES = ("obi_network_flow_bytes_total", "beyla_network_flow_bytes_total")

EBPF_FAMILIES: tuple[Family, ...] = (
    Family("obi", _OBI_BYTES, _OBI_LABELS, Role.BYTES, _obi),
    *_coroot_families(),
    Family("caretta", ("caretta_links_observed",), _CARETTA_LABELS, Role.BYTES, _caretta),
)
