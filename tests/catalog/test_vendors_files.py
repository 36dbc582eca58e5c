"""Datadog's, Cortex's and OpsLevel's files as people write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bot.catalog import cortex, datadog, opslevel
from bot.catalog.entries import Link
from bot.catalog.facts import Notes
from bot.catalog.plain_yaml import Document
from bot.model import Kind
from tests.catalog.readings import only, reading

PAGE, BOARD, REPOSITORY = "https://wiki.example/pay", "https://grafana.example/pay", "https://github.com/shop/payments"


class TestDatadog:
    """`service.datadog.yaml` and `entity.datadog.yaml`."""

    def test_everything_a_definition_of_version_2_says(self) -> None:
        found = only(
            reading(
                datadog.read,
                f"""
                schema-version: v2.2
                dd-service: Payments
                team: Payments Team
                tier: Tier 1
                application: shop
                tags: ["domain:money", "env:prod"]
                contacts:
                  - {{type: slack, contact: "#payments"}}
                  - {{type: slack, name: Talk, contact: "https://shop.slack.com/archives/C1"}}
                  - {{type: email, contact: pay@shop.example}}
                links:
                  - {{name: Runbook, type: runbook, url: "{PAGE}"}}
                  - {{name: Board, type: dashboard, url: "{BOARD}"}}
                repos: [{{name: code, provider: github, url: "{REPOSITORY}"}}]
                integrations: {{pagerduty: {{service-url: "https://shop.pagerduty.com/service-directory/PF9KMXH"}}}}
                """,
            )
        )

        assert (found.id, found.team, found.slack, found.email) == (
            "payments",
            "Payments Team",
            "#payments",
            "pay@shop.example",
        )
        assert (found.tier, found.domain, found.runbook, found.repository) == ("1", "money", PAGE, REPOSITORY)
        assert found.links == (Link("Board", BOARD), Link("Talk", "https://shop.slack.com/archives/C1"))
        assert found.names == ("pf9kmxh",)

    def test_everything_an_entity_of_version_3_says(self) -> None:
        found = only(
            reading(
                datadog.read,
                f"""
                apiVersion: v3
                kind: datastore
                metadata:
                  name: ledger-db
                  displayName: Ledger DB
                  owner: ledger
                  tags: ["domain:money"]
                  links: [{{name: code, type: repo, url: "{REPOSITORY}"}}]
                  contacts: [{{type: slack, contact: "@ledger"}}]
                spec: {{lifecycle: production, tier: "2", dependsOn: ["service:disks", "datastore:wal"]}}
                integrations: {{pagerduty: {{serviceURL: "https://shop.pagerduty.com/services/P2"}}}}
                """,
            )
        )

        assert (found.id, found.team, found.slack, found.tier) == ("ledger-db", "ledger", "@ledger", "2")
        assert (found.kind, found.repository, found.domain) == (Kind.DATABASE, REPOSITORY, "money")
        assert (found.depends_on, found.names) == (("disks", "wal"), ("ledger db", "p2"))

    def test_several_documents_and_json_with_a_comma_too_many_are_read(self) -> None:
        found = reading(
            datadog.read,
            '{"schema-version": "v2", "dd-service": "a", "integrations": {"pagerduty": "https://p.example/x/P1",},}\n'
            "--- {apiVersion: v3, kind: service, metadata: {name: b}}\n"
            "--- {apiVersion: v3, kind: system, metadata: {name: c}}\n",
        )

        assert [(one.id, one.names) for one in found.facts] == [("a", ("p1",)), ("b", ())]
        assert found.problems == ()

    def test_what_cannot_be_used_is_named(self) -> None:
        found = reading(
            datadog.read, "{dd-service: a}\n--- {apiVersion: v3, kind: service, metadata: {name: b, contacts: [x]}}\n"
        )

        assert found.problems == (
            "file.yaml:1: neither a definition of v2 (schema-version, dd-service) nor of v3 (apiVersion: v3, metadata)",
            "file.yaml:2: b: a contact is not a mapping of fields",
        )


class TestCortex:
    """`cortex.yaml`."""

    @pytest.mark.parametrize("inside", [True, False], ids=["in info", "at the top"])
    def test_everything_a_descriptor_says(self, inside: bool) -> None:
        fields = f"""
title: Payments API
x-cortex-tag: payments
x-cortex-type: service
x-cortex-owners:
  - {{type: group, name: payments-team, provider: OKTA}}
  - {{type: email, email: pay@shop.example}}
  - {{type: slack, channel: payments}}
x-cortex-groups: [backend, tier-1]
x-cortex-domain-parents: [{{tag: money}}]
x-cortex-dependency: [{{tag: ledger, method: GET}}]
x-cortex-oncall: {{pagerduty: {{id: PF9KMXH, type: SERVICE}}}}
x-cortex-git: {{github: {{repository: shop/payments}}}}
x-cortex-link:
  - {{name: Runbook, type: runbook, url: "{PAGE}"}}
  - {{name: Board, type: dashboard, url: "{BOARD}"}}
"""
        indented = "".join(f"  {line}\n" for line in fields.strip().splitlines())
        found = only(reading(cortex.read, f"openapi: 3.0.1\ninfo:\n{indented}" if inside else fields))

        assert (found.id, found.team, found.slack, found.email) == (
            "payments",
            "payments-team",
            "#payments",
            "pay@shop.example",
        )
        assert (found.tier, found.domain, found.runbook, found.repository) == ("1", "money", PAGE, REPOSITORY)
        assert (found.links, found.depends_on) == ((Link("Board", BOARD),), ("ledger",))
        assert (found.names, found.kind) == (("payments api", "payments-api", "pf9kmxh"), Kind.SERVICE)

    def test_a_schedule_is_no_service_of_pagerdutys(self) -> None:
        text = "{info: {x-cortex-tag: a, x-cortex-oncall: {pagerduty: {id: S1, type: SCHEDULE}}}}"

        assert only(reading(cortex.read, text)).names == ()

    def test_domains_and_teams_are_passed_over_and_the_rest_is_named(self) -> None:
        found = reading(
            cortex.read,
            "{info: {x-cortex-tag: a, x-cortex-type: domain}}\n--- {info: {title: b}}\n"
            "--- {info: {x-cortex-tag: c, x-cortex-owners: [x]}}\n",
        )

        assert [one.id for one in found.facts] == ["c"]
        assert found.problems == (
            "file.yaml:2: no x-cortex-tag, in `info` or at the top",
            "file.yaml:3: c: an item of x-cortex-owners is not a mapping of fields",
        )


class TestOpsLevel:
    """`opslevel.yml`."""

    @pytest.mark.parametrize("key", ["service", "component"])
    def test_everything_a_service_says(self, key: str) -> None:
        found = only(
            reading(
                opslevel.read,
                f"""
                version: 1
                {key}:
                  name: Payments API
                  aliases: [pay-svc, Payments]
                  owner: payments_team
                  tier: tier_1
                  system: money-in
                  dependencies: [{{alias: ledger}}, cart]
                  tools:
                    - {{name: Runbook, category: runbooks, url: "{PAGE}"}}
                    - {{name: Board, category: metrics, url: "{BOARD}"}}
                    - {{name: Code, category: code, url: "{REPOSITORY}"}}
                """,
            )
        )

        assert (found.id, found.team, found.tier, found.system) == ("payments api", "payments_team", "1", "money-in")
        assert (found.runbook, found.repository, found.links) == (PAGE, REPOSITORY, (Link("Board", BOARD),))
        assert (found.aliases, found.names) == (("pay-svc", "payments"), ("payments-api",))
        assert found.depends_on == ("ledger", "cart")
        assert found.where("team") == "file.yaml:6"

    def test_a_team_is_passed_over_and_the_rest_is_named(self) -> None:
        found = reading(
            opslevel.read,
            "{version: 1, team: {name: t}}\n--- {service: {name: a}}\n"
            "--- {version: 1, service: {name: b, tools: [x], dependencies: [{tag: c}]}}\n",
        )

        assert [one.id for one in found.facts] == ["b"]
        assert found.problems == (
            "file.yaml:2: want version: 1 and a service or a component",
            "file.yaml:3: b: a tool is not a mapping of fields",
            "file.yaml:3: b: a dependency has no alias",
        )


@pytest.mark.parametrize("reader", [datadog.read, cortex.read, opslevel.read])
@pytest.mark.parametrize("text", ["a", "[a]", "{a: b}", "", "--- ~"])
def test_whatever_stands_there_instead_is_at_most_a_problem(
    reader: Callable[[Sequence[Document], Notes], None], text: str
) -> None:
    found = reading(reader, text)

    assert (found.facts, len(found.problems)) == ((), 0 if text in ("", "--- ~") else 1)
