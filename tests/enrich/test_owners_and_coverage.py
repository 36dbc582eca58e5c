"""Who to call, and how complete an answer is."""

from __future__ import annotations

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich.coverage import Coverage, coverage
from bot.enrich.facts import label
from bot.enrich.owners import Ownership, ownership
from bot.model import Kind, Layer, Owner
from tests.kit.maps import NOW, MapMaker

PAY = Owner("Payments", "@pay-oncall", "services.yaml")
WEB = Owner("Web", "", "services.yaml")
OWNED = Catalog({"pay": CatalogEntry(owner=PAY), "web": CatalogEntry(owner=WEB), "cart": CatalogEntry(tier="1")})


# -- owners ----------------------------------------------------------------------------------------------------------


def test_a_service_with_an_owner_has_that_owner() -> None:
    assert ownership(MapMaker("web>pay", catalog=OWNED).view, "pay") == Ownership("pay", PAY)


def test_the_catalogue_is_asked_for_services_the_map_has_not_met_too() -> None:
    assert ownership(MapMaker("a>b", catalog=OWNED).view, "pay").owner == PAY


def test_without_an_owner_the_nearest_owned_dependent_is_named() -> None:
    made = MapMaker("web>checkout>ledger", "pay>cart>ledger", "pay>ledger", catalog=OWNED)

    assert ownership(made.view, "ledger") == Ownership("ledger", None, ("pay", PAY))


def test_of_two_equally_near_the_first_by_name_is_named() -> None:
    made = MapMaker("web>ledger", "pay>ledger", catalog=OWNED)

    assert ownership(made.view, "ledger").nearest == ("pay", PAY)


def test_an_entry_without_an_owner_is_no_owner() -> None:
    made = MapMaker("web>cart", catalog=OWNED)

    assert ownership(made.view, "cart") == Ownership("cart", None, ("web", WEB))


def test_a_dependent_too_far_away_is_not_named() -> None:
    made = MapMaker("web>a>b>c>ledger", catalog=OWNED)

    assert ownership(made.view, "ledger") == Ownership("ledger", None)
    assert ownership(made.view, "c").nearest == ("web", WEB)


@pytest.mark.parametrize("service", ["b", "nobody"])
def test_where_nobody_is_known_nobody_is_named(service: str) -> None:
    assert ownership(MapMaker("a>b").view, service) == Ownership(service, None)


def test_an_owner_is_written_as_people_call_it() -> None:
    assert (label(PAY), label(WEB)) == ("@pay-oncall", "Web")


# -- coverage --------------------------------------------------------------------------------------------------------


def test_who_was_seen_in_the_last_two_minutes_reports_and_the_longest_silent_comes_first() -> None:
    made = MapMaker("web>pay").calls("old>older", ago=20).calls("older>web", ago=10)
    made.calls("new>pay", ago=2)
    found = coverage(made.view, ["web", "pay", "old", "older", "new"], NOW)

    assert (found.services, found.reporting) == (5, 3)
    assert found.silent == (("old", 1_200), ("older", 600))


def test_databases_queues_and_hosts_outside_send_nothing_and_are_not_missed() -> None:
    kinds = {"pg": Kind.DATABASE, "orders": Kind.QUEUE, "redis": Kind.CACHE, "api.x.com": Kind.EXTERNAL}
    made = MapMaker(*(f"web>{one}" for one in kinds), kinds=kinds)

    assert coverage(made.view, ["web", *kinds, "nobody"], NOW) == Coverage(1, 1, (), {"trace": 0.0})


def test_each_layer_has_its_own_age_and_one_that_never_reported_is_not_there() -> None:
    made = MapMaker("a>b").calls("a>b", layer=Layer.NETWORK, ago=3)

    assert coverage(made.view, [], NOW + 5).layers == {"network": 185.0, "trace": 5.0}


def test_a_clock_ahead_of_ours_makes_no_negative_age() -> None:
    assert coverage(MapMaker("a>b").view, ["a"], NOW - 30) == Coverage(1, 1, (), {"trace": 0.0})


def test_of_many_silent_ones_ten_are_named_and_all_are_counted() -> None:
    made = MapMaker().calls(*(f"s{number:02}>hub" for number in range(30)), ago=10)
    found = coverage(made.view, list(made.graph.services()), NOW)

    assert (found.services, found.reporting) == (31, 0)
    assert [service for service, _ in found.silent] == ["hub", *(f"s{number:02}" for number in range(9))]
