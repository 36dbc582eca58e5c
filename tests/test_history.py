"""The map of the past: every answer as a reader at that moment would have had it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.catalog.entries import Catalog, CatalogEntry, Link
from bot.counts import KnownEdge
from bot.edge_detail import EdgeDetail
from bot.enrich import answers, changes_between
from bot.enrich.answers import Json, Query
from bot.enrich.blast import blast_radius
from bot.enrich.changes_between import EdgeChange, Shifts
from bot.enrich.facts import read_map
from bot.enrich.view import MapView
from bot.history import History
from bot.layers.windows import minute_of
from bot.model import ENTRY, Change, ChangeKind, EdgeKey, Kind, Layer, Node, Owner
from bot.storage import history_store
from bot.storage.change_store import ChangeStore
from bot.storage.database import Database
from bot.storage.history_store import HistoryStore
from bot.storage.map_store import MapStore, StoredEdge
from tests.kit.maps import NOW, MapMaker, edge, minute, tally

ALL = Query()
DAY = 86_400
T = float(minute_of(NOW))
"""A full minute: a moment at which what a reader saw and what is known of the past are the same."""


class Times:
    """A database that is written as time goes by, and asked afterwards."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.maps, self.store = MapStore(database), HistoryStore(database)
        self.catalog = Catalog()
        self.history = History(MapMaker().view, self.store)

    async def calls(
        self,
        *edges: str,
        at: Sequence[float],
        count: float = 10.0,
        failed: float = 0.0,
        bucket: int | None = 4,
        layer: Layer = Layer.TRACE,
        kinds: dict[str, Kind] | None = None,
        detail: EdgeDetail | None = None,
    ) -> None:
        """`count` calls on every edge in every minute that starts at one of `at`."""
        keys = [edge(one) for one in edges]
        windows = {minute_of(one): {key: tally(count, failed, bucket) for key in keys} for one in at}
        stored = [StoredEdge(layer, key, min(windows), max(windows) + 60.0, 60.0, detail) for key in keys]
        nodes = [
            Node(service, (kinds or {}).get(service, Kind.SERVICE), name=service)
            for key in keys
            for service in key
            if service != ENTRY
        ]
        await self.maps.write(layer, nodes, stored, windows, 0.0)

    async def rolled(self, now: float, minutes_until: float = 0.0, hours_until: float = 0.0) -> None:
        await self.store.roll_up(now, minutes_until, hours_until)
        self.history = History(MapMaker(catalog=self.catalog).view, self.store)


@pytest.fixture
async def times(tmp_path: Path) -> AsyncIterator[Times]:
    database = Database(f"sqlite:///{tmp_path}/past.db")
    await database.upgrade()
    yield Times(database)
    await database.close()


def minutes(*ago: int, now: float = T) -> list[float]:
    return [now - 60 * one for one in ago]


def ids(answer: Json) -> list[str]:
    return [item["id"] for item in answer["items"]]


# -- as of a moment --------------------------------------------------------------------------------------------------


async def test_every_answer_about_a_past_moment_is_the_one_that_was_given_then(tmp_path: Path) -> None:
    catalog = Catalog({"pay": CatalogEntry(Owner("Payments", "@pay", "services.yaml"), "1", "money")}, {"p": "pay"})
    live = MapMaker(catalog=catalog, kinds={"pg": Kind.DATABASE})
    for ago in range(40, 0, -1):  # nothing in the minute that begins at T
        live.calls(f"{ENTRY}>web>checkout", count=30, ago=ago)
        live.calls("checkout>pay>pg", "cart>pay", count=30, failed=5.0 if ago < 4 else 0.0, ago=ago)
    everything = [edge(one) for one in (f"{ENTRY}>web", "web>checkout", "checkout>pay", "pay>pg", "cart>pay")]
    live.graph.see(Layer.TRACE, minute(1), [(one, tally()) for one in everything], T)  # up to the minute's end
    live.view.heard[Layer.TRACE] = T
    database = Database(f"sqlite:///{tmp_path}/same.db")
    await database.upgrade()
    maps, store = MapStore(database), HistoryStore(database)
    await write_down(live, maps)
    history = History(live.view, store)
    await history.note_properties(T - 7_200)
    wanted = {name: ask(live.view, T) for name, ask in ANSWERS.items()}
    for rolled in (False, True):
        if rolled:
            await store.roll_up(T + 7_200, 0, 0)
            history = History(live.view, store)
        view = await history.at(T)
        found = {name: ask(view, T) for name, ask in ANSWERS.items()}
        assert found == wanted
    await database.close()


async def write_down(live: MapMaker, maps: MapStore) -> None:
    """Write what is on a live map, as the ingest side does."""
    graph = live.graph
    for layer, windows in live.windows.items():
        edges = []
        pending = windows.take_pending()
        for key in {key for counts in pending.values() for key in counts}:
            seen = graph.entry(key[1]) if key[0] == ENTRY else graph.layers(*key)[layer]
            assert seen is not None
            edges.append(StoredEdge(layer, key, seen.first_seen, seen.last_seen, seen.interval))
        await maps.write(layer, [graph.node(service) for service in graph.services()], edges, pending, T)


def _radius(view: MapView, now: float) -> object:
    radius = blast_radius(view, ["pay"], now)
    return radius.ranked, radius.why, radius.dependents


ANSWERS: dict[str, Callable[[MapView, float], object]] = {
    "services": lambda view, now: answers.services(view, now, ALL),
    "service": lambda view, now: answers.service(view, "pay", now, ALL),
    "hidden": lambda view, now: answers.service(view, "pay", now, Query(hidden=True)),
    "dependents": lambda view, now: answers.dependents(view, "pay", now, ALL),
    "dependencies": lambda view, now: answers.dependencies_of(view, "web", now, ALL),
    "sure": lambda view, now: answers.dependents(view, "pay", now, Query(min_confidence=0.9)),
    "traced": lambda view, now: answers.dependents(view, "pay", now, Query(layers=frozenset((Layer.TRACE,)))),
    "path": lambda view, now: answers.path(view, "web", "pg", now, ALL),
    "facts": lambda view, now: read_map(view, ["pay"], {}, now),
    "radius": _radius,
    "names": lambda view, now: [view.graph.names.resolve(name) for name in ("p", "pay", "web", "pg")],
}


async def test_a_past_moment_never_shows_the_future(times: Times) -> None:
    await times.calls("web>pay", at=minutes(30))
    await times.calls("web>new", at=minutes(10))
    await times.calls("web>pay", at=minutes(5), count=1_000, failed=1_000)
    for rolled in (False, True):
        if rolled:
            await times.rolled(T + 2 * DAY)
        before, just, after = [await times.history.at(moment) for moment in minutes(20, 10, 9)]
        assert "new" not in before.graph
        assert "new" not in just.graph  # its minute has only begun
        assert "new" in after.graph
        [seen] = before.graph.layers("web", "pay").values()
        assert (seen.first_seen, seen.last_seen) == (T - 1_800, T - 1_740)
        assert before.windows[Layer.TRACE].calls(("web", "pay")) == 10
        assert before.heard == {Layer.TRACE: T - 1_740}
        assert before.erring(0, T + DAY) == set()


async def test_an_edge_that_is_dead_today_is_there_in_its_time_and_stale_and_gone_after_it(times: Times) -> None:
    await times.calls("web>old", at=[T, T + 60], kinds={"old": Kind.DATABASE})
    await times.calls("web>pay", at=[T + DAY * number - 120 for number in range(1, 40)])
    await times.rolled(T + 41 * DAY)
    alive, stale, gone = [await times.history.at(moment) for moment in (T + 120, T + 5 * DAY, T + 39 * DAY)]

    assert alive.graph.freshness("web", "old", T + 120) == "fresh"
    assert alive.graph.node("old").kind is Kind.DATABASE
    assert stale.graph.freshness("web", "old", T + 5 * DAY) == "stale"
    assert not stale.graph.shown("web", "old")
    assert list(stale.graph.shown_callees("web")) == ["pay"]
    assert set(stale.graph.callees("web")) == {"old", "pay"}
    assert "old" not in gone.graph
    assert (gone.graph.service_count, gone.graph.edge_count) == (2, 1)


async def test_a_service_that_was_renamed_has_its_old_name_in_the_past_and_only_there(times: Times) -> None:
    await times.calls("web>payments-v1", at=minutes(200, 199))
    await times.calls("web>payments", at=minutes(10, 9))
    history = History(MapMaker().view, times.store, edge_retention=7_200.0)
    then, now = await history.at(T - 11_000), await history.at(T)

    assert (ids(answers.services(then, T - 11_000, ALL)), ids(answers.services(now, T, ALL))) == (
        ["payments-v1", "web"],
        ["payments", "web"],
    )
    assert then.graph.names.resolve("payments-v1") == "payments-v1"


async def test_the_owner_at_two_in_the_night_is_the_one_of_two_in_the_night(times: Times) -> None:
    await times.calls("web>pay", at=minutes(120, 60, 1))
    live = MapMaker().view
    history = History(live, times.store)
    live.catalog = Catalog({"pay": CatalogEntry(Owner("Old", "#old", "a"), "2", "money", aliases=("p",))}, {"p": "pay"})
    assert await history.note_properties(T - 7_200) == 1
    known: dict[str, Any] = {
        "kind": Kind.DATABASE, "entry_point": True, "repository": "https://r.test", "links": (Link("Board", "https://b.test"),),
        "depends_on": ("disk",), "sources": {"tier": "a"},
    }  # fmt: skip
    new = CatalogEntry(Owner("New", on_call="Ada", email="new@shop.test"), "1", **known)
    live.catalog = Catalog({"pay": new})
    assert await history.note_properties(T - 3_600) == 1
    assert await history.note_properties(T - 1_800) == 0
    live.catalog = Catalog()
    assert await history.note_properties(T - 60) == 1
    before, then, later, now = [await history.at(moment) for moment in (T - 7_201, T - 3_601, T - 1_800, T)]

    assert before.entry("pay") is None
    assert then.entry("pay") == CatalogEntry(Owner("Old", "#old", "a"), "2", "money", aliases=("p",))
    assert then.graph.names.resolve("p") == "pay"
    assert later.entry("pay") == new
    assert later.is_entry_point("pay")
    assert now.entry("pay") is None


@pytest.mark.parametrize("learnt_before", [False, True])
async def test_an_edge_that_was_taken_back_leaves_the_past_too(times: Times, learnt_before: bool) -> None:
    await times.calls("web>pay", "web>wrong", at=minutes(5))
    if learnt_before:
        await times.history.refresh()
    assert "wrong" in (await times.history.at(T)).graph
    await times.maps.forget([(Layer.TRACE, edge("web>wrong"))])
    await times.history.refresh()

    assert "wrong" not in (await times.history.at(T)).graph
    assert "pay" in (await times.history.at(T)).graph


async def test_a_map_of_many_pages_is_learnt_whole_and_later_only_what_is_new(
    times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_store, "_PAGE", 2)
    await times.calls("web>pay", "web>cart", "cart>stock", "pay>ledger", "pay>bank", at=minutes(5))
    await times.history.refresh()
    reads: list[int] = []
    page = times.store.edges_after

    async def noted(number: int) -> list[KnownEdge]:
        reads.append(number)
        return await page(number)

    monkeypatch.setattr(times.store, "edges_after", noted)
    await times.calls("bank>vault", at=minutes(4))
    await times.history.refresh()

    assert min(reads) == 5
    assert len(times.history._index) == 6
    assert sorted((await times.history.at(T)).graph.services()) == [
        "bank", "cart", "ledger", "pay", "stock", "vault", "web",
    ]  # fmt: skip


async def test_a_view_of_the_past_has_the_alerts_that_fired_then(times: Times) -> None:
    async def fired(moment: float) -> dict[str, float]:
        return {"pay": T - 900} if moment >= T - 900 else {}

    await times.calls("web>pay", at=minutes(5, 20))
    history = History(MapMaker().view, times.store, fired=fired)
    before, then = await history.at(T - 960), await history.at(T - 240)

    assert answers.service(before, "pay", T - 960, ALL)["state"] == "ok"
    assert answers.service(then, "pay", T - 240, ALL)["why"] == "alert"


async def test_new_edges_are_learnt_when_they_are_met(times: Times) -> None:
    await times.calls("web>pay", at=minutes(5))
    assert (await times.history.at(T - 60)).graph.service_count == 2
    await times.calls("web>cart", at=minutes(3))

    assert sorted((await times.history.at(T)).graph.services()) == ["cart", "pay", "web"]


async def test_layers_stay_side_by_side_and_an_estimate_is_doubted_by_a_layer_that_sees_both_ends(times: Times) -> None:
    guess = EdgeDetail(via={("lb",)}, certainty=0.7, how="estimated")
    await times.calls("web>pay", at=minutes(2), layer=Layer.NETWORK, detail=guess)
    await times.calls("web>cart", "cart>pay", at=minutes(2), layer=Layer.IPC, count=7)
    await times.calls("web>cart", at=minutes(2), layer=Layer.TRACE, count=3)
    view = await times.history.at(T)

    assert view.graph.layers("web", "cart").keys() == {Layer.IPC, Layer.TRACE}
    assert view.counts(("web", "cart"), 0, T).calls == 7
    assert view.graph.confidence("web", "pay", T) == pytest.approx(0.9 * 0.7 * 0.3)
    assert not view.graph.shown("web", "pay")
    assert view.graph.detail(Layer.NETWORK, "web", "pay") == guess
    assert "a layer that covers both ends has not seen it" in view.graph.reasons("web", "pay", T)


async def test_a_moment_from_which_only_hours_are_kept_has_the_last_full_hour(times: Times) -> None:
    hour = T - T % DAY + 3_600
    await times.calls("web>pay", at=[hour, hour + 1_800], count=10)
    await times.calls("web>new", at=[hour + 3_660], count=10)
    await times.rolled(hour + 3 * DAY, minutes_until=hour + 2 * DAY)
    view = await times.history.at(hour + 5_400)

    assert sorted(view.graph.services()) == ["pay", "web"]
    assert view.windows[Layer.TRACE].calls(("web", "pay")) == 20
    [part] = answers.edge(view, "web", "pay", hour + 5_400)["layers"].values()
    assert part["calls"] == 20


async def test_a_past_moment_has_the_changes_of_the_day_before_it_and_none_of_later(times: Times) -> None:
    await times.calls("web>payments", at=minutes(8_650, 8_645, 0))
    await times.rolled(T + 60)
    changes = ChangeStore(times.database)
    for days in (9.5, 6.5, 5.5, 0):
        await changes.add(
            [Change(T - days * DAY, "payments", ChangeKind.DEPLOY, f"{days} d ago", "ci", str(days))], NOW
        )
    history = History(MapMaker().view, times.store, changes=changes)

    view = await history.at(T - 6 * DAY)
    assert [one["title"] for one in answers.service(view, "web", T - 6 * DAY, ALL)["changes"]] == ["6.5 d ago"]
    assert len((await History(MapMaker().view, times.store).at(T - 6 * DAY)).changes) == 0
    span = await history.between(T - 7 * DAY, T - 6 * DAY)
    assert [one["title"] for one in answers.service(span, "web", T - 6 * DAY, ALL)["changes"]] == ["6.5 d ago"]


async def test_a_view_is_remembered_for_a_while(times: Times) -> None:
    await times.calls("web>pay", at=minutes(5))
    view = await times.history.at(T)

    assert await times.history.at(T + 59.9) is view
    for ago in range(1, 6):
        await times.history.at(T - 60 * ago)
    assert await times.history.at(T) is not view


# -- ranges and differences ------------------------------------------------------------------------------------------


async def test_a_range_has_the_sums_over_all_of_it(times: Times) -> None:
    start = T - T % DAY
    await times.calls("web>pay", f"{ENTRY}>web", at=[start + 3_600 * number for number in range(24)], failed=1)
    await times.calls("web>old", at=[start - 60])
    await times.calls("web>new", at=[start + DAY])
    await times.rolled(start + 2 * DAY)
    view = await times.history.between(start, start + DAY)
    tally_of_day = view.counts(("web", "pay"), start, start + DAY)

    assert (tally_of_day.calls, tally_of_day.errors) == (240, 24)
    assert view.served("pay", start, start + DAY).calls == 240
    assert view.call_share("web", "pay") == 1.0
    assert sorted(view.graph.services()) == ["pay", "web"]
    assert view.is_entry_point("web")
    assert view.erring(start, start + DAY) == {("web", "pay"), (ENTRY, "web")}
    assert answers.service(view, "pay", start + DAY, ALL)["callers_total"] == 1


def named(changes: Sequence[EdgeChange], layer: Layer | None = None) -> dict[EdgeKey, tuple[str, tuple[str, ...]]]:
    return {(one.caller, one.callee): (one.kind, one.what) for one in changes if one.layer is layer}


async def test_two_days_differ_in_what_is_new_gone_or_changed(times: Times) -> None:
    first = T - T % DAY
    second = first + DAY
    await times.calls("web>same", "web>gone", at=[first, first + 60])
    await times.calls("web>busy", at=[first], count=100)
    await times.calls("web>slow", at=[first], count=100, bucket=4)
    await times.calls("web>bad", at=[first], count=100)
    await times.calls("web>same", "web>new", at=[second + 120, second + 180])
    await times.calls("web>busy", at=[second], count=300)
    await times.calls("web>slow", at=[second], count=100, bucket=6)
    await times.calls("web>bad", at=[second], count=100, failed=20)
    await times.rolled(second + 2 * DAY)
    changes = await times.history.diff((first, second), (second, second + DAY))

    assert named(changes) == named(changes, Layer.TRACE) == {
        ("web", "new"): ("new", ()),
        ("web", "gone"): ("gone", ()),
        ("web", "busy"): ("changed", ("calls",)),
        ("web", "slow"): ("changed", ("p95",)),
        ("web", "bad"): ("changed", ("error rate",)),
    }  # fmt: skip
    [bad] = [one for one in changes if one.callee == "bad" and one.layer is None]
    assert bad.before is not None
    assert bad.after is not None
    assert (bad.before.error_rate, bad.after.error_rate, bad.after.calls) == (0.0, 0.2, 100)
    assert bad.after.calls_per_minute == pytest.approx(100 / 1440)
    assert changes[0].callee == "busy"
    assert await times.history.diff((first, second), (first, second)) == []


async def test_the_stated_ratios_decide_what_counts_as_a_change(times: Times) -> None:
    first = T - T % DAY
    await times.calls("web>pay", at=[first], count=100)
    await times.calls("web>pay", at=[first + DAY], count=150)
    await times.rolled(first + 3 * DAY)
    days = (first, first + DAY), (first + DAY, first + 2 * DAY)

    assert await times.history.diff(*days) == []
    assert len(await times.history.diff(*days, Shifts(calls_ratio=1.5))) == 2
    assert await times.history.diff(*days, Shifts(calls_ratio=1.5, calls=151)) == []


async def test_an_edge_another_layer_knew_before_is_new_to_its_layer_only(times: Times) -> None:
    first = T - T % DAY
    await times.calls("web>pay", at=[first, first + DAY], layer=Layer.TRACE)
    await times.calls("web>pay", at=[first + DAY], layer=Layer.IPC)
    await times.rolled(first + 3 * DAY)
    changes = await times.history.diff((first, first + DAY), (first + DAY, first + 2 * DAY))

    assert [(one.layer, one.kind) for one in changes] == [(Layer.IPC, "new")]


async def test_of_more_changes_than_anybody_reads_those_with_most_calls_are_told(
    times: Times, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_between, "MAX_CHANGES", 2)
    first = T - T % DAY
    for calls in (1, 3, 2):
        await times.calls(f"web>s{calls}", at=[first + DAY], count=calls)
    await times.rolled(first + 3 * DAY)
    changes = await times.history.diff((first, first + DAY), (first + DAY, first + 2 * DAY))

    assert [one.callee for one in changes] == ["s3", "s2"] * 2
    assert times.history.dropped["changes beyond the cap"] == 2


async def test_two_moments_differ_in_what_was_known_and_counted_in_the_hour_before(times: Times) -> None:
    await times.calls("web>pay", at=minutes(*range(120)), count=10)
    await times.calls("web>new", at=minutes(3))
    await times.calls("web>pay", at=minutes(*range(1, 30)), count=90, failed=50)
    changes = await times.history.diff(T - 3_600, T)

    assert named(changes) == {("web", "new"): ("new", ()), ("web", "pay"): ("changed", ("calls", "error rate"))}
    assert named(await times.history.diff(T, T - 3_600))["web", "new"] == ("gone", ())
