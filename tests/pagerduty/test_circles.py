"""A graph that grows and never gets a circle, held against a plain search."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from bot.pagerduty.circles import CircleFree

SERVICES = st.sampled_from("abcdefgh")


@given(st.lists(st.tuples(SERVICES, SERVICES), max_size=60))
def test_an_edge_is_refused_just_where_a_plain_search_finds_its_start_again(edges: list[tuple[str, str]]) -> None:
    order = CircleFree()
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from("abcdefgh")
    for dependent, supporting in edges:
        closes = nx.has_path(graph, supporting, dependent)
        assert order.add((dependent, supporting)) is not closes
        if not closes:
            graph.add_edge(dependent, supporting)


def test_a_long_chain_built_backwards_is_put_in_order() -> None:
    order = CircleFree()
    names = [f"s{number}" for number in range(2_000)]
    assert all(order.add(pair) for pair in reversed(list(pairwise(names))))
    assert not order.add((names[-1], names[0]))
    assert order.add((names[0], names[-1]))
