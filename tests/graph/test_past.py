"""The past map and its counts read as the live ones do, type by type and answer by answer."""

from __future__ import annotations

import numpy as np

from bot.counts import CALLS, WIDTH, EdgeCounts, KnownEdge, Span, from_rows, joined
from bot.edge_detail import EdgeDetail
from bot.graph.edge_index import EdgeIndex
from bot.graph.past import PastGraph
from bot.graph.past_windows import PastCounts, PastWindows
from bot.graph.reading import CountsReading, MapReading
from bot.layers.windows import Windows
from bot.model import ENTRY, UNATTRIBUTED, EdgeKey, Kind, Layer, Node
from tests.kit.maps import NOW, edge, graph_of, minute, tally

AB, CB = edge("a>b"), edge("c>b")


def index_of(*edges: EdgeKey, layer: Layer = Layer.TRACE, first: int = 1) -> EdgeIndex:
    index = EdgeIndex()
    index.add(KnownEdge(first + place, layer, one, NOW - 900, 60.0) for place, one in enumerate(edges))
    return index


def graph_at(index: EdgeIndex, *ago: float, moment: float = NOW, span: float = 0.0) -> PastGraph:
    """Every edge of the index as last seen that many seconds ago; below 0: never."""
    last = np.array([moment - one if one >= 0 else 0.0 for one in ago])
    return PastGraph(index, last, moment, {"b": Node("b", Kind.DATABASE, "b")}, {"bee": "b"}, span=span)


def counts_of(*rows: tuple[int, float, float]) -> EdgeCounts:
    """(edge, calls, errors) rows."""
    return from_rows([(number, calls, errors, *[0.0] * (WIDTH - 2)) for number, calls, errors in rows])


def test_both_maps_and_both_counts_can_be_asked_the_same() -> None:
    graphs: list[MapReading] = [graph_of(AB), graph_at(index_of(AB), 0)]
    index = index_of(AB)
    counts: list[CountsReading] = [Windows(Layer.TRACE), PastWindows(Layer.TRACE, PastCounts(index, [], 1))]

    assert [sorted(graph.services()) for graph in graphs] == [["a", "b"]] * 2
    assert [one.calls(AB) for one in counts] == [0.0, 0.0]


def test_only_edges_that_were_seen_are_on_the_map() -> None:
    graph = graph_at(index_of(AB, CB, edge("b>d")), 10, -1, -1)

    assert (graph.service_count, graph.edge_count) == (2, 1)
    assert list(graph.callers("b")) == ["a"]
    assert list(graph.callees("b")) == []
    assert "c" not in graph
    assert graph.node("b").kind is Kind.DATABASE
    assert graph.names.resolve("bee") == "b"


def test_pseudo_callers_are_no_services_but_tell_that_the_callee_was_seen() -> None:
    graph = graph_at(index_of((ENTRY, "a"), (UNATTRIBUTED, "b")), 10, 20)

    assert sorted(graph.services()) == ["a", "b"]
    assert graph.entries.keys() == {"a"}
    assert graph.entry("b") is None
    assert graph.last_seen("b") == NOW - 20
    assert graph.edge_count == 0


def test_first_and_last_seen_are_as_of_the_moment() -> None:
    index = EdgeIndex()
    index.add([KnownEdge(1, Layer.TRACE, AB, NOW - 10, 60.0)])
    [part] = graph_at(index, 100).layers("a", "b").values()

    assert (part.first_seen, part.last_seen) == (NOW - 100, NOW - 100)


def test_an_index_that_grows_leaves_the_maps_made_before_as_they_were() -> None:
    index = index_of(AB)
    before = graph_at(index, 10)
    index.add([KnownEdge(9, Layer.IPC, AB, 0.0, 60.0), KnownEdge(3, Layer.TRACE, CB, 0.0, 60.0)])
    after = graph_at(index, 10, 20, 30)

    assert before.layers("a", "b").keys() == {Layer.TRACE}
    assert list(before.callers("b")) == ["a"]
    assert after.layers("a", "b").keys() == {Layer.TRACE, Layer.IPC}
    assert index.positions(np.array([3, 9, 1, 7]), 3).tolist() == [2, 1, 0, -1]
    assert index.positions(np.array([3, 9, 1]), 1).tolist() == [-1, -1, 0]


def test_edges_known_already_keep_their_place() -> None:
    index = index_of(AB, CB)
    index.add([KnownEdge(2, Layer.TRACE, CB, 5.0, 1.0)])

    assert len(index) == 2


def test_edges_below_the_threshold_are_hidden_from_walks_and_found_when_asked_for() -> None:
    graph = graph_at(index_of(AB, CB), 10, 7_200)

    assert not graph.all_shown
    assert list(graph.shown_callers("b")) == ["a"]
    assert set(graph.callers("b")) == {"a", "c"}
    assert list(graph.shown_callees("c")) == []
    assert (graph.shown("a", "b"), graph.shown("c", "b")) == (True, False)
    assert graph_at(index_of(AB, CB), 10, 20).all_shown


def test_of_a_range_everything_seen_in_it_is_shown() -> None:
    assert graph_at(index_of(AB, CB), 10, 7_200, span=86_400.0).all_shown


def test_a_mere_estimate_is_hidden_until_it_is_likely() -> None:
    index = EdgeIndex()
    for number, certainty in ((1, 0.5), (2, 0.9)):
        detail = EdgeDetail(certainty=certainty)
        index.add([KnownEdge(number, Layer.NETWORK, (f"s{number}", "b"), 0.0, 60.0, detail)])
    graph = graph_at(index, 10, 10)

    assert list(graph.shown_callers("b")) == ["s2"]


def test_background_services_are_named() -> None:
    assert graph_at(index_of(edge("a>coredns")), 10).background == {"coredns"}


def test_the_silent_among_reporters_are_told() -> None:
    graph = graph_at(index_of(AB, CB), 10, 500)

    assert graph.reporters(["a", "b", "c", "nobody"], NOW - 120) == (2, [("c", NOW - 500)])


def test_counts_of_minutes_are_found_as_in_the_live_windows() -> None:
    index = index_of(AB, CB, (UNATTRIBUTED, "b"))
    live = Windows(Layer.TRACE)
    spans = []
    for ago in range(5, 0, -1):
        rows = [(AB, 1.0 * ago, 1.0 if ago == 2 else 0.0), (CB, 10.0, 0.0), ((UNATTRIBUTED, "b"), 2.0, 0.0)]
        live.add(minute(ago), [(one, tally(calls, failed, None)) for one, calls, failed in rows], NOW)
        spans.append(Span(minute(ago), 60, counts_of(*((place + 1, *row[1:]) for place, row in enumerate(rows)))))
    past = PastWindows(Layer.TRACE, PastCounts(index, spans, len(index)))
    ranges = [(0.0, NOW), (minute(3), minute(1)), (minute(3) + 1, minute(1) + 1), (NOW, NOW + 60)]

    for since, until in ranges:
        for one in (AB, CB, (UNATTRIBUTED, "b"), edge("x>y")):
            assert past.sum(one, since, until).calls == live.sum(one, since, until).calls
        for service in ("b", "a", "x"):
            found, wanted = past.sum_inward(service, since, until), live.sum_inward(service, since, until)
            assert (found.calls, found.errors) == (wanted.calls, wanted.errors)
        assert past.erring(since, until) == live.erring(since, until)
    assert [past.calls(one) for one in (AB, CB, edge("x>y"))] == [live.calls(one) for one in (AB, CB, edge("x>y"))]
    assert [past.served(one) for one in ("b", "a", "x")] == [live.served(one) for one in ("b", "a", "x")]
    assert PastWindows(Layer.IPC, PastCounts(index, spans, len(index))).sum(AB, 0, NOW).calls == 0


def test_counts_of_edges_nobody_knows_any_more_belong_to_nobody() -> None:
    index = index_of(AB, first=5)
    counts = PastCounts(index, [Span(minute(1), 60, counts_of((2, 100, 1), (5, 3, 0), (9, 100, 1)))], 1)
    past = PastWindows(Layer.TRACE, counts)

    assert past.calls(AB) == past.served("b") == past.sum_inward("b", 0, NOW).calls == 3
    assert past.erring(0, NOW) == set()
    assert counts.columns()[CALLS].tolist() == [3]


def test_any_part_of_an_hour_is_answered_with_all_of_it() -> None:
    counts = PastCounts(index_of(AB), [Span(3_600, 3_600, counts_of((1, 12, 0)))], 1)
    past = PastWindows(Layer.TRACE, counts)

    assert [past.sum(AB, since, until).calls for since, until in ((3_600, 3_660), (7_140, 9_000), (7_200, 9_000))] == [
        12,
        12,
        0,
    ]


def test_counts_add_up_by_edge_and_what_comes_to_nothing_is_left_out() -> None:
    total = joined([counts_of((3, 1, 0), (1, 2, 1)), counts_of((3, 4, 0), (2, 5, 0)), counts_of((2, -5, 0))]).summed()

    assert total.edges.tolist() == [1, 3]
    assert total.columns[:2].tolist() == [[2, 5], [1, 0]]
    assert len(joined([]).summed()) == len(from_rows([])) == 0
