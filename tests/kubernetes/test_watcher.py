"""A cluster watched over HTTP, with everything an API server does to a watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from bot.errors import Overloaded
from bot.kubernetes import watch
from bot.kubernetes.config import Cluster, Token
from bot.kubernetes.watcher import Watcher
from tests.kit.fake_kubernetes import TOKEN, FakeKubernetes, deployed, endpoint_slice, node, pod, service


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(watch, "_LONGEST_PAUSE", 0.1)


class Watched:
    """A watcher at work, and what it said."""

    def __init__(self, cluster: FakeKubernetes, token: Token | None = None, heartbeat: float = 3_600.0) -> None:
        self.records: list[dict[str, Any]] = []
        self.watcher = Watcher(
            Cluster(cluster.url, token or Token(TOKEN)), self.take, environment="prod", heartbeat=heartbeat
        )

    async def take(self, records: list[dict[str, object]]) -> None:
        self.records.extend(records)

    def owners(self) -> dict[str, str]:
        """Who has which address after everything that was said."""
        found: dict[str, str] = {}
        for record in self.records:
            if "service" in record and record["end"] is None:
                found[record["ip"]] = record["service"]
            elif "service" in record:
                found.pop(record["ip"], None)
        return found

    async def until(self, what: Callable[[], object], seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, (self.owners(), self.watcher.state())
            await asyncio.sleep(0.02)

    def resource(self, name: str) -> dict[str, Any]:
        resources: Any = self.watcher.state()["resources"]
        found: dict[str, Any] = resources[name]
        return found


@asynccontextmanager
async def watching(cluster: FakeKubernetes, **more: Any) -> AsyncIterator[Watched]:
    watched = Watched(cluster, **more)
    task = asyncio.create_task(watched.watcher.run())
    await asyncio.sleep(0)
    try:
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_there_is_listed_page_by_page_and_what_comes_and_goes_is_told() -> None:
    async with FakeKubernetes(page=2) as cluster:
        for number in range(5):
            cluster.put("pods", deployed(f"service-{number}", "x2x9z", ip=f"10.0.0.{number}"))
        cluster.put("services", service("pay", "10.96.0.1", {"": 80}))
        cluster.put("endpointslices", endpoint_slice("pay", {"10.0.0.1": True}, {"": 8080}))
        async with watching(cluster) as watched:
            await watched.until(lambda: len(watched.owners()) == 6)
            assert cluster.requests["list pods"] == 3
            assert any("targets" in record for record in watched.records)
            assert {record["environment"] for record in watched.records} == {"prod"}

            cluster.put("pods", deployed("late", "x2x9z", ip="10.0.0.9"))
            cluster.delete("pods", "service-0-7d9f8b6c5d-x2x9z")
            await watched.until(lambda: "10.0.0.9" in watched.owners() and "10.0.0.0" not in watched.owners())

            assert watched.watcher.state()["synced"] is True
            assert watched.resource("pods")["error"] == ""


async def test_nothing_is_said_before_the_nodes_are_known() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("odd", ip="192.168.0.1"))
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        cluster.put("nodes", node("n1", "192.168.0.1"))
        cluster.refuse["nodes"] = 503
        async with watching(cluster) as watched:
            await watched.until(lambda: watched.resource("pods")["lists"])
            await asyncio.sleep(0.3)
            assert watched.records == []

            del cluster.refuse["nodes"]
            await watched.until(lambda: watched.owners() == {"10.0.0.1": "web"})


async def test_a_resource_we_may_not_see_is_named_and_the_others_go_on() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        cluster.refuse["nodes"] = 403
        async with watching(cluster) as watched:
            await watched.until(lambda: watched.owners() == {"10.0.0.1": "web"})

            assert "list and watch nodes" in watched.resource("nodes")["error"]


async def test_a_broken_connection_goes_on_where_it_broke_without_listing_again() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        async with watching(cluster) as watched:
            await watched.until(lambda: cluster.requests["watch pods"])
            cluster.drop_watches()
            cluster.put("pods", pod("cart", ip="10.0.0.2"))
            await watched.until(lambda: "10.0.0.2" in watched.owners())

            assert cluster.requests["list pods"] == 1


async def test_a_version_the_server_forgot_leads_to_a_list_that_shows_what_was_missed() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        cluster.put("pods", pod("cart", ip="10.0.0.2"))
        async with watching(cluster) as watched:
            await watched.until(lambda: cluster.requests["watch pods"] and len(watched.owners()) == 2)
            cluster.delete_unseen("pods", "cart")
            cluster.forget_history()
            cluster.drop_watches()
            await watched.until(lambda: watched.owners() == {"10.0.0.1": "web"})

            assert watched.resource("pods")["lists"] == 2


async def test_a_bookmark_keeps_the_version_fresh_where_nothing_happens() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        async with watching(cluster) as watched:
            await watched.until(lambda: cluster.requests["watch pods"] and watched.owners())
            cluster.forget_history()
            cluster.bookmark("pods")
            heard = watched.resource("pods")["last_heard"]
            await watched.until(lambda: watched.resource("pods")["last_heard"] != heard)
            cluster.drop_watches()
            await watched.until(lambda: cluster.requests["watch pods"] >= 2)
            cluster.put("pods", pod("cart", ip="10.0.0.2"))
            await watched.until(lambda: "10.0.0.2" in watched.owners())

            assert cluster.requests["list pods"] == 1


async def test_an_object_that_makes_no_sense_costs_only_itself() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("odd", ip="10.0.0.7", status={"podIPs": "none"}))
        async with watching(cluster) as watched:
            await watched.until(lambda: cluster.requests["watch pods"])
            cluster.put("pods", pod("odder", ip="10.0.0.8", status={"podIP": 7}))
            cluster.put("pods", pod("web", ip="10.0.0.1"))
            await watched.until(lambda: watched.owners() == {"10.0.0.1": "web"})

            assert watched.resource("pods")["dropped"] == {"object: malformed": 2}


@pytest.mark.parametrize(
    "poison",
    [
        b'{"type":"MODIFIED","object":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        b'{"type":"MODIFIED","object":{"metadata":{"name":"\xff\xfe"}}}\n',
        b'{"type":"BOOKMARK","object":5}\n',
        b'{"type":"ERROR","object":[]}\n',
        b"<html>\n",
        b"\x00\n",
    ],
)
async def test_whatever_comes_on_a_watch_the_next_change_is_still_told(poison: bytes) -> None:
    async with FakeKubernetes() as cluster, watching(cluster) as watched:
        await watched.until(lambda: cluster.requests["watch pods"])
        cluster.drop_watches(poison)
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        await watched.until(lambda: watched.owners() == {"10.0.0.1": "web"})


async def test_an_endpoint_that_is_no_address_costs_only_itself() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("services", service("pay", "10.96.0.1", {"": 80}))
        cluster.put("endpointslices", endpoint_slice("pay", {"not:an:address": True, "10.0.0.1": True}, {"": 8080}))
        async with watching(cluster) as watched:
            await watched.until(lambda: any("targets" in record for record in watched.records))
            (targets,) = [record["targets"] for record in watched.records if "targets" in record]
            assert targets == [{"ip": "10.0.0.1", "port": 8080}]


async def test_a_list_that_never_ends_is_given_up_and_the_other_kinds_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_MAX_PAGES", 3)
    async with FakeKubernetes(page=1) as cluster:
        for number in range(5):
            cluster.put("services", service(f"s{number}", f"10.96.0.{number}", {"": 80}))
        async with watching(cluster) as watched:
            await watched.until(lambda: "after 3 pages" in watched.resource("services")["error"])
            await watched.until(lambda: cluster.requests["watch pods"])


@pytest.mark.parametrize("size", [200_000, watch.MAX_LINE + 1_000])
async def test_a_change_may_be_long_but_not_without_end(size: int) -> None:
    """What cannot be read as a change is read in a list."""
    async with FakeKubernetes() as cluster, watching(cluster) as watched:
        await watched.until(lambda: cluster.requests["watch pods"])
        cluster.put("pods", pod("big", ip="10.0.0.1", annotations={"blob": "x" * size}))
        await watched.until(lambda: watched.owners() == {"10.0.0.1": "big"})

        too_long = size > watch.MAX_LINE
        assert watched.resource("pods")["lists"] == (2 if too_long else 1)
        assert watched.resource("pods")["dropped"] == ({"change: too long": 1} if too_long else {})


@pytest.mark.parametrize("event", [{"kind": "no event at all"}, {"type": "ERROR", "object": {"code": 410}}])
async def test_a_watch_that_stops_making_sense_is_followed_by_a_list(event: dict[str, Any]) -> None:
    async with FakeKubernetes() as cluster, watching(cluster) as watched:
        await watched.until(lambda: cluster.requests["watch pods"])
        cluster.send("pods", event)
        await watched.until(lambda: watched.resource("pods")["lists"] == 2)


async def test_an_error_of_the_moment_on_a_watch_costs_no_list() -> None:
    async with FakeKubernetes() as cluster, watching(cluster) as watched:
        await watched.until(lambda: cluster.requests["watch pods"])
        cluster.bookmark("pods")
        cluster.send("pods", {"type": "ERROR", "object": {"code": 500, "reason": "InternalError"}}, once=True)
        await watched.until(lambda: cluster.requests["watch pods"] >= 2)

        assert cluster.requests["list pods"] == 1


async def test_a_token_that_was_replaced_is_read_again_when_the_server_refuses_the_old_one(tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        async with watching(cluster, token=Token(file=file)) as watched:
            await watched.until(lambda: cluster.requests["watch pods"] and watched.owners())
            cluster.token = "another"
            cluster.drop_watches()
            await watched.until(lambda: "401" in watched.resource("pods")["error"])
            file.write_text("another")
            await watched.until(lambda: watched.resource("pods")["error"] == "")

            assert cluster.requests["list pods"] == 1
            assert TOKEN not in str(watched.watcher.state())


async def test_a_heartbeat_repeats_what_holds() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        cluster.put("pods", pod("cart", ip="10.0.0.2"))
        async with watching(cluster, heartbeat=0.3) as watched:
            await watched.until(lambda: len(watched.records) >= 2)
            cluster.delete("pods", "cart")
            await watched.until(lambda: [one for one in watched.records if one["end"] is not None])
            said = len(watched.records)
            await watched.until(lambda: len(watched.records) >= said + 2)

            assert {record["ip"] for record in watched.records[said:]} == {"10.0.0.1"}
            assert len({record["start"] for record in watched.records if record["ip"] == "10.0.0.1"}) == 1


async def test_whoever_is_overloaded_gets_the_same_records_later() -> None:
    taken: list[dict[str, object]] = []
    arrived = asyncio.Event()
    refusals = iter((Overloaded("full", 0), Overloaded("full", 0)))

    async def take(records: list[dict[str, object]]) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        taken.extend(records)
        arrived.set()

    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        task = asyncio.create_task(Watcher(Cluster(cluster.url, Token(TOKEN)), take).run())
        await asyncio.wait_for(arrived.wait(), 5)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    assert [record["ip"] for record in taken] == ["10.0.0.1"]
    assert cluster.requests["list pods"] == 1


async def test_records_that_could_not_be_handed_on_end_the_run_and_a_new_run_starts_over() -> None:
    class Full(Exception):
        pass

    async with FakeKubernetes() as cluster:
        cluster.put("pods", pod("web", ip="10.0.0.1"))
        taken: list[dict[str, object]] = []
        fail, arrived = True, asyncio.Event()

        async def take(records: list[dict[str, object]]) -> None:
            if fail:
                raise Full
            taken.extend(records)
            arrived.set()

        watcher = Watcher(Cluster(cluster.url, Token(TOKEN)), take)
        with pytest.raises(ExceptionGroup) as caught:
            await watcher.run()
        assert caught.value.subgroup(Full) is not None

        fail = False
        task = asyncio.create_task(watcher.run())
        await asyncio.wait_for(arrived.wait(), 5)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert [record["ip"] for record in taken] == ["10.0.0.1"]


async def test_a_cluster_that_cannot_be_reached_is_tried_again_and_said_to_be_so() -> None:
    async with FakeKubernetes() as cluster:
        pass
    async with watching(cluster) as watched:
        await watched.until(
            lambda: watched.watcher.state()["resources"] and "unreachable" in watched.resource("pods")["error"]
        )

        assert watched.records == []
        assert watched.watcher.state()["synced"] is False
