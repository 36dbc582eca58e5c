"""What changed of a service lately: the map's own news beside what others told of."""

from __future__ import annotations

from bot.enrich.recent_changes import changes_near, recent_map_changes
from bot.model import Change, ChangeKind, Layer
from tests.kit.maps import NOW, MapMaker

HOUR = 3_600.0
LONG = range(0, 180, 10)


def news(maker: MapMaker, *services: str, since: float = NOW - HOUR) -> list[tuple[str, str]]:
    return [(one.service, one.title) for one in recent_map_changes(maker.view, services, since, NOW)]


def test_a_dependency_seen_for_the_first_time_is_a_change_at_that_moment() -> None:
    maker = MapMaker().calls("web>payments", ago=LONG).calls("payments>ledger", ago=5)
    (change,) = recent_map_changes(maker.view, ["payments"], NOW - HOUR, NOW)

    assert (change.service, change.title, change.source) == ("payments", "calls ledger for the first time", "map")
    assert (change.kind, NOW - 420 < change.at < NOW - 240) == (ChangeKind.OTHER, True)
    assert news(maker, "payments", since=NOW - 60) == []


def test_an_edge_between_two_that_are_asked_for_is_told_once() -> None:
    maker = MapMaker().calls("web>payments", "cron>ledger", ago=LONG).calls("payments>ledger", ago=5)

    assert news(maker, "payments", "ledger", "payments") == [("payments", "calls ledger for the first time")]
    assert news(maker, "ledger") == [("ledger", "called by payments for the first time")]


def test_a_service_or_a_map_that_is_new_itself_has_no_news() -> None:
    maker = MapMaker("web>payments>ledger")

    assert news(maker, "web", "payments", "ledger", "nobody") == []


def test_a_dependency_that_fell_silent_against_its_habit_is_gone_while_its_layer_is_heard() -> None:
    maker = MapMaker().calls("web>payments", ago=LONG).calls("web>search", ago=range(40, 180))

    assert news(maker, "web") == [("web", "stopped calling search")]
    assert news(maker, "search") == [("search", "no longer called by web")]
    maker.view.heard[Layer.TRACE] = NOW - HOUR
    assert news(maker, "web") == []


def test_scrapers_and_services_that_call_themselves_are_no_news() -> None:
    maker = MapMaker().calls("web>payments", ago=LONG).calls("prometheus>payments", "payments>payments", ago=5)

    assert news(maker, "payments") == []


def test_what_was_told_of_and_what_was_seen_stand_together_newest_first() -> None:
    maker = MapMaker().calls("web>payments", ago=(1_500, 0)).calls("payments>ledger", ago=30)
    maker.view.changes.add(Change(NOW - 60, "payments", ChangeKind.DEPLOY, "payments 1.3", "github", "17"), NOW)
    maker.view.changes.add(Change(NOW - 7_200, "payments", ChangeKind.FLAG, "flag on", "gitlab", "18"), NOW)
    found = changes_near(maker.view, "payments", NOW)

    assert [one["title"] for one in found] == ["payments 1.3", "calls ledger for the first time", "flag on"]


def test_only_so_many_are_shown() -> None:
    maker = MapMaker("web>payments")
    for number in range(100):
        maker.view.changes.add(Change(NOW - number, "payments", ChangeKind.DEPLOY, str(number), "ci", str(number)), NOW)

    assert [one["title"] for one in changes_near(maker.view, "payments", NOW)] == [str(number) for number in range(20)]
