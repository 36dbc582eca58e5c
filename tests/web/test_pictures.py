"""GET `/api/v1/services/{id}/picture`: the four formats, their headers, and the errors that cost only the picture."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import aiohttp
import pytest

from bot import app
from bot.picture import layout
from tests.kit import spans
from tests.kit.bots import bot, get, until

PICTURE = "/api/v1/services/cart/picture"
Bot = tuple[app.Running, aiohttp.ClientSession]


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Bot]:
    """A bot whose map is web -> cart -> ledger -> ledger-db."""
    async with bot(tmp_path) as (running, session):
        body = spans.calls([("web", "cart"), ("cart", "ledger"), ("ledger", "ledger-db")], count=20)
        async with session.post("/v1/traces", data=body, headers=spans.PROTOBUF) as answer:
            assert answer.status == 200

        async def known() -> bool:
            return running.view.graph.edge_count == 3

        await until(known, "the map did not learn the shop")
        yield running, session


async def fetched(
    session: aiohttp.ClientSession, path: str = PICTURE, **given: Any
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with session.get(path, params=given) as answer:
        return answer, await answer.read()


@pytest.mark.parametrize(
    ("form", "kind", "begins"),
    [
        ("", "image/svg+xml", b"<?xml"),
        ("svg", "image/svg+xml", b"<?xml"),
        ("png", "image/png", b"\x89PNG\r\n"),
        ("dot", "text/vnd.graphviz; charset=utf-8", b"digraph picture {"),
        ("mmd", "text/plain; charset=utf-8", b"flowchart LR"),
    ],
)
async def test_each_format_has_its_content_type_and_may_do_nothing_but_draw(
    shop: Bot, form: str, kind: str, begins: bytes
) -> None:
    answer, body = await fetched(shop[1], **({"format": form} if form else {}))

    assert answer.status == 200
    assert answer.headers["Content-Type"] == kind
    assert body.startswith(begins)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_depth_and_layers_limit_the_picture(shop: Bot) -> None:
    _, all_of_it = await fetched(shop[1], format="mmd")
    _, near = await fetched(shop[1], format="mmd", depth="1")
    _, network = await fetched(shop[1], format="mmd", layers="network")

    assert b'"ledger-db' in all_of_it
    assert b'"ledger' in near
    assert b'"ledger-db' not in near
    assert b'"ledger' not in network
    assert b'"cart' in network


async def test_the_map_of_the_past_has_its_own_picture(shop: Bot) -> None:
    problem, _ = await fetched(shop[1], at="-1h")
    now, _ = await fetched(shop[1], format="mmd", at=f"{time.time() - 0.5:.0f}")

    assert problem.status == 404  # nobody had been seen by then
    assert now.status in (200, 404)  # the minute may have just begun


async def test_the_same_picture_is_not_sent_twice(shop: Bot) -> None:
    first, _ = await fetched(shop[1], format="dot")
    async with shop[1].get(
        PICTURE, params={"format": "dot"}, headers={"If-None-Match": first.headers["ETag"]}
    ) as again:
        assert again.status in (200, 304)
        assert (again.status == 304) is (again.headers["ETag"] == first.headers["ETag"])


async def test_a_firing_alert_makes_it_a_picture_of_trouble(shop: Bot) -> None:
    running, session = shop
    running.view.firing |= {"ledger": time.time() - 60, "cart": time.time() - 30}

    _, body = await fetched(session, "/api/v1/services/ledger/picture")

    words = Tree.fromstring(body).findtext("{http://www.w3.org/2000/svg}desc") or ""
    assert words.startswith("ledger is failing")
    assert "Hit now: cart" in words


@pytest.mark.parametrize(
    ("path", "given", "status", "says"),
    [
        ("/api/v1/services/nobody/picture", {}, 404, "nobody"),
        (PICTURE, {"format": "gif"}, 400, "svg, png, dot, mmd"),
        (PICTURE, {"depth": "0"}, 400, "depth"),
        (PICTURE, {"layers": "cellar"}, 400, "cellar"),
        (PICTURE, {"at": "tomorrow"}, 400, "at"),
        (PICTURE, {"tier": "1"}, 400, "tier"),
    ],
)
async def test_what_cannot_be_asked_is_told_with_the_reason(
    shop: Bot, path: str, given: dict[str, str], status: int, says: str
) -> None:
    answer, body = await fetched(shop[1], path, **given)

    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert says in json.loads(body)["detail"]


async def test_without_graphviz_svg_is_refused_and_everything_else_is_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout.Layout.__init__, "__defaults__", (("/nonexistent/layout",), 60.0))
    async with bot(tmp_path) as (running, session):
        async with session.post("/v1/traces", data=spans.calls([("web", "cart")]), headers=spans.PROTOBUF):
            pass

        async def known() -> bool:
            return running.view.graph.edge_count == 1

        await until(known, "the map did not learn the pair")
        answer, body = await fetched(session)
        drawn, _ = await fetched(session, format="dot")

        assert (answer.status, json.loads(body)["reason"]) == (503, "absent")
        assert drawn.status == 200
        assert (await get(session, "/api/v1/services/cart"))["id"] == "cart"
        assert (
            'topology_bot_pictures_total{format="svg",outcome="absent"}' in await (await session.get("/metrics")).text()
        )


async def test_whoever_may_not_read_the_map_gets_no_picture_of_it(tmp_path: Path) -> None:
    async with bot(tmp_path, api_tokens="ci:ingest:secret") as (_, session):
        nobody, _ = await fetched(session)
        async with session.get(PICTURE, headers={"Authorization": "Bearer secret"}) as answer:
            assert answer.status == 403

    assert nobody.status == 401
