"""The demo on a running bot: every layer on the edges it can see, one name for each service, one message, a tidy end."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from bot import demo
from bot.demo import play, seen
from bot.demo.send import Sender
from bot.layers.windows import minute_of
from bot.model import Kind
from tests.kit.bots import bot, get, until

ALL = {"network", "ipc", "trace"}
EXPECTED = {
    ("web", "checkout"): ALL,
    ("web", "cart"): ALL,
    ("web", "search"): ALL,
    ("checkout", "cart"): ALL,
    ("checkout", "payments"): ALL,
    ("invoices", "payments"): ALL,
    ("payments", "fraud"): ALL,
    ("invoices", "mail.example.com"): ALL,
    ("fraud", "fraud-rules"): {"network", "ipc"},
    ("payments", "payments-db"): {"network", "trace"},
    ("cart", "cart-cache"): {"network", "trace"},
    ("search", "search-index"): {"network", "trace"},
    ("checkout", "orders.kafka"): {"trace"},
    ("orders.kafka", "shipping"): {"trace"},
    ("checkout", "kafka"): {"network"},
    ("shipping", "kafka"): {"network"},
    ("tills", "payments"): {"network"},
    ("ledger", "payments-db"): {"network"},
}


def _sure(edge: tuple[str, str]) -> float:
    return 0.99 if len(EXPECTED[edge]) > 1 else 0.89


async def test_all_layers_draw_one_map_and_agree_on_its_names(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        now = time.time()
        broke_at = minute_of(now) - play.BROKEN_MINUTES * 60
        sender = Sender(session, broke_at, minute_of(now) - play.HISTORY_MINUTES * 60)
        await sender.history(now)
        graph = running.view.graph

        async def learnt() -> bool:
            seen_by = {edge: {layer.value for layer in graph.layers(*edge)} for edge in EXPECTED}
            return seen_by == EXPECTED and all(graph.confidence(*edge, now) >= _sure(edge) for edge in EXPECTED)

        await until(learnt, "the layers did not see what they can see, or are not sure of it")
        answer = await get(session, "/api/v1/graph", hidden="true", limit="1000")
        doctor = await get(session, "/api/v1/doctor")

    assert {(edge["caller"], edge["callee"]) for edge in answer["edges"]} == set(EXPECTED)
    assert {node["id"] for node in answer["nodes"]} == {end for edge in EXPECTED for end in edge}
    for edge in answer["edges"]:
        assert not edge["estimated"]
        assert edge["via"] == ([["payments-lb"]] if edge["callee"] == "payments" else [])
    assert doctor["left_out"] == {}
    assert not any(one["dropped"] for one in doctor["telemetry"].values())


async def test_metrics_and_weighted_traces_count_alike(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        now = minute_of(time.time())  # whole minutes, so that the story is the same each time
        sender = Sender(session, now - 240, now - 600)
        await sender.history(now)

        async def alike() -> bool:
            found = seen.counts(await seen.ask(session, "checkout"))
            both = [found.get(("web → checkout", layer), 0.0) for layer in ("ipc", "trace")]
            return both[0] > 500 and both[1] == pytest.approx(both[0], rel=0.25)

        await until(alike, "sampled traces do not stand for as many calls as were counted")
        assert running.view.graph.node("payments-db").kind is Kind.DATABASE


async def test_once_posts_the_message_and_shows_what_each_layer_counted() -> None:
    told: list[str] = []
    result = await demo.run(once=True, echo=told.append)
    text = "\n".join(told)

    assert result["posted"]
    assert "likely cause: payments-db (" in result["text"]
    assert "Hit now 3 of 4: web, checkout, invoices" in result["text"]
    assert "At risk 1: tills" in result["text"]
    assert "Users come in at: web\n" in result["text"]
    assert all(f"{layer} " in result["text"].splitlines()[-1] for layer in ("network", "ipc", "traces"))
    assert "tills → payments" in text
    assert "payments-lb" in text


@pytest.mark.parametrize(
    ("word", "number", "posted"),
    [("Starting", signal.SIGTERM, False), ("Played", signal.SIGINT, False), ("Still running", signal.SIGTERM, True)],
)
async def test_told_to_stop_it_ends_tidily_wherever_it_is(
    word: str, number: signal.Signals, posted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def echo(text: str) -> None:
        if text.startswith(word):
            os.kill(os.getpid(), number)

    result = await asyncio.wait_for(demo.run(once=False, echo=echo), 60)

    assert result["posted"] is posted
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_what_goes_wrong_in_the_story_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_sender: Sender, _now: float) -> None:
        raise ValueError("a record was refused")

    monkeypatch.setattr(Sender, "history", refused)
    with pytest.raises(ValueError, match="a record was refused"):
        await demo.run(once=True, echo=lambda text: None)


async def test_a_map_that_never_learns_ends_the_demo_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_sender: Sender, _now: float) -> None:
        return

    monkeypatch.setattr(Sender, "history", nothing)
    monkeypatch.setattr(play, "_WAIT_SECONDS", 0.1)
    told: list[str] = []
    result = await demo.run(once=True, echo=told.append)

    assert not result["posted"]
    assert told[-2:] == ["Something takes too long: the map did not learn the shop.", "The message was not posted."]


async def test_a_record_the_bot_refuses_ends_the_demo(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        now = time.time()
        sender = Sender(session, now, now + 86_400)  # a shop that opens tomorrow
        with pytest.raises(ValueError, match=r"/ingest/identities refused .* start is in the future"):
            await sender.play(now, now + 1)


def test_a_layer_that_does_not_see_an_edge_is_a_dash_in_the_table() -> None:
    edge = {
        "caller": "a",
        "callee": "b",
        "layers": {"network": {"calls": 3.0}},
        "via": [["lb", "nat"]],
        "confidence": 0.9,
    }
    line = seen.table({"callers": [edge], "callees": []}).splitlines()[1]

    assert line.split() == ["a", "→", "b", "3", "–", "–", "0.900", "lb", "→", "nat"]


async def test_a_service_that_is_not_on_the_map_has_no_counts(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        assert seen.counts(await seen.ask(session, "nobody")) == {}
