"""Who calls whom, by the labels of each metric family."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.layers.families import BY_METRIC, FAMILIES

SAMPLES = Path(__file__).parents[3] / "shared" / "payloads" / "ingest" / "metrics"


def read(metric: str, **labels: str) -> str:
    """`caller>callee protocol endpoint FAILED`, or `` where nobody is named."""
    reading = BY_METRIC[metric].read(labels)
    if reading is None:
        return ""
    caller = reading.unknown if reading.caller is None else reading.caller.id
    failed = "FAILED" if reading.failed else ""
    return " ".join(filter(None, (f"{caller}>{reading.callee.id}", reading.protocol, reading.endpoint, failed)))


ISTIO = {"reporter": "source", "source_workload": "web-v1", "source_workload_namespace": "shop"}
LINKERD = {"direction": "outbound", "deployment": "web", "namespace": "shop"}
SCRAPED = {"job": "shop/web"}


@pytest.mark.parametrize(
    ("metric", "labels", "expected"),
    [
        ("istio_requests_total", ISTIO | {"destination_canonical_service": "cart", "destination_workload_namespace": "shop",
          "response_code": "503", "request_protocol": "http"}, "web-v1.shop>cart.shop http FAILED"),
        ("istio_requests_total", ISTIO | {"source_canonical_service": "web", "destination_workload": "unknown",
          "destination_service": "api.stripe.com", "response_code": "200"}, "web.shop>api.stripe.com"),
        ("istio_requests_total", ISTIO | {"destination_service_name": "PassthroughCluster"}, ""),
        ("istio_requests_total", ISTIO | {"destination_canonical_service": "cart", "grpc_response_status": "14",
          "response_code": "200"}, "web-v1.shop>cart FAILED"),
        ("istio_tcp_connections_opened_total", ISTIO | {"destination_canonical_service": "db", "request_protocol": "tcp",
          "destination_service_namespace": "data"}, "web-v1.shop>db.data tcp"),
        ("response_total", LINKERD | {"dst_deployment": "cart", "dst_namespace": "shop", "classification": "failure"},
         "web.shop>cart.shop http FAILED"),
        ("response_total", LINKERD | {"authority": "api.stripe.com:443", "classification": "success"}, "web.shop>api.stripe.com http"),
        ("response_total", LINKERD | {"direction": "inbound", "client_id": "x"}, ""),
        ("envoy_cluster_upstream_rq", {"app": "web", "namespace": "shop", "envoy_response_code": "500",
          "envoy_cluster_name": "outbound|9080|v1|reviews.shop.svc.cluster.local"}, "web.shop>reviews.shop http FAILED"),
        ("envoy_cluster_upstream_rq", {"app": "web", "namespace": "shop",
          "cluster_name": "outbound_.9080_._.reviews.shop.svc.cluster.local"}, "web.shop>reviews.shop http"),
        ("envoy_cluster_upstream_rq", {"app": "web", "cluster_name": "outbound|80||api.stripe.com;"}, "web>api.stripe.com http"),
        ("envoy_cluster_upstream_rq", {"app": "web", "envoy_cluster_name": "PassthroughCluster"}, ""),
        ("envoy_cluster_upstream_rq", {"app": "web", "envoy_cluster_name": "admin-api"}, "web>admin-api http"),
        ("envoy_cluster_upstream_rq", {"job": "kubernetes-pods", "envoy_cluster_name": "payments"}, ""),
        ("envoy_cluster_upstream_rq_time_sum", {"app": "edge", "envoy_cluster_name": "payments"}, "edge>payments http"),
        ("envoy_cluster_upstream_rq", {"app": "web", "envoy_cluster_name": "inbound|9080||"}, ""),
        ("envoy_cluster_upstream_rq", {"app": "web", "envoy_cluster_name": "xds-grpc"}, ""),
        ("envoy_cluster_upstream_rq", {"app": "edge", "envoy_cluster_name": "payments"}, "edge>payments http"),
        ("traces_service_graph_request_total", {"client": "app", "server": "db", "connection_type": "database"}, "app>db database"),
        ("traces_service_graph_request_total", {"client": "app", "server": "db", "connection_type": "database",
          "server_db_system": "mysql"}, "app>db mysql"),
        ("traces_service_graph_request_total", {"client": "orders", "server": "billing", "connection_type": "messaging_system",
          "client_service_namespace": "shop"}, "orders.shop>billing messaging"),
        ("traces_service_graph_request_total", {"client": "user", "server": "web", "connection_type": "virtual_node"}, "(entry)>web"),
        ("traces_service_graph_request_client_milliseconds_sum", {"client": "web", "server": "cart"}, "web>cart"),
        ("traces_service_graph_request_total", {"client": "user", "server": "web"}, "(entry)>web"),
        ("traces_service_graph_request_total", {"client": "web", "server": "pay.example.com", "connection_type": "virtual_node",
          "virtual_node": "server"}, "web>pay.example.com"),
        ("http_client_request_duration_seconds_count", SCRAPED | {"server_address": "cart.shop.svc.cluster.local",
          "http_request_method": "GET", "url_template": "/items/{id}", "http_response_status_code": "502"},
         "web.shop>cart.shop http GET /items/{id} FAILED"),
        ("http_client_request_duration_seconds_count", SCRAPED | {"server_address": "10.0.0.8"}, ""),
        ("http_client_request_duration_seconds_count", {"job": "otel-collector", "exported_job": "shop/web", "app": "collector",
          "service_peer_name": "cart", "server_address": "10.0.0.8", "error_type": "timeout"}, "web.shop>cart http FAILED"),
        ("http_client_request_duration_seconds_count", {"job": "kubernetes-pods", "app": "web", "namespace": "shop",
          "server_address": "cart", "deployment_environment_name": "prod"}, "web.shop@prod>cart@prod http"),
        ("http_client_request_duration_seconds_count", {"service_name": "unknown_service:java", "server_address": "cart"}, ""),
        ("http_client_duration_milliseconds_count", SCRAPED | {"net_peer_name": "cart", "http_method": "POST",
          "http_status_code": "404"}, "web.shop>cart http POST"),
        ("rpc_client_call_duration_seconds_count", {"service_name": "web", "rpc_system_name": "grpc", "server_address": "cart",
          "rpc_method": "shop.Cart/Get", "rpc_response_status_code": "UNKNOWN"}, "web>cart grpc shop.Cart/Get FAILED"),
        ("grpc_client_attempt_duration_seconds_count", {"service_name": "web", "grpc_target": "dns:///cart.shop.svc:50051",
          "grpc_method": "shop.Cart/Get", "grpc_status": "UNAVAILABLE"}, "web>cart.shop grpc shop.Cart/Get FAILED"),
        ("messaging_client_sent_messages_total", {"service_name": "web", "messaging_system": "kafka",
          "messaging_destination_name": "orders"}, "web>orders.kafka kafka"),
        ("messaging_client_consumed_messages_total", {"service_name": "billing", "messaging_system": "kafka",
          "messaging_destination_name": "orders"}, "orders.kafka>billing kafka"),
        ("rpc_client_duration_milliseconds_count", {"service_name": "web", "service_namespace": "shop", "rpc_system": "grpc",
          "rpc_service": "Cart", "rpc_method": "Get", "server_address": "cart", "rpc_grpc_status_code": "0"},
         "web.shop>cart grpc Cart/Get"),
        ("db_client_operation_duration_seconds_count", {"service_name": "web", "db_system_name": "postgresql",
          "server_address": "orders-db.data.svc.cluster.local", "db_operation_name": "SELECT"}, "web>orders-db.data postgresql SELECT"),
        ("obi_network_flow_bytes_total", {"direction": "response", "k8s_src_owner_name": "cart", "k8s_src_namespace": "shop",
          "k8s_dst_owner_name": "web", "k8s_dst_namespace": "shop", "transport": "TCP"}, "web.shop>cart.shop tcp"),
        ("obi_network_flow_bytes_total", {"direction": "request", "k8s_src_owner_name": "web", "k8s_src_namespace": "shop",
          "dst_name": "api.stripe.com"}, "web.shop>api.stripe.com"),
        ("obi_network_flow_bytes_total", {"direction": "request", "src_name": "crawler.example.com", "k8s_dst_owner_name": "web",
          "k8s_dst_namespace": "shop"}, ""),
        ("container_http_requests_duration_seconds_total_sum", {"container_id": "/k8s/shop/web-7d9f8b6c5d-x2x9z/app",
          "destination": "10.0.0.8:80", "actual_destination": "api.stripe.com:443"}, "web.shop>api.stripe.com http"),
        ("container_net_tcp_bytes_sent_total", {"container_id": "/docker/web", "destination": "cart:80"}, ""),
        ("container_postgres_queries_total", {"container_id": "/k8s/shop/web-7d9f8b6c5d-x2x9z/app", "status": "failed",
          "destination": "orders-db.data.svc.cluster.local:5432"}, "web.shop>orders-db.data postgresql FAILED"),
        ("caretta_links_observed", {"client_name": "web", "client_namespace": "shop", "client_kind": "Deployment", "role": "1",
          "server_name": "cart", "server_namespace": "shop", "server_kind": "Service", "server_port": "80"}, "web.shop>cart.shop tcp/80"),
        ("caretta_links_observed", {"client_name": "web", "client_namespace": "shop", "client_kind": "Deployment", "role": "2",
          "server_name": "cart", "server_namespace": "shop", "server_kind": "Service", "server_port": "80"}, ""),
    ],
)  # fmt: skip
def test_labels_say_who_calls_whom(metric: str, labels: dict[str, str], expected: str) -> None:
    assert read(metric, **labels) == expected


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.metrics[0])
def test_every_family_stands_labels_that_are_missing_or_odd(family: object) -> None:
    for metric, known in BY_METRIC.items():
        assert known.read({}) is None, metric
        known.read(dict.fromkeys(known.labels, "\u202e\x00 " * 50))


def test_a_query_asks_for_every_label_a_reader_looks_at() -> None:
    class Asked(dict[str, str]):
        def __init__(self) -> None:
            super().__init__()
            self.names: set[str] = set()

        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            self.names.add(key)
            return default

    for family in FAMILIES:
        asked = Asked()
        family.read(asked)
        assert asked.names <= set(family.labels), family.name


def test_each_end_of_a_flow_is_its_own_witness() -> None:
    ends = {
        "k8s_src_owner_name": "web",
        "k8s_src_namespace": "a",
        "k8s_dst_owner_name": "cart",
        "k8s_dst_namespace": "a",
    }
    witnesses = {}
    for direction in ("request", "response"):
        for side in ("egress", "ingress", ""):
            reading = BY_METRIC["obi_network_flow_bytes_total"].read(
                ends | {"direction": direction, "iface_direction": side}
            )
            assert reading is not None
            witnesses[direction, side] = reading.witness
    assert witnesses["request", "egress"] == witnesses["response", "ingress"] == "obi caller"
    assert witnesses["request", "ingress"] == witnesses["response", "egress"] == "obi callee"
    assert witnesses["request", ""] == "obi"


def test_no_metric_is_in_two_families() -> None:
    metrics = [metric for family in FAMILIES for metric in family.metrics]
    assert len(metrics) == len(set(metrics)) == len(BY_METRIC)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample payloads are not beside the repository")
def test_published_samples_are_read() -> None:
    found = set()
    for file in SAMPLES.glob("*.prom"):
        for line in file.read_text().splitlines():
            match = re.match(r"^([a-z_]+)(?:\{(.*)\})? ", line)
            if match and match[1] in BY_METRIC:
                labels = dict(re.findall(r'([a-z_0-9]+)="([^"]*)"', match[2] or ""))
                found.add(read(match[1], **labels))
    assert {"productpage.default>details.default tcp", "app>db database"} <= found
    assert "checkoutservice.demo-ng>productcatalogservice.demo-ng tcp/3550" in found
