"""The pages over HTTP: what each says of a shop in trouble, under which headers, and to whom."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kit import alerts
from tests.kit.bots import alertmanager_headers, bot, until
from tests.kit.shop_pages import Shop, shop
from tests.web.markup import Document, read

PAGES = (
    "/", "/map?service=payments", "/groups", "/groups?by=team", "/groups?by=domain&group=money", "/groups?by=team&group=-", "/incidents",
    "/incidents/1", "/diff", "/diff?from=-1h&kind=new", "/plan", "/plan?service=payments-db,cart", "/trace", "/coverage", "/messages",
    "/search?q=pay&list=true",
)  # fmt: skip


@pytest.fixture
async def found(tmp_path: Path) -> AsyncIterator[Shop]:
    """The shop in trouble."""
    async with shop(tmp_path) as running:
        yield running


async def opened(session: aiohttp.ClientSession, path: str, status: int = 200, **more: Any) -> tuple[Document, str]:
    """A page, which has to be whole."""
    async with session.get(path, **more) as answer:
        text = await answer.text()
        assert answer.status == status, text[:2_000]
        assert answer.content_type == "text/html"
    document = read(text.removeprefix("<!doctype html>"))
    assert document.unclosed == []
    return document, text


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_keeps_to_a_strict_policy_and_loads_nothing_from_elsewhere(found: Shop, path: str) -> None:
    async with found[1].get(path) as answer:
        text = await answer.text()
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] in ("same-origin", "no-referrer")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", text)
    assert all(
        source.startswith("/static/") for source in re.findall(r'(?:src|href)="([^"]*\.(?:css|js|svg)[^"]*)"', text)
    )
    assert '<html lang="en">' in text
    assert len(re.findall(r"<h1[ >]", text)) == 1
    assert len(re.findall(r"<main[ >]", text)) == 1


async def test_the_first_page_says_what_matters_now(found: Shop) -> None:
    document, text = await opened(found[1], "/")

    assert "HighErrorRate" in document.text
    assert "an alert fires" in document.text
    assert 'href="/incidents/1"' in text
    assert 'href="/map?service=payments"' in text
    assert 'type="search"' in text
    assert "autofocus" in text
    assert "by domain" in document.text.lower()


async def test_an_empty_map_says_what_to_do_first(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        document, _ = await opened(session, "/")
        groups, _ = await opened(session, "/groups")

    assert "Point an OpenTelemetry exporter at" in document.text
    assert "0 groups" in groups.text


@pytest.mark.parametrize(
    ("typed", "where"),
    [("payments", "/map?service=payments"), ("PAYMENTS", "/map?service=payments"), ("paymnts", "/map?service=payments"),
     ("check", "/map?service=checkout"), ("db", "/map?service=payments-db"), ("", "/")],
)  # fmt: skip
async def test_enter_in_the_search_goes_to_the_best(found: Shop, typed: str, where: str) -> None:
    async with found[1].get("/search", params={"q": typed}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, where)


async def test_the_map_of_a_service_says_all_that_is_known_of_it(found: Shop) -> None:
    document, text = await opened(found[1], "/map?service=payments")

    for said in (
        "an alert fires",
        "Ada",
        "@pay-oncall",
        "HighErrorRate",
        "payments-db",
        "1 at risk",
        "tier 1",
        "money",
        "traces",
    ):
        assert said in document.text, said
    assert "https://runbooks.example/payments" in text
    assert re.search(r"https://logs\.example/\?q=payments&amp;from=\d{13}&amp;to=\d{13}", text)
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in text
    assert re.search(
        r'<a href="/map\?service=checkout" class="node state-hit[^"]*" aria-label="checkout: hit now', text
    )
    assert re.search(r'class="edge [^"]*is-fresh[^"]*" aria-label="checkout calls payments, traces: \d+ calls', text)


@pytest.mark.parametrize(
    ("chosen", "there", "not_there"),
    [
        ("direction=callers", "checkout", "cart"),
        ("depth=1", "checkout", ">web<"),
        ("overlay=owner", "no owner known", ">hit: errors<"),
        ("overlay=tier", "tier 1", ">hit: errors<"),
        ("layers=network", ">payments<", ">checkout<"),
    ],
)
async def test_switches_choose_what_is_drawn(found: Shop, chosen: str, there: str, not_there: str) -> None:
    service = "cart" if chosen == "overlay=owner" else "payments"
    _, text = await opened(found[1], f"/map?service={service}&{chosen}")
    drawn = text[text.index("<svg xmlns") : text.index("</svg>", text.index("<svg xmlns"))]

    assert there in drawn
    assert not_there not in drawn


async def test_a_blast_radius_can_be_drawn_of_a_service_that_is_well(tmp_path: Path) -> None:
    async with shop(tmp_path, failing=False) as (_, session):
        _, well = await opened(session, "/map?service=payments-db")
        _, supposed = await opened(session, "/map?service=payments-db&supposed=true")

    assert "state-at-risk" not in well
    assert supposed.count('class="node state-at-risk"') == 4  # payments, checkout, invoices, web


async def test_the_map_by_domain_counts_services_and_the_calls_between(found: Shop) -> None:
    document, text = await opened(found[1], "/groups?by=domain")
    inside, _ = await opened(found[1], "/groups?by=domain&group=money")
    async with found[1].get("/api/v1/groups?by=domain") as answer:
        told = await answer.json()

    assert "no domain known" in document.text
    assert 'href="/groups?by=domain&amp;group=money"' in text
    assert {one["name"]: one["services"] for one in told["items"]} == {"money": 3, "shop": 2, "": 1}
    assert {(one["caller"], one["callee"]) for one in told["calls"]} == {("shop", "money"), ("shop", "")}
    assert "payments-db" in inside.text


async def test_an_incident_shows_the_map_as_it_was_with_causes_and_what_came_of_them(found: Shop) -> None:
    async def drawn() -> str:
        _, text = await opened(found[1], "/incidents/1")
        return text if "<svg xmlns" in text else ""

    text = await until(drawn, "no picture of the incident", 30)
    said = re.sub(r"<[^>]+>", " ", text)

    assert "when the bot first thought about it" in said or "as it is now" in said
    for one in ("Likely cause", "payments-db", "Predicted and hit", "checkout", "find service", "@pay-oncall"):
        assert one in said, one


async def test_what_changed_is_listed_and_has_an_address(found: Shop) -> None:
    document, text = await opened(found[1], "/diff?from=-1h&service=payments")

    assert "What changed around payments" in re.sub(r"\s+", " ", document.text)
    assert 'value="-1h"' in text


async def test_the_planner_groups_dependents_by_whom_to_tell(found: Shop) -> None:
    document, text = await opened(found[1], "/plan?service=payments-db")
    async with found[1].get("/plan?service=payments-db&add=cart", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/plan?service=payments-db,cart")
    odd, _ = await opened(found[1], "/plan?service=payments-db&add=cartt-99")

    assert "- @pay-oncall: payments, invoices" in text
    assert "on call: Ada" in document.text
    assert "No service is called cartt-99" in odd.text


async def test_a_plan_is_shared_once_through_the_outbox_and_only_from_a_page_of_ours(found: Shop) -> None:
    running, session = found
    form = {"service": "payments-db", "channel": "#maintenance"}
    ours = {"Origin": running.url}
    for headers, status in (
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        (ours, 303),
        (ours, 303),
    ):
        async with session.post("/plan/share", data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == status, headers
    for wrong in ({"channel": "#x\n<!channel>"}, {"service": "nobody-at-all"}, {"service": ""}):
        async with session.post("/plan/share", data=form | wrong, headers=ours) as answer:
            assert answer.status == 400

    shared = [row for row in await running.outbox.latest(20) if row.channel == "#maintenance"]
    assert len(shared) == 1
    assert "Planned maintenance" in shared[0].message.text
    assert "@pay-oncall" in shared[0].message.text


async def test_a_trace_is_laid_over_the_map_and_its_id_is_answered_with_what_to_do(found: Shop) -> None:
    running, session = found
    ours = {"Origin": running.url}
    now = int(time.time() * 1e6)
    checkout, payments, other = ({"serviceName": name} for name in ("checkout", "payments", "somewhere-new"))
    first = {"traceId": "a" * 16, "id": "1" * 16, "timestamp": now}
    second = {"traceId": "a" * 16, "id": "2" * 16, "parentId": "1" * 16, "timestamp": now}
    zipkin = [
        {**first, "kind": "CLIENT", "localEndpoint": checkout, "remoteEndpoint": payments, "duration": 900_000},
        {**first, "kind": "SERVER", "shared": True, "localEndpoint": payments, "duration": 800_000},
        {**second, "kind": "CLIENT", "localEndpoint": payments, "remoteEndpoint": other, "duration": 5_000},
    ]  # fmt: skip

    async def sent(text: str, status: int = 200) -> str:
        form = aiohttp.FormData({"text": text})
        form.add_field("file", b"", filename="", content_type="application/octet-stream")
        async with session.post("/trace", data=form, headers=ours) as answer:
            assert answer.status == status
            return re.sub(r"<[^>]+>", " ", await answer.text())

    shown = await sent(json.dumps(zipkin))
    assert "never seen before" in shown
    assert "slower than usual" in shown
    assert "800 ms" in shown
    assert "keeps no traces" in await sent("4bf92f3577b34da6a3ce929d0e0e4736")
    assert "no trace the bot can read" in await sent("not json at all, {", 400)
    assert "Choose a file" in await sent("")


async def test_coverage_says_what_each_source_sees(found: Shop) -> None:
    document, _ = await opened(found[1], "/coverage")

    for said in ("otlp", "alertmanager", "never heard: the map lacks what this layer would see", "traces"):
        assert said in document.text


async def test_what_nobody_knows_is_answered_with_what_is_near(found: Shop) -> None:
    for path, status, said in (
        ("/map?service=paymints-99", 404, "Did you mean"),
        ("/map?service=payments&depth=5000", 400, "depth: want a whole number from 1 to 100"),
        ("/map?service=payments&depth=x", 400, "depth"),
        ("/map?service=payments&layers=cellar", 400, "cellar"),
        ("/map?service=payments&at=tomorrow", 400, "no time"),
        ("/map?service=payments&at=2001-01-01T00:00:00Z", 404, "was not on the map at 2001-01-01"),
        ("/map?service=payments&x=1", 400, "no such parameter"),
        ("/incidents/99", 404, "no incident"),
        ("/incidents/1%27%20or%201", 404, "no incident"),
        ("/groups?group=nowhere", 404, "nowhere"),
        ("/diff?from=now&to=then", 400, "no time"),
        ("/search?q=%F0%9F%92%A9%F0%9F%92%A9%F0%9F%92%A9", 404, "anything like"),
    ):
        document, text = await opened(found[1], path, status)
        assert said in document.text, path
        assert "Traceback" not in text
        assert 'href="/"' in text


async def test_pages_are_sent_packed_and_once(found: Shop) -> None:
    session = found[1]
    async with session.get("/trace") as answer:
        tag = answer.headers["ETag"]
        assert answer.headers["Content-Encoding"] == "gzip"
    async with session.get("/trace", headers={"If-None-Match": tag}) as again:
        assert again.status == 304
    weight = 0
    async with session.get("/map?service=payments") as answer:
        text = await answer.text()
        weight += len(gzip.compress(text.encode(), 4))
    for source in set(re.findall(r'"(/static/[^"]+)"', text)):
        async with session.get(source) as answer:
            assert answer.status == 200
            assert "immutable" in answer.headers["Cache-Control"]
            weight += int(answer.headers["Content-Length"])
        async with session.get(source, headers={"If-None-Match": answer.headers["ETag"]}) as again:
            assert again.status == 304
    assert weight < 150_000
    for missing in ("/static/nothing.css", "/static/..%2Fapp.py"):
        async with session.get(missing) as answer:
            assert answer.status == 404


async def test_a_page_is_for_those_who_may_read_and_a_browser_is_asked_for_the_token(tmp_path: Path) -> None:
    async with bot(tmp_path, api_tokens="me:read:read-token,ci:ingest:ingest-token") as (running, session):
        document, _ = await opened(session, "/", 401)
        assert "TOPOLOGY_BOT_API_TOKENS" in document.text
        async with session.get("/") as answer:
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="topology-bot"'
        for token, status in (("read-token", 200), ("ingest-token", 403), ("wrong", 401)):
            basic = base64.b64encode(f"me:{token}".encode()).decode()
            for path in ("/", "/coverage", "/messages", "/groups"):
                async with session.get(path, headers={"Authorization": f"Basic {basic}"}) as answer:
                    assert answer.status == status, (token, path)
        async with session.post(
            "/plan/share", data={}, headers={"Authorization": "Bearer read-token", "Origin": running.url}
        ) as answer:
            assert answer.status == 403


async def test_many_who_look_get_one_page_until_an_incident_changes_and_only_if_they_may_read(tmp_path: Path) -> None:
    tokens = "me:read+ingest:read-token,ci:ingest:ingest-token"
    async with bot(tmp_path, api_tokens=tokens) as (running, session):
        reader = {"Authorization": "Bearer read-token"}

        async def tag(headers: dict[str, str] = reader) -> str:
            async with session.get("/incidents", headers=headers) as answer:
                return answer.headers["ETag"] if answer.status == 200 else str(answer.status)

        first = await tag()
        assert await tag({"Authorization": "Bearer ingest-token"}) == "403"
        assert await tag({}) == "401"
        async with session.get("/incidents", headers=reader | {"If-None-Match": first}) as again:
            assert (again.status, again.headers["ETag"]) == (304, first)
        before = running.ingest.feed.incidents

        body = alerts.alertmanager("payments")
        async with session.post("/webhooks/alertmanager", json=body, headers=alertmanager_headers()) as answer:
            assert answer.status == 202

        async def told() -> bool:
            return running.ingest.feed.incidents > before

        await until(told, "the incident was not told of")
        assert await tag() != first
        async with session.get("/incidents", headers=reader) as answer:
            assert "HighErrorRate" in await answer.text()


async def test_messages_are_where_they_were_looked_for(found: Shop) -> None:
    document, _ = await opened(found[1], "/preview")

    assert "HighErrorRate" in document.text
