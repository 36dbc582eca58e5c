"""The facts of one incident: what the map says when somebody is called out of bed."""

from __future__ import annotations

import json
from dataclasses import asdict

from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich.facts import FailingService, MapFacts, read_map
from bot.model import ENTRY, Kind, Owner
from tests.kit.maps import NOW, MapMaker

CATALOG = Catalog(
    {
        "pay": CatalogEntry(Owner("Payments", "@pay", "services.yaml"), "1", runbook="https://runbooks.test/pay"),
        "web": CatalogEntry(Owner("Web", "#web", "services.yaml"), entry_point=True),
    }
)


def shop() -> MapMaker:
    made = MapMaker(catalog=CATALOG, kinds={"pg": Kind.DATABASE})
    made.usually(f"{ENTRY}>web>checkout>pay>pg", "cart>pay", "pay>mail")
    made.calls(f"{ENTRY}>web", "pay>mail", "cart>pay")
    return made.calls("web>checkout>pay>pg", failed=8)


def read(made: MapMaker, *services: str, **unknown: tuple[str, ...]) -> MapFacts:
    return read_map(made.view, services, unknown, NOW)


def test_the_facts_say_what_fails_how_badly_who_is_hit_and_who_owns_it() -> None:
    facts = read(shop(), "pay")
    [pay] = facts.services

    assert (pay.name, pay.known, pay.kind, pay.failing) == ("pay", True, "service", "errors")
    assert (pay.calls, pay.error_rate, pay.usual_error_rate) == (20, 0.4, 0.0)
    assert facts.hit == ("web", "checkout")
    assert facts.at_risk == ("cart",)
    assert (facts.hit_count, facts.at_risk_count) == (2, 1)
    assert facts.entry_points == ("web",)
    assert facts.owners[0] == ("pay", "@pay", "services.yaml")
    assert facts.runbook == "https://runbooks.test/pay"
    assert (facts.as_of, facts.truncated) == (NOW, False)


def test_the_calls_it_makes_that_fail_say_where_to_look_next() -> None:
    facts = read(shop(), "pay")

    assert [(call.caller, call.callee, call.error_rate, call.failing) for call in facts.failing_calls] == [
        ("pay", "pg", 0.8, "errors")
    ]
    assert facts.owners[1] == ("pg", "", "nearest owned dependent is pay → @pay")


def test_failing_calls_come_worst_first_and_ten_at_most() -> None:
    made = MapMaker(*(f"pay>s{number:02}" for number in range(15)))
    for number in range(15):
        made.calls(f"pay>s{number:02}", count=10 + number, failed=10 + number)
    found = read(made, "pay").failing_calls

    assert [call.callee for call in found] == [f"s{number:02}" for number in range(14, 4, -1)]


def test_a_call_to_itself_is_no_call_to_look_at() -> None:
    assert read(MapMaker("web>pay").calls("pay>pay", failed=10), "pay").failing_calls == ()


def test_a_service_the_map_does_not_know_is_kept_with_the_closest_names() -> None:
    facts = read(shop(), "pay", paymnets=("pay",))

    assert facts.services[1] == FailingService("paymnets", known=False, closest=("pay",))
    assert facts.owners[-1] == ("paymnets", "", "")


def test_an_id_that_has_left_the_map_meanwhile_is_left_out() -> None:
    facts = read(shop(), "gone", "pay")

    assert [one.name for one in facts.services] == ["pay"]


def test_about_a_service_nobody_knows_there_is_still_something_to_say() -> None:
    facts = read(shop(), who=())

    assert [one.name for one in facts.services] == ["who"]
    assert (facts.hit, facts.at_risk, facts.failing_calls, facts.runbook) == ((), (), (), "")
    assert facts.layers == {"trace": 0.0}


def test_several_that_fail_have_one_radius() -> None:
    facts = read(shop(), "pay", "pg")

    assert [one.name for one in facts.services] == ["pay", "pg"]
    assert facts.hit == ("web", "checkout")
    assert facts.services[1].kind == "database"


def test_of_hundreds_ten_are_named_and_all_are_counted() -> None:
    made = MapMaker(*(f"s{number:03}>pay" for number in range(340)))
    made.view.firing |= {f"s{number:03}": NOW for number in range(40)}
    facts = read(made, "pay")

    assert facts.hit == tuple(f"s{number:03}" for number in range(10))
    assert facts.at_risk == tuple(f"s{number:03}" for number in range(40, 50))
    assert (facts.hit_count, facts.at_risk_count) == (40, 300)
    assert (facts.reporting, facts.reporters) == (341, 341)


def test_the_facts_say_how_complete_they_are() -> None:
    made = MapMaker("web>pay").calls("old>pay", ago=20)
    facts = read(made, "pay")

    assert (facts.reporting, facts.reporters) == (2, 3)
    assert facts.silent == (("old", 1_200),)


def test_an_edge_faded_below_the_threshold_puts_nobody_at_risk() -> None:
    made = MapMaker("web>pay").calls("old>pay", ago=59)
    list(made.graph.sweep(NOW, 0.0))

    assert read(made, "pay").at_risk == ("web",)


def test_the_minutes_before_the_alert_are_not_taken_for_what_is_usual() -> None:
    made = MapMaker().usually("web>pay").calls("web>pay", failed=10, ago=range(9))
    at_once = read_map(made.view, ["pay"], {}, NOW)
    since = read_map(made.view, ["pay"], {}, NOW, onset=NOW - 240)

    assert at_once.services[0].usual_error_rate != 0.0
    assert since.services[0].usual_error_rate == 0.0


def test_the_facts_can_be_stored() -> None:
    stored = asdict(read(shop(), "pay", who=("web",)))

    assert json.loads(json.dumps(stored))["services"][1]["closest"] == ["web"]
    assert stored["failing_calls"][0]["callee"] == "pg"
