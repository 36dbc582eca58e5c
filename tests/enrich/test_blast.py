"""Blast radius: who needs what fails, who of them is hit already, and who comes first."""

from __future__ import annotations

import time

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich.blast import BlastRadius, Dependent, blast_radius
from bot.model import ENTRY, UNATTRIBUTED, Kind, Layer, Owner
from tests.kit.maps import NOW, MapMaker


def radius(made: MapMaker, *roots: str, depth: int | None = None) -> BlastRadius:
    return blast_radius(made.view, roots, NOW, depth)


def described(made: MapMaker, *roots: str) -> dict[str, Dependent]:
    return {one.id: one for one in radius(made, *roots).dependents}


# -- who -------------------------------------------------------------------------------------------------------------


def test_everybody_who_needs_the_failing_service_is_in_it_with_the_way() -> None:
    found = described(MapMaker("web>checkout>pay>db", "cart>pay", "mail>queue"), "pay")

    assert found.keys() == {"cart", "checkout", "web"}
    assert found["web"].path == ("web", "checkout", "pay")
    assert found["web"].hops == 2
    assert {one.state for one in found.values()} == {"at_risk"}


def test_nobody_needs_what_nobody_calls() -> None:
    found = radius(MapMaker("web>pay"), "web")

    assert (found.dependents, found.hit, found.at_risk, found.truncated) == ((), (), (), False)


def test_of_several_that_fail_none_is_the_others_dependent_and_each_is_reached_from_the_nearest() -> None:
    found = described(MapMaker("web>checkout>pay>db", "cart>db"), "pay", "db")

    assert found.keys() == {"cart", "checkout", "web"}
    assert found["checkout"].path == ("checkout", "pay")
    assert found["cart"].path == ("cart", "db")


def test_in_a_cycle_everybody_is_there_once() -> None:
    found = radius(MapMaker("a>b>c>a", "a>a"), "a")

    assert [(one.id, one.path) for one in found.dependents] == [("c", ("c", "a")), ("b", ("b", "c", "a"))]


def test_depth_and_unusable_edges_bound_it() -> None:
    made = MapMaker("web>checkout>pay", "cart>pay")

    assert radius(made, "pay", depth=1).ranked == ("checkout", "cart")
    only = blast_radius(made.view, ["pay"], NOW, usable=lambda caller, _: caller != "checkout")
    assert only.ranked == ("cart",)


def test_a_radius_over_the_limit_says_that_it_was_cut() -> None:
    made = MapMaker("web>checkout>pay", "cart>pay")
    found = blast_radius(made.view, ["pay"], NOW, limit=2)

    assert found.ranked == ("checkout", "cart")
    assert found.truncated


# -- hit and at risk -------------------------------------------------------------------------------------------------


def test_who_fails_its_own_callers_is_hit_and_who_does_not_is_at_risk() -> None:
    made = MapMaker("web>checkout>pay", "cart>pay").calls("web>checkout", failed=9)
    found = radius(made, "pay")

    assert (found.hit, found.at_risk) == (("checkout", "web"), ("cart",))
    assert found.why == {"checkout": "errors", "web": "failing calls"}


def test_who_has_an_alert_of_its_own_is_hit() -> None:
    made = MapMaker("web>checkout>pay")
    made.view.firing |= {"web": NOW - 60, "elsewhere": NOW}

    assert described(made, "pay")["web"].why == "alert"
    assert radius(made, "pay").hit == ("web",)


def test_who_is_slow_is_hit_once_something_failed_too() -> None:
    made = MapMaker("checkout>pay").usually(f"{ENTRY}>checkout", count=40, bucket=3)
    made.calls(f"{ENTRY}>checkout", count=100, failed=1, bucket=12)

    assert described(made, "pay")["checkout"].why == "latency"


def test_who_nobody_counts_is_hit_when_its_calls_to_the_failing_service_fail() -> None:
    made = MapMaker().calls("batch>pay", failed=8).calls("web>pay", count=1_000)
    found = described(made, "pay")

    assert (found["batch"].state, found["batch"].why) == ("hit", "failing calls")
    assert found["web"].state == "at_risk"


def test_failing_calls_count_anywhere_on_the_way_but_not_beside_it() -> None:
    made = MapMaker("x>pay", "web>checkout>pay").calls("web>checkout", failed=1, count=1_000)
    made.calls("batch>web", failed=9).calls("web>mail", failed=9)
    found = described(made, "pay")

    assert found["batch"].why == "failing calls"
    assert found["web"].why == "errors"
    assert found["checkout"].state == "at_risk"


def test_failed_calls_of_an_hour_ago_hit_nobody_now() -> None:
    made = MapMaker("batch>pay").calls("batch>pay", failed=10, ago=5)

    assert radius(made, "pay").hit == ()


def test_who_fails_for_half_an_hour_is_still_hit_while_the_alert_fires() -> None:
    made = MapMaker().calls("user>web>pay", count=20, ago=range(31, 58))
    made.calls("user>web>pay", count=20, failed=18, ago=range(31))
    assert described(made, "pay")["web"].state == "at_risk"
    made.view.firing["pay"] = NOW - 29 * 60

    assert described(made, "pay")["web"].state == "hit"


def test_the_failing_service_is_not_its_own_dependent() -> None:
    made = MapMaker("web>pay", "pay>pay").calls("web>pay", failed=9)
    made.view.firing["pay"] = NOW

    assert "pay" not in radius(made, "pay").ranked


# -- share -----------------------------------------------------------------------------------------------------------


def test_the_share_is_the_product_of_the_call_ratios_along_the_path() -> None:
    made = MapMaker().calls(f"{ENTRY}>web", count=100).calls("web>checkout", count=50).calls("checkout>pay", count=10)
    found = described(made, "pay")

    assert found["checkout"].share == 0.2
    assert found["web"].share == 0.1


def test_a_share_is_never_more_than_everything() -> None:
    made = MapMaker().calls(f"{ENTRY}>web", count=10).calls("web>pay", count=50)

    assert described(made, "pay")["web"].share == 1.0


def test_who_serves_calls_of_nobody_known_has_a_share_of_these_too() -> None:
    made = MapMaker().calls(f"{UNATTRIBUTED}>web", count=10).calls("shop>web", count=10).calls("web>pay", count=5)

    assert described(made, "pay")["web"].share == 0.25


def test_where_a_services_own_requests_are_not_counted_the_share_is_unknown() -> None:
    made = MapMaker("batch>pay").calls("web>shop", layer=Layer.NETWORK).calls("shop>pay")
    found = described(made, "pay")

    assert found["batch"].share is None
    assert found["web"].share is None


def test_the_share_takes_the_counts_of_one_layer_and_does_not_mix_two() -> None:
    made = MapMaker().calls(f"{ENTRY}>web", count=10).calls("web>pay", count=5)
    made.calls(f"{ENTRY}>web", count=1_000, layer=Layer.IPC).calls("web>pay", count=100, layer=Layer.IPC)

    assert described(made, "pay")["web"].share == 0.1


def test_a_queue_between_damps_the_share_and_has_no_requests_of_its_own() -> None:
    made = MapMaker(kinds={"orders.kafka": Kind.QUEUE}).calls(f"{ENTRY}>web", count=100)
    made.calls("web>orders.kafka", count=60).calls("orders.kafka>ship", count=60).calls("ship>pay", count=30)
    found = described(made, "pay")

    assert (found["ship"].share, found["ship"].asynchronous) == (0.5, False)
    assert (found["orders.kafka"].share, found["orders.kafka"].asynchronous) == (0.25, True)
    assert (found["web"].share, found["web"].asynchronous) == (0.15, True)


# -- rank ------------------------------------------------------------------------------------------------------------

CATALOG = Catalog(
    {
        "gold": CatalogEntry(tier="1", domain="shop", owner=Owner("Gold", "#gold", "services.yaml")),
        "silver": CatalogEntry(tier="2"),
        "page": CatalogEntry(tier="3", entry_point=True),
        "plain": CatalogEntry(),
    }
)


def test_hit_come_first_then_entry_points_then_tiers_then_the_untiered() -> None:
    everybody = ("alone", "gold", "page", "plain", "silver", "users", "zhit", "ahit")
    made = MapMaker(*(f"{one}>pay" for one in everybody), f"{ENTRY}>users", catalog=CATALOG)
    made.view.firing |= {"zhit": NOW, "ahit": NOW}

    assert radius(made, "pay").ranked == ("ahit", "zhit", "page", "users", "gold", "silver", "alone", "plain")


def test_among_equals_the_larger_share_comes_first_then_the_nearer_then_the_name() -> None:
    made = MapMaker("near>pay", "also>pay", "a-far>near").calls("near>pay", ago=range(1, 30))
    made.calls("big>little", count=100).calls("little>pay", count=1).calls("big>much", count=100)
    made.calls("much>pay", count=90)

    # Of near and a-far, near is called for each of its requests; of big and also, nobody counts theirs.
    assert radius(made, "pay").ranked == ("near", "much", "little", "also", "a-far", "big")


def test_the_rank_is_the_same_whatever_order_the_map_was_learnt_in() -> None:
    chains = ["web>checkout>pay", "cart>pay", "app>cart", "app>checkout", f"{ENTRY}>app", f"{ENTRY}>web"]
    one, other = MapMaker(*chains, catalog=CATALOG), MapMaker(*reversed(chains), catalog=CATALOG)

    assert [item.id for item in radius(one, "pay").dependents] == [item.id for item in radius(other, "pay").dependents]
    assert radius(one, "pay").ranked[:2] == ("app", "web")


def test_a_dependent_is_described_with_what_the_catalogue_knows() -> None:
    found = described(MapMaker("gold>pay", "plain>pay", catalog=CATALOG), "pay")

    assert found["gold"] == Dependent(
        id="gold",
        hops=1,
        path=("gold", "pay"),
        state="at_risk",
        tier="1",
        domain="shop",
        owner=Owner("Gold", "#gold", "services.yaml"),
    )
    assert found["plain"].owner is None


def test_three_hundred_hit_and_a_thousand_others_are_all_there_hit_first() -> None:
    names = [f"s{number:04}" for number in range(1_300)]
    made = MapMaker(*(f"{one}>pay" for one in names), catalog=CATALOG)
    made.view.firing |= dict.fromkeys(names[1_000:], NOW)
    started = time.process_time()
    found = radius(made, "pay")

    assert time.process_time() - started < 1.0
    assert found.hit == tuple(names[1_000:])
    assert found.at_risk == tuple(names[:1_000])
    assert len(found.dependents) == 1_300


@pytest.mark.parametrize("count", [99, 100, 101])
def test_where_shares_are_no_longer_worked_out_the_order_still_holds(count: int) -> None:
    made = MapMaker(*(f"s{number:03}>pay" for number in range(count)))
    made.calls(f"{ENTRY}>z").calls("z>pay")

    assert radius(made, "pay").ranked == ("z", *(f"s{number:03}" for number in range(count)))
