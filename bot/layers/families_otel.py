"""Metrics made by OpenTelemetry: service graphs from spans, and clients' own histograms.

Comes in: labels of one series, spelled as Prometheus does, whichever door it came by. Goes out: who calls whom. What is lost:
servers' own histograms, which do not say who called; clients that dialled an address nobody can name.

Sources: grafana.com/docs/tempo "Service graphs" and the Collector's servicegraph connector (README); opentelemetry.io
"Semantic conventions" for HTTP, RPC, database and messaging metrics, with the names they had before they were stable;
grpc.io "OpenTelemetry Metrics".
"""

from __future__ import annotations

from dataclasses import replace

from bot import names
from bot.layers.family import (
    MILLISECONDS,
    SCRAPED_LABELS,
    SECONDS,
    Family,
    Labels,
    Reading,
    Role,
    environment,
    first,
    is_grpc_fault,
    known,
    latencies,
    scraped,
    scraped_workload,
    timed,
    workloads,
)
from bot.model import ENTRY, Kind, Node
from bot.telemetry import releases

_GRAPH_LABELS = (
    "client", "server", "connection_type", "client_service_namespace", "server_service_namespace", "client_db_system",
    "server_db_system", "virtual_node",
)  # fmt: skip
_GRAPH_PROTOCOLS = {"messaging_system": "messaging"}


def _service_graph(labels: Labels) -> Reading | None:
    kind, virtual = labels.get("connection_type", ""), labels.get("virtual_node", "")
    client, server = known(labels.get("client")), known(labels.get("server"))
    namespace = known(labels.get("server_service_namespace"))
    protocol = _GRAPH_PROTOCOLS.get(kind, "")
    if kind == "database":
        callee = names.service(server, namespace, kind=Kind.DATABASE)
        protocol = first(labels, "server_db_system", "client_db_system") or "database"
    elif kind == "virtual_node" and virtual != "client" and client != "user":
        callee = names.from_host(server)
    else:
        callee = names.service(server, namespace)
    if callee is None:
        return None
    # `user` is what a caller is called that sends no spans: a way in, not a service.
    outside = client in ("", "user") or (kind == "virtual_node" and virtual == "client")
    caller = None if outside else names.service(client, known(labels.get("client_service_namespace")))
    return Reading(caller, callee, "servicegraph", protocol, unknown=ENTRY)


_PEER_LABELS = (
    "service_peer_name", "service_peer_namespace", "peer_service", "server_address", "net_peer_name", "error_type",
)  # fmt: skip
_HTTP_LABELS = (
    *_PEER_LABELS, "http_request_method", "http_method", "http_response_status_code", "http_status_code", "url_template",
    *SCRAPED_LABELS,
)  # fmt: skip
_RPC_LABELS = (
    *_PEER_LABELS, "rpc_system", "rpc_system_name", "rpc_service", "rpc_method", "rpc_grpc_status_code",
    "rpc_response_status_code", *SCRAPED_LABELS,
)  # fmt: skip
_GRPC_LABELS = ("grpc_target", "grpc_method", "grpc_status", *SCRAPED_LABELS)
_DB_LABELS = (
    "server_address", "net_peer_name", "error_type", "db_system_name", "db_system", "db_namespace", "db_name",
    "db_operation_name", *SCRAPED_LABELS,
)  # fmt: skip


def _client(labels: Labels, callee: Node | None, protocol: str, endpoint: str, failed: bool) -> Reading | None:
    caller = scraped(labels)
    if caller is None or callee is None:
        return None
    running, pair = releases.of_labels(caller.id, labels), workloads(scraped_workload(labels), "")
    return Reading(caller, callee, "otel client", protocol, endpoint, failed, reports=running, workloads=pair)


def _peer(labels: Labels) -> Node | None:
    """The other end: by the name the client gave it, else by the host it dialled. It lives in the caller's environment."""
    named = known(labels.get("service_peer_name"))
    namespace = known(labels.get("service_peer_namespace")) if named else ""
    service = names.service(named or known(labels.get("peer_service")), namespace, environment(labels))
    return service or names.from_host(first(labels, "server_address", "net_peer_name"), environment(labels))


def _http_client(labels: Labels) -> Reading | None:
    code = first(labels, "http_response_status_code", "http_status_code")
    failed = code.startswith("5") or bool(not code and labels.get("error_type"))
    method, template = first(labels, "http_request_method", "http_method"), known(labels.get("url_template"))
    return _client(labels, _peer(labels), "http", f"{method} {template}".strip(), failed)


def _rpc_client(labels: Labels) -> Reading | None:
    endpoint = "/".join(filter(None, (known(labels.get("rpc_service")), known(labels.get("rpc_method")))))
    # Not `first`: UNKNOWN is a status here.
    status = labels.get("rpc_grpc_status_code") or labels.get("rpc_response_status_code") or ""
    failed = is_grpc_fault(status) or bool(not status and labels.get("error_type"))
    system = first(labels, "rpc_system_name", "rpc_system") or "rpc"
    return _client(labels, _peer(labels), system, endpoint, failed)


def _grpc_client(labels: Labels) -> Reading | None:
    # A target is `scheme:///name:port`, `scheme://resolver/name:port` or the name alone (grpc.io "gRPC Name Resolution").
    callee = names.from_host(labels.get("grpc_target", "").rpartition("/")[2], environment(labels))
    failed = is_grpc_fault(labels.get("grpc_status", ""))
    return _client(labels, callee, "grpc", known(labels.get("grpc_method")), failed)


def _db_client(labels: Labels) -> Reading | None:
    system = first(labels, "db_system_name", "db_system")
    host, namespace = first(labels, "server_address", "net_peer_name"), first(labels, "db_namespace", "db_name")
    callee = names.database(system, host, namespace, environment(labels))
    return _client(labels, callee, system, known(labels.get("db_operation_name")), bool(labels.get("error_type")))


_QUEUE_LABELS = (
    "messaging_system", "messaging_destination_name", "messaging_destination_template", "error_type", *SCRAPED_LABELS,
)  # fmt: skip


def _sends(labels: Labels) -> Reading | None:
    producer, where, system = scraped(labels), environment(labels), known(labels.get("messaging_system"))
    topic = first(labels, "messaging_destination_template", "messaging_destination_name")
    queue = names.queue(system, topic, where) if system else None
    if producer is None or queue is None:
        return None
    failed, running = bool(labels.get("error_type")), releases.of_labels(producer.id, labels)
    return Reading(producer, queue, "otel client", system, failed=failed, reports=running)


def _consumes(labels: Labels) -> Reading | None:
    """The queue calls its consumer, as in the trace layer."""
    sent = _sends(labels)
    if sent is None or sent.caller is None:
        return None
    return replace(sent, caller=sent.callee, callee=sent.caller)


_GRAPH_SECONDS = ("traces_service_graph_request_client_seconds",)
_GRAPH_MILLISECONDS = ("traces_service_graph_request_client_milliseconds",)
_RPC_SECONDS = ("rpc_client_call_duration_seconds", "rpc_client_duration_seconds")
_RPC_MILLISECONDS = ("rpc_client_duration_milliseconds",)
_SENT = ("messaging_client_sent_messages_total",)
_CONSUMED = ("messaging_client_consumed_messages_total",)

OTEL_FAMILIES: tuple[Family, ...] = (
    Family("servicegraph", ("traces_service_graph_request_total",), _GRAPH_LABELS, Role.CALLS, _service_graph),
    Family("servicegraph", ("traces_service_graph_request_failed_total",), _GRAPH_LABELS, Role.FAILED, _service_graph),
    *latencies("servicegraph", _GRAPH_SECONDS, SECONDS, _GRAPH_LABELS, _service_graph),
    *latencies("servicegraph", _GRAPH_MILLISECONDS, MILLISECONDS, _GRAPH_LABELS, _service_graph),
    *timed("otel http", ("http_client_request_duration_seconds",), SECONDS, _HTTP_LABELS, _http_client),
    *timed("otel http", ("http_client_duration_milliseconds",), MILLISECONDS, _HTTP_LABELS, _http_client),
    *timed("otel rpc", _RPC_SECONDS, SECONDS, _RPC_LABELS, _rpc_client),
    *timed("otel rpc", _RPC_MILLISECONDS, MILLISECONDS, _RPC_LABELS, _rpc_client),
    *timed("grpc", ("grpc_client_attempt_duration_seconds",), SECONDS, _GRPC_LABELS, _grpc_client),
    *timed("otel db", ("db_client_operation_duration_seconds",), SECONDS, _DB_LABELS, _db_client),
    Family("otel messaging", _SENT, _QUEUE_LABELS, Role.CALLS, _sends),
    Family("otel messaging", _CONSUMED, _QUEUE_LABELS, Role.CALLS, _consumes),
)
