"""Backstage's entities as people write them."""

from __future__ import annotations

import pytest

from bot.catalog import backstage
from bot.catalog.entries import Link
from bot.catalog.merge import merge
from bot.model import Kind, Owner
from tests.catalog.readings import only, reading

COMPONENT = """
    apiVersion: backstage.io/v1alpha1
    kind: Component
    metadata:
      name: Payments
      title: Payments API
      labels: {tier: "1"}
      annotations:
        pagerduty.com/service-id: PF9KMXH
        pagerduty.com/integration-key: not-to-be-read
        github.com/project-slug: shop/payments
        backstage.io/kubernetes-id: pay-svc
      links:
        - {url: "https://wiki.example/pay", title: Runbook}
        - {url: "https://grafana.example/pay", title: Dashboard, icon: dashboard}
    spec:
      type: service
      lifecycle: production
      owner: group:default/payments-team
      system: money-in
      dependsOn: ["resource:default/ledger-db", "component:ledger", cart]
"""


def test_everything_a_component_says() -> None:
    found = only(reading(backstage.read, COMPONENT))

    assert (found.id, found.team, found.tier, found.system) == ("payments", "payments-team", "1", "money-in")
    assert (found.runbook, found.repository) == ("https://wiki.example/pay", "https://github.com/shop/payments")
    assert found.links == (Link("Dashboard", "https://grafana.example/pay"),)
    assert found.depends_on == ("ledger-db", "ledger", "cart")
    assert (found.aliases, found.names, found.kind) == (("pay-svc",), ("payments api", "pf9kmxh"), Kind.SERVICE)
    assert (found.where("team"), found.where("aliases")) == ("file.yaml:19", "file.yaml:2")


def test_a_secret_among_the_annotations_is_not_read() -> None:
    assert "not-to-be-read" not in repr(reading(backstage.read, COMPONENT))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("payments", "payments"),
        ("group:payments", "payments"),
        ("group:default/payments", "payments"),
        ("shop/payments", "payments"),
        ("user:shop/ada", "ada"),
        ("user:guest", ""),
        ("User:default/guest", ""),
        ("", ""),
    ],
)
def test_an_owner_is_a_reference_whose_kind_and_namespace_may_be_left_out(written: str, name: str) -> None:
    assert backstage.reference(written) == name


def test_a_domain_is_found_through_the_system_wherever_that_is_described() -> None:
    systems = reading(
        backstage.read,
        """
        ---
        apiVersion: backstage.io/v1alpha1
        kind: System
        metadata: {name: money-in}
        spec: {owner: payments-team, domain: default/money}
        ---
        apiVersion: backstage.io/v1alpha1
        kind: Group
        metadata: {name: payments-team}
        spec: {type: team, profile: {email: pay@shop.example}}
        """,
    )
    entry = merge([reading(backstage.read, COMPONENT), systems]).entries["payments"]

    assert entry.domain == "money"
    assert entry.owner == Owner("payments-team", "", "file.yaml", email="pay@shop.example")
    assert systems.facts == ()


@pytest.mark.parametrize(
    ("kind", "type_", "found"),
    [
        ("Resource", "postgres-database", Kind.DATABASE),
        ("Resource", "kafka-topic", Kind.QUEUE),
        ("Resource", "redis-cache", Kind.CACHE),
        ("Resource", "s3-bucket", None),
        ("API", "openapi", None),
        ("Component", "website", None),
    ],
)
def test_resources_are_what_their_type_says(kind: str, type_: str, found: Kind | None) -> None:
    text = f"{{apiVersion: backstage.io/v1, kind: {kind}, metadata: {{name: x}}, spec: {{type: {type_}, owner: a}}}}"

    assert only(reading(backstage.read, text)).kind is found


@pytest.mark.parametrize("kind", ["Location", "User", "Template", "Domain", "OurOwn"])
def test_what_is_no_service_is_passed_over(kind: str) -> None:
    found = reading(backstage.read, f"{{apiVersion: backstage.io/v1, kind: {kind}, metadata: {{name: x}}}}")

    assert (found.facts, found.problems) == ((), ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a]", "file.yaml:1: an entity is not a mapping of fields"),
        ("{metadata: {name: x}}", "file.yaml:1: an entity has no kind; want kind: Component, API, Resource, System, Domain or Group"),
        ("{kind: Component}", "file.yaml:1: a service has no id"),
        ("{kind: Component, metadata: x}", "file.yaml:1: metadata is not a mapping of fields"),
        ("{kind: Component, metadata: {name: [x]}}", "file.yaml:1: name is not a text"),
        ("{kind: Component, metadata: {name: x, links: [{url: 'javascript:1'}]}}", "file.yaml:1: x: the url is not an http(s) address"),
        ("{kind: Component, metadata: {name: x, links: [a]}}", "file.yaml:1: x: a link is not a mapping of fields"),
        ("{kind: Component, metadata: {name: x}, spec: {dependsOn: {a: b}}}", "file.yaml:1: x: dependsOn is not a list"),
        ("{kind: Component, metadata: {name: x}, spec: {owner: [a]}}", "file.yaml:1: owner is not a text"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_and_the_rest_is_read(text: str, problem: str) -> None:
    found = reading(backstage.read, f"{text}\n--- {{kind: Component, metadata: {{name: other}}}}\n")

    assert found.problems[0] == problem
    assert found.facts[-1].id == "other"
