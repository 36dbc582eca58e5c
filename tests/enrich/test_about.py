"""What the catalogue says of a service, with sources and ages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.catalog.entries import Catalog, CatalogEntry, Link
from bot.catalog.links import parse
from bot.enrich import answers
from bot.enrich.about import about, about_lines, known_as
from bot.errors import Ambiguous, NotFound
from bot.model import Owner
from tests.kit.maps import NOW, MapMaker

CATALOG = Catalog(
    {
        "pay": CatalogEntry(
            Owner("Payments", "@pay", "services.yaml", "Ada", "pay@shop.example"), "1", "money", "https://w.example/pay",
            repository="https://r.example/pay", links=(Link("Board", "https://b.example"),), depends_on=("ledger",),
            sources={"owner": "services.yaml", "slack": "services.yaml", "on_call": "api.pagerduty.com", "tier": "gone"},
        ),
        "web": CatalogEntry(Owner("Web", "", "services.yaml")),
        "quiet": CatalogEntry(tier="2"),
    },
    {"p": "pay", "q": "quiet"},
    read_at={"services.yaml": NOW - 30, "api.pagerduty.com": NOW - 700},
)  # fmt: skip


@pytest.fixture
def shop() -> MapMaker:
    made = MapMaker("web>pay", "web>ledger", catalog=CATALOG)
    made.view.templates = (parse("logs=https://l.example/?q={service}&to={to_s}"),)
    return made


def test_each_fact_has_its_source_and_age(shop: MapMaker) -> None:
    found = about(shop.view, "pay", NOW)

    assert found["owner"] == {
        "team": "Payments", "slack": "@pay", "email": "pay@shop.example", "on_call": "Ada", "mention": "",
        "source": "services.yaml", "label": "@pay",
    }  # fmt: skip
    assert found["sources"] == {
        "owner": {"source": "services.yaml", "age_seconds": 30},
        "slack": {"source": "services.yaml", "age_seconds": 30},
        "on_call": {"source": "api.pagerduty.com", "age_seconds": 700},
        "tier": {"source": "gone", "age_seconds": None},
    }
    assert found["links"] == [
        {"name": "Board", "url": "https://b.example"},
        {"name": "logs", "url": f"https://l.example/?q=pay&to={round(NOW + 600)}"},
    ]


def test_a_terminal_gets_it_line_by_line(shop: MapMaker) -> None:
    assert list(about_lines(answers.owner(shop.view, "p", NOW))) == [
        "pay",
        "  owner: Payments (services.yaml, read 30 s ago)",
        "  Slack: @pay (services.yaml, read 30 s ago)",
        "  e-mail: pay@shop.example",
        "  on call: Ada (api.pagerduty.com, read 11 min ago)",
        "  tier: 1 (gone)",
        "  domain: money",
        "  runbook: https://w.example/pay",
        "  repository: https://r.example/pay",
        "  depends on: ledger",
        "  Board: https://b.example",
        f"  logs: https://l.example/?q=pay&to={round(NOW + 600)}",
    ]


def test_nobody_known_is_said_with_the_nearest_who_is(shop: MapMaker) -> None:
    assert list(about_lines(answers.owner(shop.view, "ledger", NOW)))[:2] == [
        "ledger", "  no owner known; nearest owned dependent is web → Web",
    ]  # fmt: skip


def test_a_service_only_the_catalogue_knows_is_found_by_its_names(shop: MapMaker) -> None:
    found = answers.owner(shop.view, "Q", NOW)

    assert (found["id"], found["on_map"], found["tier"], found["coverage"]["services"]) == ("quiet", False, "2", 0)
    assert next(about_lines(found)) == "quiet: not on the map, only in the catalogue"


def test_a_name_nobody_has_is_not_found_and_one_that_several_have_is_ambiguous(shop: MapMaker) -> None:
    with pytest.raises(NotFound, match="No service called 'nobody'"):
        known_as(shop.view, "nobody")
    made = MapMaker("web>pay@a", "web>pay@b", catalog=CATALOG)
    for environment in ("a", "b"):
        made.graph.names.add(replace(made.graph.node(f"pay@{environment}"), name="pay"))
    with pytest.raises(Ambiguous):
        known_as(made.view, "pay")


def test_another_reading_of_the_catalogue_is_answered_from_at_once(shop: MapMaker) -> None:
    assert about(shop.view, "pay", NOW)["tier"] == "1"
    shop.view.learn(Catalog({"pay": CatalogEntry(tier="3")}, {"new": "pay"}))

    assert about(shop.view, "pay", NOW)["tier"] == "3"
    assert known_as(shop.view, "new") == "pay"
