"""Several sources of one service: who is believed, and what is said where they disagree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.catalog.entries import Catalog, Link
from bot.catalog.facts import Facts, Format, Reading, plain_tier, team_key
from bot.catalog.merge import MAX_CONTRADICTIONS, merge
from bot.model import Kind, Owner
from tests.catalog.readings import fact

SERVICES, BACKSTAGE, DATADOG, PAGERDUTY = Format.SERVICES, Format.BACKSTAGE, Format.DATADOG, Format.PAGERDUTY


def merged(*facts: Facts) -> Catalog:
    return merge([Reading(facts)])


def test_the_row_of_sources_is_the_one_that_is_documented() -> None:
    assert [one.name for one in sorted(Format)] == [
        "SERVICES", "BACKSTAGE", "DATADOG", "CORTEX", "OPSLEVEL", "PAGERDUTY", "KUBERNETES", "CODEOWNERS",
    ]  # fmt: skip


def test_each_fact_is_from_the_strongest_source_that_says_it() -> None:
    found = merged(
        fact("pay", Format.CODEOWNERS, team="@shop/other", email="x@shop.example"),
        fact("pay", PAGERDUTY, team="Payments", on_call="Ada"),
        fact("pay", DATADOG, team="payments", slack="#pay", domain="money", tier="1"),
        fact("pay", BACKSTAGE, team="payments", repository="https://r.example", entry_point=False, kind=Kind.SERVICE),
        fact("pay", SERVICES, tier="1", runbook="https://w.example", entry_point=True),
    )
    entry = found.entries["pay"]

    assert found.problems == ()
    assert entry.owner == Owner("payments", "#pay", "backstage", "Ada")
    assert (entry.tier, entry.domain, entry.runbook, entry.repository) == (
        "1",
        "money",
        "https://w.example",
        "https://r.example",
    )
    assert (entry.entry_point, entry.kind) == (True, Kind.SERVICE)
    assert entry.sources == {
        "owner": "backstage", "slack": "datadog", "on_call": "pagerduty", "tier": "services", "domain": "datadog",
        "runbook": "services", "repository": "backstage", "entry_point": "services", "kind": "backstage",
    }  # fmt: skip


def test_a_channel_of_another_team_wakes_nobody() -> None:
    found = merged(fact("pay", SERVICES, team="Payments"), fact("pay", DATADOG, team="Checkout", slack="#checkout"))

    assert found.entries["pay"].owner == Owner("Payments", "", "services")


def test_links_aliases_and_dependencies_of_all_sources_are_put_together() -> None:
    board, wiki = Link("Board", "https://b.example"), Link("Wiki", "https://w.example")
    entry = merged(
        fact("pay", SERVICES, links=(board,), aliases=("p",), depends_on=("ledger",)),
        fact("pay", DATADOG, links=(wiki, board), aliases=("p", "q"), depends_on=("ledger", "disk")),
    ).entries["pay"]

    assert (entry.links, entry.aliases, entry.depends_on) == ((board, wiki), ("p", "q"), ("ledger", "disk"))
    assert entry.sources["links"] == "services, datadog"


class TestWhichServiceIsMeant:
    """Names that meet make one service; nothing else does."""

    @pytest.mark.parametrize(
        "weaker",
        [
            fact("pay", BACKSTAGE, domain="money"),
            fact("pay-svc", BACKSTAGE, domain="money"),
            fact("payments api", PAGERDUTY, domain="money", names=("pf9kmxh",)),
            fact("elsewhere", BACKSTAGE, domain="money", aliases=("pay",)),
        ],
        ids=["the id", "an alias of it", "a PagerDuty id", "an alias it has itself"],
    )
    def test_one_service_under_several_names(self, weaker: Facts) -> None:
        found = merged(weaker, fact("pay", SERVICES, tier="1", aliases=("pay-svc",), names=("pf9kmxh",)))

        assert {name: (one.tier, one.domain) for name, one in found.entries.items()} == {"pay": ("1", "money")}
        assert found.entry(weaker.id) is found.entries["pay"]
        assert found.problems == ()

    def test_a_name_between_two_services_joins_neither(self) -> None:
        found = merged(
            fact("pay", SERVICES), fact("cart", SERVICES), fact("x", BACKSTAGE, aliases=("pay", "cart"), line=3)
        )

        assert set(found.entries) == {"pay", "cart", "x"}
        assert found.problems == (
            "x: by its aliases in backstage:3 it would be each of cart, pay",
            "x: 'pay' is an alias in backstage:3, and a service of its own in services; services wins",
            "x: 'cart' is an alias in backstage:3, and a service of its own in services; services wins",
        )

    def test_an_alias_that_its_own_source_has_as_a_service_is_no_hint(self) -> None:
        found = merged(fact("a", SERVICES), fact("b", BACKSTAGE, aliases=("a",)), fact("a", BACKSTAGE, tier="1"))

        assert {name: one.tier for name, one in found.entries.items()} == {"a": "1", "b": ""}

    def test_aliases_that_point_in_a_circle_end_at_once(self) -> None:
        found = merged(fact("a", SERVICES, "one.yaml", aliases=("b",)), fact("b", SERVICES, "two.yaml", aliases=("a",)))

        assert set(found.entries) == {"a", "b"}
        assert found.aliases == {}
        assert len(found.problems) == 2

    def test_an_alias_of_two_services_stays_with_the_stronger_source(self) -> None:
        found = merged(fact("a", SERVICES, aliases=("x",)), fact("c", DATADOG, names=("x",), aliases=("c2", "c")))

        assert found.aliases["x"] == "a"
        assert found.entry("c") is found.entries["a"]  # by the only alias that anybody stronger knows


class TestGeneralAndParticular:
    """What is said of a name holds for it in every namespace and environment, unless somebody says otherwise."""

    def test_a_cluster_adds_to_what_a_file_says_of_the_name(self) -> None:
        found = merged(
            fact("pay", SERVICES, tier="1"),
            fact("pay.shop@prod", Format.KUBERNETES, team="shop", tier="3"),
            fact("pay.billing@prod", Format.KUBERNETES, team="billing"),
        )

        told = {name: (one.tier, one.owner.team if one.owner else "") for name, one in found.entries.items()}
        assert told == {"pay": ("1", ""), "pay.shop@prod": ("1", "shop"), "pay.billing@prod": ("1", "billing")}
        assert found.problems == ()

    def test_of_one_source_the_particular_counts_more(self) -> None:
        found = merged(
            fact("pay", SERVICES, tier="1", domain="money", aliases=("p",)),
            fact("pay@staging", SERVICES, tier="3"),
            fact("pay.shop@staging", DATADOG, tier="2", team="shop"),
        )
        entry = found.entries["pay.shop@staging"]

        assert (entry.tier, entry.domain, entry.aliases) == ("3", "money", ())
        assert found.entries["pay@staging"].owner is None
        assert found.problems == ()


class TestContradictions:
    """Said with both places, and who wins."""

    def test_two_sources_that_say_different_things(self) -> None:
        found = merged(
            fact("payments", SERVICES, "services.yaml", tier="1", line=2, lines={"tier": 4}),
            fact("payments", BACKSTAGE, "catalog-info.yaml", tier="3", line=7),
        )

        assert found.entries["payments"].tier == "1"
        assert found.problems == ("payments: tier 1 in services.yaml:4, 3 in catalog-info.yaml:7; services.yaml wins",)

    @pytest.mark.parametrize(
        ("field", "first", "second", "contradicts"),
        [
            ("team", "Pay Ments", "group:default/pay-ments", False),
            ("team", "payments", "checkout", True),
            ("domain", "Money", "money", False),
            ("domain", "money", "shop", True),
            ("runbook", "https://w.example/a", "https://w.example/a/", False),
            ("runbook", "https://w.example/a", "https://w.example/b", True),
            ("kind", Kind.SERVICE, Kind.DATABASE, True),
            ("repository", "https://r.example/a", "git@r.example:a", False),
        ],
    )
    def test_only_what_means_something_else_contradicts(
        self, field: str, first: Any, second: Any, contradicts: bool
    ) -> None:
        found = merged(fact("a", SERVICES, **{field: first}), fact("a", DATADOG, **{field: second}))

        assert bool(found.problems) is contradicts

    def test_reviewers_contradict_nobody(self) -> None:
        assert merged(fact("a", SERVICES, team="x"), fact("a", Format.CODEOWNERS, team="@shop/y")).problems == ()

    def test_more_than_anybody_reads_are_counted(self) -> None:
        facts = [
            fact(f"s{number}", one, tier=one.name) for number in range(MAX_CONTRADICTIONS + 7) for one in (SERVICES, DATADOG)
        ]  # fmt: skip

        problems = merged(*facts).problems
        assert len(problems) == MAX_CONTRADICTIONS + 1
        assert problems[-1] == "catalogue: and 7 contradictions more"


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("1", "1"), ("Tier 1", "1"), ("tier_2", "2"), ("TIER-3", "3"), ("T1", "1"), ("tier1", "1"), ("010", "010"),
        ("gold", "gold"), ("", ""), ("tier", "tier"), ("t", "t"),
    ],
)  # fmt: skip
def test_tiers_that_mean_the_same_are_written_the_same(written: str, plain: str) -> None:
    assert plain_tier(written) == plain


def test_teams_that_are_the_same_have_one_key() -> None:
    written = ["Pay Ments", "pay_ments", "group:default/Pay-Ments", "@shop/pay-ments", "#pay-ments", "@pay-ments"]

    assert {team_key(one) for one in written} == {"pay-ments"}


_NAMES = st.sampled_from(["a", "b", "c", "d"])
_SAID = st.builds(
    lambda identifier, format, aliases, team: fact(identifier, format, aliases=tuple(aliases), team=team),
    _NAMES,
    st.sampled_from(Format),
    st.lists(_NAMES, max_size=3),
    st.sampled_from(["", "x", "y"]),
)


@given(st.lists(_SAID, max_size=8))
def test_whatever_sources_say_every_name_leads_to_one_entry(said: list[Facts]) -> None:
    found = merged(*said)

    assert {one.id for one in said} <= found.entries.keys() | found.aliases.keys()
    assert set(found.aliases.values()) <= found.entries.keys()
    assert not found.aliases.keys() & found.entries.keys()
    assert all(problem.isprintable() for problem in found.problems)
