"""What changed of a service lately: the map's own news beside what others told of."""

from __future__ import annotations

from bot.enrich.recent_changes import change_line, changes_around, recent_map_changes
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
    found = changes_around(maker.view, "payments", NOW)

    assert [one["title"] for one in found] == ["payments 1.3", "calls ledger for the first time", "flag on"]


def test_only_so_many_are_shown() -> None:
    maker = MapMaker("web>payments")
    for number in range(100):
        maker.view.changes.add(Change(NOW - number, "payments", ChangeKind.DEPLOY, str(number), "ci", str(number)), NOW)

    assert [one["title"] for one in changes_around(maker.view, "payments", NOW)] == [
        str(number) for number in range(20)
    ]


def deploy(maker: MapMaker, service: str, ago: float, title: str = "v42", kind: ChangeKind = ChangeKind.DEPLOY) -> None:
    maker.view.changes.add(Change(NOW - ago, service, kind, title, "ci", f"{service}/{ago}", author="ada"), NOW)


def lines(maker: MapMaker, onset: float | None = None, *suspects: str) -> list[str]:
    return [change_line(one) for one in changes_around(maker.view, "web", NOW, onset, suspects)]


def test_changes_on_the_path_come_first_each_by_its_age_against_the_onset() -> None:
    maker = MapMaker("web>payments>db", "web>search").calls("web>payments>db", "web>search", "mail>queue", ago=LONG)
    deploy(maker, "search", 60)
    deploy(maker, "db", 720, "deploy main (f95f852)")
    deploy(maker, "payments", 180, "replicas 3 -> 1", ChangeKind.SCALE)
    deploy(maker, "queue", 60)

    assert lines(maker, NOW - 300, "db", "nobody") == [
        "scale payments: replicas 3 -> 1 by ada · 2 min after · on the path",
        "deploy db: main (f95f852) by ada · 7 min before · on the path",
        "deploy search: v42 by ada · 4 min after",
    ]


def test_without_trouble_there_is_no_path_and_changes_are_so_long_ago() -> None:
    maker = MapMaker("web>payments>db").calls("web>payments>db", ago=LONG)
    deploy(maker, "db", 720)
    deploy(maker, "web", 7_200)

    assert lines(maker) == ["deploy db: v42 by ada · 12 min ago", "deploy web: v42 by ada · 2 h ago"]


def test_what_the_map_saw_is_told_of_the_path_only() -> None:
    maker = MapMaker().calls("web>payments", "web>search", ago=LONG).calls("payments>ledger", "search>index", ago=5)

    assert lines(maker, NOW, "payments") == ["payments: calls ledger for the first time · 5 min before · on the path"]


def test_a_line_stays_a_line_however_long_its_title_is() -> None:
    maker = MapMaker("web>payments").calls("web>payments", ago=LONG)
    deploy(maker, "web", 60, "x" * 300)
    (line,) = lines(maker, NOW)

    assert (len(line) < 180, line.endswith("… by ada · 1 min before · on the path")) == (True, True)


def test_a_circle_of_calls_has_each_change_once() -> None:
    maker = MapMaker("web>payments>web").calls("web>payments>web", ago=LONG)
    deploy(maker, "web", 60)
    deploy(maker, "payments", 120)

    assert [one["service"] for one in changes_around(maker.view, "web", NOW, NOW, ["payments"])] == ["web", "payments"]


def test_a_change_told_of_without_an_environment_is_told_once_of_the_nearest_that_is_called_so() -> None:
    maker = MapMaker("web>db@prod", "db@prod>db@staging").calls("web>db@prod", "db@prod>db@staging", ago=LONG)
    deploy(maker, "db", 60)
    (found,) = changes_around(maker.view, "web", NOW, NOW, ["db@prod"])

    assert (found["service"], found["hops"], found["on_path"]) == ("db", 1, True)
