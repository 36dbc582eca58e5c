"""Walks: everybody within reach, once, by a shortest way, the same answer whatever order the map was learnt in."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from unittest.mock import patch

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.graph import walk
from bot.graph.live import LiveGraph
from bot.graph.walk import MAX_REACHED, dependencies, dependents, paths
from bot.model import EdgeKey
from tests.kit.maps import chain, edge, graph_of

SMALL = st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")), max_size=25, unique=True)


def maps(*chains: str) -> LiveGraph:
    return graph_of(*(one for text in chains for one in chain(text)))


def hops(found: object) -> dict[str, int]:
    return dict(found.found)  # type: ignore[attr-defined]


# -- reach -----------------------------------------------------------------------------------------------------------


def test_dependents_are_those_who_call_and_dependencies_those_who_are_called() -> None:
    graph = maps("web>checkout>pay>db", "cart>pay")

    assert hops(dependents(graph, ["pay"])) == {"cart": 1, "checkout": 1, "web": 2}
    assert hops(dependencies(graph, ["checkout"])) == {"pay": 1, "db": 2}
    assert hops(dependents(graph, ["web"])) == {}


def test_nearest_come_first_and_equals_by_name() -> None:
    graph = maps("z>y>x", "c>x", "b>y", "a>c")

    assert list(dependents(graph, ["x"]).found) == ["c", "y", "a", "b", "z"]


def test_a_path_runs_from_the_one_reached_to_the_start() -> None:
    graph = maps("web>checkout>pay>db")

    assert dependents(graph, ["db"]).path("web") == ("web", "checkout", "pay", "db")
    assert dependencies(graph, ["web"]).path("db") == ("db", "pay", "checkout", "web")
    assert dependents(graph, ["db"]).path("db") == ("db",)


def test_each_is_reached_by_a_shortest_way_and_among_equals_by_the_first_name() -> None:
    graph = maps("web>b>pay", "web>a>pay", "web>long>way>round>pay")

    assert dependents(graph, ["pay"]).path("web") == ("web", "a", "pay")


def test_a_cycle_is_walked_once_and_a_start_is_nobodys_dependent() -> None:
    graph = maps("a>b>c>a", "b>b", "x>a")

    assert hops(dependents(graph, ["a"])) == {"c": 1, "x": 1, "b": 2}
    assert hops(dependencies(graph, ["a"])) == {"b": 1, "c": 2}


def test_from_several_starts_each_is_reached_from_the_nearest() -> None:
    graph = maps("w>a", "w>m>b", "v>b", "a>b")
    reach = dependents(graph, ["b", "a", "b"])

    assert reach.start == ("b", "a")
    assert {service: reach.path(service) for service in reach.found} == {
        "m": ("m", "b"),
        "v": ("v", "b"),
        "w": ("w", "a"),
    }


def test_depth_counts_hops() -> None:
    graph = maps("e>d>c>b>a")

    assert [len(dependents(graph, ["a"], depth).found) for depth in (0, 1, 2, None)] == [0, 1, 2, 4]


def test_edges_that_may_not_be_used_are_not() -> None:
    graph = maps("web>checkout>pay", "web>cart>pay")

    def usable(caller: str, callee: str) -> bool:
        return (caller, callee) != ("checkout", "pay")

    assert hops(dependents(graph, ["pay"], usable=usable)) == {"cart": 1, "web": 2}
    assert hops(dependencies(graph, ["web"], usable=usable)) == {"cart": 1, "checkout": 1, "pay": 2}


def test_no_start_reaches_nobody() -> None:
    assert hops(dependents(maps("a>b"), [])) == {}


def test_a_walk_over_the_limit_is_cut_to_the_nearest_and_says_so() -> None:
    graph = maps("c>b>a", "d>b")

    for limit, found, cut in ((1, ["b"], True), (2, ["b", "c"], True), (3, ["b", "c", "d"], False)):
        reach = dependents(graph, ["a"], limit=limit)
        assert (list(reach.found), reach.truncated) == (found, cut)


def test_a_hub_is_walked_in_no_time() -> None:
    edges = [(f"s{number:04}", "hub") for number in range(5_000)] + [
        ("hub", f"s{number:04}") for number in range(5_000)
    ]
    graph = graph_of(*edges)
    started = time.process_time()
    reach = dependents(graph, ["s0000"])

    assert time.process_time() - started < 0.5
    assert len(reach.found) == 5_000
    assert not reach.truncated
    assert MAX_REACHED > 5_000


@settings(deadline=None)
@given(SMALL, st.randoms(), st.sampled_from((1, 2, 500)))
def test_reach_is_what_breadth_first_search_finds_in_any_order_of_learning(
    edges: list[EdgeKey], chance: random.Random, wide: int
) -> None:
    graph, shuffled = graph_of(*edges, ("a", "b")), graph_of(*chance.sample(edges, len(edges)), ("a", "b"))
    plain: nx.DiGraph[str] = nx.DiGraph([*edges, ("a", "b")])
    with patch.object(walk, "_WIDE_HOP", wide):
        reach = dependents(graph, ["a"])

    expected = nx.single_source_shortest_path_length(plain.reverse(), "a")
    assert hops(reach) == {service: far for service, far in expected.items() if far}
    assert dependents(shuffled, ["a"]) == reach
    for service in reach.found:
        path = reach.path(service)
        assert len(path) == reach.found[service] + 1
        assert all(plain.has_edge(*one) for one in pairwise(path))


# -- paths -----------------------------------------------------------------------------------------------------------


def test_paths_run_along_the_calls_shortest_first_and_equals_by_name() -> None:
    graph = maps("web>b>pay", "web>a>pay", "web>pay", "web>x>y>pay")

    assert paths(graph, "web", "pay") == [
        ("web", "pay"),
        ("web", "a", "pay"),
        ("web", "b", "pay"),
        ("web", "x", "y", "pay"),
    ]


def test_there_is_no_path_against_the_calls_or_to_the_unconnected() -> None:
    graph = maps("web>pay", "other>thing")

    assert paths(graph, "pay", "web") == []
    assert paths(graph, "web", "thing") == []
    assert paths(graph, "web", "web") == [("web",)]


def test_no_path_passes_a_service_twice() -> None:
    graph = maps("a>b>c>d", "c>b", "b>a", "c>c", "d>a")

    assert paths(graph, "a", "d") == [("a", "b", "c", "d")]


def test_a_path_longer_than_asked_for_is_none() -> None:
    graph = maps("a>b>c>d>e")

    assert paths(graph, "a", "e", max_hops=3) == []
    assert paths(graph, "a", "e", max_hops=4) == [("a", "b", "c", "d", "e")]


def test_a_path_uses_only_edges_that_may_be_used() -> None:
    graph = maps("web>a>pay", "web>b>pay")

    assert paths(graph, "web", "pay", usable=lambda caller, _: caller != "a") == [("web", "b", "pay")]
    assert paths(graph, "web", "pay", usable=lambda _, callee: callee != "pay") == []


def test_of_more_paths_than_fit_the_same_ones_are_given_whatever_order_they_were_learnt_in() -> None:
    edges = [one for number in range(30) for one in chain(f"web>m{number:02}>pay")]
    answers = set()
    for seed in range(5):
        random.Random(seed).shuffle(edges)
        answers.add(tuple(paths(graph_of(*edges), "web", "pay", limit=3)))

    assert answers == {(("web", "m00", "pay"), ("web", "m01", "pay"), ("web", "m02", "pay"))}


@settings(deadline=None)
@given(SMALL, st.integers(1, 8), st.integers(1, 6))
def test_paths_are_the_first_of_all_there_are(edges: list[EdgeKey], limit: int, most: int) -> None:
    graph = graph_of(*edges, edge("a>b"))
    graph.add_node(graph_of(edge("g>g")).node("g"))
    plain: nx.DiGraph[str] = nx.DiGraph([*edges, ("a", "b")])
    plain.add_node("g")

    everything = {tuple(path) for path in nx.all_simple_paths(plain, "a", "g", cutoff=most)}
    expected = sorted(everything, key=lambda path: (len(path), path))[:limit]
    assert paths(graph, "a", "g", limit, most) == expected


@pytest.mark.parametrize("limit", [5, 20])
def test_a_hub_or_a_tangle_does_not_blow_up(limit: int) -> None:
    hub = [(f"s{number:04}", "hub") for number in range(5_000)] + [("hub", f"s{number:04}") for number in range(5_000)]
    tangle = [(f"t{one}", f"t{other}") for one in range(60) for other in range(60) if one != other]
    dead_ends = [*tangle, ("a", "t0"), ("t0", "z")]
    for edges, caller, callee, least in (
        (hub, "s0000", "s4999", 1),
        (tangle, "t0", "t59", 5),
        (dead_ends, "a", "z", 1),
    ):
        graph = graph_of(*edges)
        started = time.process_time()
        found = paths(graph, caller, callee, limit)

        assert time.process_time() - started < 1.0
        assert len(found) >= least
        assert found == sorted(found, key=lambda path: (len(path), path))
