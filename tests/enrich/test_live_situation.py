"""From the live map to likely causes: what is read off it, and what the answer says."""

from __future__ import annotations

import pytest

from bot import names
from bot.enrich.cause_answer import causes
from bot.enrich.causes.ranking import rank
from bot.enrich.facts import CauseFacts, read_map
from bot.enrich.live_situation import situation
from bot.enrich.recent_changes import change_line
from bot.model import Change, ChangeKind
from tests.kit.maps import NOW, MapMaker, minute


def shop(failing: float = 0.0) -> MapMaker:
    """web calls cart calls db for an hour; in the last three minutes calls to db fail."""
    made = MapMaker()
    for ago in range(50, -1, -1):
        failed = failing if ago < 3 else 0.0
        made.calls("web>cart", "cart>db", "web>login", count=40.0, failed=0.0, ago=ago)
        if failed:
            made.calls("web>cart>db", count=20.0, failed=failed, ago=ago)
    return made


def test_what_is_read_off_the_map() -> None:
    made = shop(failing=15.0)

    found = situation(made.view, "web", NOW, "HighErrorRate")

    assert found.services == ["cart", "db", "login", "web"]
    assert found.callees == {"web": ["cart", "login"], "cart": ["db"]}
    assert found.metric == "error_ratio"
    requests = next(one for one in found.measured["db"] if one.name == "requests")
    assert [at for at, _ in requests.points][-1] == minute(1)  # the minute under way is no whole one
    ratio = next(one for one in found.measured["db"] if one.name == "error_ratio")
    assert ratio.points[0][1] == 0.0
    assert 0.2 < ratio.points[-1][1] < 0.3
    ((at, calls),) = found.edges["cart", "db"][0].points
    assert at == NOW
    assert calls == pytest.approx((51 * 40 + 3 * 20) / 51)


def test_the_cause_is_named_with_its_numbers() -> None:
    made = shop(failing=15.0)

    answer = causes(made.view, "web", NOW, rank(situation(made.view, "web", NOW)))

    assert answer["named"] == "db"
    assert answer["items"][0]["id"] == "db"
    assert answer["items"][0]["p"] > 0.5
    assert any("of requests fail (usually 0%)" in sentence for sentence in answer["items"][0]["evidence"])
    assert answer["ruled_out"] == ["login"]
    assert answer["coverage"]["services"] >= 1


def test_the_answer_lists_the_changes_between_the_service_and_its_likely_cause_first() -> None:
    made = shop(failing=15.0)
    for service, ago in (("login", 60), ("db", 420)):
        made.view.changes.add(Change(NOW - ago, service, ChangeKind.DEPLOY, "v42", "test", service), NOW)
    answer = causes(made.view, "web", NOW, rank(situation(made.view, "web", NOW)))

    assert [change_line(one) for one in answer["changes"]] == [
        "deploy db: v42 · 7 min before · on the path", "deploy login: v42 · 1 min before",
    ]  # fmt: skip


def test_a_quiet_map_names_nobody_and_says_why() -> None:
    made = shop()
    answer = causes(made.view, "web", NOW, rank(situation(made.view, "web", NOW)))
    assert answer["named"] is None
    assert answer["why_none"] == "nothing around web is clearly unusual"
    assert answer["ruled_out"] == ["cart", "login", "db"]


def test_one_failed_call_of_two_is_no_outage() -> None:
    made = MapMaker()
    for ago in range(50, 0, -1):
        made.calls("web>cart", count=40.0, ago=ago)
        made.calls("cart>db", count=1.0, ago=ago)
    made.calls("cart>db", count=2.0, failed=1.0, ago=0)
    assert rank(situation(made.view, "web", NOW)).named is None


def test_firing_alerts_below_are_evidence() -> None:
    made = shop()
    made.view.firing["db"] = NOW - 120
    first = rank(situation(made.view, "web", NOW)).candidates[0]
    assert first.service == "db"
    assert any("alerts itself" in sentence for sentence in first.sentences)


def test_an_edge_that_is_new_is_a_change_of_its_caller() -> None:
    made = MapMaker()
    for ago in range(300, -1, -20):
        made.calls("web>cart", ago=ago)
    made.calls("cart>ledger", ago=5)
    events = situation(made.view, "web", NOW).events
    assert [(one.kind, one.service) for one in events] == [("change", "cart")]
    assert "ledger" in events[0].name


def test_traffic_only_the_network_sees_leaves_the_graph() -> None:
    made = MapMaker("web>cart")
    made.windows.clear()
    found = situation(made.view, "web", NOW)
    assert found.measured == {}
    assert rank(found).why_none == "nobody measures these services: there is only the map"


def test_a_healthy_service_is_not_blamed_for_callers_that_fail_for_another_reason() -> None:
    made = MapMaker()
    for ago in range(50, -1, -1):
        made.calls("web>fraud", "fraud>rules", count=40.0, ago=ago)
        made.calls("shop>web", count=40.0, failed=30.0 if ago < 3 else 0.0, ago=ago)
    found = rank(situation(made.view, "fraud", NOW))
    assert found.named is None
    assert found.ruled_out == ("rules",)


def test_changes_of_services_nobody_knows_are_passed_over_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*given: object) -> None:
        raise AssertionError("an alert waits for this, once for every change")

    monkeypatch.setattr(names, "close_matches", search)
    made = shop()
    for number, name in enumerate(("nobody", "db"), start=60):
        made.view.changes.add(Change(NOW - number, name, ChangeKind.DEPLOY, "v2", "test", str(number)), NOW)
    assert [event.service for event in situation(made.view, "web", NOW).events] == ["db"]


def test_services_of_one_machine_that_fail_together_point_to_it() -> None:
    made = MapMaker()
    for ago in range(50, -1, -1):
        made.calls("web>pay", "web>bill", "web>cart", "web>login", count=40.0, ago=ago)
        if ago < 3:
            made.calls("web>pay", "web>bill", count=20.0, failed=18.0, ago=ago)
    machines = {"pay": "n1", "bill": "n1", "cart": "n2", "login": "n2", "web": "n3"}
    made.view.places.see({(service, "node", name): NOW for service, name in machines.items()}, NOW)

    found = rank(situation(made.view, "web", NOW, "HighErrorRate"))
    answer = causes(made.view, "web", NOW, found)

    assert found.named is not None
    assert found.named.service == "node:n1"
    said = "2 of 2 services on node n1 are in trouble of their own (bill, pay), 0 of 2 elsewhere"
    assert answer["items"][0]["evidence"] == [said]
    assert answer["named"] == "node:n1"


def test_what_a_message_says_of_a_machine() -> None:
    cause = CauseFacts("node:n1", 0.8, ("2 of 2 services on node n1 are in trouble of their own",))
    made = MapMaker("web>pay")
    facts = read_map(made.view, ["web"], {}, NOW, NOW - 60, cause)
    assert [service for service, _, _ in facts.owners] == ["web"]
