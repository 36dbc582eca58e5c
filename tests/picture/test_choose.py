"""What a picture shows of a map: who is drawn, in which state, who is folded, and which calls are marked."""

from __future__ import annotations

import time

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.edge_detail import EdgeDetail
from bot.enrich.answers import Query
from bot.model import Kind, Layer, Owner
from bot.picture.choose import choose, worth_room
from bot.picture.focus import MAX_ARROWS, MAX_NODES, Arrow, Focus, Seen, State
from bot.picture.folding import MAX_HEIGHT
from bot.picture.words import alt, stub_lines, title
from tests.kit.maps import NOW, MapMaker
from tests.picture.focuses import around, shop, trouble


def states(focus: Focus) -> dict[str, State]:
    return {spot.id: spot.state for spot in focus.spots}


def columns(focus: Focus) -> dict[str, int]:
    return {spot.id: spot.column for spot in focus.spots}


def calls(focus: Focus) -> dict[str, Arrow]:
    return {f"{one.caller}>{one.callee}": one for one in focus.arrows}


def drawn_and_folded(focus: Focus) -> int:
    return len(focus.spots) + sum(stub.count for stub in focus.stubs)


def test_every_service_has_the_state_that_the_answers_say() -> None:
    focus = trouble()

    assert states(focus) == {
        "payments": State.FAILING, "payments-db": State.CAUSE, "fraud": State.SUSPECTED, "checkout": State.HIT, "web": State.HIT,
        "invoices": State.AT_RISK, "tills": State.AT_RISK, "fraud-rules": State.OTHER,
    }  # fmt: skip
    assert (focus.hit, focus.at_risk, focus.cause) == (2, 2, ("payments-db", 0.82))
    assert focus.by_id["payments"].notes == ("20% of calls fail", "was 0%")
    assert focus.by_id["payments-db"].kind is Kind.DATABASE
    assert focus.by_id["web"].entry_point


def test_callers_stand_left_and_callees_right() -> None:
    assert columns(trouble()) == {
        "web": -2, "checkout": -1, "invoices": -1, "tills": -1, "payments": 0, "payments-db": 1, "fraud": 1, "fraud-rules": 2,
    }  # fmt: skip


def test_only_the_way_to_the_named_cause_is_marked() -> None:
    made = shop()
    made.usually("payments>vault>hsm").calls("payments>vault>hsm")

    focus = choose(made.view, "payments", NOW, suspects=[("hsm", 0.7), ("payments-db", 0.2)])

    assert {name for name, one in calls(focus).items() if one.suspect} == {"payments>vault", "vault>hsm"}


def test_a_cause_beyond_the_hops_that_are_asked_for_is_drawn_with_the_way_to_it() -> None:
    made = MapMaker("a>b>c>d>e>f", "web>a")

    focus = choose(made.view, "a", NOW, Query(depth=1), suspects=[("f", 0.6)])

    assert columns(focus) == {"web": -1, "a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5}
    assert focus.by_id["f"].state is State.CAUSE


def test_a_cause_that_is_not_on_the_map_or_not_within_reach_is_left_out() -> None:
    made = MapMaker("a>b", "x>y")

    focus = choose(made.view, "a", NOW, suspects=[("gone-away", 0.5), ("y", 0.4)])

    assert set(states(focus)) == {"a", "b"}
    assert focus.cause is None


def test_a_service_that_is_well_is_no_picture_of_trouble() -> None:
    focus = around(MapMaker("web>cart>cache"), "cart")

    assert states(focus) == {"web": State.OTHER, "cart": State.FOCUS, "cache": State.OTHER}
    assert not focus.failing


def test_a_service_without_neighbours_is_a_picture_of_itself() -> None:
    made = MapMaker("(entry)>lonely")

    focus = around(made, "lonely")

    assert states(focus) == {"lonely": State.FOCUS}
    assert (focus.arrows, focus.stubs) == ((), ())


def test_an_unknown_service_is_not_drawn() -> None:
    with pytest.raises(KeyError):
        around(MapMaker("a>b"), "nobody")


def test_in_a_cycle_everybody_is_drawn_once() -> None:
    focus = around(MapMaker("a>b>c>a", "b>a"), "a")

    assert sorted(states(focus)) == ["a", "b", "c"]
    assert sorted(calls(focus)) == ["a>b", "b>a", "b>c", "c>a"]


def test_calls_to_itself_are_drawn_only_where_what_is_hidden_is_asked_for() -> None:
    made = MapMaker("a>a", "a>b")

    assert sorted(calls(around(made, "a"))) == ["a>b"]
    assert sorted(calls(around(made, "a", Query(hidden=True)))) == ["a>a", "a>b"]


def test_layers_that_are_asked_for_limit_who_is_drawn() -> None:
    assert "tills" in states(around(shop(), "payments"))
    assert "tills" not in states(around(shop(), "payments", Query(layers=frozenset((Layer.TRACE,)))))


def test_each_call_says_how_well_it_is_seen() -> None:
    made = MapMaker("a>b").calls("b>c", layer=Layer.IPC).calls("c>d", layer=Layer.NETWORK)
    made.calls("b>c", layer=Layer.NETWORK)

    seen = {name: Seen.by(one.layers) for name, one in calls(around(made, "b")).items()}

    assert seen == {"a>b": Seen.TRACED, "b>c": Seen.COUNTED, "c>d": Seen.NETWORK}


def test_calls_through_an_intermediary_carry_its_name() -> None:
    made = MapMaker("a>b")
    made.graph.describe(Layer.TRACE, [(("a", "b"), EdgeDetail(via={("lb", "proxy")}))], NOW)

    assert calls(around(made, "a"))["a>b"].via == (("lb", "proxy"),)


def test_new_and_gone_calls_are_marked_and_a_gone_callee_is_drawn_once_more() -> None:
    made = MapMaker()
    made.calls("a>b", ago=range(0, 200)).calls("a>old", ago=range(120, 200)).calls("a>fresh", ago=range(0, 3))

    found = {name: one.change for name, one in calls(around(made, "a")).items()}

    assert found == {"a>b": "", "a>fresh": "new", "a>old": "gone"}


def test_ten_thousand_neighbours_are_twenty_five_nodes_that_account_for_everybody() -> None:
    callers, callees = (
        [f"c{number:05d}>hub" for number in range(6_000)],
        [f"hub>d{number:05d}" for number in range(4_000)],
    )
    made = MapMaker(*callers, *callees)

    began = time.process_time()
    focus = around(made, "hub")
    took = time.process_time() - began

    assert len(focus.spots) + len(focus.stubs) <= MAX_NODES
    assert drawn_and_folded(focus) == 10_001
    assert {stub.callers for stub in focus.stubs} == {True, False}
    assert any(column < 0 for column in columns(focus).values())
    assert any(column > 0 for column in columns(focus).values())
    assert took < 1.0


def test_who_is_beyond_counting_is_said_to_be() -> None:
    made = MapMaker(*(f"c{number:05d}>hub" for number in range(10_050)))

    focus = around(made, "hub")

    assert focus.more
    assert focus.stubs[-1].more
    assert "or more" in stub_lines(focus.stubs[-1])[0]


def test_those_who_are_hit_are_drawn_before_those_at_risk() -> None:
    made = shop()
    made.usually(*(f"a{number:02d}>payments" for number in range(60))).calls(
        *(f"a{number:02d}>payments" for number in range(60))
    )
    made.calls("zz>payments", count=50, failed=40)

    focus = choose(made.view, "payments", NOW, suspects=[("payments-db", 0.8)])

    assert {"zz", "web", "checkout", "payments-db", "fraud"} <= states(focus).keys()
    assert drawn_and_folded(focus) == 1 + 60 + 1 + 4 + 3


def test_stubs_are_by_domain_or_else_by_owner_and_count_who_is_hit() -> None:
    entries = {f"shop-{number:02d}": CatalogEntry(domain="checkout") for number in range(30)}
    entries |= {f"bank-{number:02d}": CatalogEntry(owner=Owner("ledger-team")) for number in range(20)}
    made = MapMaker(
        *(f"{one}>hub" for one in entries), *(f"x{number}>hub" for number in range(10)), catalog=Catalog(entries, {})
    )
    made.view.firing |= {"hub": NOW - 60} | {f"shop-{number:02d}": NOW - 60 for number in range(25)}

    focus = around(made, "hub")

    groups = {stub.group: stub for stub in focus.stubs}
    assert set(groups) == {"checkout", "ledger-team", ""}
    assert groups["checkout"].hit == 25 - sum(one.state is State.HIT for one in focus.spots)
    assert stub_lines(groups["ledger-team"])[0].endswith("more in ledger-team")
    assert drawn_and_folded(focus) == 61


def test_nobody_stands_alone_in_a_stub_that_could_be_drawn() -> None:
    made = MapMaker(*(f"c{number:02d}>hub" for number in range(19)), *(f"hub>d{number:02d}" for number in range(7)))

    assert all(stub.count > 1 for stub in around(made, "hub").stubs)


def test_a_stub_stands_beside_the_drawn_service_that_its_members_call() -> None:
    made = MapMaker("web>checkout>payments", *(f"job-{number:02d}>checkout" for number in range(40)))

    (stub,) = around(made, "payments").stubs

    assert (stub.beside, stub.column, stub.callers) == ("checkout", -2, True)


def test_a_tangle_keeps_its_surest_calls_and_counts_the_rest() -> None:
    services = [f"s{number:02d}" for number in range(20)]
    made = MapMaker(*(f"{one}>{other}" for one in services for other in services if one != other))

    focus = around(made, "s00")

    assert len(focus.arrows) == MAX_ARROWS
    assert focus.arrows_left_out == 20 * 19 - MAX_ARROWS
    assert f"{focus.arrows_left_out} calls between those drawn are left out" in alt(focus)


def test_the_same_map_learnt_in_another_order_is_the_same_picture() -> None:
    pairs = [f"c{number % 40}>s{number % 7}" for number in range(120)] + ["s0>hub", "s1>hub", "hub>x", "hub>y"]

    assert around(MapMaker(*pairs), "hub") == around(MapMaker(*reversed(pairs)), "hub")


def test_namesakes_are_told_apart_by_their_full_ids() -> None:
    made = MapMaker()
    for one in ("cart.east", "cart.west", "shop"):
        made.calls(f"{one}>hub")

    assert {spot.id: spot.name for spot in around(made, "hub").spots}["cart.east"] == "cart.east"


def test_the_alt_text_says_what_the_picture_shows() -> None:
    assert alt(trouble()) == (
        "payments is failing: 20% of calls fail, was 0%. Likely cause: payments-db 82%. On the way to it: payments calls "
        "payments-db. Also suspected: fraud. Hit now: web, checkout. At risk: invoices, tills. Calls: fraud-rules. Users enter "
        "at: web. 2 hit now · 2 at risk · map of 2023-11-14 22:14 UTC."
    )


def test_no_column_is_so_high_that_nobody_reads_it_unless_all_in_it_are_hit() -> None:
    names = [f"c{number:02d}" for number in range(22)]
    made = MapMaker(*(f"{one}>hub" for one in names))
    assert len(around(made, "hub").spots) == 1 + MAX_HEIGHT

    made.view.firing |= dict.fromkeys(["hub", *names[:15]], NOW - 60)
    assert sum(spot.state is State.HIT for spot in around(made, "hub").spots) == 15


def test_a_service_that_is_its_own_cause_is_said_to_be() -> None:
    focus = choose(shop().view, "payments", NOW, suspects=[("payments", 0.7), ("fraud", 0.15)])

    assert title(focus) == "payments is failing · likely its own fault 70%"
    assert states(focus)["payments"] is State.FAILING
    assert states(focus)["fraud"] is State.SUSPECTED
    assert "Likely cause: itself 70%" in alt(focus)


def test_of_the_ranked_causes_only_likely_ones_are_drawn_as_such() -> None:
    assert worth_room([("db", 0.95), ("checkout", 0.003)]) == (("db", 0.95),)
    assert worth_room([("a", 0.4), ("b", 0.2), ("c", 0.15), ("d", 0.12)]) == (("a", 0.4), ("b", 0.2), ("c", 0.15))
    assert worth_room([]) == ()
