"""Workloads through the three layers: counted with their edges, corrected with them, and never at their cost."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterator

import msgspec
import pytest

from bot.edge_detail import EdgeDetail, WorkloadPair
from bot.layers.families import BY_METRIC
from bot.layers.ipc import IpcLayer
from bot.layers.network import NetworkLayer
from bot.layers.trace import TraceLayer
from bot.layers.workloads import tell_apart
from bot.model import ENTRY, EdgeKey, Layer, LayerDelta, Tally
from bot.names import on_workload
from bot.telemetry import identities
from bot.telemetry.samples import Sample, SampleBatch, identity
from tests.kit.maps import tally
from tests.layers.traces import MINUTE, C, Made, S, batch, otlp

NOW = MINUTE + 100.0
WEB, PAY = on_workload("web", "web-1"), on_workload("pay", "pay-2.shop@east")
CLIENT, SERVER = otlp("b", "", C, WEB, "pay"), otlp("c", "b", S, PAY)

Known = dict[EdgeKey, dict[WorkloadPair, float]]


class Sum:
    """The sum of all deltas a layer gave."""

    def __init__(self) -> None:
        self.calls: dict[EdgeKey, float] = {}
        self.details: dict[EdgeKey, EdgeDetail] = {}

    def add(self, delta: LayerDelta) -> None:
        for edges in delta.windows.values():
            for edge, counts in edges.items():
                self.calls[edge] = self.calls.get(edge, 0.0) + counts.calls
        for edge, detail in delta.details.items():
            self.details.setdefault(edge, EdgeDetail()).add(detail)

    @property
    def workloads(self) -> Known:
        """Edge -> pair -> calls, without what came to nothing."""
        found = {
            edge: {pair: calls for pair, (calls, _) in detail.workloads.items() if abs(calls) > 1e-6}
            for edge, detail in self.details.items()
        }
        return {edge: pairs for edge, pairs in found.items() if pairs}


# -- traces ------------------------------------------------------------------------------------------------------------


def test_an_edge_of_two_known_reporters_counts_by_their_workloads() -> None:
    layer, found = TraceLayer(settle=1), Sum()
    layer.add(batch(CLIENT, SERVER), now=100.0)
    delta = layer.collect(101.0)
    found.add(delta)

    assert found.calls == {("web", "pay"): 1}
    assert delta.details[("web", "pay")].workloads == {("web-1", "pay-2.shop@east"): (1.0, MINUTE)}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_late_spans_in_any_order_come_to_the_same_pairs(order: tuple[int, ...]) -> None:
    spans: list[Made] = [CLIENT, SERVER, otlp("d", "c", C, PAY, "pg")]
    layer, found = TraceLayer(settle=1), Sum()
    for turn, place in enumerate(order):
        layer.add(batch(spans[place]), now=100.0 + 10 * turn)
        found.add(layer.collect(101.0 + 10 * turn))

    assert {edge: calls for edge, calls in found.calls.items() if calls} == {("web", "pay"): 1, ("pay", "pg"): 1}
    assert found.workloads == {
        ("web", "pay"): {("web-1", "pay-2.shop@east"): 1.0},
        ("pay", "pg"): {("pay-2.shop@east", ""): 1.0},
    }


def test_two_workloads_of_one_service_are_one_service_to_the_linker() -> None:
    outer, inner = otlp("a", "", C, on_workload("web", "web-1")), otlp("b", "a", C, on_workload("web", "web-2"), "pay")
    layer, found = TraceLayer(), Sum()
    layer.add(batch(outer, inner), now=100.0)
    found.add(layer.flush(101.0))

    assert found.calls == {("web", "pay"): 1}


def test_who_comes_from_outside_has_no_workload_to_tell() -> None:
    layer, found = TraceLayer(), Sum()
    layer.add(batch(otlp("a", "", S, WEB)), now=100.0)
    found.add(layer.flush(101.0))

    assert (found.calls, found.workloads) == ({(ENTRY, "web"): 1}, {})


def test_counts_between_workloads_and_between_services_meet_under_the_services() -> None:
    delta = LayerDelta(Layer.TRACE)
    edges: dict[EdgeKey, Tally] = {(WEB, PAY): tally(3), ("web", "pay"): tally(2), ("web", PAY): tally(1)}
    delta.windows[MINUTE] = edges
    tell_apart(delta)

    assert {edge: counts.calls for edge, counts in delta.windows[MINUTE].items()} == {("web", "pay"): 6}
    assert delta.details[("web", "pay")].workloads == {
        ("web-1", "pay-2.shop@east"): (3.0, MINUTE),
        ("", "pay-2.shop@east"): (1.0, MINUTE),
    }


# -- counters ----------------------------------------------------------------------------------------------------------

ISTIO = {
    "source_canonical_service": "web", "source_workload": "web-1", "destination_canonical_service": "pay",
    "destination_workload": "pay-2", "response_code": "200",
}  # fmt: skip
CLIENTS = {"job": "web", "peer_service": "pay", "k8s_deployment_name": "web-1"}
HTTP = "http_client_request_duration_seconds_count"


def read(metric: str, **labels: str) -> WorkloadPair | None:
    reading = BY_METRIC[metric].read(labels)
    assert reading is not None
    return reading.workloads


def test_each_family_names_the_workloads_it_knows() -> None:
    mesh = ISTIO | {"source_workload_namespace": "shop", "destination_workload_namespace": "money"}
    clusters = {"source_cluster": "Kubernetes", "destination_cluster": "west"}
    linkerd = {
        "direction": "outbound",
        "deployment": "web",
        "namespace": "shop",
        "dst_statefulset": "pg",
        "dst_namespace": "db",
    }

    assert read("istio_requests_total", **mesh, **clusters) == ("web-1.shop", "pay-2.money@west")
    assert read("istio_requests_total", **ISTIO | {"destination_workload": "unknown"}) == ("web-1", "")
    assert read("response_total", **linkerd) == ("web.shop", "pg.db")
    assert read("response_total", direction="outbound", deployment="web", dst_service="pay") == ("web", "")
    assert read(HTTP, **CLIENTS, k8s_namespace_name="shop", k8s_cluster_name="east") == ("web-1.shop@east", "")
    assert read(HTTP, job="web", peer_service="pay") is None
    assert read("envoy_cluster_upstream_rq", envoy_cluster_name="pay", **CLIENTS) == ("web-1", "")


@pytest.mark.parametrize("family", [name for name in BY_METRIC if name.startswith("istio")])
def test_a_pull_asks_for_every_label_a_workload_is_read_from(family: str) -> None:
    wanted = {
        f"{end}_{label}" for end in ("source", "destination") for label in ("workload", "workload_namespace", "cluster")
    }
    assert wanted <= set(BY_METRIC[family].labels)


class Counted(Sum):
    """An IPC layer and what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = IpcLayer(NOW - 3_600)

    def grow(self, by: float, metric: str, **labels: str) -> None:
        for at, value in ((MINUTE + 1.0, 0.0), (MINUTE + 16.0, by)):
            batch = SampleBatch()
            batch.take(Sample(identity(metric, labels), at, value, 0.0, delta=False))
            self.layer.add(batch, NOW)
        self.add(self.layer.collect(NOW))


def test_both_proxies_of_a_call_count_its_workloads_once() -> None:
    ipc = Counted()
    for reporter in ("source", "destination"):
        ipc.grow(30, "istio_requests_total", **ISTIO, reporter=reporter)

    assert ipc.workloads == {("web", "pay"): {("web-1", "pay-2"): 30.0}}


def test_who_knows_both_workloads_is_asked_even_where_another_counted_more() -> None:
    ipc = Counted()
    ipc.grow(50, HTTP, **CLIENTS)
    ipc.grow(20, "istio_requests_total", **ISTIO)
    ipc.grow(60, HTTP, **CLIENTS, instance="2")

    assert ipc.calls[("web", "pay")] == 110.0
    assert ipc.workloads[("web", "pay")] == {("web-1", ""): 50.0, ("web-1", "pay-2"): 20.0}


# -- flows -------------------------------------------------------------------------------------------------------------

A, B, LB = "10.0.0.1", "10.0.0.2", "10.0.0.9"
_ports = itertools.count(40_000)


class Flows(Sum):
    """A network layer and what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = NetworkLayer(threads=1)

    def own(
        self, ip: str, service: str, workload: object = "", start: float = MINUTE - 600, **more: object
    ) -> list[object]:
        record = {
            "ip": ip,
            "service": service,
            "workload": workload,
            "start": start,
            "end": None,
            "kind": "service",
        } | more
        batch = identities.decode(json.dumps(record).encode(), NOW)
        self.layer.learn(batch, NOW)
        return list(batch.errors)

    def flow(self, client: str, server: str, **more: object) -> None:
        record = {
            "start": MINUTE + 10, "end": MINUTE + 11, "src_ip": client, "src_port": next(_ports), "dst_ip": server,
            "dst_port": 443, "proto": "tcp", "bytes": 10, "packets": 1, "client": "src",
        } | more  # fmt: skip
        folded = self.layer.fold(json.dumps(record).encode(), NOW)
        assert not folded.refused
        self.layer.add(folded, NOW)

    def collect(self) -> None:
        self.add(self.layer.collect(NOW))


@pytest.fixture
def flows() -> Iterator[Flows]:
    made = Flows()
    yield made
    made.layer.close()


def test_connections_count_by_the_workloads_that_had_the_addresses(flows: Flows) -> None:
    flows.own(A, "web", "web-1.shop")
    flows.own(B, "pay", "pay-2.shop@east")
    flows.flow(A, B)
    flows.flow(A, B)
    flows.collect()

    assert flows.calls == {("web", "pay"): 2}
    assert flows.workloads == {("web", "pay"): {("web-1.shop", "pay-2.shop@east"): 2.0}}
    assert flows.details[("web", "pay")].protocols == {"tcp/443"}


def test_an_owner_better_known_later_takes_its_calls_along(flows: Flows) -> None:
    flows.own(A, "web")
    flows.own(B, "pay")
    flows.flow(A, B)
    flows.collect()
    flows.own(B, "pay", "pay-2", start=MINUTE - 500)  # another source's heartbeat, which knows more
    flows.collect()
    flows.own(B, "pay", start=MINUTE - 400)  # and one that knows less again
    flows.collect()

    assert flows.calls == {("web", "pay"): 1}
    assert flows.workloads == {("web", "pay"): {("", "pay-2"): 1.0}}
    assert len(flows.layer.ownership) == 2


def test_an_address_that_goes_from_one_workload_to_another_is_each_ones_in_its_time(flows: Flows) -> None:
    flows.own(A, "web")
    flows.own(B, "pay", "pay-1")
    flows.own(B, "pay", "pay-2", start=MINUTE + 30)
    for at in (10, 40, 50):
        flows.flow(A, B, start=MINUTE + at, end=MINUTE + at + 1)
    flows.collect()

    assert flows.calls == {("web", "pay"): 3}
    assert flows.workloads == {("web", "pay"): {("", "pay-1"): 1.0, ("", "pay-2"): 2.0}}


def test_a_record_that_names_a_workload_itself_is_believed_before_the_address(flows: Flows) -> None:
    flows.own(A, "web", "web-1")
    flows.own(B, "pay", "pay-1")
    flows.flow(A, B, dst_service=on_workload("pay", "pay-2"), src_service="web")
    flows.collect()

    assert flows.workloads == {("web", "pay"): {("web-1", "pay-2"): 1.0}}


def test_a_workload_does_not_make_an_estimate_a_certainty(flows: Flows) -> None:
    flows.own(A, "web", "web-1")
    flows.own(LB, "lb", kind="load_balancer")
    flows.own(B, "pay", "pay-2")
    flows.flow(A, LB)
    flows.flow(LB, B)
    flows.collect()

    assert flows.calls == {("web", "pay"): 1}
    assert flows.workloads == {}
    assert flows.details[("web", "pay")].certainty < 1.0


@pytest.mark.parametrize("workload", [7, ["a"], {"name": "a"}, True])
def test_a_workload_that_is_no_text_is_refused_by_name(flows: Flows, workload: object) -> None:
    [error] = flows.own(A, "web", workload)
    assert "workload" in str(error)


def test_a_workload_of_any_length_and_spelling_is_made_one_of_ours(flows: Flows) -> None:
    flows.own(A, "web", "W" * 50_000 + "\n\x00(x)@east@west")
    flows.own(B, "pay")
    flows.flow(A, B)
    flows.collect()

    [((workload, callee), calls)] = flows.workloads[("web", "pay")].items()
    assert (callee, calls) == ("", 1.0)
    assert workload.isprintable()
    assert workload.startswith("www")
    assert len(workload) <= 410


def test_the_workloads_of_addresses_survive_a_restart_and_older_memories_are_read(flows: Flows) -> None:
    flows.own(A, "web", "web-1")
    flows.own(B, "pay")
    after, older = NetworkLayer(threads=1), NetworkLayer(threads=1)
    memory = flows.layer.memory()
    after.remember(memory)
    document = msgspec.msgpack.decode(zlib.decompress(memory))
    older.remember(zlib.compress(msgspec.msgpack.encode(document[:4])))

    owners = [[layer.ownership.owner(ip, NOW) for ip in (A, B)] for layer in (after, older)]
    assert [[one and one.workload for one in ones] for ones in owners] == [["web-1", ""], ["", ""]]
    assert [one and one.node.id for one in owners[1]] == ["web", "pay"]
    for layer in (after, older):
        layer.close()
