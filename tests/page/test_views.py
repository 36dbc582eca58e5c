"""Answers to what templates show: addresses, numbers, overlays, the list to pass on, what changed."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as Tree

import pytest

from bot.catalog.entries import Catalog, CatalogEntry
from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.find import find
from bot.enrich.group_answer import GroupFold, edge_slices, members
from bot.enrich.now_answer import unhealthy
from bot.model import Kind, Layer, Owner
from bot.moments import iso
from bot.page import address, say
from bot.page.address import Look
from bot.page.around import Around, switches
from bot.page.difference import difference
from bot.page.figure import Mark, figure
from bot.page.incident import incident_page
from bot.page.plan import plan
from bot.page.sketch import MAX_ARROWS, MAX_BOXES, Box, Line, Sketch, left_out
from bot.page.slider import REACH_SECONDS, STEP_SECONDS, slider
from bot.picture.choose import Wish, choose
from bot.picture.focus import Focus, State
from bot.web.map.around import seen
from tests.kit.maps import NOW, MapMaker
from tests.picture.focuses import shop

OWNED = Catalog({
    "web": CatalogEntry(Owner("Storefront", "#storefront"), "1", "shop", entry_point=True),
    "checkout": CatalogEntry(Owner("Checkout", "@checkout", on_call="Ada"), "1", "shop"),
    "payments": CatalogEntry(Owner("Payments", "@pay"), "1", "money"),
    "invoices": CatalogEntry(Owner("Payments", "@pay"), "2", "money"),
})  # fmt: skip


def owned() -> MapMaker:
    """The shop in trouble, with owners."""
    made = shop()
    made.view.learn(OWNED)
    return made


def around(look: Look, wish: Wish | None = None) -> Around:
    view = owned().view
    focus = choose(view, look.service, NOW, suspects=[("payments-db", 0.82)], wish=wish)
    return Around(focus, *seen(view, focus, NOW), look, NOW)


# Addresses and words


def test_an_address_says_what_was_chosen_and_nothing_of_what_was_not() -> None:
    look = Look("payments", depth=2, layers=frozenset((Layer.IPC, Layer.TRACE)), at="-1h", overlay="tier")

    assert look.href == "/map?service=payments&depth=2&layers=ipc%2Ctrace&at=-1h&overlay=tier"
    assert look.but(depth=None, layers=frozenset(), at="", overlay="health") == "/map?service=payments"
    assert Look("a&b=<c>?#").href == "/map?service=a%26b%3D%3Cc%3E%3F%23"


@pytest.mark.parametrize(
    ("told", "said"),
    [(say.count(None), "–"), (say.count(7), "7"), (say.count(9_999), "9,999"), (say.count(45_300), "45.3k"), (say.count(2.1e6), "2.1M"),
     (say.share(0), "0%"), (say.share(0.004), "0.4%"), (say.share(0.914), "91%"), (say.share(None), "–"), (say.ms(0.4), "0.4 ms"),
     (say.ms(34), "34 ms"), (say.ms(1_234), "1.2 s"), (say.many(1, "service"), "1 service"), (say.many(0, "entry", "entries"), "0 entries"),
     (say.page("https://x.example"), "https://x.example"), (say.page("javascript:x"), ""), (say.page(None), "")],
)  # fmt: skip
def test_numbers_are_short_and_unknown_is_a_dash(told: str, said: str) -> None:
    assert told == said


def test_every_switch_leads_to_the_same_view_with_one_thing_chosen_otherwise() -> None:
    chosen = switches(Look("payments", depth=2, overlay="tier"), ["ipc", "trace"])

    assert [(label, on) for label, _, on in chosen["depths"]] == [
        ("1", False),
        ("2", True),
        ("3", False),
        ("All", False),
    ]
    assert [label for label, _, _ in chosen["layers"]] == ["All", "Metrics", "Traces"]
    for options in chosen.values():
        assert sum(on for *_, on in options) == 1
        assert all("service=payments" in href for _, href, _ in options)


@pytest.mark.parametrize(
    ("ago", "steps"), [(None, 0), (60, 0), (3_600, 12), (REACH_SECONDS * 3, REACH_SECONDS // STEP_SECONDS)]
)
def test_the_slider_stands_where_the_map_is_looked_at(ago: float | None, steps: int) -> None:
    now = 1_700_000_100.0  # a step of the slider
    shown = slider(Look("payments"), None if ago is None else now - ago, now)

    assert shown["steps"] == steps
    assert shown["live"] is (ago is None)
    assert shown["newest"] % STEP_SECONDS == 0


# The map around a service


def test_each_service_and_call_is_a_link_that_says_how_it_does() -> None:
    shown = around(Look("payments"))
    marks = shown.marks()
    labels = {mark.label.partition(":")[0]: mark for mark in marks.values()}

    assert labels["payments-db"].label == "payments-db: likely cause, likely cause 82%"
    assert "state-cause" in labels["payments-db"].classes
    assert "asked" in labels["payments"].classes
    assert labels["checkout"].href == "/map?service=checkout"
    call = next(mark for mark in marks.values() if mark.label.startswith("payments calls payments-db"))
    assert call.label == "payments calls payments-db, traces: 50 calls, 40% fail" or "fail" in call.label
    assert "suspect" in call.classes
    assert call.href == f"#{call.key}"
    assert call.key in {row["key"] for row in shown.values()["calls"]}


@pytest.mark.parametrize(
    ("overlay", "service", "said"),
    [("owner", "checkout", "Checkout"), ("owner", "payments-db", "no owner known"), ("tier", "payments", "tier 1"),
     ("domain", "web", "shop"),
     ("freshness", "tills", "seen now"), ("confidence", "checkout", "sure")],
)  # fmt: skip
def test_an_overlay_writes_what_it_colours(overlay: str, service: str, said: str) -> None:
    shown = around(Look("payments", overlay=overlay))

    assert shown.focus.by_id[service].notes == (said,)
    legend = [text for _, text in shown.values()["legend"]]
    assert said in legend or "none known" in legend
    mark = next(mark for mark in shown.marks().values() if mark.label.startswith(f"{service}:"))
    assert any(word.startswith("tone-") for word in mark.classes)


def test_more_values_than_colours_share_the_last() -> None:
    made = MapMaker(*(f"caller-{one}>hub" for one in range(15)))
    made.view.learn(Catalog({f"caller-{one}": CatalogEntry(Owner(f"team-{one}")) for one in range(15)}))
    focus = choose(made.view, "hub", NOW)
    marks = Around(focus, *seen(made.view, focus, NOW), Look("hub", overlay="owner"), NOW).marks()
    tones = {word for mark in marks.values() for word in mark.classes if word.startswith("tone-")}

    assert tones <= {f"tone-{one}" for one in range(7)}
    assert len(tones) == 7


def test_a_layers_own_numbers_stand_side_by_side() -> None:
    made = (
        MapMaker("web>cart")
        .calls("web>cart", layer=Layer.NETWORK)
        .calls("web>cart", layer=Layer.IPC, count=40, failed=4)
    )
    focus = choose(made.view, "cart", NOW)
    (row,) = Around(focus, *seen(made.view, focus, NOW), Look("cart"), NOW).values()["calls"]

    assert [one["layer"] for one in row["layers"]] == ["traces", "metrics", "network"]
    assert row["layers"][1] | {"calls": "40", "failed": "10%"} == row["layers"][1]
    assert row["layers"][2]["unit"] == "connections"


def states(focus: Focus) -> dict[str, State]:
    return {spot.id: spot.state for spot in focus.spots}


def test_a_service_that_is_well_can_be_drawn_as_if_it_failed_and_in_one_direction_only() -> None:
    view = MapMaker("web>checkout>payments>payments-db", kinds={"payments-db": Kind.DATABASE}).view

    assert states(choose(view, "payments", NOW))["checkout"] is State.OTHER
    supposed = states(choose(view, "payments", NOW, wish=Wish(supposed=True)))
    assert (supposed["checkout"], supposed["web"], supposed["payments-db"]) == (
        State.AT_RISK,
        State.AT_RISK,
        State.OTHER,
    )
    assert set(states(choose(view, "payments", NOW, wish=Wish("callers")))) == {"payments", "checkout", "web"}
    assert set(states(choose(view, "payments", NOW, wish=Wish("callees")))) == {"payments", "payments-db"}


# Figures


def test_a_figure_is_drawing_with_links_and_no_more() -> None:
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="100pt" height="50pt" viewBox="0 0 100 50"><g id="graph0" class="graph">'
        b'<title>sketch</title><polygon fill="white" points="0,0"/><g id="node1" class="node"><title>n0</title><polygon points="1,1"/></g>'
        b'<g id="edge1" class="edge"><title>n0-&gt;n0</title><path d="M0,0" onclick="x()" style="x"/></g></g></svg>'
    )
    marks = {
        "n0": Mark('/map?service="><script>', "<b>", ("state-hit",), "n0"),
        "n0->n0": Mark("#n0-n0", "self", ("call-new",), "n0-n0"),
    }
    drawn = Tree.fromstring(str(figure(svg, marks, "<title>", "said & done")))

    names = {element.tag.rpartition("}")[2] for element in drawn.iter()}
    assert names == {"svg", "title", "desc", "g", "a", "polygon", "path"}
    links = [element for element in drawn.iter() if element.tag.endswith("}a")]
    assert [link.get("aria-label") for link in links] == ["<b>", "self"]
    assert links[0].get("href") == '/map?service="><script>'
    assert not {name for element in drawn.iter() for name in element.attrib} & {"onclick", "style"}
    assert sum(element.get("class") == "reach" for element in drawn.iter()) == 1


def test_a_sketch_draws_the_first_and_counts_the_rest() -> None:
    boxes = [Box(f"b{one}", "x" * one, (), Mark("", "")) for one in range(MAX_BOXES + 5)]
    lines = [
        Line(f"b{one % MAX_BOXES}", f"b{other}", Mark("", ""))
        for one in range(MAX_BOXES)
        for other in range(MAX_BOXES + 1)
    ]
    sketch = Sketch.of(boxes, lines)

    assert (len(sketch.boxes), len(sketch.lines)) == (MAX_BOXES, MAX_ARROWS)
    assert left_out(sketch, "groups", "lines") == f"Not drawn: 5 groups and {len(lines) - MAX_ARROWS:,} lines."
    assert left_out(Sketch.of(boxes[:2], lines[:1]), "groups", "lines") == ""
    assert sketch.dot() == Sketch.of(boxes, lines).dot()


# Other pages


def test_services_are_put_together_by_domain_and_calls_between_are_added_up() -> None:
    view = owned().view
    fold = GroupFold(view, "domain", NOW)
    for part in edge_slices(view):
        fold.add(part)
    found = fold.answer()

    groups = {one["name"]: one for one in found["items"]}
    assert {name: one["services"] for name, one in groups.items()} == {"shop": 2, "money": 2, "": 5}
    assert groups["money"]["failing_services"] == ["payments"]
    assert groups["shop"]["calls_inside"] > 0
    between = {(one["caller"], one["callee"]): one["edges"] for one in found["calls"]}
    assert between[("shop", "money")] == 1
    assert members(view, NOW, "team", "Payments", 1)["total"] == 2


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("payments", "payments"),
        ("Payments ", "payments"),
        ("pay", "payments"),
        ("db", "payments-db"),
        ("invoces", "invoices"),
        ("", None),
        ("\u202e", None),
    ],
)
def test_the_best_is_what_is_called_so_then_what_begins_so_then_what_looks_like_it(
    typed: str, first: str | None
) -> None:
    found = find(shop().view, typed)

    assert (found[0] if found else None) == first
    assert len(found) == len(set(found))


def test_services_in_trouble_stand_with_those_that_alert_first() -> None:
    found = unhealthy(owned().view, NOW, 2)

    assert found["items"][0]["id"] == "payments"
    assert found["items"][0]["why"] == "alert"
    assert found["total"] >= 2
    assert len(found["items"]) == 2


def test_a_plan_tells_each_owner_of_all_his_services_and_those_without_last() -> None:
    view = owned().view
    found = answers.dependents(view, "payments-db", NOW, Query())
    shown = plan(["payments-db"], found, {"nobdy": ("nobody",)})

    told = {one["label"]: [service["name"] for service in one["services"]] for one in shown["found"]["owners"]}
    assert set(told["@pay"]) == {"payments", "invoices"}
    assert list(told)[-1] == ""
    assert "- @pay: payments, invoices" in shown["text"]
    assert "- no owner known: tills" in shown["text"]
    assert shown["unknown"] == [("nobdy", [("nobody", address.plan(["payments-db", "nobody"]))])]


def test_what_changed_is_drawn_with_the_number_that_changed_most_tellingly() -> None:
    def side(**numbers: float) -> dict[str, Any]:
        return {"calls": 100.0, "calls_per_minute": 10.0, "error_rate": 0.0, "p95_ms": 20.0} | numbers

    found = {
        "from": iso(NOW - 3_600), "to": iso(NOW), "total": 9, "next_cursor": "abc",
        "items": [
            {"caller": "web", "callee": "cart", "layer": None, "kind": "new", "what": [], "before": None, "after": side()},
            {"caller": "web", "callee": "old", "layer": None, "kind": "gone", "what": [], "before": side(), "after": None},
            {"caller": "web", "callee": "pay", "layer": None, "kind": "changed", "what": ["calls", "error rate"], "before": side(),
             "after": side(error_rate=0.3, calls_per_minute=50.0)},
        ],
    }  # fmt: skip
    sketch, values = difference(found, {"from": "-1h"})

    assert [line.text for line in sketch.lines] == ["new", "gone", "fail 0% → 30%"]
    assert [line.style for line in sketch.lines] == ["solid", "dashed", "solid"]
    assert values["rows"][0]["before"] is None
    assert values["next"] == "/diff?from=-1h&cursor=abc"
    assert [chosen for _, _, chosen in values["periods"]] == [True, False, False, False]


def test_an_incident_without_a_map_still_has_a_page() -> None:
    bare: dict[str, Any] = {
        "id": 7, "title": "", "state": "open", "environment": "", "opened_at": NOW - 60, "resolved_at": None, "facts": None, "alerts": [],
        "decisions": [],
    }  # fmt: skip
    shown = incident_page(bare, NOW)

    assert (shown["number"], shown["lasted"], shown["services"]) == (7, "1 min", [])
    assert shown["cause"]["service"] == ""
    assert shown["followed"]["rows"] == []


def test_what_was_predicted_stands_beside_what_came_of_it() -> None:
    facts = {"outcome": {"predicted": ["web", "till"], "hit": ["web"], "missed": ["search"]}, "map": None}
    found = {
        "id": 7, "title": "x", "state": "resolved", "environment": "prod", "opened_at": NOW - 600, "resolved_at": NOW, "facts": facts,
        "alerts": [], "decisions": [{"at": NOW - 590, "step": "decide", "verdict": "post", "reason": "first alert"}],
    }  # fmt: skip
    shown = incident_page(found, NOW + 9_999)

    rows = [(one["name"], one["predicted"], one["hit"]) for one in shown["followed"]["rows"]]
    assert rows == [("web", True, True), ("search", False, True), ("till", True, False)]
    assert (shown["over"], shown["lasted"]) == (True, "10 min")
    assert re.match(r"\d\d:\d\d:\d\d", shown["timeline"][0]["at"])
