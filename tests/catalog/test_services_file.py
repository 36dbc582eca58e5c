"""`services.yaml` as people write it: right, nearly right, and to hurt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.catalog import facts
from bot.catalog.entries import EMPTY, Catalog, CatalogEntry, Link
from bot.catalog.facts import MAX_LISTED, MAX_PROBLEMS
from bot.catalog.files import MAX_BYTES
from bot.catalog.sources import Sources
from bot.model import Kind, Owner


def load(path: Path) -> Catalog:
    return Sources([path]).read(0.0)


def catalog(folder: Path, text: str | bytes) -> Catalog:
    file = folder / "services.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file)


def services(folder: Path, text: str) -> Catalog:
    """A catalogue whose services each stand on a line of their own, the first on line 2."""
    return catalog(folder, "services:\n" + "".join(f"  - {line}\n" for line in text.strip().splitlines()))


def told(found: Catalog, folder: Path) -> list[str]:
    """The problems, without the folder."""
    return [problem.removeprefix(f"{folder}/") for problem in found.problems]


def test_everything_the_file_can_say_about_a_service(tmp_path: Path) -> None:
    found = catalog(
        tmp_path,
        """
        services:
          - id: Payments
            name: Payments API
            aliases: [pay-svc-prod, PayApi]
            team: Payments
            slack: "@pay-oncall"
            tier: 1
            domain: money
            kind: service
            runbook: https://runbooks.example/payments
            entry_point: true
            pagerduty_service_id: PF9KMXH
            email: payments@shop.example
            on_call: Ada
            repository: https://github.com/shop/payments
            links: {Dashboard: "https://grafana.example/d/pay"}
            depends_on: [ledger]
        """,
    )

    assert found.problems == ()
    assert {name: replace(entry, sources={}) for name, entry in found.entries.items()} == {
        "payments": CatalogEntry(
            owner=Owner("Payments", "@pay-oncall", "services.yaml", "Ada", "payments@shop.example"),
            repository="https://github.com/shop/payments",
            links=(Link("Dashboard", "https://grafana.example/d/pay"),),
            depends_on=("ledger",),
            tier="1",
            domain="money",
            runbook="https://runbooks.example/payments",
            entry_point=True,
            aliases=("pay-svc-prod", "payapi"),
            kind=Kind.SERVICE,
        )
    }
    assert found.aliases == {
        "pay-svc-prod": "payments", "payapi": "payments", "payments api": "payments", "pf9kmxh": "payments",
    }  # fmt: skip


def test_a_name_alone_is_the_id(tmp_path: Path) -> None:
    found = services(tmp_path, "{name: Payments}")

    assert (list(found.entries), found.aliases) == (["payments"], {})


def test_a_service_nobody_owns_is_known_all_the_same(tmp_path: Path) -> None:
    found = services(tmp_path, "{id: payments}")

    assert found.entry("payments") == CatalogEntry()


def test_a_channel_alone_stands_for_the_team(tmp_path: Path) -> None:
    found = services(tmp_path, '{id: payments, slack: "#pay"}').entry("payments")

    assert found is not None
    assert found.owner == Owner("#pay", "#pay", "services.yaml")


def test_values_mean_what_they_look_like(tmp_path: Path) -> None:
    """In YAML 1.1 these would be false, 8, an hour and a half, and a day."""
    found = services(tmp_path, "{id: no, tier: 010, team: 1:30, domain: 2026-10-31}").entry("no")

    assert found is not None
    assert (found.tier, found.domain, found.owner) == ("010", "2026-10-31", Owner("1:30", "", "services.yaml"))


def test_a_list_without_services_above_it_and_shared_defaults_are_read(tmp_path: Path) -> None:
    found = catalog(tmp_path, "- &pay {id: payments, team: Payments, tier: 1}\n- {<<: *pay, id: invoices, tier: 2}\n")

    assert found.problems == ()
    assert {name: (entry.owner.team if entry.owner else "", entry.tier) for name, entry in found.entries.items()} == {
        "payments": ("Payments", "1"), "invoices": ("Payments", "2"),
    }  # fmt: skip


@pytest.mark.parametrize("text", ["services: []", "services: [{id: a}]"])
def test_a_good_file_has_no_problems(tmp_path: Path, text: str) -> None:
    assert catalog(tmp_path, text).problems == ()


class TestFindingAnEntry:
    """By id, then by what the id and the catalogue both leave unsaid, and never another team's."""

    @pytest.mark.parametrize(
        ("known", "asked", "found"),
        [
            ("payments", "payments", "payments"),
            ("payments", "payments@prod", "payments"),
            ("payments", "payments.shop", "payments"),
            ("payments", "payments.shop@prod", "payments"),
            ("payments.shop", "payments.shop@prod", "payments.shop"),
            ("payments.shop", "payments", "payments.shop"),
            ("payments.shop", "payments@prod", "payments.shop"),
            ("payments@prod", "payments", "payments@prod"),
            ("payments@prod", "payments.shop@prod", "payments@prod"),
            ("payments payments@prod", "payments@prod", "payments@prod"),
            ("payments payments@prod", "payments@staging", "payments"),
            ("payments payments.billing", "payments.shop", "payments"),
            ("payments payments.shop", "payments.shop@prod", "payments.shop"),
            ("payments payments@prod", "payments.shop@prod", "payments@prod"),
            ("my.app", "my.app.shop@prod", "my.app"),
            ("api.stripe.com", "api.stripe.com", "api.stripe.com"),
            ("payments.shop payments.billing", "payments", None),
            ("payments.shop@prod payments.shop@staging", "payments.shop", None),
            ("payments.billing", "payments.shop", None),
            ("payments@staging", "payments@prod", None),
            ("api", "api.stripe.com", None),
            ("pay", "payments", None),
            ("payments", "", None),
            ("payments", "@", None),
            ("payments", ".", None),
        ],
    )
    def test_the_entry_that_is_meant(self, tmp_path: Path, known: str, asked: str, found: str | None) -> None:
        catalogue = services(tmp_path, "\n".join(f'{{id: "{name}", tier: "{name}"}}' for name in known.split()))
        entry = catalogue.entry(asked)

        assert (entry.tier if entry else None) == found

    def test_an_alias_finds_it_too(self, tmp_path: Path) -> None:
        catalogue = services(tmp_path, "{id: payments, team: Payments, aliases: [pay-svc]}")

        assert catalogue.entry("pay-svc") is catalogue.entry("pay-svc@prod") is catalogue.entry("payments")

    def test_the_empty_catalogue_knows_nobody(self) -> None:
        assert EMPTY.entry("payments") is None
        assert (EMPTY.aliases, EMPTY.problems) == ({}, ())


class TestProblems:
    """What cannot be used is named with its line, and the rest is used."""

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("payments", "a service is not a mapping of fields"),
            ("[payments]", "a service is not a mapping of fields"),
            ("", "a service is not a mapping of fields"),
            ("{team: Payments}", "a service has no id"),
            ("{id: ''}", "a service has no id"),
            ("{id: ~}", "a service has no id"),
            ('{id: "\\0\\u202e"}', "a service has no id"),
            ("{id: [a]}", "id is not a text"),
            ("{id: " + "x" * 201 + "}", "is longer than 200"),
        ],
    )
    def test_a_service_that_cannot_be_used(self, tmp_path: Path, line: str, problem: str) -> None:
        found = catalog(tmp_path, f"services:\n  - {{id: checkout}}\n  - {line}\n  - {{id: web}}\n")

        assert list(found.entries) == ["checkout", "web"]
        assert any(text.startswith("services.yaml:3: ") and problem in text for text in told(found, tmp_path))

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ("tiers: 1", "payments: there is no field 'tiers'"),
            ('"\\u202e\\n": 1', r"payments: there is no field '\u202e\n'"),
            ("team: [a, b]", "team is not a text"),
            ("team: " + "x" * 301, "team is longer than 300; the rest is cut"),
            ("runbook: wiki/payments", "payments: the runbook is not an http(s) address"),
            ("runbook: 'javascript:alert(1)'", "payments: the runbook is not an http(s) address"),
            ("entry_point: maybe", "payments: entry_point is neither true nor false"),
            ("kind: saas", "payments: kind is none of " + ", ".join(Kind)),
            ("aliases: {a: b}", "payments: aliases is not a list"),
            ("aliases: [a, [b]]", "payments: an alias is not a text"),
            ("aliases: [a, ~]", "payments: an alias is not a text"),
        ],
    )
    def test_a_field_that_cannot_be_used(self, tmp_path: Path, fields: str, problem: str) -> None:
        found = catalog(tmp_path, f"services:\n  - id: payments\n    domain: money\n    {fields}\n")

        assert told(found, tmp_path) == [f"services.yaml:4: {problem}"]
        entry = found.entry("payments")
        assert entry is not None
        assert (entry.domain, entry.runbook, entry.entry_point, entry.kind) == ("money", "", False, None)

    def test_of_two_entries_for_one_service_the_first_is_used(self, tmp_path: Path) -> None:
        found = services(tmp_path, "{id: payments, tier: 1}\n{id: PAYMENTS, tier: 2}")

        assert told(found, tmp_path) == ["services.yaml:3: 'payments' is there twice; the first is used"]
        assert found.entries["payments"].tier == "1"

    def test_an_alias_of_two_services_stays_with_the_first(self, tmp_path: Path) -> None:
        found = services(tmp_path, "{id: payments, aliases: [pay]}\n{id: payroll, aliases: [pay]}")

        assert told(found, tmp_path) == ["services.yaml:3: payroll: 'pay' is an alias of payments already"]
        assert found.aliases == {"pay": "payments"}

    def test_an_alias_never_takes_the_name_of_a_service(self, tmp_path: Path) -> None:
        found = services(tmp_path, "{id: payments, aliases: [checkout, payments]}\n{id: checkout}")

        assert told(found, tmp_path) == [
            "services.yaml: 'checkout' is an alias of payments and a service of its own; the service wins"
        ]
        assert found.aliases == {}

    def test_more_problems_than_anybody_reads_are_counted(self, tmp_path: Path) -> None:
        found = services(tmp_path, "{team: t}\n" * (MAX_PROBLEMS + 7))

        assert len(found.problems) == MAX_PROBLEMS + 1
        assert told(found, tmp_path)[-1] == "services.yaml: and 7 problems more"


class TestUnreadableFiles:
    """One problem and an empty catalogue: the bot starts."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "want a list under `services:`"),
            ("services:", "want a list under `services:`"),
            ("services: {payments: {team: Payments}}", "want a list under `services:`"),
            ("payments", "want a list under `services:`"),
            ("services: [", "not YAML"),
            ("services: [{id: \x00}]", "not YAML"),
            ("{" * 5_000, "not YAML"),
            ("services: &a [*a]", "not YAML"),
            (b"\xff\xfe\x00\xd8", "not YAML"),
        ],
    )
    def test_a_file_that_holds_no_list(self, tmp_path: Path, text: str | bytes, problem: str) -> None:
        found = catalog(tmp_path, text)

        assert found.entries == {}
        assert len(found.problems) == 1
        assert problem in found.problems[0]
        assert str(tmp_path / "services.yaml") in found.problems[0]

    def test_a_file_that_is_not_there_or_an_empty_folder(self, tmp_path: Path) -> None:
        assert "No such file" in load(tmp_path / "nowhere.yaml").problems[0]
        assert load(tmp_path) == EMPTY

    def test_a_huge_file_is_not_even_parsed(self, tmp_path: Path) -> None:
        found = catalog(tmp_path, b"#" * (MAX_BYTES + 1))

        assert "larger than" in found.problems[0]
        assert load(tmp_path / "services.yaml").entries == {}

    def test_a_file_full_of_services_keeps_the_first_and_counts_the_rest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(facts, "MAX_SERVICES", 3)
        found = services(tmp_path, "\n".join(f"{{id: s{number}}}" for number in range(5)))

        assert list(found.entries) == ["s0", "s1", "s2"]
        assert told(found, tmp_path) == ["services.yaml:5: 2 services beyond 3"]

    def test_one_long_list_of_aliases_shared_by_many_is_cut_for_each(self, tmp_path: Path) -> None:
        listed = ",".join(f"a{number}" for number in range(5_000))
        found = catalog(tmp_path, f"all: &all [{listed}]\nservices:\n" + "- {id: s, aliases: *all}\n")

        assert len(found.aliases) == MAX_LISTED
        assert "only the first 50 aliases are used" in found.problems[0]


_SCALARS = st.sampled_from(
    ["payments", "a", "''", "~", "true", "1", "[a]", "{a: b}", '"\\0"', "https://x", "'@'", "'.'"]
)
_FIELDS = st.sampled_from(["id", "name", "aliases", "team", "slack", "tier", "runbook", "kind", "entry_point", "other"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(_FIELDS, _SCALARS, max_size=5), max_size=5))
def test_whatever_stands_in_the_fields_the_catalogue_can_be_used(tmp_path: Path, listed: list[dict[str, str]]) -> None:
    found = services(
        tmp_path, "\n".join("{" + ", ".join(f"{key}: {value}" for key, value in one.items()) + "}" for one in listed)
    )

    assert all(problem.isprintable() for problem in found.problems)
    assert set(found.aliases.values()) <= found.entries.keys()
    assert not found.aliases.keys() & found.entries.keys()
    for identifier, entry in found.entries.items():
        assert found.entry(identifier) is entry
        assert entry.runbook in ("", "https://x")
