"""Answers at the level of workloads: shapes, scope, pages, and what is said where no workload is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich import workload_answers as answers
from bot.enrich.answers import WORKLOAD, Json, Query
from bot.enrich.workload_answers import workload_lines
from bot.errors import BadRequest, NotFound
from bot.model import Kind, Layer, Owner
from tests.kit.maps import NOW, MapMaker

CATALOG = Catalog({"payments": CatalogEntry(Owner("Payments", "@pay", "services.yaml"), "1", "money")})
ALL = Query(level=WORKLOAD)


@pytest.fixture
def shop() -> MapMaker:
    """checkout calls payments-v1 and its canary payments-v2, invoices only payments-v1; the workload on pg nobody knows."""
    made = MapMaker("web>checkout", "web>invoices", catalog=CATALOG, kinds={"pg": Kind.DATABASE})
    made.on("checkout>payments", "checkout>payments-v1", count=90).on("checkout>payments", "checkout>payments-v2")
    return made.on("invoices>payments", "invoices>payments-v1").on("payments>pg", "payments-v1>", "payments-v2>")


def graph(made: MapMaker, query: Query = ALL, *around: str, direction: str = "both") -> Json:
    return answers.graph(made.view, NOW, query, around, direction)


def edges(answer: Json) -> list[str]:
    return [f"{edge['caller']} > {edge['callee']}" for edge in answer["edges"]]


EVERY: dict[str, Callable[[MapMaker], Json]] = {
    "service": lambda made: answers.service(made.view, "payments", NOW, ALL),
    "dependents": lambda made: answers.dependents(made.view, "payments-v2", NOW, ALL, ["web"]),
    "dependencies": lambda made: answers.dependencies_of(made.view, "checkout", NOW, ALL),
    "graph": graph,
}


@pytest.mark.parametrize("name", EVERY)
def test_every_answer_is_json_and_says_its_level_as_of_when_and_how_complete_it_is(name: str, shop: MapMaker) -> None:
    answer = EVERY[name](shop)

    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert (answer["level"], answer["as_of"]) == ("workload", "2023-11-14T22:14:30Z")
    assert answer["coverage"].keys() == {"services", "reporting", "silent", "layers"}


def test_the_graph_has_workloads_where_they_are_known_and_says_where_not(shop: MapMaker) -> None:
    answer = graph(shop)

    assert edges(answer) == [
        "checkout/checkout > payments/payments-v1",
        "checkout/checkout > payments/payments-v2",
        "invoices/invoices > payments/payments-v1",
        "payments/payments-v1 > pg",
        "payments/payments-v2 > pg",
        "web > checkout",
        "web > invoices",
    ]
    assert answer["unknown"] == [{"caller": "web", "callee": "checkout"}, {"caller": "web", "callee": "invoices"}]
    assert answer["unknown_total"] == 2
    nodes = {node["id"]: (node["application"], node["workload"], node["tier"]) for node in answer["nodes"]}
    assert nodes["payments/payments-v2"] == ("payments", "payments-v2", "1")
    assert nodes["checkout"] == ("checkout", "", "")
    assert len(nodes) == len(answer["nodes"])


def test_an_edge_between_workloads_has_its_own_calls_and_the_applications_confidence(shop: MapMaker) -> None:
    first, canary = graph(shop)["edges"][:2]

    assert (first["calls"], canary["calls"]) == ({"trace": 90.0}, {"trace": 10.0})
    assert first["confidence"] == round(shop.graph.confidence("checkout", "payments", NOW), 3)
    assert first["last_seen"] == "2023-11-14T22:14:30Z"
    assert (canary["caller_application"], canary["callee_application"]) == ("checkout", "payments")


def test_around_a_canary_there_are_only_those_it_has_to_do_with(shop: MapMaker) -> None:
    assert edges(graph(shop, ALL, "payments-v2")) == [
        "checkout/checkout > payments/payments-v2",
        "payments/payments-v2 > pg",
    ]
    assert edges(graph(shop, ALL, "payments-v2", direction="callers")) == ["checkout/checkout > payments/payments-v2"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_show_every_edge_once_whatever_their_size(shop: MapMaker, limit: int) -> None:
    seen: list[str] = []
    query = replace(ALL, limit=limit)
    while True:
        answer = graph(shop, query)
        assert len(answer["edges"]) <= limit
        seen += edges(answer)
        if answer["next_cursor"] is None:
            break
        query = replace(query, cursor=answer["next_cursor"])

    assert seen == edges(graph(shop))


def test_pairs_that_were_folded_are_an_edge_of_unknown_workloads_on_whatever_page(shop: MapMaker) -> None:
    shop.on("web>payments", "a>b", "other>other", "z>b", count=7)
    seen: list[tuple[str, str, float]] = []
    query = replace(ALL, limit=1)
    while True:
        answer = graph(shop, query, "web", direction="callees")
        seen += [(edge["caller"], edge["callee"], edge["calls"].get("trace", 0)) for edge in answer["edges"]]
        if answer["next_cursor"] is None:
            break
        query = replace(query, cursor=answer["next_cursor"])

    assert [one for one in seen if "payments" in one[1]] == [
        ("web", "payments", 7),
        ("web/a", "payments/b", 7),
        ("web/z", "payments/b", 7),
    ]


def test_a_cursor_that_no_answer_gave_is_refused(shop: MapMaker) -> None:
    with pytest.raises(BadRequest):
        graph(shop, replace(ALL, cursor="no such cursor"))


def test_who_never_calls_the_canary_is_not_among_its_dependents(shop: MapMaker) -> None:
    answer = answers.dependents(shop.view, "payments-v2", NOW, ALL)

    assert [(item["id"], item["hops"], item["path"]) for item in answer["items"]] == [
        ("checkout/checkout", 1, ["checkout/checkout", "payments/payments-v2"]),
        ("web", 2, ["web", "checkout/checkout", "payments/payments-v2"]),
    ]
    assert (answer["id"], answer["total"], answer["truncated"]) == ("payments/payments-v2", 2, False)
    assert (answer["hit"], answer["at_risk"], answer["owners"]) == (0, 2, [])
    assert not any(item["asynchronous"] or item["entry_point"] for item in answer["items"])
    together = answers.dependents(shop.view, "payments-v2", NOW, ALL, ["payments-v1"])
    assert {item["id"] for item in together["items"]} == {"checkout/checkout", "invoices/invoices", "web"}
    assert together["with"] == ["payments/payments-v1"]


def test_whom_to_tell_is_said_once_for_each_owner_and_a_failing_dependent_is_hit(shop: MapMaker) -> None:
    shop.usually("payments>pg", "web>payments").calls("payments>pg", "web>payments", failed=9)

    answer = answers.dependents(shop.view, "pg", NOW, replace(ALL, depth=1))

    assert [(item["id"], item["state"]) for item in answer["items"]] == [
        ("payments/payments-v1", "hit"),
        ("payments/payments-v2", "hit"),
    ]
    assert (answer["hit"], answer["at_risk"]) == (2, 0)
    assert [(one["owner"]["team"], one["services"]) for one in answer["owners"]] == [("Payments", 1)]


def test_what_a_workload_needs_with_the_way_there(shop: MapMaker) -> None:
    answer = answers.dependencies_of(shop.view, "invoices", NOW, ALL)

    assert [(item["id"], item["path"], item["kind"]) for item in answer["items"]] == [
        ("payments/payments-v1", ["invoices", "payments/payments-v1"], "service"),
        ("pg", ["invoices", "payments/payments-v1", "pg"], "database"),
    ]
    assert answer["items"][0]["owner"]["team"] == "Payments"


def test_scope_and_layers_are_kept_to(shop: MapMaker) -> None:
    shop.on("checkout>payments", "checkout>payments-v3", layer=Layer.IPC)

    only_ipc = graph(shop, replace(ALL, layers=frozenset({Layer.IPC})))
    money = answers.dependencies_of(shop.view, "web", NOW, replace(ALL, domain="money"))

    assert edges(only_ipc) == ["checkout/checkout > payments/payments-v3"]
    assert {item["application"] for item in money["items"]} == {"payments"}


def test_one_workload_has_only_its_own_edges(shop: MapMaker) -> None:
    whole = answers.service(shop.view, "payments", NOW, ALL)
    one = answers.service(shop.view, "payments/payments-v2", NOW, ALL)

    assert (whole["callers_total"], whole["callees_total"]) == (3, 2)
    assert whole["workloads"] == one["workloads"] == ["payments-v1", "payments-v2"]
    assert [edge["caller"] for edge in one["callers"]] == ["checkout/checkout"]
    assert [edge["caller"] for edge in one["callees"]] == ["payments/payments-v2"]
    assert (one["id"], one["application"], one["workload"]) == ("payments/payments-v2", "payments", "payments-v2")


def test_a_workload_has_no_edges_of_its_namesake_in_another_cluster() -> None:
    made = MapMaker().on("web>pay", "web-1>pay-1@east", "web-1>pay-1@west")
    answer = answers.service(made.view, "pay/pay-1@east", NOW, ALL)

    assert [edge["callee"] for edge in answer["callers"]] == ["pay/pay-1@east"]


def test_an_edge_without_a_workload_belongs_to_every_workload_and_is_said_to_be_unknown(shop: MapMaker) -> None:
    shop.calls("web>payments")

    answer = answers.service(shop.view, "payments-v2", NOW, ALL)

    assert [edge["caller"] for edge in answer["callers"]] == ["checkout/checkout", "web"]
    assert answer["unknown"] == [{"caller": "web", "callee": "payments"}]


def test_self_calls_and_background_services_are_hidden_unless_asked_for(shop: MapMaker) -> None:
    shop.on("payments>payments", "payments-v1>payments-v2").calls("prometheus>payments")

    plain = answers.service(shop.view, "payments", NOW, ALL)
    everything = answers.service(shop.view, "payments", NOW, replace(ALL, hidden=True))

    assert "prometheus" not in [edge["caller"] for edge in plain["callers"]]
    assert {"prometheus", "payments/payments-v1"} <= {edge["caller"] for edge in everything["callers"]}


def test_a_person_reads_workloads_calls_and_what_is_not_known(shop: MapMaker) -> None:
    shop.calls("web>payments")

    lines = workload_lines(answers.service(shop.view, "payments", NOW, ALL))

    assert lines == [
        "payments · workloads: payments-v1, payments-v2",
        "Callers 4:",
        "  checkout/checkout (on payments-v1)  90 calls",
        "  checkout/checkout (on payments-v2)  10 calls",
        "  invoices/invoices (on payments-v1)  10 calls",
        "  web",
        "Calls 2:",
        "  pg (on payments-v1)  10 calls",
        "  pg (on payments-v2)  10 calls",
        "no workload known of 1: web → payments",
    ]


def test_nobody_by_that_name_is_not_found_with_the_closest_names(shop: MapMaker) -> None:
    with pytest.raises(NotFound) as missing:
        answers.service(shop.view, "paymnets", NOW, ALL)
    assert "payments" in missing.value.suggestions
