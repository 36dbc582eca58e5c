"""The live map: grows by what was seen, fades with silence, forgets in time, and stays within its caps."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.edge_detail import EdgeDetail
from bot.graph.live import LiveGraph
from bot.graph.sighting import SHOWN, Sighted
from bot.model import ENTRY, UNATTRIBUTED, EdgeKey, Kind, Layer, Node
from bot.names import NameIndex, service
from tests.kit.maps import NOW, edge, graph_of, minute, tally

DAY = 86_400.0
AB = edge("a>b")


def node(identifier: str, kind: Kind = Kind.SERVICE) -> Node:
    return Node(identifier, kind, name=identifier)


def empty(*services: str, max_services: int = 10_000, max_edges: int = 10_000) -> LiveGraph:
    graph = LiveGraph(NameIndex(), max_services, max_edges)
    for one in services:
        graph.add_node(node(one))
    return graph


def see(graph: LiveGraph, *edges: EdgeKey, at: float = NOW, layer: Layer = Layer.TRACE) -> LiveGraph:
    graph.see(layer, minute(now=at), [(one, tally()) for one in edges], at)
    return graph


def sweep(graph: LiveGraph, now: float = NOW, before: float = 0.0) -> int:
    return sum(graph.sweep(now, before))


def edges_of(graph: LiveGraph) -> set[EdgeKey]:
    return {(caller, callee) for caller, callee, _ in graph.edges()}


# -- growing ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(Layer),
            st.integers(0, 120),
            st.sampled_from(["a>b", "b>c", "a>c", "c>c", f"{ENTRY}>a", f"{UNATTRIBUTED}>b"]),
            st.sampled_from([1.0, 2.0, 0.0, -1.0]),
        )
    ),
    st.randoms(),
)
def test_the_order_in_which_sightings_arrive_never_matters_for_what_is_on_the_map(
    seen: list[tuple[Layer, int, str, float]], chance: random.Random
) -> None:
    graphs = []
    for order in (seen, chance.sample(seen, len(seen))):
        graph = empty("a", "b", "c")
        for layer, ago, one, calls in order:
            graph.see(layer, minute(ago), [(edge(one), tally(calls))], NOW)
        graphs.append(graph)
    one_way, other_way = graphs

    def known(graph: LiveGraph) -> object:
        parts = {
            (caller, callee): {layer: (part.first_seen, part.last_seen) for layer, part in layers.items()}
            for caller, callee, layers in graph.edges()
        }
        entries = {service: (seen.first_seen, seen.last_seen) for service, seen in graph.entries.items()}
        return parts, entries, [graph.last_seen(one) for one in "abc"]

    assert known(one_way) == known(other_way)


def test_each_layer_keeps_its_own_part_of_an_edge() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - 600, layer=Layer.NETWORK)
    see(graph, AB, layer=Layer.TRACE)
    parts = graph.layers(*AB)

    assert graph.edge_count == 1
    assert parts.keys() == {Layer.NETWORK, Layer.TRACE}
    assert parts[Layer.NETWORK].last_seen == NOW - 600
    assert parts[Layer.TRACE].first_seen == minute()


def test_neighbours_are_those_who_call_and_those_who_are_called() -> None:
    graph = graph_of(edge("web>pay"), edge("cart>pay"), edge("pay>db"), edge("pay>pay"))

    assert set(graph.callers("pay")) == {"web", "cart", "pay"}
    assert set(graph.callees("pay")) == {"db", "pay"}
    assert not graph.callers("web")
    assert (graph.service_count, graph.edge_count) == (4, 4)
    assert "pay" in graph
    assert "nobody" not in graph


def test_a_minute_that_has_not_ended_was_seen_until_now() -> None:
    graph = see(empty("a", "b"), AB)

    assert graph.last_seen("a") == graph.last_seen("b") == graph.layers(*AB)[Layer.TRACE].last_seen == NOW
    see(graph, AB, at=NOW - 300)
    assert graph.last_seen("a") == NOW


def test_counts_taken_back_are_no_sighting() -> None:
    graph = empty("a", "b")
    graph.see(Layer.TRACE, minute(), [(AB, tally(-1)), (AB, tally(0))], NOW)

    assert graph.edge_count == 0
    assert graph.last_seen("a") == 0


def test_who_comes_in_from_outside_makes_an_entry_point_and_no_edge() -> None:
    graph = see(empty("a"), (ENTRY, "a"))
    entry = graph.entry("a")

    assert entry is not None
    assert (entry.first_seen, entry.last_seen) == (minute(), NOW)
    assert graph.edge_count == 0
    assert graph.entries.keys() == {"a"}


def test_a_caller_nobody_knows_makes_no_edge_but_shows_that_the_callee_is_there() -> None:
    graph = see(empty("a"), (UNATTRIBUTED, "a"))

    assert graph.edge_count == 0
    assert graph.entry("a") is None
    assert graph.last_seen("a") == NOW


def test_what_a_service_is_can_be_learnt_later() -> None:
    graph = empty("pg")
    graph.add_node(node("pg", Kind.DATABASE))
    graph.add_node(node("pg"))

    assert graph.node("pg").kind is Kind.DATABASE
    assert graph.reporters(["pg", "nobody"], NOW) == (0, [])


def test_only_what_sends_telemetry_reports() -> None:
    graph = empty("a")
    for identifier, kind in (("gate", Kind.GATEWAY), ("pg", Kind.DATABASE), ("q", Kind.QUEUE), ("x.io", Kind.EXTERNAL)):
        graph.add_node(node(identifier, kind))
    see(graph, edge("a>pg"), edge("a>gate"))

    assert graph.reporters(["a", "gate", "pg", "q", "x.io"], NOW + 1) == (2, [("a", NOW), ("gate", NOW)])


def test_a_service_first_seen_as_a_dotted_host_is_found_by_its_name_once_that_is_known() -> None:
    announced = service("payments", "shop")
    assert announced is not None
    graph = LiveGraph(NameIndex())
    graph.add_node(Node("payments.shop", Kind.EXTERNAL, "payments.shop"))
    graph.add_node(announced)

    assert graph.service_count == 1
    assert graph.names.find("payments") == "payments.shop"
    assert graph.node("payments.shop").kind is Kind.SERVICE


# -- caps ------------------------------------------------------------------------------------------------------------


def test_services_beyond_the_cap_are_refused_and_counted() -> None:
    graph = empty("a", "b", max_services=2)

    assert graph.add_node(node("c")) is False
    assert graph.add_node(node("a", Kind.DATABASE)) is True
    assert graph.dropped["service cap"] == 1
    see(graph, edge("c>b"), edge("a>c"), AB)
    assert edges_of(graph) == {AB}
    assert graph.names.find("c") is None


def test_edges_beyond_the_cap_are_refused_and_counted_while_known_ones_go_on() -> None:
    graph = see(empty("a", "b", "c", max_edges=1), AB, at=NOW - 300)
    see(graph, edge("b>c"), edge("a>c"), AB)

    assert edges_of(graph) == {AB}
    assert graph.dropped["edge cap"] == 2
    assert graph.layers(*AB)[Layer.TRACE].last_seen == NOW
    assert graph.last_seen("c") == NOW


def test_room_that_was_freed_is_used_again() -> None:
    graph = see(empty("a", "b", max_services=3, max_edges=1), AB, at=NOW - DAY)
    sweep(graph, before=NOW - 600)
    for one in ("c", "d"):
        assert graph.add_node(node(one))
    see(graph, edge("c>d"))

    assert edges_of(graph) == {("c", "d")}
    assert (graph.edge_count, graph.service_count) == (1, 2)


def test_what_was_stored_before_the_caps_were_lowered_is_refused_and_does_no_harm() -> None:
    graph = empty("a", max_services=1)
    for one in (AB, edge("b>a"), edge("b>c"), (ENTRY, "b"), (UNATTRIBUTED, "b")):
        graph.restore(Layer.TRACE, one, Sighted(NOW, NOW))

    assert (graph.service_count, graph.edge_count) == (1, 0)
    assert not graph.entries


# -- fading ----------------------------------------------------------------------------------------------------------


def test_a_busy_edge_fades_within_minutes_and_is_stale_after_several() -> None:
    graph = empty("a", "b")
    for ago in range(60, -1, -1):
        see(graph, AB, at=NOW - 60 * ago)

    assert graph.layers(*AB)[Layer.TRACE].interval == pytest.approx(60)
    assert [graph.freshness(*AB, NOW + seconds) for seconds in (0, 240, 241, 480, 481)] == [
        "fresh",
        "fresh",
        "fading",
        "fading",
        "stale",
    ]


def test_a_nightly_edge_keeps_for_days_where_a_busy_one_would_be_long_stale() -> None:
    nightly = empty("a", "b")
    for night in range(30, -1, -1):
        see(nightly, AB, at=NOW - night * DAY)

    assert nightly.layers(*AB)[Layer.TRACE].interval == pytest.approx(DAY, rel=0.02)
    assert nightly.freshness(*AB, NOW + 1.5 * DAY) == "fresh"
    assert nightly.freshness(*AB, NOW + 4 * DAY) == "fading"
    assert nightly.freshness(*AB, NOW + 7 * DAY) == "stale"
    assert nightly.confidence(*AB, NOW + 1.5 * DAY) > 0.9


def test_one_quiet_hour_does_not_make_a_busy_edge_an_hourly_one() -> None:
    graph = empty("a", "b")
    for ago in range(100, 60, -1):
        see(graph, AB, at=NOW - 60 * ago)
    see(graph, AB)
    hour = graph.layers(*AB)[Layer.TRACE].interval
    assert hour < 1_200
    for ago in range(1, 31):
        see(graph, AB, at=NOW + 60 * ago)

    assert graph.layers(*AB)[Layer.TRACE].interval < 65


def test_late_minutes_teach_nothing_about_the_habit() -> None:
    graph = see(empty("a", "b"), AB)
    for ago in (500, 3, 900):
        see(graph, AB, at=NOW - 60 * ago)
    part = graph.layers(*AB)[Layer.TRACE]

    assert (part.interval, part.last_seen, part.first_seen) == (60, NOW, minute(900))


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(Layer), st.tuples(st.floats(0, 1e6), st.floats(60, 1e5)), min_size=1),
    st.lists(st.floats(0, 1e7), min_size=2, max_size=10),
)
def test_confidence_only_falls_while_nothing_is_seen(
    parts: dict[Layer, tuple[float, float]], ages: list[float]
) -> None:
    graph = empty("a", "b")
    for layer, (ago, interval) in parts.items():
        graph.restore(layer, AB, Sighted(NOW - ago, NOW - ago, interval))
    found = [graph.confidence(*AB, NOW + age) for age in sorted(ages)]

    assert found == sorted(found, reverse=True)
    assert all(0.0 <= one <= 1.0 for one in found)


@pytest.mark.parametrize("layer", Layer)
def test_layers_that_agree_raise_confidence(layer: Layer) -> None:
    alone = see(empty("a", "b"), AB, layer=layer).confidence(*AB, NOW)
    graph = empty("a", "b")
    for one in Layer:
        see(graph, AB, layer=one)

    assert 0.85 < alone < graph.confidence(*AB, NOW) < 1.0


def test_of_two_layers_the_fresher_one_says_how_fresh_an_edge_is() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - DAY, layer=Layer.NETWORK)
    assert graph.freshness(*AB, NOW) == "stale"
    see(graph, AB, layer=Layer.IPC)

    assert graph.freshness(*AB, NOW) == "fresh"


# -- shown and hidden ------------------------------------------------------------------------------------------------


def test_an_edge_faded_below_the_threshold_is_hidden_from_the_next_sweep_until_it_is_seen_again() -> None:
    graph = see(see(empty("a", "b", "c"), AB, at=NOW - 3_600), edge("b>c"))
    assert graph.shown(*AB)
    sweep(graph)

    assert graph.confidence(*AB, NOW) < SHOWN
    assert (graph.shown(*AB), graph.shown("b", "c")) == (False, True)
    assert (list(graph.shown_callees("a")), list(graph.shown_callers("b"))) == ([], [])
    see(graph, AB)
    assert graph.shown(*AB)
    assert (list(graph.shown_callees("a")), list(graph.shown_callers("b"))) == (["b"], ["a"])


def test_an_edge_seen_while_the_sweep_pauses_is_not_hidden() -> None:
    graph = empty(*(f"s{number:04}" for number in range(3_000)))
    chained = [(f"s{number:04}", f"s{number + 1:04}") for number in range(2_999)]
    see(graph, *chained, at=NOW - 3_600)
    sweeping = graph.sweep(NOW, 0.0)
    next(sweeping)
    see(graph, chained[0], chained[-1])
    list(sweeping)

    assert graph.shown(*chained[0])
    assert graph.shown(*chained[-1])
    assert not graph.shown(*chained[1_500])


def test_a_sweep_over_a_hub_and_many_others_pauses_and_forgets_all_the_same() -> None:
    graph = empty("hub", *(f"s{number}" for number in range(5_000)))
    see(graph, *((f"s{number}", "hub") for number in range(5_000)), at=NOW - DAY)
    steps = list(graph.sweep(NOW, NOW - 600))

    assert len(steps) > 4
    assert sum(steps) == graph.dropped["expired edge"] == 5_000
    assert (graph.service_count, graph.edge_count) == (0, 0)


# -- forgetting ------------------------------------------------------------------------------------------------------


def test_edges_nobody_saw_for_too_long_leave_with_the_services_they_leave_alone() -> None:
    graph = see(empty("a", "b", "c"), AB, at=NOW - DAY)
    see(graph, edge("b>c"))

    assert sweep(graph, before=NOW - 600) == 1
    assert edges_of(graph) == {("b", "c")}
    assert set(graph.services()) == {"b", "c"}
    assert graph.names.find("a") is None
    assert graph.dropped["expired edge"] == 1


def test_an_edge_one_layer_still_sees_stays_whole() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - DAY, layer=Layer.NETWORK)
    see(graph, AB, layer=Layer.TRACE)
    sweep(graph, before=NOW - 600)

    assert graph.layers(*AB).keys() == {Layer.NETWORK, Layer.TRACE}


def test_a_service_users_still_come_to_stays_without_an_edge() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - DAY)
    see(graph, (ENTRY, "a"))
    sweep(graph, before=NOW - 600)

    assert set(graph.services()) == {"a"}


def test_a_service_somebody_unknown_still_calls_stays_without_an_edge() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - DAY)
    see(graph, (UNATTRIBUTED, "b"))
    sweep(graph, before=NOW - 600)

    assert set(graph.services()) == {"b"}


def test_an_entry_point_nobody_enters_any_more_is_none() -> None:
    graph = see(empty("a", "b"), AB)
    see(graph, (ENTRY, "a"), at=NOW - DAY)
    sweep(graph, before=NOW - 600)

    assert graph.entry("a") is None
    assert set(graph.services()) == {"a", "b"}


@pytest.mark.parametrize("caller", [ENTRY, UNATTRIBUTED])
def test_a_service_that_never_had_an_edge_leaves_too_when_nothing_comes_any_more(caller: str) -> None:
    """Else services that come and go (one-off jobs, previews) fill the map up to its cap."""
    graph = see(empty("a"), (caller, "a"), at=NOW - DAY)
    sweep(graph, before=NOW - 600)

    assert set(graph.services()) == set()
    assert graph.names.find("a") is None


def test_a_service_whose_only_edge_was_taken_back_leaves_in_time() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - DAY)
    graph.retract(Layer.TRACE, AB)
    assert set(graph.services()) == {"a", "b"}
    sweep(graph, before=NOW - 600)

    assert set(graph.services()) == set()


def test_what_comes_back_after_it_was_forgotten_starts_anew() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - DAY)
    sweep(graph, before=NOW - 600)
    for one in ("a", "b"):
        graph.add_node(node(one))
    see(graph, AB)

    assert graph.layers(*AB)[Layer.TRACE].first_seen == minute()
    assert graph.names.find("a") == "a"


# -- taking back -----------------------------------------------------------------------------------------------------


def test_an_edge_every_layer_takes_back_is_gone() -> None:
    graph = see(see(empty("a", "b"), AB, layer=Layer.IPC), AB)
    graph.retract(Layer.TRACE, AB)
    assert graph.layers(*AB).keys() == {Layer.IPC}
    graph.retract(Layer.IPC, AB)

    assert graph.edge_count == 0
    assert edges_of(graph) == set()
    assert not graph.callers("b")


@pytest.mark.parametrize("one", [AB, edge("x>y"), (ENTRY, "b"), (UNATTRIBUTED, "b")])
def test_taking_back_what_is_not_there_changes_nothing(one: EdgeKey) -> None:
    graph = see(empty("a", "b"), AB, layer=Layer.IPC)
    graph.retract(Layer.TRACE, one)

    assert edges_of(graph) == {AB}
    assert graph.edge_count == 1


def test_an_entry_that_was_a_mistake_makes_no_entry_point() -> None:
    """A late span shows that the request came from a service, not from outside."""
    graph = see(empty("a", "b"), AB, (ENTRY, "b"))
    graph.retract(Layer.TRACE, (ENTRY, "b"))

    assert graph.entry("b") is None


@pytest.mark.parametrize("one", [AB, (ENTRY, "b")])
def test_what_was_there_before_the_counts_in_memory_is_not_taken_back(one: EdgeKey) -> None:
    """No count in memory then only means that nothing was counted lately."""
    graph = see(empty("a", "b"), one, at=NOW - DAY)

    assert graph.retract(Layer.TRACE, one, NOW - 3_600) is False
    assert graph.edge_count == len(edges_of(graph)) == (one == AB)
    assert (graph.entry("b") is not None) is (one != AB)
    see(graph, edge("b>a"))
    assert graph.retract(Layer.TRACE, edge("b>a"), NOW - 3_600) is True


def test_an_edge_hidden_and_taken_back_is_not_remembered_as_hidden() -> None:
    graph = see(empty("a", "b"), AB, at=NOW - 3_600)
    sweep(graph)
    graph.retract(Layer.TRACE, AB)

    assert graph.shown(*AB)


# -- restoring -------------------------------------------------------------------------------------------------------


def test_a_stored_map_comes_back_as_it_was() -> None:
    graph = see(see(empty("a", "b", "c"), AB, (ENTRY, "a"), at=NOW - 300), AB, layer=Layer.IPC)
    see(graph, (UNATTRIBUTED, "c"))
    again = empty("a", "b", "c")
    for caller, callee, parts in graph.edges():
        for layer, part in parts.items():
            again.restore(layer, (caller, callee), Sighted(part.first_seen, part.last_seen, part.interval))
    for one, entry in graph.entries.items():
        again.restore(Layer.TRACE, (ENTRY, one), entry)
    again.restore(Layer.TRACE, (UNATTRIBUTED, "c"), Sighted(NOW, NOW))

    assert {one: again.last_seen(one) for one in "abc"} == {one: graph.last_seen(one) for one in "abc"}
    assert again.layers(*AB) == graph.layers(*AB)
    assert again.entries == graph.entries
    assert again.edge_count == graph.edge_count


# -- what a layer knows besides counts -------------------------------------------------------------------------------


def estimated(certainty: float) -> LiveGraph:
    graph = see(empty("a", "b"), AB, layer=Layer.NETWORK)
    graph.describe(Layer.NETWORK, [(AB, EdgeDetail(certainty=certainty))], NOW)
    return graph


def test_an_estimated_edge_is_as_sure_as_its_estimate_and_says_so() -> None:
    graph = estimated(0.5)
    assert graph.confidence(*AB, NOW) == pytest.approx(0.45)
    assert graph.reasons(*AB, NOW) == [
        "seen by network only",
        "network: estimated behind an intermediary, 50% sure of the two ends",
    ]


def test_an_estimate_below_the_threshold_is_hidden_at_once_and_a_better_one_shows_it() -> None:
    graph = estimated(0.05)
    assert not graph.shown(*AB)
    graph.describe(Layer.NETWORK, [(AB, EdgeDetail(certainty=0.9))], NOW)
    assert graph.shown(*AB)


def test_another_layer_that_saw_the_edge_makes_up_for_a_weak_estimate() -> None:
    graph = see(estimated(0.05), AB, layer=Layer.IPC)
    assert graph.shown(*AB)
    assert graph.confidence(*AB, NOW) > 0.95


def test_an_estimate_that_a_layer_covering_both_ends_has_not_seen_is_doubted() -> None:
    graph = empty("a", "b", "c", "d")
    see(graph, AB, layer=Layer.NETWORK)
    graph.describe(Layer.NETWORK, [(AB, EdgeDetail(certainty=0.5))], NOW)
    see(graph, edge("a>c"), layer=Layer.IPC)
    assert graph.confidence(*AB, NOW) == pytest.approx(0.45)  # nobody saw b answer, so its silence means nothing
    see(graph, edge("d>b"), layer=Layer.IPC)

    assert graph.confidence(*AB, NOW) == pytest.approx(0.45 * 0.3)
    assert graph.reasons(*AB, NOW)[-1] == "a layer that covers both ends has not seen it"


def test_a_connection_that_was_seen_is_one_whatever_the_other_layers_say() -> None:
    graph = see(empty("a", "b", "c", "d"), AB, layer=Layer.NETWORK)
    see(graph, edge("a>c"), layer=Layer.IPC)
    see(graph, edge("d>b"), layer=Layer.IPC)
    assert graph.confidence(*AB, NOW) == pytest.approx(0.9)


def test_scrapers_and_name_servers_are_background() -> None:
    graph = empty("prometheus.monitoring", "kube-dns.kube-system@prod", "payments")
    assert graph.background == {"prometheus.monitoring", "kube-dns.kube-system@prod"}
