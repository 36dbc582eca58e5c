"""The pages in a browser: what is clicked, typed, pointed at and left open."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, FilePayload, expect

from tests.kit.bots import bot, get, until
from tests.kit.browser import chromium, tab
from tests.kit.shop_pages import WAY, Shop, fire, shop, tell

LOOKED_AT = (
    "/", "/map?service=payments", "/map?service=payments&overlay=owner", "/groups", "/groups?group=money", "/incidents", "/incidents/1",
    "/diff?from=-1h", "/plan?service=payments-db,cart", "/trace", "/coverage", "/search?q=pay&list=true", "/map?service=nobody",
)  # fmt: skip


@pytest.fixture
async def found(tmp_path: Path) -> AsyncIterator[Shop]:
    """The shop in trouble."""
    async with shop(tmp_path) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium."""
    async with chromium() as opened:
        yield opened


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_no_page_breaks_a_rule_of_axe_or_asks_anybody_else(found: Shop, browser: Browser, theme: str) -> None:
    running, _ = found
    async with tab(browser, running.url, color_scheme=theme) as opened:
        for path in LOOKED_AT if theme == "light" else LOOKED_AT[:6]:
            await opened.page.goto(path)
            assert await opened.broken_rules() == [], path

        assert {address for address in opened.asked if not address.startswith((running.url, "data:"))} == set()
        assert [said for said in opened.complaints if "404" not in said] == []


async def test_a_reader_finds_a_service_by_typing_and_walks_the_map(found: Shop, browser: Browser) -> None:
    running, _ = found
    async with tab(browser, running.url) as opened:
        page = opened.page
        await page.goto("/")
        await expect(page.locator("#q")).to_be_focused()
        await page.keyboard.type("paymnts")
        await expect(page.locator("#found li").first).to_contain_text("payments")
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#found a").first).to_be_focused()
        await page.locator("#q").press("Enter")
        await expect(page.locator("h1")).to_contain_text("payments")

        await page.locator("svg a.node", has_text="checkout").hover()
        await expect(page.locator("[data-about]")).to_contain_text("@checkout-oncall")
        await page.locator('svg a.edge[aria-label^="checkout calls payments"]').focus()
        await expect(page.locator("[data-about]")).to_contain_text("traces")
        await page.keyboard.press("Escape")
        await expect(page.locator("[data-about]")).to_be_hidden()

        await page.get_by_role("link", name="Owner", exact=True).click()
        await expect(page.locator(".legend")).to_contain_text("Checkout")
        assert "overlay=owner" in page.url
        await page.get_by_role("link", name="Callees", exact=True).click()
        await expect(page.locator('svg a[aria-label^="checkout:"]')).to_have_count(0)
        await page.go_back()
        await expect(page.locator('svg a[aria-label^="checkout:"]')).to_have_count(1)

        await page.locator("svg a.node", has_text="checkout").click()
        await expect(page.locator("h1")).to_contain_text("checkout")
        assert opened.complaints == []


async def test_the_picture_is_zoomed_and_moved_by_buttons_keys_and_dragging(found: Shop, browser: Browser) -> None:
    async with tab(browser, found[0].url) as opened:
        page = opened.page
        await page.goto("/map?service=payments")
        svg, view = page.locator("svg.graph"), page.locator("[data-view]")
        whole = await svg.get_attribute("viewBox")
        await page.get_by_role("button", name="Zoom in").click()
        near = await svg.get_attribute("viewBox")
        await view.focus()
        await page.keyboard.press("ArrowRight")
        right = await svg.get_attribute("viewBox")
        box = await view.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 300, box["y"] + 20)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 380, box["y"] + 40, steps=4)
        await page.mouse.up()
        dragged = await svg.get_attribute("viewBox")
        await page.get_by_role("button", name="Fit the picture").click()

        assert len({whole, near, right, dragged}) == 4
        assert await svg.get_attribute("viewBox") == whole
        assert page.url.endswith("/map?service=payments")


async def test_news_comes_by_itself_and_leaves_the_reader_where_he_is(found: Shop, browser: Browser) -> None:
    running, session = found
    async with tab(browser, running.url, viewport={"width": 1_280, "height": 500}) as opened:
        page = opened.page
        await page.goto("/map?service=payments")
        await expect(page.locator("#connection")).to_have_text("Live")
        await page.locator("details#calls > summary").click()
        await page.locator("details#spots > summary").focus()
        await page.evaluate("scrollTo(0, 300)")
        await page.get_by_role("button", name="Zoom in").dispatch_event("click")
        reading = page.locator("details#spots > summary")
        before = await reading.bounding_box()

        await fire(session, "invoices", name="SlowInvoices")

        await expect(page.locator("#said")).to_contain_text("Incident")
        await expect(page.locator("#spots")).to_contain_text("hit now")
        await page.wait_for_timeout(2_500)
        after = await reading.bounding_box()
        assert before is not None
        assert after is not None
        assert abs(after["y"] - before["y"]) < 3
        assert await page.locator("details#calls").get_attribute("open") is None
        await expect(reading).to_be_focused()
        assert await page.locator("svg.graph").get_attribute("data-moved") == "true"
        assert opened.complaints == []

        await page.goto("/")
        await expect(page.locator("main")).to_contain_text("payments, invoices")


async def test_time_can_be_moved_and_the_address_says_to_when(tmp_path: Path, browser: Browser) -> None:
    async with shop(tmp_path):
        pass  # what was counted is rolled up at the next start
    async with bot(tmp_path) as (running, session):

        async def past() -> bool:
            async with session.get("/map", params={"service": "payments", "at": "-8m"}) as answer:
                return answer.status == 200

        await until(past, "the past of the map", 30)
        await _move(running.url, browser)


async def _move(url: str, browser: Browser) -> None:
    async with tab(browser, url) as opened:
        page = opened.page
        await page.goto("/map?service=payments")
        await page.locator("#slide").evaluate(
            "(range) => { range.value = -2; range.dispatchEvent(new Event('input', { bubbles: true })) }"
        )
        await page.wait_for_url("**at=20**")
        await expect(page.locator("[data-says]")).to_contain_text("UTC")
        await page.locator("[data-play]").click()
        await expect(page.locator("[data-says]")).to_contain_text("Live", timeout=12_000)
        assert "at=" not in page.url


async def test_a_plan_is_put_together_and_its_list_copied(found: Shop, browser: Browser) -> None:
    async with tab(browser, found[0].url, permissions=["clipboard-read", "clipboard-write"]) as opened:
        page = opened.page
        await page.goto("/plan")
        await page.get_by_label("Service", exact=True).fill("payments-db")
        await page.keyboard.press("Enter")
        await page.get_by_label("Also").fill("cart")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Copy the list").click()
        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("Planned maintenance: payments-db, cart")
        await page.get_by_label("Channel").fill("#maintenance")
        await page.get_by_role("button", name="Share the plan").click()
        await expect(page.get_by_text("It is on its way to #maintenance.")).to_be_visible()
        assert opened.complaints == []


async def test_a_trace_is_chosen_as_a_file(found: Shop, browser: Browser) -> None:
    now = int(time.time() * 1e6)
    trace = [
        {"traceId": "a" * 16, "id": "1" * 16, "timestamp": now, "kind": "CLIENT", "localEndpoint": {"serviceName": "web"},
         "remoteEndpoint": {"serviceName": "checkout"}, "duration": 3_000},
    ]  # fmt: skip
    async with tab(browser, found[0].url) as opened:
        page = opened.page
        await page.goto("/trace")
        file: FilePayload = {"name": "t.json", "mimeType": "application/json", "buffer": json.dumps(trace).encode()}
        await page.locator("#file").set_input_files(file)
        await page.get_by_role("button", name="Lay it over the map").click()
        await expect(page.locator("table")).to_contain_text("web → checkout")
        assert opened.complaints == []


async def test_without_scripts_everything_is_there_and_on_a_phone_nothing_is_cut_off(
    found: Shop, browser: Browser
) -> None:
    running, session = found
    await tell(session, WAY, count=1)
    assert (await get(session, "/api/v1/services"))["total"] == 6
    async with tab(browser, running.url, java_script_enabled=False) as opened:
        page = opened.page
        await page.goto("/")
        await page.locator("#q").fill("checko")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("checkout")
        await expect(page.locator("svg.graph")).to_be_visible()
        await page.get_by_label("At", exact=True).fill("-1h")
        await page.get_by_role("button", name="Go").click()
        await expect(page.locator("h1")).to_contain_text("Nothing by that name")
    async with tab(browser, running.url, viewport={"width": 360, "height": 740}, has_touch=True) as opened:
        for path in LOOKED_AT:
            await opened.page.goto(path)
            assert await opened.page.evaluate("document.documentElement.scrollWidth") <= 360, path
