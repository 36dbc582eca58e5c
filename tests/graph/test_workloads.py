"""The map one level down: pairs of workloads by edge, and walks that follow them."""

from __future__ import annotations

import pytest

from bot.edge_detail import MAX_WORKLOAD_PAIRS, OTHER_PAIR, EdgeDetail
from bot.errors import Ambiguous, NotFound
from bot.graph.workload_names import MAX_OF_SERVICE, WorkloadNames
from bot.graph.workloads import MAX_EDGES, find, of_service, pairs, reach
from bot.model import Layer
from tests.kit.maps import NOW, MapMaker, minute


@pytest.fixture
def canary() -> MapMaker:
    """invoices only calls payments-v1, checkout calls payments-v2 as well; web calls both, and nobody knows its workload."""
    made = MapMaker("web>checkout", "web>invoices", "payments>pg")
    made.on("checkout>payments", "checkout>payments-v1", "checkout>payments-v2")
    return made.on("invoices>payments", "invoices>payments-v1")


def who_needs(made: MapMaker, text: str, depth: int | None = None) -> dict[str, int]:
    found = reach(made.graph, [find(made.graph, text)], inward=True, depth=depth).found
    return {f"{service}/{workload}" if workload else service: hops for (service, workload), hops in found.items()}


def test_who_never_calls_a_canary_is_no_dependent_of_it(canary: MapMaker) -> None:
    assert who_needs(canary, "payments-v2") == {"checkout/checkout": 1, "web": 2}
    assert who_needs(canary, "payments-v1") == {"checkout/checkout": 1, "invoices/invoices": 1, "web": 2}


def test_an_application_is_all_of_its_workloads(canary: MapMaker) -> None:
    assert who_needs(canary, "payments").keys() == {"checkout/checkout", "invoices/invoices", "web"}
    assert of_service(canary.graph, "payments") == ["payments-v1", "payments-v2"]


def test_a_workload_nobody_knows_may_be_any_so_the_walk_goes_through_it(canary: MapMaker) -> None:
    assert who_needs(canary, "pg") == {"payments": 1, "checkout/checkout": 2, "invoices/invoices": 2, "web": 3}


def test_what_a_workload_needs_is_what_it_calls() -> None:
    made = MapMaker().on("web>payments", "web-1>payments-1", "web-2>payments-2").on("payments>pg", "payments-1>")
    found = reach(made.graph, [find(made.graph, "web-1")], inward=False)

    assert list(found.found) == [("payments", "payments-1"), ("pg", "")]
    assert found.path(("pg", "")) == (("pg", ""), ("payments", "payments-1"), ("web", "web-1"))
    assert list(reach(made.graph, [find(made.graph, "web-2")], inward=False).found) == [("payments", "payments-2")]


def test_a_walk_round_a_circle_ends_and_depth_bounds_it() -> None:
    made = MapMaker().on("a>b", "a-1>b-1").on("b>c", "b-1>c-1").on("c>a", "c-1>a-1")

    assert who_needs(made, "a-1") == {"c/c-1": 1, "b/b-1": 2}
    assert who_needs(made, "a-1", depth=1) == {"c/c-1": 1}


def test_half_a_pair_says_nothing_beside_a_whole_one_with_the_same_end() -> None:
    made = MapMaker().on("web>payments", "web-1>payments-1").on("web>payments", "web-1>", layer=Layer.IPC)
    made.on("web>payments", ">payments-2", layer=Layer.IPC)

    assert set(pairs(made.graph, "web", "payments")) == {("web-1", "payments-1"), ("", "payments-2")}
    assert set(pairs(made.graph, "web", "payments", {Layer.IPC})) == {("web-1", ""), ("", "payments-2")}


def test_a_source_that_does_not_know_the_cluster_means_the_same_workload() -> None:
    made = MapMaker().on("web>payments", "web.shop@east>payments.shop@east")
    made.on("web>payments", "web.shop>payments.shop", layer=Layer.IPC)

    found = pairs(made.graph, "web", "payments")

    assert {pair: sorted(counts) for pair, counts in found.items()} == {
        ("web.shop@east", "payments.shop@east"): [Layer.IPC, Layer.TRACE]
    }


def test_where_two_clusters_have_the_name_nobody_guesses_which_was_meant() -> None:
    made = MapMaker().on("web>payments", "web>pay@east", "web>pay@west", "web>pay")

    assert set(pairs(made.graph, "web", "payments")) == {("web", "pay@east"), ("web", "pay@west"), ("web", "pay")}


def test_clusters_told_apart_stay_apart_on_a_walk_and_an_untold_one_may_be_either() -> None:
    made = MapMaker().on("web>payments", "web@east>pay@east", "web@west>pay@west").on("payments>pg", "pay>pg-0")

    assert who_needs(made, "pay@east") == {"web/web@east": 1}
    assert who_needs(made, "pg-0") == {"payments/pay": 1, "web/web@east": 2, "web/web@west": 2}


def test_a_pair_unseen_for_a_day_while_its_edge_was_is_gone() -> None:
    made = MapMaker().on("web>payments", "web>payments-old", ago=25 * 60).on("web>payments", "web>payments-new")

    assert set(pairs(made.graph, "web", "payments")) == {("web", "payments-new")}


def test_a_pair_whose_every_call_was_taken_back_is_no_pair() -> None:
    made = MapMaker().on("web>payments", "web>payments-1").on("web>payments", "web>payments-1", count=-10.0)

    assert not pairs(made.graph, "web", "payments")


def test_beyond_the_bound_the_longest_unseen_fold_into_other_and_no_call_is_lost() -> None:
    detail = EdgeDetail()
    for number in range(3 * MAX_WORKLOAD_PAIRS):
        detail.count_workloads(("web", f"payments-{number}"), 1.0, 60 * number)

    newest = {("web", f"payments-{number}") for number in range(2 * MAX_WORKLOAD_PAIRS, 3 * MAX_WORKLOAD_PAIRS)}
    assert detail.workloads.keys() == newest | {OTHER_PAIR}
    assert sum(calls for calls, _ in detail.workloads.values()) == 3 * MAX_WORKLOAD_PAIRS
    detail.count_workloads(("web", "payments-0"), 5.0, 0)  # late: its place is taken
    assert detail.workloads[OTHER_PAIR][0] == 2 * MAX_WORKLOAD_PAIRS + 5


def test_behind_folded_pairs_there_may_be_any_workload() -> None:
    made = MapMaker().on("web>payments", "web>payments-1", "other>other").on("invoices>payments", "invoices>payments-1")

    assert who_needs(made, "payments/payments-1") == {"invoices/invoices": 1, "web/web": 1}
    made.on("web>pg", "web>pg-2").on("payments>pg", "payments-1>pg-1", "other>other")
    assert who_needs(made, "pg-2", depth=1) == {"payments": 1, "web/web": 1}


def test_counts_come_to_the_same_in_any_order() -> None:
    parts = [(("a", "b"), 3.0, 60), (("a", "c"), 1.0, 0), (("a", "b"), -1.0, 120), (("a", "b"), 2.0, 0)]
    forward, backward = EdgeDetail(), EdgeDetail()
    for part in parts:
        forward.count_workloads(*part)
    for part in reversed(parts):
        other = EdgeDetail()
        other.count_workloads(*part)
        backward.add(other)

    assert forward.workloads == backward.workloads == {("a", "b"): (4.0, 120), ("a", "c"): (1.0, 0)}


def test_more_of_the_same_is_news_once_an_hour_so_that_it_is_not_written_all_the_time() -> None:
    made = MapMaker().on("web>payments", "web>payments-1", ago=30)

    def told(ago: int) -> bool:
        more = EdgeDetail()
        more.count_workloads(("web", "payments-1"), 1.0, minute(ago))
        return bool(made.graph.describe(Layer.TRACE, [(("web", "payments"), more)], NOW))

    assert [told(29), told(28), told(0), told(0)] == [False, False, True, False]


def test_a_walk_over_a_hub_beyond_all_measure_is_cut_and_says_so() -> None:
    made = MapMaker(*(f"caller-{number}>hub" for number in range(MAX_EDGES + 1)))

    assert reach(made.graph, [("hub", "")], inward=True).truncated
    assert not reach(made.graph, [("caller-7", "")], inward=True).truncated


def test_a_service_that_leaves_the_map_takes_its_workloads_names_along() -> None:
    made = MapMaker().on("web>payments", "web-1.shop@east>payments-1")
    assert find(made.graph, "web-1") == ("web", "web-1.shop@east")
    for _ in made.graph.sweep(NOW + 9_000, before=NOW + 8_000):
        pass

    assert made.graph.workloads.find("web-1") == []
    with pytest.raises(NotFound):
        find(made.graph, "web-1")


def test_names_of_workloads_without_end_are_bounded_for_each_service() -> None:
    names = WorkloadNames()
    names.learn(("web", "payments"), [(f"web-{number}", "payments-1") for number in range(3 * MAX_OF_SERVICE)])

    assert len([number for number in range(3 * MAX_OF_SERVICE) if names.find(f"web-{number}")]) == MAX_OF_SERVICE
    assert names.find("payments-1") == [("payments", "payments-1")]


def test_a_name_several_workloads_have_is_asked_back_and_an_unknown_one_gets_suggestions(canary: MapMaker) -> None:
    canary.on("web>checkout", "web>pay.a").on("web>invoices", "web>pay.b@east")

    with pytest.raises(Ambiguous) as several:
        find(canary.graph, "pay")
    assert several.value.suggestions == ("checkout/pay.a", "invoices/pay.b@east")
    assert find(canary.graph, "PAY.b") == ("invoices", "pay.b@east")
    assert find(canary.graph, "checkout/pay") == ("checkout", "pay.a")
    for unknown in ("paymnets-v2", "payments/no-such", "/", "a\nb", "x" * 5_000):
        with pytest.raises(NotFound):
            find(canary.graph, unknown)
