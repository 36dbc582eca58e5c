"""The trace layer in time: when traces are linked, what late spans change, and what it costs to wait for them."""

from __future__ import annotations

import math
from functools import reduce

import pytest

from bot.layers.trace import TraceLayer
from bot.model import ENTRY, Kind, Layer, LayerDelta, Node, Tally
from tests.layers.traces import MINUTE, START, C, L, M, Made, P, S, batch, otlp, zipkin

CLIENT = otlp("b", "a", C, "web", "vip", duration=3_000_000)
SERVER = otlp("c", "b", S, "cart", duration=2_000_000)


def calls(delta: LayerDelta) -> dict[tuple[str, str], float]:
    return {edge: tally.calls for edges in delta.windows.values() for edge, tally in edges.items()}


def one(delta: LayerDelta) -> Tally:
    [edges] = delta.windows.values()
    [tally] = edges.values()
    return tally


def test_a_trace_is_linked_once_it_has_been_quiet_for_the_settling_time() -> None:
    layer = TraceLayer(settle=2)
    layer.add(batch(CLIENT, SERVER), now=100.0)

    assert not layer.collect(101.9)
    delta = layer.collect(102.0)
    assert delta.layer is Layer.TRACE
    assert calls(delta) == {("web", "cart"): 1}
    assert list(delta.windows) == [MINUTE]
    assert not layer.collect(103.0), "a link is handed over once"


def test_a_trace_that_never_rests_is_linked_all_the_same() -> None:
    layer = TraceLayer(settle=2, settle_max=5)
    given = []
    for second in range(12):
        layer.add(batch(otlp(str(second), "", S, "web")), now=100.0 + second)
        given.append(sum(calls(layer.collect(100.0 + second)).values()))

    assert given == [0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 6]


@pytest.mark.parametrize("first", [CLIENT, SERVER], ids=["client first", "server first"])
def test_a_half_that_comes_late_corrects_what_was_given(first: Made) -> None:
    layer = TraceLayer(settle=1)
    late = SERVER if first is CLIENT else CLIENT
    layer.add(batch(first), now=100.0)
    early = calls(layer.collect(101.0))
    layer.add(batch(late), now=110.0)
    correction = calls(layer.collect(111.0))

    assert list(early.values()) == [1]
    assert correction == {("web", "cart"): 1, **dict.fromkeys(early, -1)}
    assert layer.stats["relinked traces"] == 1


def test_a_correction_takes_back_errors_latency_and_samples_too() -> None:
    layer = TraceLayer(settle=1)
    layer.add(batch(otlp("b", "", C, "web", "vip", failed=True, weight=4.0, duration=600_000)), now=100.0)
    given = one(layer.collect(101.0))
    layer.add(batch(otlp("c", "b", S, "cart", weight=4.0)), now=102.0)
    taken = layer.collect(103.0).windows[MINUTE][("web", "vip")]

    assert (given.calls, given.errors, given.sampled, given.latency_us) == (4.0, 4.0, 1, 2400.0)
    assert (taken.calls, taken.errors, taken.sampled, taken.latency_us) == (-4.0, -4.0, -1, -2400.0)
    assert [mine + its for mine, its in zip(given.histogram, taken.histogram, strict=True)] == [0.0] * 16


def test_a_link_given_and_taken_back_between_two_collects_leaves_no_trace() -> None:
    layer = TraceLayer(settle=1, max_trace_spans=2)
    layer.add(batch(CLIENT), now=100.0)
    layer.collect(101.0)
    layer.add(batch(SERVER), now=101.5)  # the trace is full: linked and let go at once
    layer.add(batch(otlp("b", "a", C, "web", "cart"), trace_id="other"), now=102.0)

    assert calls(layer.collect(104.0)) == {("web", "vip"): -1, ("web", "cart"): 2}
    layer = TraceLayer(max_spans=1)
    layer.add(batch(CLIENT), now=100.0)
    layer.add(batch(CLIENT, SERVER), now=100.0)
    assert calls(layer.collect(101.0)) == {("web", "cart"): 1}


def test_spans_after_the_lifetime_start_a_trace_of_their_own() -> None:
    layer = TraceLayer(settle=1, lifetime=60)
    layer.add(batch(CLIENT), now=100.0)
    layer.collect(101.0)
    layer.collect(160.0)
    assert (layer.open_spans, layer.open_traces) == (0, 0)

    layer.add(batch(SERVER), now=161.0)
    assert calls(layer.collect(162.0)) == {("(unattributed)", "cart"): 1}


def test_a_span_keeps_its_trace_open() -> None:
    layer = TraceLayer(settle=1, lifetime=60)
    layer.add(batch(CLIENT), now=100.0)
    layer.add(batch(otlp("z", "b", L, "web")), now=150.0)
    layer.collect(200.0)

    assert layer.open_spans == 2


def test_the_same_batch_twice_counts_once_and_says_so() -> None:
    layer = TraceLayer(settle=1)
    for now in (100.0, 100.5, 103.0):
        layer.add(batch(CLIENT, SERVER), now=now)
        layer.collect(now + 1)

    assert calls(layer.flush(110.0)) == {}
    assert layer.dropped["duplicate span"] == 4
    assert layer.open_spans == 2


def test_a_batch_may_be_added_to_two_layers() -> None:
    found = batch(CLIENT)
    first, second = TraceLayer(), TraceLayer()
    first.add(found, now=100.0)
    first.add(batch(SERVER), now=100.0)
    second.add(found, now=100.0)

    assert calls(second.flush(101.0)) == {("web", "vip"): 1}


def test_the_same_otlp_span_with_a_later_end_is_still_the_same_span() -> None:
    layer = TraceLayer(settle=1)
    layer.add(batch(CLIENT), now=100.0)
    layer.add(batch(otlp("b", "a", C, "web", "vip", duration=9_000_000)), now=100.1)

    assert one(layer.flush(101.0)).calls == 1
    assert layer.dropped["duplicate span"] == 1


def test_zipkin_parts_that_come_apart_are_put_together() -> None:
    layer = TraceLayer(settle=1)
    layer.add(batch(zipkin("b", "", C, "web")), now=100.0)
    layer.add(batch(zipkin("b", "", L, None, "db", failed=True)), now=100.5)

    tally = one(layer.flush(101.0))
    assert (tally.calls, tally.errors) == (1, 1)


def test_a_server_that_shares_its_clients_id_may_come_in_another_batch() -> None:
    layer = TraceLayer(settle=1)
    layer.add(batch(zipkin("b", "", S, "cart", shared=True)), now=100.0)
    layer.add(batch(zipkin("b", "", C, "web", "cart")), now=100.5)

    assert calls(layer.flush(101.0)) == {("web", "cart"): 1}


def test_a_trace_that_is_too_long_is_linked_early_and_goes_on_anew() -> None:
    layer = TraceLayer(max_trace_spans=10)
    for number in range(25):
        layer.add(batch(otlp(str(number), "", S, "web")), now=100.0)

    assert layer.dropped["late pairing lost: too many spans in one trace"] == 2
    assert layer.open_spans == 5
    assert calls(layer.flush(101.0)) == {(ENTRY, "web"): 25}


def test_a_flood_never_holds_more_spans_than_allowed_and_loses_none() -> None:
    layer = TraceLayer(max_spans=1_000)
    most = 0
    for number in range(2_000):
        layer.add(batch(CLIENT, SERVER, otlp("d", "c", L, "cart"), trace_id=str(number)), now=100.0 + number / 100)
        most = max(most, layer.open_spans)

    assert most <= 1_000
    assert layer.open_traces <= 333
    assert layer.dropped["late pairing lost: too many open spans"] >= 1_600
    assert calls(layer.flush(200.0)) == {("web", "cart"): 2_000}


def test_the_traces_heard_of_longest_ago_go_first() -> None:
    layer = TraceLayer(max_spans=3)
    for number in "123":
        layer.add(batch(CLIENT, trace_id=number), now=100.0 + int(number))
    layer.add(batch(otlp("z", "b", L, "web"), trace_id="1"), now=104.0)  # trace 2 is now the oldest
    layer.add(batch(SERVER, trace_id="1"), now=105.0)

    assert calls(layer.flush(106.0)) == {("web", "vip"): 2, ("web", "cart"): 1}


@pytest.mark.parametrize(
    ("milliseconds", "bucket"),
    [(0.001, 0), (0.249, 0), (0.25, 0), (0.499, 0), (0.5, 1), (0.999, 1), (1, 2), (2, 3), (100, 8), (8191, 14),
     (8192, 15), (60_000, 15), (10**9, 15)],
)  # fmt: skip
def test_latencies_fall_into_power_of_two_buckets(milliseconds: float, bucket: int) -> None:
    layer = TraceLayer()
    layer.add(batch(otlp("a", "", S, "web", duration=int(milliseconds * 1_000_000))), now=100.0)
    tally = one(layer.flush(101.0))

    assert [index for index, count in enumerate(tally.histogram) if count] == [bucket]
    assert math.isclose(tally.latency_us, min(milliseconds * 1000, 86_400e6))


@pytest.mark.parametrize("duration", [0, -1, -(10**18)], ids=["not known", "clock jumped", "absurd"])
def test_a_duration_nobody_knows_is_in_no_bucket(duration: int) -> None:
    layer = TraceLayer()
    layer.add(batch(otlp("a", "", S, "web", duration=duration)), now=100.0)
    tally = one(layer.flush(101.0))

    assert (tally.calls, tally.latency_us, sum(tally.histogram)) == (1, 0, 0)
    assert tally.quantile_ms(0.5) is None


def test_sampled_spans_count_for_the_calls_they_stand_for() -> None:
    layer = TraceLayer()
    layer.add(batch(otlp("a", "", S, "web", weight=8.0, failed=True)), now=100.0)
    tally = one(layer.flush(101.0))

    assert (tally.calls, tally.errors, tally.sampled) == (8.0, 8.0, 1)


def test_calls_belong_to_the_minute_they_started_in() -> None:
    layer = TraceLayer()
    spans = [otlp(str(number), "", S, "web", start=START + number * 20_000_000_000) for number in range(6)]
    layer.add(batch(*spans), now=100.0)

    assert {minute - MINUTE: sum(tally.calls for tally in edges.values()) for minute, edges in layer.flush(
        101.0
    ).windows.items()} == {0: 3, 60: 3}  # fmt: skip


def test_nodes_are_described_by_the_most_telling_sighting_and_once_between_collects() -> None:
    layer = TraceLayer()
    found = batch(CLIENT)
    sightings = [Node("vip", kind, "vip") for kind in (Kind.EXTERNAL, Kind.DATABASE, Kind.EXTERNAL)]
    for node in sightings:
        found.nodes = {"vip": node}
        layer.add(found, now=100.0)

    assert layer.collect(101.0).nodes == {"vip": reduce(Node.merged, sightings)}
    assert layer.collect(101.0).nodes == {}


def test_flush_links_what_has_not_settled_and_keeps_the_traces_open() -> None:
    layer = TraceLayer(settle=2)
    layer.add(batch(otlp("a", "", P, "orders", "paid")), now=100.0)

    assert calls(layer.flush(100.1)) == {("orders", "paid"): 1}
    layer.add(batch(otlp("b", "a", M, "shipping", "paid")), now=100.2)
    assert calls(layer.flush(100.3)) == {("paid", "shipping"): 1}
