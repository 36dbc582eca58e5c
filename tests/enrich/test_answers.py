"""The answers of the API, the command line and the slash command: their shapes, their scope, their pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich import answers
from bot.enrich.answers import Json, Query
from bot.enrich.paging import write_cursor
from bot.errors import BadRequest
from bot.model import ENTRY, Kind, Layer, Owner
from tests.kit.maps import NOW, MapMaker

WEB = {"team": "Web", "slack": "", "email": "", "on_call": "", "mention": "", "source": "services.yaml", "label": "Web"}
CATALOG = Catalog(
    {
        "pay": CatalogEntry(Owner("Payments", "@pay", "services.yaml"), "1", "money", "https://runbooks.test/pay"),
        "web": CatalogEntry(Owner("Web", "", "services.yaml"), "1", "shop", entry_point=True),
        "cart": CatalogEntry(tier="2", domain="shop"),
    }
)
ALL = Query()


@pytest.fixture
def shop() -> MapMaker:
    """web -> checkout -> pay -> pg, cart -> pay; pay fails now."""
    made = MapMaker(catalog=CATALOG, kinds={"pg": Kind.DATABASE})
    made.usually(f"{ENTRY}>web>checkout>pay>pg", "cart>pay")
    return made.calls("web>checkout>pay>pg", "cart>pay", failed=5).calls(f"{ENTRY}>web")


def ids(answer: Json) -> list[str]:
    return [item["id"] for item in answer["items"]]


# -- what every answer has -------------------------------------------------------------------------------------------

Answer = Callable[[MapMaker], Json]
EVERY_ANSWER: dict[str, Answer] = {
    "services": lambda made: answers.services(made.view, NOW, ALL),
    "service": lambda made: answers.service(made.view, "pay", NOW, ALL),
    "dependents": lambda made: answers.dependents(made.view, "pay", NOW, ALL),
    "dependencies": lambda made: answers.dependencies_of(made.view, "web", NOW, ALL),
    "path": lambda made: answers.path(made.view, "web", "pg", NOW, ALL),
}


@pytest.mark.parametrize("name", EVERY_ANSWER)
def test_every_answer_is_json_and_says_as_of_when_and_how_complete_it_is(name: str, shop: MapMaker) -> None:
    answer = EVERY_ANSWER[name](shop)

    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert answer["as_of"] == "2023-11-14T22:14:30Z"
    assert answer["coverage"].keys() == {"services", "reporting", "silent", "layers"}
    assert answer["coverage"]["silent"] == []
    assert answer["coverage"]["services"] == answer["coverage"]["reporting"] > 0
    assert answer["coverage"]["layers"] == {"trace": {"age_seconds": 0}}


@pytest.mark.parametrize("name", sorted(EVERY_ANSWER.keys() - {"service"}))
def test_every_list_is_items_with_a_cursor(name: str, shop: MapMaker) -> None:
    answer = EVERY_ANSWER[name](shop)

    assert isinstance(answer["items"], list)
    assert answer["next_cursor"] is None


@pytest.mark.parametrize("name", EVERY_ANSWER)
def test_the_same_question_gets_the_same_answer(name: str, shop: MapMaker) -> None:
    assert json.dumps(EVERY_ANSWER[name](shop)) == json.dumps(EVERY_ANSWER[name](shop))


def test_the_silent_are_named_with_their_age() -> None:
    made = MapMaker("web>pay").calls("old>pay", ago=20)
    found = answers.dependents(made.view, "pay", NOW, ALL)["coverage"]

    assert found["silent"] == [{"id": "old", "age_seconds": 1_200}]
    assert (found["services"], found["reporting"]) == (2, 1)


# -- shapes ----------------------------------------------------------------------------------------------------------


def test_a_dependent_has_its_way_its_share_its_state_and_its_owner(shop: MapMaker) -> None:
    answer = answers.dependents(shop.view, "pay", NOW, ALL)
    web = next(item for item in answer["items"] if item["id"] == "web")

    assert answer["items"][0].keys() == web.keys()
    assert {"id", "hops", "path", "share", "state", "tier", "domain", "owner"} <= web.keys()
    assert (web["hops"], web["path"], web["share"], web["state"]) == (2, ["web", "checkout", "pay"], 1.0, "hit")
    assert (web["tier"], web["domain"], web["entry_point"]) == ("1", "shop", True)
    assert web["owner"] == WEB
    assert (answer["id"], answer["hit"], answer["at_risk"], answer["total"]) == ("pay", 3, 0, 3)
    assert answer["truncated"] is False


def test_a_dependency_has_its_way_along_the_calls_and_whether_it_fails(shop: MapMaker) -> None:
    answer = answers.dependencies_of(shop.view, "web", NOW, ALL)

    assert [{name: item[name] for name in ("id", "hops", "path", "state")} for item in answer["items"]] == [
        {"id": "checkout", "hops": 1, "path": ["web", "checkout"], "state": "failing"},
        {"id": "pay", "hops": 2, "path": ["web", "checkout", "pay"], "state": "failing"},
        {"id": "pg", "hops": 3, "path": ["web", "checkout", "pay", "pg"], "state": "failing"},
    ]
    assert [item["kind"] for item in answer["items"]] == ["service", "service", "database"]


def test_an_edge_has_each_layers_own_numbers_side_by_side(shop: MapMaker) -> None:
    shop.calls("web>checkout", count=7, failed=1, bucket=None, layer=Layer.IPC, ago=3)
    shop.calls("web>checkout", layer=Layer.NETWORK, ago=45)
    found = answers.edge(shop.view, "web", "checkout", NOW)

    assert {"caller", "callee", "layers", "confidence", "estimated", "via", "first_seen", "last_seen"} <= found.keys()
    assert (found["caller"], found["callee"], found["via"], found["estimated"]) == ("web", "checkout", [], False)
    assert list(found["layers"]) == ["ipc", "network", "trace"]
    assert {"calls", "errors", "latency_ms", "last_seen", "sampled"} <= found["layers"]["trace"].keys()
    assert found["layers"]["ipc"]["calls"] == 7
    assert found["layers"]["ipc"]["errors"] == 1
    assert found["layers"]["ipc"]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert found["layers"]["trace"]["calls"] == found["layers"]["trace"]["sampled"] == 220
    assert 4 <= found["layers"]["trace"]["latency_ms"]["p50"] <= found["layers"]["trace"]["latency_ms"]["p99"] <= 8
    assert "calls" not in found["layers"]["network"]  # nothing counts calls there
    assert found["first_seen"] == found["layers"]["network"]["first_seen"] < found["layers"]["trace"]["first_seen"]
    assert found["last_seen"] == found["layers"]["trace"]["last_seen"] == "2023-11-14T22:14:30Z"
    assert found["confidence"] > 0.99


def test_a_service_has_what_it_is_how_it_does_and_its_neighbours(shop: MapMaker) -> None:
    found = answers.service(shop.view, "pay", NOW, ALL)

    assert (found["id"], found["kind"], found["state"], found["why"]) == ("pay", "service", "failing", "errors")
    assert (found["tier"], found["domain"], found["runbook"]) == ("1", "money", "https://runbooks.test/pay")
    assert found["owner"]["label"] == "@pay"
    assert found["nearest_owned_dependent"] is None
    assert found["rates"] == {
        "calls": 20.0,
        "error_rate": 0.5,
        "usual_error_rate": 0.0,
        "p95_ms": 7.8,
        "usual_p95_ms": 7.8,
    }
    assert [(one["caller"], one["callee"]) for one in found["callers"]] == [("cart", "pay"), ("checkout", "pay")]
    assert [one["callee"] for one in found["callees"]] == ["pg"]
    assert (found["callers_total"], found["callees_total"]) == (2, 1)
    assert found["last_seen"] == "2023-11-14T22:14:30Z"


def test_a_service_without_traffic_or_owner_says_so_and_names_the_nearest_owned_dependent(shop: MapMaker) -> None:
    shop.calls("checkout>ledger", layer=Layer.NETWORK)
    found = answers.service(shop.view, "ledger", NOW, ALL)

    assert found["rates"]["calls"] == 0
    assert found["rates"]["error_rate"] is found["rates"]["usual_error_rate"] is found["rates"]["p95_ms"] is None
    assert found["owner"] is None
    assert found["nearest_owned_dependent"] == {
        "id": "web",
        "owner": WEB,
    }


def test_a_path_has_its_edges(shop: MapMaker) -> None:
    answer = answers.path(shop.view, "web", "pay", NOW, ALL)
    [found] = answer["items"]

    assert (answer["from"], answer["to"]) == ("web", "pay")
    assert (found["path"], found["hops"]) == (["web", "checkout", "pay"], 2)
    assert [(one["caller"], one["callee"]) for one in found["edges"]] == [("web", "checkout"), ("checkout", "pay")]


def test_where_there_is_no_path_the_list_is_empty(shop: MapMaker) -> None:
    assert answers.path(shop.view, "pg", "web", NOW, ALL)["items"] == []


# -- scope -----------------------------------------------------------------------------------------------------------


def test_services_are_listed_by_id_and_found_by_a_part_of_it(shop: MapMaker) -> None:
    assert ids(answers.services(shop.view, NOW, ALL)) == ["cart", "checkout", "pay", "pg", "web"]
    assert ids(answers.services(shop.view, NOW, ALL, " C ")) == ["cart", "checkout"]
    assert ids(answers.services(shop.view, NOW, ALL, "nobody")) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(tier="1"), ["web"]),
        (Query(tier="2"), ["cart"]),
        (Query(domain="shop"), ["web", "cart"]),
        (Query(tier="2", domain="shop"), ["cart"]),
        (Query(domain="money"), []),
        (Query(depth=1), ["cart", "checkout"]),
    ],
)
def test_a_tier_a_domain_or_a_depth_narrows_the_answer(query: Query, expected: list[str], shop: MapMaker) -> None:
    assert ids(answers.dependents(shop.view, "pay", NOW, query)) == expected


def test_a_layer_narrows_the_walk_to_what_that_layer_saw(shop: MapMaker) -> None:
    shop.calls("app>pay", layer=Layer.NETWORK)

    def asked(*layers: Layer) -> list[str]:
        return sorted(ids(answers.dependents(shop.view, "pay", NOW, Query(layers=frozenset(layers)))))

    assert asked(Layer.NETWORK) == ["app"]
    assert asked(Layer.IPC) == []
    assert asked(Layer.NETWORK, Layer.TRACE) == asked() == ["app", "cart", "checkout", "web"]


def test_faded_edges_are_walked_and_shown_only_where_they_are_asked_for() -> None:
    made = MapMaker("web>pay").calls("old>pay", ago=59).calls("pay>gone", ago=59)
    list(made.graph.sweep(NOW, 0.0))

    def asked(query: Query) -> tuple[Any, ...]:
        one = answers.service(made.view, "pay", NOW, query)
        return (
            ids(answers.dependents(made.view, "pay", NOW, query)),
            ids(answers.dependencies_of(made.view, "pay", NOW, query)),
            [edge["caller"] for edge in one["callers"]],
            one["callees_total"],
            len(answers.path(made.view, "old", "pay", NOW, query)["items"]),
        )

    assert asked(Query()) == (["web"], [], ["web"], 0, 0)
    assert asked(Query(hidden=True)) == (["old", "web"], ["gone"], ["old", "web"], 1, 1)
    assert asked(Query(min_confidence=0.0)) == asked(Query(hidden=True))
    assert asked(Query(min_confidence=0.5)) == asked(Query())


def test_a_self_call_is_shown_only_where_it_is_asked_for() -> None:
    made = MapMaker("web>pay>pay")

    assert answers.service(made.view, "pay", NOW, Query())["callers_total"] == 1
    assert answers.service(made.view, "pay", NOW, Query())["callees"] == []
    assert answers.service(made.view, "pay", NOW, Query(hidden=True))["callers_total"] == 2


# -- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 25, 26, 100])
@pytest.mark.parametrize("name", ["services", "dependents", "dependencies"])
def test_pages_cover_everything_once_in_the_same_order(name: str, limit: int) -> None:
    made = MapMaker(*(f"s{number:02}>hub" for number in range(25)), *(f"hub>t{number:02}" for number in range(25)))
    ask: dict[str, Callable[[Query], Json]] = {
        "services": lambda query: answers.services(made.view, NOW, query),
        "dependents": lambda query: answers.dependents(made.view, "hub", NOW, query),
        "dependencies": lambda query: answers.dependencies_of(made.view, "hub", NOW, query),
    }
    whole = ask[name](Query(limit=1_000))
    seen: list[str] = []
    cursor: str | None = ""
    for _ in range(60):
        if cursor is None:
            break
        page = ask[name](Query(limit=limit, cursor=cursor))
        assert len(page["items"]) <= limit
        assert page["total"] == whole["total"]
        assert page["coverage"] == whole["coverage"]
        seen += ids(page)
        cursor = page["next_cursor"]

    assert cursor is None
    assert seen == ids(whole)
    assert len(set(seen)) == len(seen) == whole["total"]


def test_a_page_beyond_the_end_is_empty_and_the_last(shop: MapMaker) -> None:
    answer = answers.services(shop.view, NOW, Query(cursor=write_cursor(500, "zzz")))

    assert (answer["items"], answer["next_cursor"], answer["total"]) == ([], None, 5)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", " 1", "٣", "9" * 9, "1;drop", "²"])
def test_a_cursor_no_answer_gave_is_refused(cursor: str, shop: MapMaker) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        answers.services(shop.view, NOW, Query(cursor=cursor))


def test_neighbours_beyond_the_limit_are_counted(shop: MapMaker) -> None:
    found = answers.service(shop.view, "pay", NOW, Query(limit=1))

    assert len(found["callers"]) == 1
    assert found["callers_total"] == 2
