"""The metric families that count calls: which metrics, which labels, and who calls whom by them.

Comes in: the labels of one series. Goes out: a `Reading`: caller, callee, protocol, endpoint, whether it failed, and who
witnessed it. What is lost: series whose labels name nobody (`read` gives None).

Where the rules come from: istio.io (Standard metrics), linkerd.io (Proxy metrics), envoyproxy.io (Cluster statistics),
grafana.com/docs/tempo (Service graphs) and the Collector's servicegraph connector, opentelemetry.io (Semantic conventions for
HTTP, RPC and database metrics), Beyla/OBI, Coroot's node agent and Caretta as published by their projects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bot import names
from bot.layers.family import Family, Labels, Reading, Role, first, known
from bot.model import ENTRY, Kind, Node

# -- Istio -------------------------------------------------------------------------------------------------------------

_ISTIO_LABELS = (
    "reporter", "source_canonical_service", "source_workload", "source_workload_namespace", "destination_canonical_service",
    "destination_workload", "destination_workload_namespace", "destination_service", "destination_service_name",
    "destination_service_namespace", "request_protocol",
)  # fmt: skip
_ISTIO_RESULT = ("response_code", "grpc_response_status")
_NOWHERE = frozenset(("PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"))
# Codes by which a server says that it, not the request, is at fault (grpc.io, status codes).
_GRPC_FAULTS = frozenset(("2", "4", "8", "12", "13", "14", "15"))


def _istio(labels: Labels) -> Reading | None:
    caller = names.service(
        first(labels, "source_canonical_service", "source_workload"), known(labels.get("source_workload_namespace"))
    )
    workload = first(labels, "destination_canonical_service", "destination_workload")
    if workload:
        namespace = first(labels, "destination_workload_namespace", "destination_service_namespace")
        callee = names.service(workload, namespace)
    else:  # outside the mesh: the host is all that is known
        host = first(labels, "destination_service", "destination_service_name")
        callee = None if host in _NOWHERE else names.from_host(host)
    if callee is None:
        return None
    code, status = labels.get("response_code", ""), labels.get("grpc_response_status", "")
    failed = code.startswith("5") or code == "0" or status in _GRPC_FAULTS
    return Reading(
        caller, callee, f"istio {labels.get('reporter', '')}", labels.get("request_protocol", "").lower(), failed=failed
    )


# -- Linkerd -----------------------------------------------------------------------------------------------------------

_WORKLOADS = ("deployment", "statefulset", "daemonset", "k8s_job", "cronjob")
_LINKERD_LABELS = (
    "direction", "namespace", "authority", "dst_namespace", "dst_service", "classification", "target_addr",
    *_WORKLOADS, *(f"dst_{kind}" for kind in _WORKLOADS),
)  # fmt: skip


def _linkerd(labels: Labels) -> Reading | None:
    if labels.get("direction") != "outbound":  # inbound proxies count the same calls, without saying who made them
        return None
    caller = names.service(first(labels, *_WORKLOADS), known(labels.get("namespace")))
    workload = first(labels, *(f"dst_{kind}" for kind in _WORKLOADS), "dst_service")
    callee = (
        names.service(workload, known(labels.get("dst_namespace")))
        if workload
        else names.from_host(known(labels.get("authority")))
    )
    if caller is None or callee is None:
        return None
    return Reading(caller, callee, "linkerd", "http", failed=labels.get("classification") == "failure")


# -- Envoy -------------------------------------------------------------------------------------------------------------

_SCRAPED = ("service_name", "app_kubernetes_io_name", "app", "service", "job", "exported_job")
_SCRAPED_LABELS = (*_SCRAPED, "service_namespace", "namespace", "deployment_environment_name", "deployment_environment")
_ENVOY_LABELS = (
    "envoy_cluster_name",
    "cluster_name",
    "envoy_response_code",
    "envoy_response_code_class",
    *_SCRAPED_LABELS,
)
_ENVOY_OWN = re.compile(r"^(inbound|xds|ads_cluster|prometheus_stats|agent|zipkin|sds-grpc|admin)", re.IGNORECASE)


def _scraped(labels: Labels) -> Node | None:
    """The service whose own metrics these are: `service.name`, which Prometheus has in `job` as `namespace/name`."""
    name = first(labels, *_SCRAPED)
    namespace = first(labels, "service_namespace", "namespace")
    if not known(labels.get("service_name")) and "/" in name:
        namespace, _, name = name.rpartition("/")
    environment = first(labels, "deployment_environment_name", "deployment_environment")
    return names.service(name, namespace, environment)


def _envoy(labels: Labels) -> Reading | None:
    cluster = first(labels, "envoy_cluster_name", "cluster_name")
    if not cluster or _ENVOY_OWN.match(cluster):
        return None
    # Istio's are `outbound|9080|v1|reviews.ns.svc.cluster.local`, or the same with underscores for the bars.
    host = re.split(r"\||_\.?_?(?=[^_]*$)", cluster)[-1] if cluster.startswith("outbound") else cluster
    caller, callee = _scraped(labels), names.from_host(host)
    if caller is None or callee is None:
        return None
    code = first(labels, "envoy_response_code", "envoy_response_code_class")
    return Reading(caller, callee, "envoy", "http", failed=code.startswith("5"))


# -- OpenTelemetry -----------------------------------------------------------------------------------------------------

_GRAPH_LABELS = (
    "client", "server", "connection_type", "client_service_namespace", "server_service_namespace", "client_db_system",
    "server_db_system", "virtual_node", "client_messaging_system", "server_messaging_system",
)  # fmt: skip


def _service_graph(labels: Labels) -> Reading | None:
    kind = labels.get("connection_type", "")
    server = known(labels.get("server"))
    client = known(labels.get("client"))
    if kind == "database":
        callee = names.service(server, known(labels.get("server_service_namespace")), kind=Kind.DATABASE)
    elif kind == "messaging_system":
        callee = names.service(server, known(labels.get("server_service_namespace")))
    elif kind == "virtual_node" and labels.get("virtual_node") == "server":
        callee = names.from_host(server)
    else:
        callee = names.service(server, known(labels.get("server_service_namespace")))
    if callee is None:
        return None
    # `user` is what a caller is called that sends no spans: a way in, not a service.
    outside = client in ("", "user") or (kind == "virtual_node" and labels.get("virtual_node") == "client")
    caller = None if outside else names.service(client, known(labels.get("client_service_namespace")))
    return Reading(caller, callee, "servicegraph", kind or "", unknown=ENTRY)


_CLIENT_LABELS = (
    "server_address", "server_port", "net_peer_name", "http_request_method", "http_method", "http_response_status_code",
    "http_status_code", "error_type", "url_template", "rpc_system", "rpc_system_name", "rpc_service", "rpc_method",
    "rpc_grpc_status_code", "rpc_response_status_code", "db_system_name", "db_system", "db_namespace", "db_name",
    "db_operation_name", "service_peer_name", "peer_service", *_SCRAPED_LABELS,
)  # fmt: skip


def _http_client(labels: Labels) -> Reading | None:
    code = first(labels, "http_response_status_code", "http_status_code")
    failed = code.startswith("5") or bool(not code and labels.get("error_type"))
    endpoint = " ".join(
        filter(None, (first(labels, "http_request_method", "http_method"), known(labels.get("url_template"))))
    )
    return _client(labels, "http", endpoint, failed)


def _rpc_client(labels: Labels) -> Reading | None:
    endpoint = "/".join(filter(None, (known(labels.get("rpc_service")), known(labels.get("rpc_method")))))
    status = first(labels, "rpc_grpc_status_code", "rpc_response_status_code")
    failed = status in _GRPC_FAULTS or bool(not status and labels.get("error_type"))
    return _client(labels, first(labels, "rpc_system_name", "rpc_system") or "rpc", endpoint, failed)


def _db_client(labels: Labels) -> Reading | None:
    caller = _scraped(labels)
    system = first(labels, "db_system_name", "db_system")
    environment = caller.environment if caller is not None else ""
    callee = names.database(
        system,
        first(labels, "server_address", "net_peer_name"),
        first(labels, "db_namespace", "db_name"),
        environment,
    )
    if caller is None or callee is None:
        return None
    endpoint = known(labels.get("db_operation_name"))
    return Reading(caller, callee, "otel client", system, endpoint, bool(labels.get("error_type")))


def _client(labels: Labels, protocol: str, endpoint: str, failed: bool) -> Reading | None:
    caller = _scraped(labels)
    environment = caller.environment if caller is not None else ""
    named = first(labels, "service_peer_name", "peer_service")
    if named:
        callee = names.service(named, "", environment)
    else:
        callee = names.from_host(first(labels, "server_address", "net_peer_name"), environment)
    if caller is None or callee is None:
        return None
    return Reading(caller, callee, "otel client", protocol, endpoint, failed)


# -- eBPF agents -------------------------------------------------------------------------------------------------------

_OBI_LABELS = (
    "direction", "k8s_src_owner_name", "k8s_src_namespace", "k8s_dst_owner_name", "k8s_dst_namespace", "src_name", "dst_name",
    "src_namespace", "dst_namespace", "transport",
)  # fmt: skip


def _obi(labels: Labels) -> Reading | None:
    src = names.service(first(labels, "k8s_src_owner_name"), first(labels, "k8s_src_namespace"))
    dst = names.service(first(labels, "k8s_dst_owner_name"), first(labels, "k8s_dst_namespace"))
    if labels.get("direction") == "response":
        src, dst = dst, src
    if src is None or dst is None or src == dst:
        return None
    return Reading(src, dst, "obi", labels.get("transport", "").lower())


_COROOT_LABELS = ("container_id", "destination", "actual_destination", "status")
_COROOT_ID = re.compile(r"^/k8s(?:-cronjob)?/(?P<namespace>[^/]+)/(?P<pod>[^/]+)(?:/|$)")


def _coroot(protocol: str, kind: Kind | None = None) -> Callable[[Labels], Reading | None]:
    def read(labels: Labels) -> Reading | None:
        found = _COROOT_ID.match(labels.get("container_id", ""))
        if found is None:
            return None
        caller = names.service(names.workload_of_pod(found["pod"]), found["namespace"])
        callee = names.from_host(labels.get("destination", ""), kind=kind) or names.from_host(
            labels.get("actual_destination", ""), kind=kind
        )
        if caller is None or callee is None:
            return None
        status = labels.get("status", "")
        return Reading(
            caller, callee, f"coroot {protocol}", protocol, failed=status.startswith("5") or status == "failed"
        )

    return read


_CARETTA_LABELS = (
    "client_name", "client_namespace", "client_kind", "server_name", "server_namespace", "server_kind", "server_port", "role",
)  # fmt: skip
_CARETTA_NOBODY = frozenset(("node", "external", "unknown"))


def _caretta(labels: Labels) -> Reading | None:
    kinds = labels.get("client_kind", "").lower(), labels.get("server_kind", "").lower()
    if labels.get("role") == "2" or "node" in kinds:  # the server's sight of the same link
        return None
    server, namespace = known(labels.get("server_name")), known(labels.get("server_namespace"))
    callee = names.from_host(server) if kinds[1] == "external" else names.service(server, namespace)
    if callee is None:
        return None
    outside = kinds[0] in _CARETTA_NOBODY
    caller = None if outside else names.service(known(labels.get("client_name")), known(labels.get("client_namespace")))
    return Reading(caller, callee, "caretta", f"tcp/{labels.get('server_port', '')}".rstrip("/"), unknown=ENTRY)


_SECONDS, _MILLISECONDS = 1e6, 1e3


def _timed(
    name: str, metrics: tuple[str, ...], unit: float, labels: tuple[str, ...], read: Callable[[Labels], Reading | None]
) -> tuple[Family, ...]:
    """The three metrics of a histogram of durations."""
    return (
        Family(name, tuple(f"{metric}_count" for metric in metrics), labels, Role.CALLS, read),
        Family(name, tuple(f"{metric}_sum" for metric in metrics), labels, Role.LATENCY, read, unit),
        Family(name, tuple(f"{metric}_bucket" for metric in metrics), (*labels, "le"), Role.BUCKET, read, unit),
    )


_COROOT = {
    "container_http_requests_total": ("http", None), "container_postgres_queries_total": ("postgresql", Kind.DATABASE),
    "container_mysql_queries_total": ("mysql", Kind.DATABASE), "container_mongo_queries_total": ("mongodb", Kind.DATABASE),
    "container_redis_queries_total": ("redis", Kind.CACHE), "container_memcached_queries_total": ("memcached", Kind.CACHE),
    "container_net_tcp_successful_connects_total": ("tcp", None),
}  # fmt: skip

FAMILIES: tuple[Family, ...] = (
    Family("istio", ("istio_requests_total",), (*_ISTIO_LABELS, *_ISTIO_RESULT), Role.CALLS, _istio),
    *_timed("istio", ("istio_request_duration_milliseconds",), _MILLISECONDS, _ISTIO_LABELS, _istio)[1:],
    Family("istio tcp", ("istio_tcp_connections_opened_total",), _ISTIO_LABELS, Role.CALLS, _istio),
    Family(
        "istio tcp", ("istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total"), _ISTIO_LABELS, Role.BYTES, _istio
    ),
    Family("linkerd", ("response_total",), _LINKERD_LABELS, Role.CALLS, _linkerd),
    *_timed("linkerd", ("response_latency_ms",), _MILLISECONDS, _LINKERD_LABELS, _linkerd)[1:],
    Family("envoy", ("envoy_cluster_upstream_rq",), _ENVOY_LABELS, Role.CALLS, _envoy),
    Family("servicegraph", ("traces_service_graph_request_total",), _GRAPH_LABELS, Role.CALLS, _service_graph),
    Family("servicegraph", ("traces_service_graph_request_failed_total",), _GRAPH_LABELS, Role.FAILED, _service_graph),
    *_timed("servicegraph", ("traces_service_graph_request_client_seconds",), _SECONDS, _GRAPH_LABELS, _service_graph)[
        1:
    ],
    *_timed("otel http", ("http_client_request_duration_seconds",), _SECONDS, _CLIENT_LABELS, _http_client),
    *_timed("otel http", ("http_client_duration_milliseconds",), _MILLISECONDS, _CLIENT_LABELS, _http_client),
    *_timed(
        "otel rpc",
        ("rpc_client_call_duration_seconds", "rpc_client_duration_seconds"),
        _SECONDS,
        _CLIENT_LABELS,
        _rpc_client,
    ),
    *_timed("otel rpc", ("rpc_client_duration_milliseconds",), _MILLISECONDS, _CLIENT_LABELS, _rpc_client),
    *_timed("otel db", ("db_client_operation_duration_seconds",), _SECONDS, _CLIENT_LABELS, _db_client),
    Family("obi", ("obi_network_flow_bytes_total", "beyla_network_flow_bytes_total"), _OBI_LABELS, Role.BYTES, _obi),
    *(Family("coroot", (metric,), _COROOT_LABELS, Role.CALLS, _coroot(*how)) for metric, how in _COROOT.items()),
    Family("caretta", ("caretta_links_observed",), _CARETTA_LABELS, Role.BYTES, _caretta),
)
"""Every metric the IPC layer reads."""

BY_METRIC: Mapping[str, Family] = {metric: family for family in FAMILIES for metric in family.metrics}
