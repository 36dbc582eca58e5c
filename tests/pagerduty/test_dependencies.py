"""What the map discovers in PagerDuty's service graph: only what is sure, once, never against a person, and whatever goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.catalog.entries import Catalog
from bot.edge_detail import EdgeDetail
from bot.enrich.view import MapView
from bot.graph.live import LiveGraph
from bot.graph.sighting import Sighted
from bot.model import Layer, Node
from bot.names import Background, NameIndex
from bot.pagerduty.client import PagerDuty
from bot.pagerduty.dependencies import MOST_TAKEN_BACK, Dependencies
from bot.pagerduty.plan import ROUND
from bot.pagerduty.service_graph import ServiceGraph
from bot.pushed import Fate
from bot.storage.database import Database
from bot.storage.dependency_store import DependencyStore
from tests.kit.fake_pagerduty import TOKEN, FakePagerDuty, fake_pagerduty
from tests.kit.maps import chain

NOW = 1_795_400_000.0
HOUR, DAY = 3_600.0, 86_400.0
NAMES = {"PWEB": "web", "PCHECKOUT": "checkout", "PPAYMENTS": "payments", "PLEDGER": "ledger"}
WEB_CHECKOUT, CHECKOUT_PAYMENTS = ("PWEB", "PCHECKOUT"), ("PCHECKOUT", "PPAYMENTS")


@dataclass(slots=True)
class Scene:
    """A map, an account, and a clock that only tests move."""

    fake: FakePagerDuty
    view: MapView
    store: DependencyStore
    session: aiohttp.ClientSession
    now: float = NOW
    token: str = TOKEN

    def bot(self, **wishes: Any) -> Dependencies:
        """A bot as it is after a start."""
        api = PagerDuty(self.session, self.token, "", self.fake.url, timeout=0.5)
        return Dependencies(
            ServiceGraph(api, gap=0.0), self.store, self.view, wishes.get("least", 0.8), wishes.get("remove", False), 0.0,
            lambda: self.now,
        )  # fmt: skip

    def calls(self, *chains: str, since: float = 3 * DAY, layer: Layer = Layer.TRACE, habit: float = 60.0) -> None:
        """Calls from `since` seconds ago until now."""
        for edge in (edge for text in chains for edge in chain(text)):
            for service in edge:
                self.view.graph.add_node(Node(service, name=service))
            self.view.graph.restore(layer, edge, Sighted(self.now - since, self.now - 30, habit))
        self.view.heard[layer] = self.now

    async def rounds(self, bot: Dependencies, count: int = 1, **calling: Any) -> None:
        """So many hours, with calls in each: `chains`, or none while the layer reports all the same."""
        for _ in range(count):
            self.now += ROUND
            self.view.heard = dict.fromkeys(self.view.heard, self.now)
            self.calls(*calling.get("chains", ()), since=calling.get("since", 3 * DAY))
            await bot.tick()

    async def fates(self) -> dict[tuple[str, str], Fate]:
        return {pair: row.fate for pair, row in (await self.store.all()).items()}

    @property
    def stands(self) -> set[tuple[str, str]]:
        return set(self.fake.graph.numbers)


@asynccontextmanager
async def _scene(folder: Path) -> AsyncIterator[Scene]:
    database = Database(f"sqlite:///{folder}/bot.db")
    await database.upgrade()
    aliases = {number.lower(): service for number, service in NAMES.items()}
    graph = LiveGraph(NameIndex(aliases), background=Background(("prometheus*",)))
    try:
        async with fake_pagerduty() as fake, aiohttp.ClientSession() as session:
            fake.services |= set(NAMES)
            yield Scene(fake, MapView(graph, {}, Catalog(aliases=aliases)), DependencyStore(database), session)
    finally:
        await database.close()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with _scene(tmp_path) as made:
        yield made


class Killed(Exception):
    """The process ends here."""


def estimated(certainty: float) -> EdgeDetail:
    """What a layer knows of an edge of which it could not see both ends."""
    detail = EdgeDetail()
    detail.certainty = certainty
    return detail


async def test_edges_between_known_services_are_pushed_in_one_call_and_remembered_with_pagerdutys_numbers(
    scene: Scene,
) -> None:
    scene.calls("web>checkout>payments")
    bot = scene.bot()
    await bot.tick()

    assert scene.fake.graph.orders == [("associate", 2)]
    assert scene.stands == {WEB_CHECKOUT, CHECKOUT_PAYMENTS}
    kept = await scene.store.all()
    assert {pair: (row.fate, row.number) for pair, row in kept.items()} == {
        pair: (Fate.OURS, number) for pair, number in scene.fake.graph.numbers.items()
    }
    assert bot.state()["problem"] == ""


async def test_looking_again_pushes_nothing_again_not_even_after_a_restart(scene: Scene) -> None:
    scene.calls("web>checkout>payments")
    await scene.bot().tick()
    again = scene.bot()
    await scene.rounds(again, 3, chains=["web>checkout>payments"])

    assert scene.fake.graph.orders == [("associate", 2)]
    assert again.state()["ours"] == 2


async def test_between_two_looks_pagerduty_is_left_alone(scene: Scene) -> None:
    scene.calls("web>checkout")
    bot = scene.bot()
    await bot.tick()
    asked = len(scene.fake.asked)
    scene.now += ROUND - 1
    await bot.tick()

    assert len(scene.fake.asked) == asked


async def test_an_edge_to_a_service_that_is_none_of_pagerdutys_is_left_out_and_counted(scene: Scene) -> None:
    scene.calls("web>checkout", "checkout>stripe.com", "cron>web")
    bot = scene.bot()
    await bot.tick()

    assert scene.stands == {WEB_CHECKOUT}
    assert "1 × one end is no PagerDuty service" in bot.state()["left_out"]


async def test_an_edge_seen_for_less_than_a_day_waits(scene: Scene) -> None:
    scene.calls("web>checkout", since=DAY - HOUR)
    bot = scene.bot()
    await bot.tick()
    assert (scene.stands, bot.state()["left_out"]) == (set(), "1 × not seen for long enough")

    scene.now += ROUND
    scene.calls("web>checkout", since=DAY + HOUR)
    await bot.tick()
    assert scene.stands == {WEB_CHECKOUT}


async def test_what_a_layer_only_estimated_is_not_pushed_unless_another_saw_it(scene: Scene) -> None:
    from_estimate = Sighted(NOW - 3 * DAY, NOW - 30)
    scene.calls("web>checkout", "checkout>payments", layer=Layer.NETWORK)
    for edge in (("web", "checkout"), ("checkout", "payments")):
        detail = estimated(0.95)
        scene.view.graph.restore(Layer.NETWORK, edge, Sighted(NOW - 3 * DAY, NOW - 30, detail=detail))
    scene.view.graph.restore(Layer.TRACE, ("checkout", "payments"), from_estimate)
    bot = scene.bot()
    await bot.tick()

    assert scene.stands == {CHECKOUT_PAYMENTS}
    assert bot.state()["left_out"] == "1 × only estimated"


async def test_an_edge_that_faded_is_not_sure_enough(scene: Scene) -> None:
    scene.calls("web>checkout")
    scene.view.graph.restore(Layer.TRACE, ("checkout", "payments"), Sighted(NOW - 9 * DAY, NOW - 600))
    bot = scene.bot(least=0.9)
    await bot.tick()

    assert scene.stands == {WEB_CHECKOUT}


async def test_background_services_are_left_out_however_well_they_are_known(scene: Scene) -> None:
    scene.fake.services.add("PPROMETHEUS")
    scene.view.graph.names.learn({"pprometheus": "prometheus"})
    scene.calls("prometheus>web", "web>checkout")
    bot = scene.bot()
    await bot.tick()

    assert scene.stands == {WEB_CHECKOUT}
    assert bot.state()["left_out"] == "1 × background"


async def test_of_several_environments_it_is_productions_calls_that_count(scene: Scene) -> None:
    scene.calls("web@prod>checkout@prod", "web@staging>checkout@staging", "checkout@staging>payments@staging")
    await scene.bot().tick()

    assert scene.stands == {WEB_CHECKOUT}


async def test_a_service_that_two_pagerduty_services_are_known_for_is_left_out(scene: Scene) -> None:
    scene.fake.services.add("PWEBLOW")
    scene.view.graph.names.learn({**{number.lower(): name for number, name in NAMES.items()}, "pweblow": "web"})
    scene.calls("web>checkout>payments")
    bot = scene.bot()
    await bot.tick()

    assert scene.stands == {CHECKOUT_PAYMENTS}
    assert "1 × a service with several PagerDuty services" in bot.state()["left_out"]


async def test_what_others_made_is_neither_made_again_nor_ours(scene: Scene) -> None:
    scene.fake.graph.put(WEB_CHECKOUT)
    scene.calls("web>checkout>payments")
    bot = scene.bot()
    await bot.tick()

    assert scene.fake.graph.made == [CHECKOUT_PAYMENTS]
    assert await scene.fates() == {WEB_CHECKOUT: Fate.THEIRS, CHECKOUT_PAYMENTS: Fate.OURS}
    assert (bot.state()["there"], bot.state()["ours"]) == (2, 1)


async def test_business_services_are_never_written(scene: Scene) -> None:
    scene.fake.graph.business |= {"BSHOP", "BBANK"}
    scene.fake.graph.put(("BSHOP", "PWEB"), ("PWEB", "BBANK"))
    scene.calls("web>checkout")
    await scene.bot().tick()

    assert scene.fake.graph.made == [WEB_CHECKOUT]
    assert {("BSHOP", "PWEB"), ("PWEB", "BBANK")} <= scene.stands


async def test_of_a_circle_the_oldest_edges_are_pushed_and_the_one_that_closes_it_is_named(scene: Scene) -> None:
    scene.calls("web>checkout", since=9 * DAY)
    scene.calls("checkout>payments", since=8 * DAY)
    scene.calls("payments>web", since=7 * DAY)
    bot = scene.bot()
    await bot.tick()

    assert scene.stands == {WEB_CHECKOUT, CHECKOUT_PAYMENTS}
    assert bot.state()["left_out"] == "1 × it would close a circle"
    assert scene.fake.graph.orders == [("associate", 2)]


async def test_a_circle_that_only_pagerduty_can_see_costs_one_edge_and_not_the_batch(scene: Scene) -> None:
    scene.fake.services |= {"PONE", "PTWO"}
    scene.fake.graph.put(("PPAYMENTS", "PONE"), ("PONE", "PTWO"), ("PTWO", "PWEB"))
    scene.calls("web>checkout>payments", "checkout>ledger")
    bot = scene.bot()
    await bot.tick()
    fates = await scene.fates()

    assert sorted(fates.values()) == [Fate.OURS, Fate.OURS, Fate.REFUSED]
    [refused] = [row for row in (await scene.store.all()).values() if row.fate is Fate.REFUSED]
    assert refused.why == "pd_circular"
    orders = len(scene.fake.graph.orders)
    await scene.rounds(bot, 5, chains=["web>checkout>payments", "checkout>ledger"])
    assert len(scene.fake.graph.orders) == orders, "what was refused is asked for again"
    assert "1 × PagerDuty refused it: pd_circular" in bot.state()["left_out"]


async def test_a_service_with_as_many_dependencies_as_pagerduty_allows_gets_no_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.pagerduty.plan.MAX_NEIGHBOURS", 2)
    scene.fake.graph.most = 2
    scene.calls("web>checkout", since=9 * DAY)
    scene.calls("checkout>payments", since=8 * DAY)
    scene.calls("checkout>ledger", since=7 * DAY)
    bot = scene.bot()
    await bot.tick()

    assert scene.stands == {WEB_CHECKOUT, CHECKOUT_PAYMENTS}
    assert bot.state()["left_out"] == "1 × a service has 2 dependencies"


@pytest.mark.parametrize("wrong", ["failed", "lost"])
async def test_what_is_there_although_the_call_failed_is_counted_and_ours(scene: Scene, wrong: str) -> None:
    scene.calls("web>checkout>payments")
    scene.fake.graph.trouble = [wrong]
    bot = scene.bot()
    await bot.tick()

    assert set((await scene.fates()).values()) == {Fate.OURS}
    assert bot.state()["done"] == "2 × there although the call failed"
    await scene.rounds(bot, 2, chains=["web>checkout>payments"])
    assert scene.fake.graph.orders == [("associate", 2)]


async def test_where_half_was_taken_the_other_half_is_pushed_at_the_next_look(scene: Scene) -> None:
    scene.calls("web>checkout>payments")
    scene.fake.graph.trouble = ["half"]
    bot = scene.bot()
    await bot.tick()
    assert len(scene.stands) == 1
    assert bot.state()["problem"] == "dependencies are not pushed: pd_http_500"

    await scene.rounds(bot, chains=["web>checkout>payments"])
    assert len(scene.stands) == 2
    assert set((await scene.fates()).values()) == {Fate.OURS}
    assert scene.fake.graph.orders == [("associate", 2), ("associate", 1)]
    assert bot.state()["problem"] == ""


async def test_what_is_not_there_although_the_call_succeeded_is_counted_and_tried_again(scene: Scene) -> None:
    scene.calls("web>checkout")
    scene.fake.graph.trouble = ["ignored"]
    bot = scene.bot()
    await bot.tick()
    assert bot.state()["done"] == "1 × not there although the call succeeded"

    await scene.rounds(bot, chains=["web>checkout"])
    assert await scene.fates() == {WEB_CHECKOUT: Fate.OURS}


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_bot_that_died_between_call_and_record_makes_nothing_twice_and_claims_nothing(
    scene: Scene, arrived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.calls("web>checkout")

    async def died(self: ServiceGraph, pairs: Any) -> Any:
        if arrived:
            scene.fake.graph.put(*pairs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ServiceGraph, "associate", died)
        with pytest.raises(Killed):
            await scene.bot().tick()
    assert await scene.fates() == {WEB_CHECKOUT: Fate.INTENDED}

    await scene.rounds(scene.bot(), chains=["web>checkout"])
    assert scene.stands == {WEB_CHECKOUT}
    assert await scene.fates() == {WEB_CHECKOUT: Fate.THEIRS if arrived else Fate.OURS}
    assert len(scene.fake.graph.orders) == (0 if arrived else 1)


@pytest.mark.parametrize("theirs", [False, True])
async def test_what_somebody_deleted_is_not_made_again_whoever_had_made_it(scene: Scene, theirs: bool) -> None:
    if theirs:
        scene.fake.graph.put(WEB_CHECKOUT)
    scene.calls("web>checkout")
    bot = scene.bot()
    await bot.tick()
    scene.fake.graph.delete(WEB_CHECKOUT)
    await scene.rounds(bot, 5, chains=["web>checkout"])
    await scene.rounds(scene.bot(), 5, chains=["web>checkout"])

    assert scene.stands == set()
    assert await scene.fates() == {WEB_CHECKOUT: Fate.DECLINED}
    assert bot.state()["done"].startswith("1 × deleted by somebody")
    assert bot.state()["left_out"] == "1 × somebody deleted it"


async def test_what_is_missing_at_one_look_only_was_not_deleted(scene: Scene) -> None:
    scene.calls("web>checkout")
    bot = scene.bot()
    await bot.tick()
    number = scene.fake.graph.numbers.pop(WEB_CHECKOUT)
    await scene.rounds(bot, chains=["web>checkout"])
    scene.fake.graph.numbers[WEB_CHECKOUT] = number
    await scene.rounds(bot, 2, chains=["web>checkout"])

    assert await scene.fates() == {WEB_CHECKOUT: Fate.OURS}


async def test_an_edge_of_ours_that_is_gone_is_only_reported(scene: Scene) -> None:
    scene.calls("web>checkout>payments")
    bot = scene.bot()
    await bot.tick()
    await scene.rounds(bot, 14 * 24 - 1, chains=["web>checkout"])
    assert bot.state()["gone"] == ""
    await scene.rounds(bot, 2, chains=["web>checkout"])

    assert bot.state()["gone"] == "checkout → payments"
    assert scene.stands == {WEB_CHECKOUT, CHECKOUT_PAYMENTS}
    assert scene.fake.graph.taken_back == []


async def gone_for_long(scene: Scene, **wishes: Any) -> Dependencies:
    """A bot that had pushed checkout -> payments and has not seen it for more than two weeks."""
    scene.calls("web>checkout>payments")
    await scene.bot().tick()
    bot = scene.bot(**wishes)
    await scene.rounds(bot, 14 * 24 + 1, chains=["web>checkout"])
    return bot


async def test_with_the_second_setting_what_is_ours_and_gone_is_taken_back_and_made_again_once_it_is_back(
    scene: Scene,
) -> None:
    bot = await gone_for_long(scene, remove=True)
    assert scene.fake.graph.taken_back == [CHECKOUT_PAYMENTS]
    assert await scene.fates() == {WEB_CHECKOUT: Fate.OURS}

    await scene.rounds(bot, chains=["web>checkout>payments"])
    assert scene.stands == {WEB_CHECKOUT, CHECKOUT_PAYMENTS}


async def test_what_others_made_is_never_taken_back(scene: Scene) -> None:
    scene.fake.graph.put(CHECKOUT_PAYMENTS)
    await gone_for_long(scene, remove=True)

    assert scene.fake.graph.taken_back == []
    assert CHECKOUT_PAYMENTS in scene.stands


async def test_what_somebody_deleted_and_made_anew_is_theirs(scene: Scene) -> None:
    scene.calls("web>checkout>payments")
    await scene.bot().tick()
    scene.fake.graph.delete(CHECKOUT_PAYMENTS)
    scene.fake.graph.put(CHECKOUT_PAYMENTS)
    await gone_for_long(scene, remove=True)

    assert scene.fake.graph.taken_back == []


@pytest.mark.parametrize("wrong", [500, "lost", "failed", "ignored"])
async def test_a_call_to_take_back_that_fails_is_no_deletion_by_a_person(scene: Scene, wrong: str | int) -> None:
    scene.calls("web>checkout>payments")
    bot = scene.bot(remove=True)
    await bot.tick()
    await scene.rounds(bot, 14 * 24 - 1, chains=["web>checkout"])
    scene.fake.graph.trouble = [wrong]
    await scene.rounds(bot, 4, chains=["web>checkout"])
    assert scene.stands == {WEB_CHECKOUT}
    assert await scene.fates() == {WEB_CHECKOUT: Fate.OURS}

    await scene.rounds(bot, chains=["web>checkout>payments"])
    assert CHECKOUT_PAYMENTS in scene.stands


async def test_nothing_is_gone_while_the_bot_was_down_or_its_layer_silent(scene: Scene) -> None:
    scene.calls("web>checkout>payments")
    await scene.bot().tick()
    scene.now += 30 * DAY  # down
    bot = scene.bot(remove=True)
    for _ in range(20 * 24):  # up, and nothing arrives
        scene.now += ROUND
        await bot.tick()

    assert scene.fake.graph.taken_back == []
    assert bot.state()["gone"] == ""


async def test_so_many_are_taken_back_at_one_look_and_no_more(scene: Scene) -> None:
    numbers = [f"PX{number:03d}" for number in range(MOST_TAKEN_BACK + 5)]
    scene.fake.services |= set(numbers)
    known = {number.lower(): name for number, name in NAMES.items()} | {one.lower(): one.lower() for one in numbers}
    scene.view.graph.names.learn(known)
    scene.calls(*(f"web>{one.lower()}" for one in numbers))
    bot = scene.bot(remove=True)
    await bot.tick()
    assert len(scene.stands) == len(numbers)
    await scene.rounds(bot, 14 * 24)
    assert len(scene.fake.graph.taken_back) == MOST_TAKEN_BACK
    await scene.rounds(bot)
    assert scene.stands == set()


async def test_a_service_that_left_pagerduty_takes_its_dependencies_along_and_nobody_deleted_them(scene: Scene) -> None:
    scene.calls("web>checkout>payments")
    bot = scene.bot()
    await bot.tick()
    scene.fake.services.discard("PPAYMENTS")
    scene.fake.graph.delete(CHECKOUT_PAYMENTS)
    await scene.rounds(bot, 3, chains=["web>checkout>payments"])

    assert await scene.fates() == {WEB_CHECKOUT: Fate.OURS, CHECKOUT_PAYMENTS: Fate.OURS}
    assert bot.state()["problem"] == ""


@pytest.mark.parametrize("wrong", [429, "bare 429", 503, "drop"])
async def test_a_refusal_for_now_ends_the_look_which_is_taken_up_after_a_pause(scene: Scene, wrong: str | int) -> None:
    scene.calls("web>checkout")
    scene.fake.outage = wrong
    bot = scene.bot()
    await bot.tick()
    asked = len(scene.fake.asked)
    await bot.tick()
    assert len(scene.fake.asked) == asked
    scene.fake.recover()
    assert bot.state()["problem"].startswith("dependencies are not pushed: pd_")

    scene.now += 61
    await bot.tick()
    assert scene.stands == {WEB_CHECKOUT}


async def test_the_last_tenth_of_the_accounts_requests_is_left_to_others(scene: Scene) -> None:
    scene.calls("web>checkout")
    scene.fake.left = 50
    await scene.bot().tick()

    gaps = [later - earlier for earlier, later in zip(scene.fake.asked_at, scene.fake.asked_at[1:], strict=False)]
    assert gaps
    assert min(gaps) > 0.9


@pytest.mark.parametrize(
    ("status", "word"), [(401, "pd_unauthorized"), (403, "pd_forbidden"), (402, "pd_plan_lacks_it")]
)
async def test_a_key_that_may_not_write_shows_in_doctor_with_what_to_do(scene: Scene, status: int, word: str) -> None:
    scene.calls("web>checkout")
    scene.fake.graph.trouble = [status]
    bot = scene.bot()
    await bot.tick()

    assert bot.state()["problem"].startswith(f"dependencies are not pushed: {word} (")
    assert TOKEN not in bot.state()["problem"]
    await scene.rounds(bot, chains=["web>checkout"])
    assert bot.state()["problem"] == ""
    assert await scene.fates() == {WEB_CHECKOUT: Fate.OURS}


async def test_services_are_read_page_by_page(scene: Scene) -> None:
    scene.fake.services |= {f"PA{number:04d}" for number in range(250)}
    scene.calls("web>checkout")
    await scene.bot().tick()

    assert scene.stands == {WEB_CHECKOUT}
    assert [path for _, path in scene.fake.asked].count("/services") == 3


async def test_many_are_pushed_in_batches_one_after_the_other(scene: Scene) -> None:
    numbers = [f"PX{number:03d}" for number in range(120)]
    scene.fake.services |= set(numbers)
    known = {number.lower(): name for number, name in NAMES.items()} | {one.lower(): one.lower() for one in numbers}
    scene.view.graph.names.learn(known)
    scene.calls(*(f"web>{one.lower()}" for one in numbers))
    await scene.bot().tick()

    assert scene.fake.graph.orders == [("associate", 50), ("associate", 50), ("associate", 20)]
    assert len(scene.stands) == 120


async def test_where_no_service_is_pagerdutys_the_doctor_says_what_to_do(scene: Scene) -> None:
    scene.calls("shop>stock")
    bot = scene.bot()
    await bot.tick()

    assert "the catalogue has to name its PagerDuty service" in bot.state()["problem"]
    scene.calls("web>checkout")
    scene.now += 61
    await bot.tick()
    assert scene.stands == {WEB_CHECKOUT}
