"""The IPC layer: what counters, in any order and from several witnesses, come to."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.edge_detail import EdgeDetail
from bot.layers.families import BY_METRIC, Family
from bot.layers.histogram import rebinned
from bot.layers.ipc import IpcLayer
from bot.layers.witnesses import MAX_WITNESSES, Witnesses
from bot.model import ENTRY, UNATTRIBUTED, EdgeKey, Layer, LayerDelta, Tally
from bot.telemetry.samples import Sample, SampleBatch, identity

NOW = 1_760_000_040.0
MINUTE = 1_759_999_980
GRAPH: dict[str, Any] = {"client": "web", "server": "cart"}
REQUESTS = "traces_service_graph_request_total"


class Ipc:
    """A layer, and the sum of all deltas it gave."""

    def __init__(self, born: float = NOW - 3_600, max_series: int = 1_000) -> None:
        self.layer = IpcLayer(born, max_series=max_series)
        self.tallies: dict[tuple[int, EdgeKey], Tally] = {}
        self.details: dict[EdgeKey, EdgeDetail] = {}

    def samples(
        self, *values: float, name: str = REQUESTS, at: float = MINUTE + 1, every: float = 15, **labels: Any
    ) -> None:
        """Values of one series, one after the other."""
        for turn, value in enumerate(values):
            self.sample(value, name, at + turn * every, **labels)

    def sample(
        self,
        value: float,
        name: str = REQUESTS,
        at: float = MINUTE + 1,
        start: float = 0.0,
        *,
        delta: bool = False,
        **labels: str,
    ) -> None:
        batch = SampleBatch()
        batch.take(Sample(identity(name, labels or GRAPH), at, value, start, delta))
        self.layer.add(batch, NOW)
        self.collect()

    def collect(self, now: float = NOW) -> None:
        delta = self.layer.collect(now)
        for minute, edges in delta.windows.items():
            for edge, tally in edges.items():
                self.tallies.setdefault((minute, edge), Tally()).add(tally)
        for edge, detail in delta.details.items():
            self.details.setdefault(edge, EdgeDetail()).add(detail)

    def tally(self, caller: str = "web", callee: str = "cart") -> Tally:
        total = Tally()
        for (_, edge), tally in self.tallies.items():
            if edge == (caller, callee):
                total.add(tally)
        return total

    @property
    def calls(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for (_, (caller, callee)), tally in self.tallies.items():
            found[f"{caller}>{callee}"] = found.get(f"{caller}>{callee}", 0.0) + tally.calls
        return {edge: calls for edge, calls in sorted(found.items()) if calls}


# -- one counter ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absurd", [2.0**53, 1e308, inf, float("nan"), -1.0])
def test_a_counter_beyond_all_measure_is_left_out_and_harms_no_other(absurd: float) -> None:
    ipc = Ipc()
    ipc.samples(1.0, absurd, at=MINUTE + 1)
    ipc.samples(1.0, 2.0, at=MINUTE + 35)
    assert ipc.calls == {"web>cart": 1.0}
    assert ipc.layer.dropped["sample that is no count"] == 1


def test_witnesses_protocols_and_endpoints_that_explode_are_bounded() -> None:
    ipc = Ipc()
    names: dict[str, Any] = {"source_canonical_service": "web", "destination_canonical_service": "cart"}
    for number in range(100):
        ipc.samples(
            0.0, 5.0, name="istio_requests_total", **names, reporter=str(number), request_protocol="x\x00" * 999
        )
    assert ipc.calls == {"web>cart": 5.0}
    assert ipc.layer.dropped["count: too many witnesses of one edge"] == 100 - MAX_WITNESSES
    (detail,) = ipc.details.values()
    assert [len(protocol) for protocol in detail.protocols] == [100]


def test_counts_that_are_many_times_the_most_there_can_be_still_fit_the_database() -> None:
    ipc = Ipc()
    for number in range(20):
        ipc.samples(0.0, 2.0**52, at=MINUTE + 1, **GRAPH, pod=str(number))
    (tally,) = ipc.tallies.values()
    assert tally.calls == 20 * 2.0**52
    assert tally.sampled == 2**50


def test_a_counter_counts_from_where_it_was_first_seen() -> None:
    ipc = Ipc()
    ipc.samples(1_000, 1_004, 1_010)
    assert ipc.calls == {"web>cart": 10}


def test_a_counter_that_began_since_we_listen_counts_from_nothing() -> None:
    ipc = Ipc()
    ipc.sample(7, start=NOW - 60)
    assert ipc.calls == {"web>cart": 7}


def test_a_gap_belongs_to_the_minute_it_ended_in() -> None:
    ipc = Ipc()
    ipc.sample(100, at=MINUTE - 400)
    ipc.sample(160, at=MINUTE + 5)
    assert {minute: tally.calls for (minute, _), tally in ipc.tallies.items()} == {MINUTE: 60}


def test_deltas_are_what_they_say_and_count_once() -> None:
    ipc = Ipc()
    for at in (1, 11, 11):
        ipc.sample(4, at=MINUTE + at, delta=True)
    assert ipc.calls == {"web>cart": 8}


def test_pods_of_one_service_count_apart_and_add_up() -> None:
    ipc = Ipc()
    for pod in ("a", "b"):
        ipc.samples(10, 15, **GRAPH, pod=pod)
    assert ipc.calls == {"web>cart": 10}


def test_a_sample_too_old_is_left_out_but_what_comes_after_counts_from_it() -> None:
    ipc = Ipc()
    ipc.sample(5, at=NOW - 2_000, start=NOW - 3_000)
    assert ipc.calls == {}
    ipc.sample(8, at=NOW - 20, start=NOW - 3_000)
    assert ipc.calls == {"web>cart": 3}
    assert ipc.layer.dropped["sample too old"] == 1


def test_a_sample_from_the_future_is_left_out_and_holds_up_no_other() -> None:
    ipc = Ipc()
    ipc.samples(100)
    ipc.sample(150, at=NOW + 301)
    ipc.sample(104, at=MINUTE + 16)
    assert ipc.calls == {"web>cart": 4}
    assert ipc.layer.dropped["sample from the future"] == 1


def test_a_series_seen_anew_under_other_words_is_the_same_series() -> None:
    ipc = Ipc()
    ipc.samples(100, 104, client="web", server="cart")
    ipc.sample(107, at=MINUTE + 31, server="cart", client="web")
    assert ipc.calls == {"web>cart": 7}


def test_series_beyond_the_cap_go_the_longest_unseen_first() -> None:
    ipc = Ipc(max_series=2)
    for pod in ("a", "b", "c", "a"):
        ipc.sample(5, at=MINUTE + 1, **GRAPH, pod=pod)
    assert len(ipc.layer.counters) == 2
    assert ipc.layer.dropped["series: too many"] == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=12), st.integers(0, 2**32), st.data())
def test_whatever_a_network_does_to_samples_no_count_is_negative_or_too_high(
    steps: list[int], seed: int, data: st.DataObject
) -> None:
    rng = random.Random(seed)
    values, value, true = [], 0, 0
    for step in steps:
        reset = rng.random() < 0.2
        value = step if reset else value + step
        true += step
        values.append(value)
    sent = [(MINUTE - 300 + 15 * turn, float(one)) for turn, one in enumerate(values)]
    sent += [one for one in sent if rng.random() < 0.3]
    if data.draw(st.booleans()):
        rng.shuffle(sent)
    ipc = Ipc()
    for at, one in sent:
        ipc.sample(one, at=at)
    assert all(tally.calls >= 0 for tally in ipc.tallies.values())
    assert ipc.tally().calls <= true


# -- several witnesses of the same calls --------------------------------------------------------------------------------------

ISTIO: dict[str, Any] = {
    "source_canonical_service": "web", "source_workload_namespace": "shop", "destination_canonical_service": "cart",
    "destination_workload_namespace": "shop", "request_protocol": "http", "response_code": "200",
}  # fmt: skip


def test_both_proxies_of_a_call_are_one_call_and_the_fuller_count_is_believed() -> None:
    ipc = Ipc()
    for reporter, last in (("destination", 108), ("source", 110), ("waypoint", 105)):
        ipc.samples(100, last, name="istio_requests_total", **ISTIO, reporter=reporter)
    assert ipc.calls == {"web.shop>cart.shop": 10}


def test_a_failure_that_never_arrived_is_counted_by_the_caller_alone() -> None:
    ipc = Ipc()
    failed = ISTIO | {"response_code": "503"}
    ipc.samples(0, 8, name="istio_requests_total", **ISTIO, reporter="destination")
    ipc.samples(0, 8, name="istio_requests_total", **ISTIO, reporter="source")
    ipc.samples(0, 2, name="istio_requests_total", **failed, reporter="source")
    tally = ipc.tally("web.shop", "cart.shop")
    assert (tally.calls, tally.errors) == (10, 2)


def test_a_burst_asked_about_before_and_after_the_end_of_a_minute_is_counted_once() -> None:
    ipc = Ipc()
    sent = (
        ("destination", 0, 0),
        ("source", 5, 0),
        ("destination", 59, 10),
        ("source", 65, 10),
        ("destination", 119, 10),
    )
    for reporter, at, value in sent:
        ipc.sample(value, "istio_requests_total", MINUTE - 60 + at, **ISTIO, reporter=reporter)
    assert ipc.calls == {"web.shop>cart.shop": 10}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=3, max_size=25),
    st.floats(0, 59),
    st.floats(0, 59),
    st.randoms(use_true_random=False),
)
def test_two_witnesses_asked_at_different_moments_never_make_more_of_the_calls_than_there_were(
    calls: list[int], first: float, second: float, rng: random.Random
) -> None:
    """Calls every 20 s; each witness is asked once a minute, at its own second, and the answers come in any order."""
    ipc = Ipc()
    sent = []
    for reporter, offset in (("destination", first), ("source", second)):
        for minute in range(len(calls) // 3 + 1):
            seen = sum(one for number, one in enumerate(calls) if number * 20 <= minute * 60 + offset)
            sent.append((minute * 60 + offset, reporter, seen))
    sent.sort(key=lambda one: one[0] + rng.random() * 40)
    for at, reporter, value in sent:
        ipc.sample(value, "istio_requests_total", MINUTE - 600 + at, **ISTIO, reporter=reporter)
    tally = ipc.tally("web.shop", "cart.shop")
    assert 0 <= tally.calls <= sum(calls)


def test_where_the_fuller_witness_falls_silent_the_other_is_heard() -> None:
    ipc = Ipc()
    for minute in range(-600, 0, 60):
        if minute < -300:
            ipc.sample(minute + 600, "istio_requests_total", MINUTE + minute, **ISTIO, reporter="source")
        ipc.sample((minute + 600) / 2, "istio_requests_total", MINUTE + minute, **ISTIO, reporter="destination")
    found = {minute - MINUTE: tally.calls for (minute, _), tally in sorted(ipc.tallies.items()) if tally.calls}
    assert found == dict.fromkeys(range(-540, -300, 60), 60) | dict.fromkeys(range(-240, 0, 60), 30)


def test_the_believed_witness_is_said_in_full_when_another_overtakes_it() -> None:
    ipc = Ipc()
    ipc.samples(0, 3, 6, name="istio_requests_total", **ISTIO, reporter="destination", every=60, at=MINUTE - 120)
    ipc.samples(0, 4, 9, name="istio_requests_total", **ISTIO, reporter="source", every=60, at=MINUTE - 120)
    assert {minute: tally.calls for (minute, _), tally in ipc.tallies.items()} == {MINUTE - 60: 4, MINUTE: 5}


def test_what_has_closed_is_let_go_and_stays_said() -> None:
    ipc = Ipc()
    ipc.samples(0, 5)
    ipc.collect(NOW + 2_000)
    assert ipc.calls == {"web>cart": 5}
    assert not ipc.layer.collect(NOW + 2_000)


def test_open_minutes_beyond_the_cap_are_dropped_and_counted() -> None:
    dropped: Counter[str] = Counter()
    witnesses = Witnesses(dropped, max_open=2)
    family = BY_METRIC[REQUESTS]
    reading = family.read(GRAPH)
    assert reading is not None
    for callee in ("a", "b", "c", "a"):
        witnesses.count(("web", callee), family, reading, 0.0, 1.0, (MINUTE, MINUTE))
    delta = LayerDelta(Layer.IPC)
    witnesses.take(delta)
    assert {edge: tally.calls for edge, tally in delta.windows[MINUTE].items()} == {("web", "a"): 2, ("web", "b"): 1}
    assert dropped == {"count: too many edges and minutes open": 1}


def test_a_mesh_and_an_sdk_that_count_the_same_calls_are_not_added() -> None:
    ipc = Ipc()
    ipc.samples(0, 10)
    ipc.samples(
        0, 9, name="http_client_request_duration_seconds_count", service_name="web", server_address="cart",
        http_request_method="GET", url_template="/items/{id}", http_response_status_code="200",
    )  # fmt: skip
    assert ipc.calls == {"web>cart": 10}


def test_a_caller_outside_the_mesh_is_unattributed_and_a_user_comes_in() -> None:
    ipc = Ipc()
    ipc.samples(
        0, 4, name="istio_requests_total", **ISTIO | {"source_canonical_service": "unknown"}, reporter="destination"
    )
    ipc.samples(0, 3, client="user", server="cart")
    assert ipc.calls == {f"{ENTRY}>cart": 3, f"{UNATTRIBUTED}>cart.shop": 4}


def test_bytes_without_calls_are_one_connection_a_minute() -> None:
    ipc = Ipc()
    labels: dict[str, Any] = {
        "k8s_src_owner_name": "web",
        "k8s_src_namespace": "shop",
        "k8s_dst_owner_name": "cart",
        "k8s_dst_namespace": "shop",
    }
    ipc.samples(0, 500, 900, name="obi_network_flow_bytes_total", **labels, direction="request")
    swapped: dict[str, Any] = {
        key.replace("src", "x").replace("dst", "src").replace("x", "dst"): value for key, value in labels.items()
    }
    ipc.samples(0, 50, name="obi_network_flow_bytes_total", **swapped, direction="response")
    tally = ipc.tally("web.shop", "cart.shop")
    assert (tally.calls, tally.bytes) == (1, 950)


# -- latencies, endpoints --------------------------------------------------------------------------------------------------


def test_a_histogram_of_any_bounds_is_read_into_ours() -> None:
    ipc = Ipc()
    ipc.samples(0, 100)
    for bound, count in (("0.1", 50), ("0.2", 90), ("+Inf", 100)):
        ipc.samples(0, count, name="traces_service_graph_request_client_seconds_bucket", **GRAPH, le=bound)
    ipc.samples(0, 12.5, name="traces_service_graph_request_client_seconds_sum", **GRAPH)
    tally = ipc.tally()
    assert sum(tally.histogram) == pytest.approx(100)
    assert tally.latency_us == pytest.approx(12.5e6)
    assert 60 < (tally.quantile_ms(0.5) or 0) < 130


def test_calls_between_two_bounds_are_spread_over_the_bins_between() -> None:
    found = rebinned({500.0: 10.0, 1_000.0: 30.0, 4_000.0: 60.0, inf: 61.0})
    assert found[:5] == pytest.approx([10, 20, 10, 20, 1])


def test_endpoints_are_bounded_and_the_rest_is_other() -> None:
    ipc = Ipc()
    for number in range(40):
        ipc.samples(
            0, 1, name="rpc_client_duration_milliseconds_count", service_name="web", server_address="cart", rpc_system="grpc",
            rpc_service="Cart", rpc_method=f"M{number}", rpc_grpc_status_code="0",
        )  # fmt: skip
    detail = ipc.details["web", "cart"]
    assert len(detail.endpoints) <= 21
    assert sum(detail.endpoints.values()) == 40
    assert detail.endpoints["other"] >= 19
    assert detail.protocols == {"grpc"}


# -- pulled ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pulled:
    family: Family
    labels: dict[str, str]
    minute: int
    increase: float


def test_a_minute_pulled_again_replaces_what_it_said() -> None:
    ipc = Ipc()
    for increase in (10.0, 12.0, 12.0, 11.0):
        ipc.layer.add_increases([Pulled(BY_METRIC[REQUESTS], GRAPH, MINUTE, increase)], NOW)
        ipc.collect()
    assert ipc.calls == {"web>cart": 11}


def test_pulled_and_pushed_counts_of_the_same_calls_are_still_kept_bounded() -> None:
    ipc = Ipc()
    ipc.layer.add_increases([Pulled(BY_METRIC[REQUESTS], GRAPH, MINUTE - 3_600, 10.0)], NOW)
    ipc.collect()
    assert ipc.calls == {}
    assert ipc.layer.dropped["minute pulled too late"] == 1


def test_metrics_of_other_things_and_labels_that_name_nobody_are_left_out() -> None:
    ipc = Ipc()
    ipc.samples(0, 5, name="node_cpu_seconds_total", cpu="0")
    ipc.samples(0, 5, name=REQUESTS, server="")
    assert ipc.calls == {}
    assert ipc.layer.dropped["metric that counts no calls"] == 2
    assert ipc.layer.dropped["series whose labels name nobody"] == 2
    assert ipc.layer.families_seen == {}
