"""The network layer: what flow records and identities, in any order, come to."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from collections.abc import Iterator

import msgspec
import pytest

from bot.edge_detail import EdgeDetail
from bot.layers.identity_memory import Unreadable
from bot.layers.network import Limits, NetworkLayer
from bot.model import ENTRY, UNATTRIBUTED, EdgeKey, LayerDelta, Tally
from bot.names import Background
from bot.telemetry import identities

NOW = 1_760_000_040.0
MINUTE = 1_759_999_980
A, B, C, D = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"
LB, LB2 = "172.16.0.1", "172.16.0.2"


class Network:
    """A layer, and the sum of all deltas it gave."""

    def __init__(self, layer: NetworkLayer) -> None:
        self.layer = layer
        self.tallies: dict[tuple[int, EdgeKey], Tally] = {}
        self.details: dict[EdgeKey, EdgeDetail] = {}

    def identities(self, *records: dict[str, object], now: float = NOW) -> None:
        batch = identities.decode("\n".join(map(json.dumps, records)).encode(), now)
        assert batch.errors == []
        self.layer.learn(batch, now)

    def flows(self, *records: dict[str, object], now: float = NOW) -> None:
        folded = self.layer.fold("\n".join(map(json.dumps, records)).encode(), now)
        assert not folded.refused
        self.layer.add(folded, now)

    def collect(self, now: float = NOW) -> None:
        self._take(self.layer.collect(now))

    def flush(self, now: float = NOW) -> None:
        self._take(self.layer.flush(now))

    def _take(self, delta: LayerDelta) -> None:
        for minute, edges in delta.windows.items():
            for edge, tally in edges.items():
                self.tallies.setdefault((minute, edge), Tally()).add(tally)
        for edge, detail in delta.details.items():
            self.details.setdefault(edge, EdgeDetail()).add(detail)

    @property
    def calls(self) -> dict[str, float]:
        """`a>b` -> connections over all minutes, without what came to nothing."""
        found: dict[str, float] = {}
        for (_, (caller, callee)), tally in self.tallies.items():
            found[f"{caller}>{callee}"] = found.get(f"{caller}>{callee}", 0.0) + tally.calls
        return {edge: round(calls, 6) for edge, calls in sorted(found.items()) if abs(calls) > 1e-6}

    @property
    def bytes(self) -> float:
        return sum(tally.bytes for tally in self.tallies.values())


@pytest.fixture
def network() -> Iterator[Network]:
    layer = NetworkLayer(threads=1)
    yield Network(layer)
    layer.close()


def owner(ip: str, service: str, start: float = MINUTE - 600, **more: object) -> dict[str, object]:
    return {"ip": ip, "service": service, "start": start, "end": None, "kind": "service"} | more


def listener(ip: str, port: int, *targets: tuple[str, int], name: str = "lb", **more: object) -> dict[str, object]:
    places = [{"ip": one, "port": number} for one, number in targets]
    return {"intermediary": name, "ip": ip, "port": port, "targets": places, "start": MINUTE - 600, "end": None} | more


_ports = itertools.count(40_000)


def flow(caller: str, callee: str, port: int = 8080, at: float = 10, **more: object) -> dict[str, object]:
    start = MINUTE + at
    return {
        "start": start, "end": start + 1, "src_ip": caller, "src_port": 40_000 + next(_ports) % 20_000, "dst_ip": callee,
        "dst_port": port, "proto": "tcp", "bytes": 100, "packets": 3, "client": "src",
    } | more  # fmt: skip


def reply(caller: str, callee: str, port: int = 8080, **more: object) -> dict[str, object]:
    """The same connection's other direction as a record of its own."""
    forward = flow(caller, callee, port)
    swapped = {"src_ip": callee, "src_port": port, "dst_ip": caller, "dst_port": forward["src_port"], "client": "dst"}
    return forward | swapped | more


# -- both ends known ---------------------------------------------------------------------------------------------------


def test_connections_between_two_services_are_counted_in_their_minute(network: Network) -> None:
    network.identities(owner(A, "cart", namespace="shop"), owner(B, "payments", namespace="shop"))
    network.flows(flow(A, B), flow(A, B, at=59.9), flow(A, B, at=60))
    network.collect()

    assert {key: tally.calls for key, tally in network.tallies.items()} == {
        (MINUTE, ("cart.shop", "payments.shop")): 2,
        (MINUTE + 60, ("cart.shop", "payments.shop")): 1,
    }
    assert network.bytes == 300
    assert network.details["cart.shop", "payments.shop"].protocols == {"tcp/8080"}


def test_both_directions_of_a_connection_are_one_connection_with_the_bytes_of_both(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"))
    network.flows(flow(A, B, bytes=100), reply(A, B, bytes=900))
    network.collect()
    assert network.calls == {"cart>payments": 1}
    assert network.bytes == 1_000


def test_a_connection_reported_at_both_ends_is_counted_once_even_in_two_bodies(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"))
    network.flows(flow(A, B, reporter="src"), flow(A, B, reporter="src"))
    network.collect()
    network.flows(flow(A, B, reporter="dst"), flow(A, B, reporter="dst"))
    network.collect()
    assert network.calls == {"cart>payments": 2}
    assert network.bytes == 200


def test_without_a_word_on_the_client_the_lower_port_is_the_server(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"))
    network.flows(flow(A, B, client=None), reply(A, B, client=None))
    network.collect()
    assert network.calls == {"cart>payments": 1}


def test_a_known_listener_is_the_server_whatever_the_ports_look_like(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "game"), listener(LB, 60_000, (B, 50_000)))
    network.flows(flow(A, LB, 60_000, client=None, src_port=1_024))
    network.collect()
    assert network.calls == {"cart>game": 1}


def test_ipv6_addresses_are_one_however_they_are_spelled(network: Network) -> None:
    network.identities(owner("2001:db8::a", "cart"), owner("2001:0DB8:0:0::000b", "payments"))
    network.flows(flow("2001:db8:0::000a", "2001:DB8::B"), flow("::ffff:10.0.0.1", "2001:db8::b"))
    network.collect()
    network.identities(owner(A, "mobile"))
    network.collect()
    assert network.calls == {"cart>payments": 1, "mobile>payments": 1}


def test_a_service_named_in_the_record_needs_no_address(network: Network) -> None:
    network.flows(flow(A, B, src_service="cart.shop", dst_service="payments.shop"))
    network.collect()
    assert network.calls == {"cart.shop>payments.shop": 1}


# -- owners that change, come late or contradict -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "callee"),
    [
        ("payments.shop@prod", "payments.shop@prod"),
        ("(entry)", "_entry_"),
        ("Pay\u202e\x00ments@PROD@x", "payments@prod_x"),
        ("\u200b", "cart"),
    ],
)
def test_a_service_a_record_names_is_named_by_our_rules(network: Network, sent: str, callee: str) -> None:
    """Nobody gets to be a pseudo-caller, or to put on the map what the database cannot hold."""
    network.identities(owner(A, "web"), owner(B, "cart"))
    network.flows(flow(A, B, dst_service=sent))
    network.collect()
    assert network.calls == {f"web>{callee}": 1.0}


def test_an_address_that_changes_hands_within_a_minute_is_attributed_by_each_records_start(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "old"), owner(B, "new", start=MINUTE + 30))
    network.flows(flow(A, B, at=10), flow(A, B, at=29.9), flow(A, B, at=30), flow(A, B, at=50))
    network.collect()
    assert network.calls == {"cart>old": 2, "cart>new": 2}


def test_between_two_owners_an_address_belongs_to_nobody(network: Network) -> None:
    network.identities(owner(A, "cart", end=MINUTE + 10), owner(A, "mail", start=MINUTE + 40), owner(B, "payments"))
    network.flows(flow(A, B, at=5), flow(A, B, at=20), flow(A, B, at=45))
    network.flush()
    assert network.calls == {"cart>payments": 1, "mail>payments": 1, f"{UNATTRIBUTED}>payments": 1}


def test_an_owner_heard_of_late_takes_back_what_was_said_of_the_one_before(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "old"))
    network.flows(flow(A, B, at=50))
    network.collect()
    assert network.calls == {"cart>old": 1}

    network.identities(owner(B, "new", start=MINUTE + 40), now=NOW + 90)
    network.collect(NOW + 90)
    assert network.calls == {"cart>new": 1}


def test_records_folded_over_a_change_heard_of_later_belong_to_nobody(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "old"))
    network.flows(flow(A, B, at=10), flow(A, B, at=50))
    network.collect()
    network.identities(owner(B, "new", start=MINUTE + 40))
    network.flush()
    assert network.calls == {}
    assert network.layer.dropped["callee unattributed"] == 2


def test_an_end_nobody_knows_yet_waits_and_then_counts_as_unattributed(network: Network) -> None:
    network.identities(owner(B, "payments"))
    network.flows(flow(A, B))
    network.collect(NOW + 30)
    assert network.calls == {}
    network.collect(NOW + 61)
    assert network.calls == {f"{UNATTRIBUTED}>payments": 1}

    network.identities(owner(A, "cart"), now=NOW + 100)
    network.collect(NOW + 100)
    assert network.calls == {"cart>payments": 1}


def test_a_minute_that_has_closed_takes_late_records_but_no_late_owners(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"))
    network.flows(flow(A, B))
    network.collect(NOW + 700)
    assert network.layer.open_groups == 0
    network.identities(owner(A, "other", start=MINUTE), now=NOW + 710)
    network.flows(flow(A, B, at=20), now=NOW + 710)
    network.collect(NOW + 710)
    assert network.calls == {"cart>payments": 1, "other>payments": 1}


def test_an_owner_without_a_heartbeat_for_an_hour_owns_nothing_any_more(network: Network) -> None:
    network.identities(owner(A, "cart", start=MINUTE - 9_000), now=NOW - 8_000)
    network.identities(owner(B, "payments"))
    network.flows(flow(A, B))
    network.flush()
    assert network.calls == {f"{UNATTRIBUTED}>payments": 1}


def test_a_public_address_nobody_claims_is_a_way_in_or_a_host_outside(network: Network) -> None:
    network.identities(owner(B, "web"))
    network.flows(flow("8.8.4.4", B), flow(B, "9.9.9.9", 443))
    network.collect()
    assert network.calls == {f"{ENTRY}>web": 1, "web>9.9.9.9": 1}


@pytest.mark.parametrize("seed", range(6))
def test_whatever_order_owners_and_records_come_in_the_sum_is_the_same(seed: int) -> None:
    rng = random.Random(seed)
    told = [
        [owner(A, "cart")], [owner(B, "old", end=MINUTE + 20)], [owner(B, "new", start=MINUTE + 20)], [owner(C, "db")],
        [listener(LB, 443, (C, 5432))], [owner(LB, "lb", kind="load_balancer")],
    ]  # fmt: skip
    sent = [
        [flow(A, B, 81, at=5)],
        [flow(A, B, 82, at=40)],
        [flow(A, LB, 443)],
        [flow(LB, C, 5432)],
        [flow(B, C, 5432, at=7)],
    ]
    steps = [("identities", one) for one in told] + [("flows", one) for one in sent]
    rng.shuffle(steps)
    layer = NetworkLayer(threads=1)
    network = Network(layer)
    for what, records in steps:
        getattr(network, what)(*records)
        network.collect()
    network.flush()
    layer.close()
    assert network.calls == {"cart>db": 1, "cart>new": 1, "cart>old": 1, "old>db": 1}


# -- intermediaries ----------------------------------------------------------------------------------------------------


def test_a_record_that_carries_what_the_client_dialled_is_exact(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"), owner(LB, "payments-vip", kind="vip"))
    network.flows(flow(A, B, orig_dst_ip=LB, orig_dst_port=443))
    network.collect()
    assert network.calls == {"cart>payments": 1}
    detail = network.details["cart", "payments"]
    assert (detail.via, detail.certainty, detail.how) == ({("payments-vip",)}, 1.0, "exact")


def test_a_record_that_carries_who_dialled_is_exact(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"), owner(LB, "edge", kind="proxy"))
    network.flows(flow(LB, B, orig_src_ip=A))
    network.collect()
    assert network.calls == {"cart>payments": 1}
    assert network.details["cart", "payments"].via == {("edge",)}


def test_a_record_behind_a_nat_that_names_the_real_peer_is_exact(network: Network) -> None:
    network.identities(
        owner(A, "cart"), owner(LB, "nat-a", kind="nat"), owner("52.1.2.3", "api.stripe.com", kind="external")
    )
    network.flows(flow(A, LB, 443, orig_dst_ip="52.1.2.3"))
    network.collect()
    assert network.calls == {"cart>api.stripe.com": 1}


def test_a_host_outside_that_nobody_claims_is_still_who_was_called_through_a_nat(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(LB, "nat-a", kind="nat"))
    network.flows(flow(A, LB, 443, orig_dst_ip="52.1.2.3"))
    network.collect()
    assert network.calls == {"cart>52.1.2.3": 1}
    assert network.details["cart", "52.1.2.3"].via == {("nat-a",)}


def test_the_translated_leg_of_a_call_is_not_another_call(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(LB, "nat-a", kind="nat"))
    network.flows(flow(A, "52.1.2.3", 443), flow(LB, "52.1.2.3", 443))
    network.collect()
    assert network.calls == {"cart>52.1.2.3": 1}


def test_a_listener_leads_to_its_targets_and_no_others(network: Network) -> None:
    network.identities(
        owner(A, "cart"), owner(B, "search"), owner(C, "payments"), owner(D, "catalog"),
        listener(LB, 443, (C, 8443)), listener(LB, 80, (D, 8080)),
    )  # fmt: skip
    network.flows(
        flow(A, LB, 443), flow(A, LB, 443), flow(B, LB, 80), flow(LB, C, 8443), flow(LB, C, 8443), flow(LB, D)
    )
    network.collect()
    assert network.calls == {"cart>payments": 2, "search>catalog": 1}
    detail = network.details["cart", "payments"]
    assert (detail.via, detail.certainty, detail.how) == ({("lb",)}, 1.0, "listener")


def test_a_service_address_rewritten_on_the_node_needs_no_second_leg(network: Network) -> None:
    network.identities(owner(A, "cart"), owner(B, "payments"), owner(C, "payments"), listener(LB, 80, (B, 1), (C, 1)))
    network.flows(flow(A, LB, 80), flow(A, LB, 80))
    network.collect()
    assert network.calls == {"cart>payments": 2}


def test_a_chain_of_two_is_joined_through_and_kept_in_order(network: Network) -> None:
    network.identities(
        owner(A, "cart"), owner(B, "payments"),
        listener(LB, 443, (LB2, 8000)), listener(LB2, 8000, (B, 8080), name="proxy"),
    )  # fmt: skip
    network.flows(flow(A, LB, 443), flow(LB, LB2, 8000), flow(LB2, B, 8080))
    network.collect()
    assert network.calls == {"cart>payments": 1}
    assert network.details["cart", "payments"].via == {("lb", "proxy")}


def test_intermediaries_that_lead_to_each_other_end_somewhere(network: Network) -> None:
    network.identities(owner(A, "cart"), listener(LB, 443, (LB2, 443)), listener(LB2, 443, (LB, 443), name="lb2"))
    network.flows(flow(A, LB, 443), flow(LB, LB2, 443), flow(LB2, LB, 443))
    network.flush()
    assert network.calls == {}
    assert network.layer.dropped["chain of intermediaries too long or closed"] > 0


def lone_caller(network: Network, minutes: int, *lost: int) -> EdgeDetail:
    """`cart` alone through an unexplained proxy to two targets, for some minutes; in `lost` ones a leg in is missing."""
    network.identities(owner(A, "cart"), owner(B, "x"), owner(C, "y"), owner(LB, "ingress", kind="proxy"))
    for minute in range(minutes):
        at = minute * 60.0
        legs_in = [flow(A, LB, 443, at)] * (20 if minute in lost else 40)
        network.flows(*legs_in, *[flow(LB, B, at=at)] * 20, *[flow(LB, C, at=at)] * 20, now=NOW + at)
    network.collect(NOW + 60 * minutes)
    assert {edge for edge, calls in network.calls.items() if calls > 1} == {"cart>x", "cart>y"}
    return network.details["cart", "x"]


def test_the_only_caller_of_an_unexplained_proxy_called_all_that_it_reached(network: Network) -> None:
    detail = lone_caller(network, 4)
    assert (detail.how, 0.85 < detail.certainty < 1) == ("implied", True)


def test_few_minutes_prove_nothing_nor_do_those_with_legs_missing(network: Network) -> None:
    assert lone_caller(network, 4, 1).how == "estimated"


def test_the_only_target_a_proxy_was_ever_seen_to_reach_is_every_callers(network: Network) -> None:
    network.identities(owner(A, "a"), owner(B, "b"), owner(C, "c"), owner(LB, "proxy", kind="proxy"))
    for minute in range(3):
        network.flows(
            flow(A, LB, 443, minute * 60), flow(B, LB, 443, minute * 60), flow(LB, C, at=minute * 60), now=NOW + 180
        )
    network.collect(NOW + 180)
    assert {network.details[edge].how for edge in (("a", "c"), ("b", "c"))} == {"implied"}
    network.identities(owner(D, "d"), now=NOW + 200)
    network.flows(flow(LB, D, at=200), now=NOW + 240)
    network.collect(NOW + 240)
    assert network.layer._crossings.evidence.certainty("proxy", "x", "c", 2, 2)[1] == "estimated"


def test_many_callers_and_many_targets_are_an_estimate_that_says_so(network: Network) -> None:
    network.identities(
        owner(A, "a"), owner(B, "b"), owner(C, "c"), owner(D, "d"), owner(LB, "ingress", kind="proxy")
    )  # fmt: skip
    network.flows(*[flow(A, LB, 443)] * 3, flow(B, LB, 443), *[flow(LB, C)] * 2, *[flow(LB, D)] * 2)
    network.collect()
    assert network.calls == {"a>c": 1.5, "a>d": 1.5, "b>c": 0.5, "b>d": 0.5}
    assert {detail.how for detail in network.details.values()} == {"estimated"}
    assert {detail.certainty for detail in network.details.values()} == {0.5}


def test_legs_that_look_alike_often_enough_are_one_call_and_one_coincidence_is_none(network: Network) -> None:
    network.identities(
        owner(A, "a"), owner(B, "b"), owner(C, "c"), owner(D, "d"), owner(LB, "ingress", kind="proxy")
    )  # fmt: skip
    records = []
    for turn in range(6):
        records += [flow(A, LB, 443, at=turn * 9, bytes=50_000 + turn * 9_000)]
        records += [flow(LB, C, at=turn * 9 + 0.02, bytes=50_100 + turn * 9_000)]
    records += [flow(B, LB, 443, at=4, bytes=7_000), flow(LB, D, at=4.01, bytes=7_010)]
    network.flows(*records)
    network.collect()
    assert network.details["a", "c"].how == "likeness"
    assert network.details["a", "c"].certainty > 0.85
    assert {network.details[edge].how for edge in (("a", "d"), ("b", "c"), ("b", "d"))} == {"estimated"}


def test_an_intermediary_that_is_to_stay_visible_is_a_node() -> None:
    layer = NetworkLayer(visible=Background(("api-gateway",)), threads=1)
    network = Network(layer)
    network.identities(owner(A, "cart"), owner(B, "payments"), owner(LB, "api-gateway", kind="gateway"))
    network.flows(flow(A, LB, 443), flow(LB, B))
    network.collect()
    layer.close()
    assert network.calls == {"api-gateway>payments": 1, "cart>api-gateway": 1}


def test_users_behind_a_balancer_enter_at_its_target(network: Network) -> None:
    network.identities(owner(B, "web"), listener(LB, 443, (B, 8080)))
    network.flows(flow("8.8.4.4", LB, 443), flow(LB, B))
    network.collect()
    assert network.calls == {f"{ENTRY}>web": 1}


# -- caps --------------------------------------------------------------------------------------------------------------


def test_too_many_open_groups_close_the_quietest_minute_and_lose_no_record() -> None:
    layer = NetworkLayer(Limits(max_groups=3), threads=1)
    network = Network(layer)
    network.identities(owner(A, "a"), owner(B, "b"))
    for port in range(1, 6):
        network.flows(flow(A, B, port, at=60.0 * port), now=NOW + port)
    network.flush(NOW + 10)
    layer.close()
    assert network.calls == {"a>b": 5}
    assert layer.dropped["minute closed early: too many open groups"] == 2


def test_what_was_known_of_addresses_survives_a_restart(network: Network) -> None:
    network.identities(
        owner(A, "web", namespace="shop", environment="prod"),
        owner(B, "old", end=MINUTE + 10),
        owner(B, "new", start=MINUTE + 10),
        owner(LB, "alb", kind="load_balancer"),
        listener(LB, 443, (C, 8443), name="alb"),
        owner(C, "api"),
    )
    after = Network(NetworkLayer(threads=1))

    after.layer.remember(network.layer.memory())

    assert after.layer.memory() == network.layer.memory()
    after.flows(flow(A, B, at=5), flow(A, B, at=20), flow(A, LB, port=443))
    after.flush()
    assert after.calls == {"web.shop@prod>api": 1, "web.shop@prod>new": 1, "web.shop@prod>old": 1}
    after.layer.close()


def test_an_owner_that_fell_silent_before_the_restart_does_not_come_to_life_by_it(network: Network) -> None:
    network.identities(owner(A, "web", start=NOW - 9_000), owner(B, "api", start=NOW - 9_000), now=NOW - 7_200)
    after = Network(NetworkLayer(threads=1))

    after.layer.remember(network.layer.memory())

    assert after.layer.ownership.owner(A, NOW - 7_000) is not None
    assert after.layer.ownership.owner(A, NOW) is None
    after.layer.close()


_UNREADABLE = (
    b"",
    b"garbage",
    zlib.compress(b"garbage"),
    zlib.compress(msgspec.msgpack.encode([9, [], [], []])),
    zlib.compress(msgspec.msgpack.encode([1, [], [["10.0.0.1", 5, "service", 1.0, None, 1.0]], []])),
)


@pytest.mark.parametrize("body", _UNREADABLE)
def test_a_memory_that_cannot_be_read_is_refused_whole(network: Network, body: bytes) -> None:
    with pytest.raises(Unreadable):
        network.layer.remember(body)
    assert len(network.layer.ownership) == 0
