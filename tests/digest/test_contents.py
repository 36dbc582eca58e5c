"""What a digest tells: news that persisted, once, and nothing of jobs that only sleep."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import numpy as np

from bot.catalog.entries import CatalogEntry
from bot.counts import KnownEdge
from bot.digest.contents import Line, Reading, lines
from bot.digest.period import Period
from bot.digest.persistence import Memory
from bot.edge_detail import EdgeDetail
from bot.graph.edge_index import EdgeIndex
from bot.model import ENTRY, Kind, Layer, Owner, Subscription

DAY = 86_400.0
NOW = 1_795_400_000.0
ALL = Subscription(1, "C1", "U1", 0.0, 540, "UTC")
CATALOG = {
    "shop": CatalogEntry(Owner("Web"), tier="tier-1", domain="sales"),
    "cart": CatalogEntry(Owner("web"), tier="1", domain="sales"),
    "ledger": CatalogEntry(Owner("Finance"), tier="tier 3", domain="money"),
}


KINDS = {"api.stripe.com": Kind.EXTERNAL}


class World:
    """Edges with when they were first and last seen, in seconds before now."""

    def __init__(self) -> None:
        self._edges: list[KnownEdge] = []
        self._last: list[float] = []
        self._silence: list[float] = []
        for layer in Layer:  # which watches since long ago; of what it was, nothing is left
            self.edge("old", "older", first=100 * DAY, last=99 * DAY, layer=layer)

    def edge(
        self, caller: str, callee: str, first: float, last: float, habit: float = 60.0, silence: float = 0.0,
        layer: Layer = Layer.IPC, detail: EdgeDetail | None = None,
    ) -> World:  # fmt: skip
        self._edges.append(KnownEdge(len(self._edges) + 1, layer, (caller, callee), NOW - first, habit, detail))
        self._last.append(NOW - last)
        self._silence.append(silence)
        return self

    def alive(self) -> World:
        """A layer that goes on reporting."""
        return self.edge("web", "shop", first=60 * DAY, last=-30 * DAY)

    def told(self, asked: Subscription = ALL, until: float = NOW, memory: Memory | None = None) -> list[Line]:
        return lines(self.reading(until), asked, memory)

    def reading(self, until: float = NOW) -> Reading:
        """A day as a digest reads it."""
        index = EdgeIndex()
        index.add(self._edges)
        last, first, since = np.array(self._last), np.array(index.first_seen), until - DAY
        before, after = (np.where(first < at, np.minimum(last, at), 0.0) for at in (since, until))
        period = Period(since, until, before, after, np.full(len(last), 7.0), np.array(self._silence))
        return Reading(index, period, CATALOG.get, KINDS)


def test_a_dependency_that_is_seen_again_and_again_is_new() -> None:
    (line,) = World().edge("shop", "cart", first=3_600, last=60).told()

    assert (line.kind, line.caller, line.callee, line.owner) == ("new", "shop", "cart", "web")
    assert (line.calls, line.notable) == (((Layer.IPC, 7.0),), False)


def test_a_one_off_is_no_news_however_rare_its_sampling_makes_it() -> None:
    assert not World().edge("shop", "cart", first=3_600, last=3_540).told()
    assert not World().edge("shop", "cart", first=7_200, last=3_600, habit=3_600).told()


def test_new_is_told_on_one_day_only() -> None:
    world = World().edge("shop", "cart", first=3_600, last=-10 * DAY)
    assert [len(world.told(until=NOW + day * DAY)) for day in (-1, 0, 1, 2)] == [0, 1, 0, 0]


def test_what_began_just_before_the_digest_is_told_the_day_after() -> None:
    world = World().edge("shop", "cart", first=120, last=-10 * DAY)
    assert [len(world.told(until=NOW + day * DAY)) for day in (0, 1, 2)] == [0, 1, 0]


def test_a_layer_that_sees_an_old_dependency_for_the_first_time_is_no_news() -> None:
    world = World().edge("shop", "cart", first=20 * DAY, last=60)
    assert not world.edge("shop", "cart", first=3_600, last=60, layer=Layer.TRACE).told()


def test_what_a_layer_sees_on_its_first_day_is_no_news() -> None:
    world = World()
    world._edges.clear()
    world._last.clear()
    world._silence.clear()
    world.edge("shop", "cart", first=2 * DAY, last=-10 * DAY).edge("shop", "ledger", first=1.5 * DAY, last=-10 * DAY)
    assert world.told(until=NOW - DAY) == []

    world.edge("shop", "mail", first=3_600, last=-10 * DAY)
    assert [line.callee for line in world.told()] == ["mail"]

    world.edge("web", "shop", first=7_200, last=-10 * DAY, layer=Layer.TRACE)
    assert [line.callee for line in world.told()] == ["mail"]


def test_a_dependency_that_fell_silent_is_gone_once() -> None:
    world = World().alive().edge("shop", "cart", first=20 * DAY, last=2.5 * DAY)
    assert [[line.kind for line in world.told(until=NOW + day * DAY)] for day in (-1, 0, 1)] == [[], ["gone"], []]


def test_nothing_is_gone_while_the_layer_that_saw_it_is_silent_altogether() -> None:
    silent = World().edge("shop", "cart", first=20 * DAY, last=2.5 * DAY).edge("web", "shop", 20 * DAY, 2.5 * DAY)
    assert [silent.told(until=NOW + day * DAY) for day in (0, 1, 5)] == [[], [], []]

    other = silent.edge("web", "mail", first=20 * DAY, last=-30 * DAY, layer=Layer.TRACE)
    assert [other.told(until=NOW + day * DAY) for day in (0, 1, 5)] == [[], [], []]


def test_nightly_and_weekly_jobs_are_not_gone_while_they_sleep() -> None:
    nightly = World().alive().edge("shop", "cart", first=20 * DAY, last=3.5 * DAY, habit=5_000, silence=DAY)
    weekly = World().alive().edge("shop", "cart", first=20 * DAY, last=8 * DAY, habit=5_000, silence=7 * DAY)
    once = World().alive().edge("shop", "cart", first=5 * DAY, last=4.9 * DAY)
    assert [world.told(until=NOW - day * DAY) for world in (nightly, weekly, once) for day in (0, 1)] == [[]] * 6


def test_other_teams_and_strangers_come_first_and_inversions_are_named() -> None:
    world = World().edge("shop", "cart", 3_600, 60).edge("cart", "api.stripe.com", 3_600, 60)
    world.edge("shop", "ledger", 3_600, 60).edge("ledger", "cart", 3_600, 60)
    found = world.told()

    assert [line.callee for line in found] == ["api.stripe.com", "cart", "ledger", "cart"]
    assert [line.external for line in found] == [True, False, False, False]
    assert [line.inversion for line in found] == ["", "", "1 needs 3", ""]
    assert [line.cross_team for line in found] == [False, True, True, False]


def test_who_asks_for_a_team_domain_tier_or_service_gets_only_theirs() -> None:
    world = World().edge("shop", "cart", 3_600, 60).edge("ledger", "mail", 3_600, 60).edge("mail", "queue", 3_600, 60)
    for asked in (
        replace(ALL, team="finance"), replace(ALL, domain="MONEY"), replace(ALL, tier="tier 3"), replace(ALL, service="ledger"),
        replace(ALL, service="mail", domain=""),
    ):  # fmt: skip
        assert world.told(asked)[0].caller in ("ledger", "mail")
        assert all("shop" not in line.key for line in world.told(asked))
    assert not world.told(replace(ALL, team="finance", domain="sales"))
    assert [line.caller for line in world.told(replace(ALL, tier="3"))] == ["ledger"]


def test_who_was_told_is_not_told_again_and_who_was_not_is_told_however_late_it_was_known() -> None:
    world = World().alive().edge("shop", "cart", first=2 * DAY, last=-10 * DAY)
    pair = "shop\ncart"

    assert [line.kind for line in world.told(memory=Memory({}, NOW - 5 * DAY))] == ["new"]
    assert world.told(memory=Memory({pair: "new"}, NOW - 5 * DAY)) == []
    assert world.told(memory=Memory({}, NOW - DAY)) == []
    assert [line.kind for line in world.told(memory=Memory({pair: "gone"}, NOW - DAY))] == ["new"]


def test_what_was_told_as_new_is_told_as_gone_and_what_nobody_was_told_of_only_where_it_is_old() -> None:
    world = World().alive().edge("shop", "cart", first=20 * DAY, last=4 * DAY)
    pair = "shop\ncart"

    assert [line.kind for line in world.told(memory=Memory({pair: "new"}, NOW - 30 * DAY))] == ["gone"]
    assert [line.kind for line in world.told(memory=Memory({}, NOW - 3 * DAY))] == ["gone"]
    assert world.told(memory=Memory({}, NOW - 30 * DAY)) == []
    assert world.told(memory=Memory({}, NOW - DAY)) == []
    assert world.told(memory=Memory({pair: "gone"}, NOW - 30 * DAY)) == []


def test_scrapers_and_mere_guesses_are_no_news() -> None:
    world = World().edge("shop", "cart", 3_600, 60)
    assert len(lines(world.reading(), ALL)) == 1
    assert lines(replace(world.reading(), hidden={"cart"}), ALL) == []

    for certainty, told in ((0.5, 0), (0.8, 1)):
        guessed = World().edge("shop", "cart", 3_600, 60, detail=EdgeDetail(certainty=certainty))
        assert len(guessed.told()) == told


def test_requests_from_outside_are_no_dependency() -> None:
    assert not World().edge(ENTRY, "shop", 3_600, 60).told()


def test_of_an_empty_map_nothing_is_told() -> None:
    assert World().told() == []


async def test_a_big_map_is_read_within_a_second_and_does_not_hold_the_event_loop() -> None:
    world = World()
    for number in range(100_000):
        first = 3_600 if number % 50 == 0 else 20 * DAY
        world.edge(f"s{number % 10_000}", f"s{(number * 7 + number // 10_000) % 10_000}", first, 60)
    index = EdgeIndex()
    index.add(world._edges)
    last = np.array(world._last)
    before = np.where(np.array(index.first_seen) < NOW - DAY, NOW - DAY, 0.0)
    period = Period(NOW - DAY, NOW, before, last, np.ones(len(last)), np.zeros(len(last)))
    working = asyncio.create_task(asyncio.to_thread(lines, Reading(index, period, CATALOG.get, KINDS), ALL))
    started, longest = time.perf_counter(), 0.0
    while not working.done():
        before_nap = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before_nap)

    assert len(await working) >= 1_000
    assert time.perf_counter() - started < 1.0
    assert longest < 0.2
