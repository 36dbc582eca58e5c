"""A service's dependencies in Backstage's words: what an entity states, and what it leaves out as a guess."""

from __future__ import annotations

import re

import pytest
import yaml

from bot.catalog import backstage as reader
from bot.catalog.merge import merge
from bot.edge_detail import EdgeDetail
from bot.enrich import backstage
from bot.enrich.answers import Json, Query
from bot.model import Kind, Layer
from tests.catalog.readings import reading
from tests.kit.maps import NOW, MapMaker

ALL = Query()
NAME = re.compile(r"^[a-z0-9]+([-_.][a-z0-9]+)*$")
CATALOG = """
    apiVersion: backstage.io/v1alpha1
    kind: Component
    metadata: {name: Payments, namespace: Money}
    spec: {type: service, lifecycle: production, owner: group:default/pay-team}
    ---
    apiVersion: backstage.io/v1alpha1
    kind: Resource
    metadata: {name: ledger-db}
    spec: {type: database, owner: data}
    ---
    apiVersion: backstage.io/v1alpha1
    kind: Component
    metadata: {name: web}
    spec: {type: website, lifecycle: production, owner: web-team}
    ---
    apiVersion: backstage.io/v1alpha1
    kind: API
    metadata: {name: rates}
    spec: {type: openapi, lifecycle: production, owner: web-team, definition: "{}"}
"""


@pytest.fixture
def shop() -> MapMaker:
    """web and cart call payments; payments calls ledger-db, the API rates, and a cache that no catalogue has."""
    catalog = merge([reading(reader.read, CATALOG)])
    return MapMaker(
        "web>payments>ledger-db", "cart>payments>rates", "payments>pay-cache", catalog=catalog,
        kinds={"ledger-db": Kind.DATABASE, "pay-cache": Kind.CACHE},
    )  # fmt: skip


def relation(answer: Json, reference: str) -> Json:
    (found,) = [one for one in answer["relations"] if one["targetRef"] == reference]
    return dict(found)


def test_references_are_backstages_own_where_the_catalogue_has_them(shop: MapMaker) -> None:
    answer = backstage.entity(shop.view, "payments", NOW, ALL)

    assert (answer["ref"], answer["in_catalogue"]) == ("component:money/payments", True)
    assert {(one["type"], one["targetRef"], one["in_catalogue"]) for one in answer["relations"]} == {
        ("dependsOn", "resource:default/ledger-db", True),
        ("dependsOn", "resource:default/pay-cache", False),
        ("dependsOn", "api:default/rates", True),
        ("dependencyOf", "component:default/web", True),
        ("dependencyOf", "component:default/cart", False),
    }
    database = relation(answer, "resource:default/ledger-db")
    assert (database["ids"], database["layers"], database["estimated"]) == (["ledger-db"], ["trace"], False)
    assert database["confidence"] == pytest.approx(0.97)
    assert database["last_seen"] == "2023-11-14T22:14:30Z"


def test_the_entity_states_only_what_is_known_and_names_what_it_leaves_out(shop: MapMaker) -> None:
    entity = backstage.entity(shop.view, "payments", NOW, ALL)["entity"]

    assert (entity["apiVersion"], entity["kind"]) == ("backstage.io/v1alpha1", "Component")
    assert entity["spec"] == {
        "type": "service", "lifecycle": "unknown", "owner": "group:default/pay-team",
        "dependsOn": ["resource:default/ledger-db"], "dependencyOf": ["component:default/web"],
    }  # fmt: skip
    marks = entity["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in marks.values())
    assert (marks["topology-bot/id"], marks["topology-bot/layers"]) == ("payments", "trace")
    assert (marks["topology-bot/confidence"], marks["topology-bot/last-seen"]) == ("0.970", "2023-11-14T22:14:30Z")
    assert marks["topology-bot/left-out"] == (
        "dependsOn api:default/rates 0.97, dependsOn resource:default/pay-cache 0.97, dependencyOf component:default/cart 0.97"
    )


def test_an_estimated_call_is_listed_as_one_and_not_stated(shop: MapMaker) -> None:
    shop.calls("payments>ledger-db", layer=Layer.NETWORK)
    shop.calls("web>ledger-db", layer=Layer.NETWORK)
    guess = [(("web", "ledger-db"), EdgeDetail(certainty=0.9, how="likeness"))]
    shop.graph.describe(Layer.NETWORK, guess, NOW)

    answer = backstage.entity(shop.view, "web", NOW, ALL)

    assert relation(answer, "resource:default/ledger-db")["estimated"] is True
    assert answer["entity"]["spec"]["dependsOn"] == ["component:money/payments"]
    assert "resource:default/ledger-db 0.81" in answer["entity"]["metadata"]["annotations"]["topology-bot/left-out"]


def test_what_the_fragment_says_a_catalogue_reads_back_as_the_same_dependencies(shop: MapMaker) -> None:
    entity = backstage.entity(shop.view, "payments", NOW, ALL)["entity"]

    found = reading(reader.read, yaml.safe_dump(entity))

    assert found.problems == ()
    assert [(one.id, one.team, one.depends_on, one.reference) for one in found.facts] == [
        ("payments", "pay-team", ("ledger-db",), "component:money/payments")
    ]


def test_two_services_of_ours_that_are_one_entity_are_one_relation() -> None:
    catalog = merge([reading(reader.read, CATALOG)])
    made = MapMaker("cart>payments@east", catalog=catalog).calls("cart>payments@west", layer=Layer.IPC)

    (one,) = backstage.entity(made.view, "cart", NOW, ALL)["relations"]

    assert (one["targetRef"], one["ids"], one["layers"]) == (
        "component:money/payments", ["payments@east", "payments@west"], ["ipc", "trace"],
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["orders__v2..x", "Über-Dienst!", "a" * 90, "-dash-", "10.0.0.1:8080", "ÿ", "api.stripe.com"]
)
def test_a_name_nobody_registered_becomes_one_that_backstage_takes(name: str) -> None:
    made = MapMaker(f"web>{name}")

    (one,) = backstage.entity(made.view, "web", NOW, ALL)["relations"]

    kind, _, rest = one["targetRef"].partition(":")
    namespace, _, plain = rest.partition("/")
    assert (kind, namespace, one["in_catalogue"]) == ("component", "default", False)
    assert NAME.match(plain)
    assert len(plain) <= 63


def test_a_hub_is_cut_at_the_limit_and_says_so() -> None:
    made = MapMaker(*(f"caller-{number}>hub" for number in range(30)))

    answer = backstage.entity(made.view, "hub", NOW, Query(limit=10))

    assert len(answer["relations"]) == 10
    assert (answer["dependency_of_total"], answer["depends_on_total"], answer["truncated"]) == (30, 0, True)
