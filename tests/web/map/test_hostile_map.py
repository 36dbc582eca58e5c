"""A map that means harm, or is only odd: whatever is on it, a page is a page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from playwright.async_api import Browser

from bot import app
from bot.catalog.entries import Catalog, CatalogEntry, Link
from bot.layers.windows import minute_of
from bot.model import Change, ChangeKind, EdgeKey, Layer, Node, Owner, Tally
from tests.kit.bots import bot
from tests.kit.browser import chromium, tab
from tests.web.markup import read

NASTY = (
    "<script>document.title='owned'</script>", "<img src=x onerror=document.title='owned'>", "\"' onmouseover=\"document.title='owned'",
    "{{ 7 * 7 }}{% raw %}", "javascript:document.title='owned'", "]]><!--", "&lt;b&gt;&amp;", "\u202egnp.exe", "مدفوعات-الخدمة", "😀🧑🏳️",
    "x" * 300, "a\u0301" * 60, "</title></svg></main><script src=https://evil.example/x.js></script>", "#n0", "n0-n1", "..%2f..", "a b\tc",
    "?service=x&at=-1h",
)  # fmt: skip


def put(running: app.Running, edges: Iterable[EdgeKey], *, failing: bool = False) -> None:
    """Put calls on the map as they are, past the doors that would tidy the names."""
    view, now = running.view, time.time()
    tally = Tally()
    tally.calls, tally.errors, tally.sampled = 40.0, 30.0 if failing else 0.0, 40
    tally.histogram[5] = 40.0
    counts = [(edge, tally) for edge in edges]
    for name in dict.fromkeys(end for edge, _ in counts for end in edge):
        view.graph.add_node(Node(name, name=name, namespace=name[:20]))
    for ago in (20, 10, 0):
        view.graph.see(Layer.TRACE, minute_of(now) - 60 * ago, counts, now)
        windows = view.windows[Layer.TRACE]
        assert hasattr(windows, "remember")
        windows.remember(minute_of(now) - 60 * ago, counts)
    view.heard[Layer.TRACE] = now


def hostile(running: app.Running) -> None:
    """A ring of hostile names, each of which also calls itself, with a hostile catalogue and hostile changes."""
    ring = list(zip(NASTY, (*NASTY[1:], NASTY[0]), strict=True))
    put(running, [*ring, *((one, one) for one in NASTY)])
    put(running, [(NASTY[0], NASTY[1])], failing=True)
    entries = {
        name: CatalogEntry(
            owner=Owner(other, slack=f"#{other}", on_call=other, email=f"{other[:30]}@x", source=other), tier=other[:9], domain=other,
            runbook="javascript:document.title='owned'", links=(Link(other, "javascript:alert(1)"), Link(other, "https://ok.example/?a=<b>&c")),
        )
        for name, other in ring
    }  # fmt: skip
    running.view.learn(Catalog(entries))
    running.view.firing[NASTY[1]] = time.time() - 60
    for name in NASTY:
        change = Change(
            time.time() - 60, name, ChangeKind.DEPLOY, name, "ci", name, link="javascript:alert(1)", author=name
        )
        running.view.changes.add(change, time.time())


def pages(names: Iterable[str]) -> list[str]:
    """What is opened of each."""
    one_by_one = [
        f"{path}{quote(name, safe='')}"
        for name in names
        for path in ("/map?service=", "/search?list=true&q=", "/plan?service=", "/map?overlay=owner&service=", "/groups?by=domain&group=",
                     "/diff?from=-1h&service=")
    ]  # fmt: skip
    return ["/", "/groups", "/groups?by=team", "/coverage", *one_by_one]


async def opened(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path) as answer:
        text = await answer.text()
        assert answer.status in (200, 302, 404), (path, text[:500])
        return text


async def test_names_are_never_more_than_words_on_any_page(tmp_path: Path) -> None:
    async with bot(tmp_path, api_rate=1_000, api_burst=10_000) as (running, session):
        hostile(running)
        for path in pages(NASTY):
            text = await opened(session, path)
            document = read(text.removeprefix("<!doctype html>"))
            assert document.unclosed == [], path
            assert [one.get("src", "").partition("?")[0] for one in document.named("script")] == ["/static/page.js"], (
                path
            )
            assert len(document.named("img")) == 1, path
            assert not [
                name for _, given in document.tags for name in given if name.startswith("on") or name == "style"
            ], path
            assert not [link for link in document.links() if link.lower().startswith(("javascript:", "data:", "//"))], (
                path
            )
            assert "\u202e" not in document.text, path


async def test_no_script_of_anybodys_runs_in_a_browser(tmp_path: Path) -> None:
    async with bot(tmp_path, api_rate=1_000, api_burst=10_000) as (running, _), chromium() as browser:
        hostile(running)
        await _visit(running.url, browser)


async def _visit(url: str, browser: Browser) -> None:
    async with tab(browser, url) as seen:
        for path in pages((NASTY[1], NASTY[12])):
            await seen.page.goto(path)
            assert await seen.page.title() != "owned", path
            for link in await seen.page.locator("svg a.node").all():
                await link.focus()
        assert not [said for said in seen.complaints if "Content Security Policy" in said]
        assert not [address for address in seen.asked if not address.startswith((url, "data:"))]


@pytest.mark.parametrize(
    "path",
    [
        "/map?service=hub",
        "/map?service=hub&overlay=tier",
        "/groups",
        "/",
        "/plan?service=hub",
        "/search?q=caller-9&list=true",
    ],
)
async def test_a_hub_of_ten_thousand_neighbours_is_a_page_like_any_other(tmp_path: Path, path: str) -> None:
    async with bot(tmp_path) as (running, session):
        put(running, [(f"caller-{number}", "hub") for number in range(10_000)])
        began = time.perf_counter()
        text = await opened(session, path)

        assert time.perf_counter() - began < 5  # with the start of the layout program
        assert len(text) < 400_000
        assert re.search(r"10,?00[01]|caller-9", text)


async def test_a_service_without_any_neighbour_has_a_page(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        put(running, [("lonely", "lonely")])
        text = await opened(session, "/map?service=lonely")

        assert "Nobody is seen to call it." in text
        assert "It is seen to call nobody." in text
