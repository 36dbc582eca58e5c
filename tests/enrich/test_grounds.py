"""On what grounds an answer stands: nobody can take a guess for a fact."""

from __future__ import annotations

from typing import Any

from bot.edge_detail import EdgeDetail
from bot.enrich import answers
from bot.enrich.answers import Json, Query
from bot.enrich.changes_between import EdgeChange
from bot.enrich.grounds import change_grounds, grounds, service_grounds
from bot.model import Layer
from tests.kit.maps import NOW, MapMaker

ALL = Query()
HIDDEN = Query(hidden=True)
COVERED: Json = {"services": 2, "reporting": 2, "silent": [], "layers": {"trace": {"age_seconds": 5}}}


def guess(made: MapMaker, caller: str, callee: str, certainty: float) -> MapMaker:
    """The network layer takes it that `caller` calls `callee`."""
    made.calls(f"{caller}>{callee}", layer=Layer.NETWORK)
    made.graph.describe(Layer.NETWORK, [((caller, callee), EdgeDetail(certainty=certainty, how="estimate"))], NOW)
    return made


def of(question: str, **said: Any) -> Json:
    return grounds(question, {"coverage": COVERED} | said)


def test_a_way_is_as_sure_as_its_least_sure_call() -> None:
    made = guess(MapMaker("web>cart"), "cart", "ledger", 0.9)

    (item,) = [one for one in answers.dependents(made.view, "ledger", NOW, ALL)["items"] if one["id"] == "web"]
    (way,) = answers.path(made.view, "web", "ledger", NOW, ALL)["items"]
    needed = {one["id"]: one for one in answers.dependencies_of(made.view, "web", NOW, ALL)["items"]}

    assert (item["confidence"], item["estimated"]) == (0.81, True)
    assert (way["confidence"], way["estimated"]) == (0.81, True)
    assert (needed["cart"]["confidence"], needed["cart"]["estimated"]) == (0.97, False)
    assert (needed["ledger"]["confidence"], needed["ledger"]["estimated"]) == (0.81, True)


def test_an_answer_is_as_sure_as_its_least_sure_item_and_counts_its_estimates() -> None:
    made = guess(MapMaker("web>cart"), "cart", "ledger", 0.3)

    found = grounds("dependencies", answers.dependencies_of(made.view, "web", NOW, HIDDEN))

    assert found["confidence"] == 0.27
    assert found["confidence_reasons"][:2] == [
        "1 of 2 rest on an estimate: no layer saw the call itself",
        "1 of 2 are less sure than 50%",
    ]


def test_an_answer_that_has_nothing_to_be_doubted_for_gives_no_reason() -> None:
    made = MapMaker("web>cart")

    found = grounds("dependents", answers.dependents(made.view, "cart", NOW, ALL))

    assert found == {"confidence": 0.97, "confidence_reasons": []}


def test_a_list_that_goes_on_says_how_much_of_it_there_is() -> None:
    made = MapMaker(*(f"caller-{number}>hub" for number in range(5)))

    found = grounds("dependents", answers.dependents(made.view, "hub", NOW, Query(limit=2)))

    assert found["confidence_reasons"] == ["only 2 of 5 are listed: ask again with next_cursor for more"]


def test_silent_services_and_layers_are_reasons() -> None:
    layers = {"trace": {"age_seconds": 1_260}, "ipc": {"age_seconds": 4}}

    assert of("path", coverage={"services": 3, "reporting": 1, "silent": [], "layers": layers}, items=[]) == {
        "confidence": None,
        "confidence_reasons": [
            "2 of 3 services here that send telemetry have been silent for two minutes or more",
            "the trace layer has been silent for 21 min",
        ],
    }
    empty = of("services", coverage={"services": 0, "reporting": 0, "silent": [], "layers": {}}, items=[])
    assert empty["confidence_reasons"] == ["no telemetry has ever arrived"]


def test_causes_are_as_sure_as_the_likeliest_and_say_when_nobody_is_named() -> None:
    items = [{"id": "db", "p": 0.34, "evidence": []}, {"id": "cart", "p": 0.2, "evidence": []}]

    named = of("causes", items=items, named="db", why_none="")
    unnamed = of("causes", items=items, named=None, why_none="several are as likely")

    assert named == {"confidence": 0.34, "confidence_reasons": []}
    assert unnamed["confidence_reasons"] == ["no cause is likely enough to be named: several are as likely"]
    assert of("causes", items=[], named=None, why_none="nothing is wrong")["confidence"] is None


def test_an_incidents_cause_is_a_ranking_and_says_so() -> None:
    named = of("incident", facts={"map": {"cause": {"service": "db", "p": 0.82, "why_none": ""}}})
    unnamed = of("incident", facts={"map": {"cause": {"service": "", "p": 0.0, "why_none": "too little is known"}}})

    assert named["confidence"] == 0.82
    assert named["confidence_reasons"] == ["the likely cause is a ranking of what was seen, not a finding"]
    assert unnamed == {"confidence": None, "confidence_reasons": ["no likely cause is named: too little is known"]}
    assert of("incident", facts={"map": None})["confidence"] is None


def test_an_owner_that_nobody_names_is_not_the_nearest_ones() -> None:
    nearest = {"id": "web", "owner": {"team": "Web"}}

    hinted = of("owner", owner=None, on_map=True, nearest_owned_dependent=nearest)
    unknown = of("owner", owner=None, on_map=True, nearest_owned_dependent=None)
    elsewhere = of("owner", owner={"team": "Web"}, on_map=False, nearest_owned_dependent=None)

    assert hinted["confidence_reasons"] == [
        "no source names an owner; nearest_owned_dependent is a hint, not its owner"
    ]
    assert unknown["confidence_reasons"] == ["no source names an owner; nor has anybody who calls it one"]
    assert elsewhere["confidence_reasons"] == ["not on the map: only the catalogue knows it"]


def test_a_service_is_as_sure_as_its_surest_call() -> None:
    made = guess(MapMaker("web>cart"), "ghost", "cart", 0.4)

    assert service_grounds(made.view, "cart", NOW) == {"confidence": 0.97}
    assert service_grounds(made.view, "ghost", NOW) == {"confidence": 0.36}
    found = {one["id"]: one["confidence"] for one in answers.services(made.view, NOW, ALL)["items"]}
    assert found == {"cart": 0.97, "ghost": 0.36, "web": 0.97}


def test_a_change_is_graded_by_the_edge_there_is_now_and_one_that_is_gone_weakens_nothing() -> None:
    made = guess(MapMaker("web>cart"), "cart", "ledger", 0.4)

    def change(caller: str, callee: str, kind: str) -> EdgeChange:
        return EdgeChange(caller, callee, None, kind, (), None, None)

    assert change_grounds(made.view, change("web", "cart", "new"), NOW) == {"confidence": 0.97, "estimated": False}
    assert change_grounds(made.view, change("cart", "ledger", "new"), NOW) == {"confidence": 0.36, "estimated": True}
    assert change_grounds(made.view, change("web", "gone", "gone"), NOW) == {"confidence": None, "estimated": None}
    listed = [{"kind": "gone", "confidence": 0.1}, {"kind": "new", "confidence": 0.9}]
    assert of("diff", items=listed)["confidence"] == 0.9


def test_who_looks_for_a_name_that_nobody_has_gets_the_ones_that_look_like_it() -> None:
    made = MapMaker("web>payments>payments-db")

    assert answers.services(made.view, NOW, ALL, "paymnts")["suggestions"][0] == "payments"
    assert answers.services(made.view, NOW, ALL, "pay")["suggestions"] == []
    assert answers.services(made.view, NOW, ALL)["suggestions"] == []
