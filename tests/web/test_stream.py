"""The live stream: what a reader hears, and what happens to one that does not keep up."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.enrich import answers
from bot.live_feed import KEPT, MAX_EDGES, Event, Listener, LiveFeed
from tests.kit import alerts, spans
from tests.kit.bots import alertmanager_headers, bot


async def events(answer: aiohttp.ClientResponse) -> Any:
    """The next event as (name, id, data)."""
    found: dict[str, str] = {}
    while True:
        line = (await asyncio.wait_for(answer.content.readline(), 15)).decode().rstrip("\n")
        if not line and found:
            return found["event"], int(found["id"]), json.loads(found["data"])
        key, _, value = line.partition(": ")
        if key:
            found[key] = value


def test_an_edge_is_told_of_within_seconds_and_a_broken_stream_takes_up_where_it_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bot(tmp_path) as (_, session):
            async with session.get("/api/v1/stream") as answer:
                assert answer.content_type == "text/event-stream"
                name, number, hello = await events(answer)
                assert (name, number, hello["edges"]) == ("hello", 0, 0)
                await session.post("/v1/traces", data=spans.calls([("web", "cart")]), headers=spans.PROTOBUF)
                name, number, data = await events(answer)
                assert (name, [(edge["caller"], edge["callee"]) for edge in data["seen"]]) == (
                    "edges",
                    [("web", "cart")],
                )
                assert list(data["seen"][0]["layers"]) == ["trace"]

            async with session.get("/api/v1/stream", headers={"Last-Event-ID": "0"}) as again:
                assert (await events(again))[0] == "hello"
                assert (await events(again))[:2] == ("edges", number)
            async with session.get("/api/v1/stream", headers={"Last-Event-ID": "99"}) as other:
                assert (await events(other))[0] == "hello"
                assert (await events(other))[0] == "reset"

    asyncio.run(scenario())


async def test_who_wants_it_brief_is_told_how_many_edges_and_nothing_else(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session), session.get("/api/v1/stream?brief=true") as answer:
        assert (await events(answer))[0] == "hello"
        await session.post("/v1/traces", data=spans.calls([("web", "cart"), ("web", "login")]), headers=spans.PROTOBUF)
        assert (await events(answer))[::2] == ("edges", {"seen": 2, "gone": 0, "more": 0})
        async with session.get("/api/v1/stream?brief=perhaps") as wrong:
            assert wrong.status == 400


async def test_an_incident_is_told_of_as_it_opens_and_resolves(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session), session.get("/api/v1/stream") as answer:
        assert (await events(answer))[0] == "hello"
        for status in ("firing", "resolved"):
            body = alerts.alertmanager("payments", status=status, started=1_700_000_000.0)
            async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as taken:
                assert taken.status == 202
        told = [(await events(answer))[::2] for _ in range(2)]

    assert told == [
        ("incident", {"id": 1, "state": "open", "title": "HighErrorRate"}),
        ("incident", {"id": 1, "state": "resolved", "title": "HighErrorRate"}),
    ]


async def test_who_comes_back_soon_has_missed_nothing_and_who_comes_late_is_told_to_read_anew() -> None:
    feed = LiveFeed()
    first = feed.join()
    assert first is not None
    feed.leave(first)
    feed.seen([("web", "cart")])
    feed.flush()
    back = feed.join(after=0)
    assert back is not None
    assert [event.what for event in _waiting(back)] == ["edges"]
    feed.leave(back)
    for _ in range(60):
        feed.flush()
    feed.seen([("web", "login")])
    feed.flush()
    late = feed.join(after=feed.number)
    assert late is not None
    assert [event.what for event in _waiting(late)] == ["reset"]


def _waiting(listener: Listener) -> list[Event]:
    return [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]


async def test_a_reader_that_does_not_keep_up_is_let_go_and_slows_nobody() -> None:
    feed = LiveFeed()
    slow, quick = feed.join(), feed.join()
    assert slow is not None
    assert quick is not None
    for number in range(150):
        feed.incident(number, "open", "payments")
        await quick.queue.get()
    assert (slow.behind, quick.behind, feed.listeners) == (True, False, 1)
    assert feed.dropped["listener too slow"] == 1


async def test_edges_are_gathered_each_once_and_beyond_the_cap_counted() -> None:
    feed = LiveFeed()
    listener = feed.join()
    assert listener is not None
    for _ in range(3):
        feed.seen((f"s{number}", "hub") for number in range(MAX_EDGES + 5))
    feed.gone([("a", "b")])
    feed.flush()
    feed.flush()
    event = listener.queue.get_nowait()
    assert (len(event.data["seen"]), event.data["gone"], event.data["more"]) == (MAX_EDGES, [["a", "b"]], 15)
    assert listener.queue.empty()


async def test_nothing_is_kept_where_nobody_listens() -> None:
    feed = LiveFeed()
    feed.seen([("a", "b")])
    feed.incident(1, "open", "payments")
    feed.flush()
    assert feed.number == 0


@pytest.mark.parametrize(("after", "heard"), [(None, []), (3, []), (2, [3]), (0, [1, 2, 3]), (9, ["reset"])])
async def test_a_reader_that_comes_back_hears_what_it_missed(after: int | None, heard: list[object]) -> None:
    feed = LiveFeed()
    feed.join()
    for number in range(3):
        feed.incident(number, "open", "payments")
    listener = feed.join(after)
    assert listener is not None
    told = [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]
    assert [event.number if event.what != "reset" else "reset" for event in told] == heard


async def test_a_reader_away_for_too_long_is_told_to_read_the_map_anew() -> None:
    feed = LiveFeed()
    first = feed.join()
    assert first is not None
    for number in range(KEPT + 10):
        feed.incident(number, "open", "payments")
        first.queue.get_nowait()
    listener = feed.join(1)
    assert listener is not None
    assert listener.queue.get_nowait().what == "reset"


async def test_an_event_is_made_once_for_all_who_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    edge = answers.edge

    def counted(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        return edge(*arguments)

    monkeypatch.setattr(answers, "edge", counted)
    async with bot(tmp_path) as (_, session), AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(session.get("/api/v1/stream")) for _ in range(5)]
        for reader in readers:
            assert (await events(reader))[0] == "hello"
        pairs = [(f"web-{number}", "cart") for number in range(250)]
        await session.post("/v1/traces", data=spans.calls(pairs), headers=spans.PROTOBUF)
        heard = [await events(reader) for reader in readers]
        assert [(name, len(data["seen"])) for name, _, data in heard] == [("edges", 250)] * 5
        assert made == 250
