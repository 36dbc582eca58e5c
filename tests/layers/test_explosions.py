"""What explodes in the network layer stays bounded: chains, pairs, crowds, and addresses that all change hands at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bot.layers import crossing
from bot.layers.flow_fold import Single
from bot.layers.likeness import alike
from bot.layers.network import NetworkLayer
from bot.model import EdgeKey
from bot.telemetry import identities

NOW = 1_760_000_040.0


@pytest.fixture
def layer() -> Iterator[NetworkLayer]:
    one = NetworkLayer(threads=1)
    yield one
    one.close()


def ip(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def learn(layer: NetworkLayer, kind: str, name: str, numbers: range) -> None:
    records = [{"ip": ip(one), "service": f"{name}{one}", "start": 5, "end": None, "kind": kind} for one in numbers]
    layer.learn(identities.decode("\n".join(map(json.dumps, records)).encode(), NOW), NOW)


def send(layer: NetworkLayer, *legs: tuple[int, int, int]) -> dict[EdgeKey, float]:
    """Connections (client, server, port), and the calls that the layer makes of them."""
    records = [
        {"start": NOW - 30, "src_ip": ip(client), "src_port": 40_000, "dst_ip": ip(server), "dst_port": port,
         "proto": "tcp", "bytes": 10, "client": "src"}
        for client, server, port in legs
    ]  # fmt: skip
    layer.add(layer.fold("\n".join(map(json.dumps, records)).encode(), NOW), NOW)
    found = layer.collect(NOW)
    return {edge: tally.calls for edges in found.windows.values() for edge, tally in edges.items()}


def test_intermediaries_that_all_lead_to_each_other_are_followed_only_so_far(layer: NetworkLayer) -> None:
    learn(layer, "load_balancer", "lb", range(30))
    learn(layer, "service", "s", range(100, 160))
    between = [(one, other, 443) for one in range(30) for other in range(30) if one != other]
    edges = send(layer, *between, *((100 + n, n, 443) for n in range(30)), *((n, 130 + n, 443) for n in range(30)))

    assert edges
    layer.flush(NOW)
    assert layer.dropped["too many ways through one intermediary"] > 0


def test_one_intermediary_with_thousands_on_either_side_costs_the_others_nothing(layer: NetworkLayer) -> None:
    learn(layer, "load_balancer", "lb", range(2))
    learn(layer, "service", "s", range(100, 700))
    crowd = [(100 + n, 0, 443) for n in range(299)] + [(0, 400 + n, 443) for n in range(299)]
    edges = send(layer, *crowd, (399, 1, 443), (1, 699, 443))

    assert edges["s399", "s699"] == 1
    assert len(edges) == crossing.MAX_PAIRS + 1
    layer.flush(NOW)
    assert layer.dropped["too many pairs behind one intermediary"] == 299 * 299 - crossing.MAX_PAIRS


def test_the_places_of_one_intermediary_share_what_it_may_cost_but_for_those_with_one_way_on(
    layer: NetworkLayer,
) -> None:
    learn(layer, "service", "s", range(100, 400))
    targets = [{"ip": ip(100 + n), "port": 80} for n in range(100)]
    places = [(port, targets if port < 10 else targets[:1]) for port in range(20)]
    records = [
        {"intermediary": "lb", "ip": ip(0), "port": port, "targets": to, "start": 5, "end": None} for port, to in places
    ]
    layer.learn(identities.decode("\n".join(map(json.dumps, records)).encode(), NOW), NOW)
    edges = send(layer, *((200 + n, 0, port) for n in range(100) for port in range(20)))

    assert len(edges) <= crossing.MAX_PAIRS + 100
    assert all(edges[f"s{200 + n}", "s100"] >= 10 for n in range(100))


def test_in_a_crowd_nobody_is_alone() -> None:
    """Neither the crowd itself nor who stands in it by chance."""
    crowd = [Single(NOW, NOW + 1, f"c{n}", "proxy", 443, 1_000) for n in range(500)]
    onward = [Single(NOW + 0.1, NOW + 1, "proxy", f"t{n}", 443, 1_000) for n in range(500)]
    later = Single(NOW + 10, NOW + 11, "web", "proxy", 443, 1_000)
    its = Single(NOW + 10.1, NOW + 11, "proxy", "cart", 443, 1_000)

    assert alike([*crowd, later], [*onward, its]) == [(later, its)]


def test_every_address_changing_hands_is_noticed_in_the_minutes_it_concerns(layer: NetworkLayer) -> None:
    learn(layer, "service", "s", range(100, 102))
    assert send(layer, (100, 101, 443)) == {("s100", "s101"): 1}
    records = [{"ip": ip(one), "service": "new", "start": NOW - 45, "end": None} for one in range(100, 20_000)]
    layer.learn(identities.decode("\n".join(map(json.dumps, records)).encode(), NOW), NOW)

    (edges,) = layer.collect(NOW).windows.values()
    assert {edge: tally.calls for edge, tally in edges.items()} == {("s100", "s101"): -1, ("new", "new"): 1}
