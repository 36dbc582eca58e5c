"""Opens pages in Debian's Chromium, without a window, and holds them against axe-core's rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

from tests.kit.debian import require_chromium

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
_PATIENCE_MS = 8_000
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@dataclass(slots=True)
class Opened:
    """One tab, and what went wrong in it. `asked` are the addresses it loaded anything from."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    async def broken_rules(self) -> list[str]:
        """axe-core's findings: which rule, and where."""
        found: Any = await Axe().run(self.page, options=RULES)
        return [f"{one['id']}: {node['html'][:160]}" for one in found.response["violations"] for node in one["nodes"]]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser. Skips the test where there is none."""
    program = require_chromium()
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def tab(browser: Browser, url: str, **context: Any) -> AsyncIterator[Opened]:
    """A tab of its own profile; `context` as Playwright has it (`viewport`, `color_scheme`, `java_script_enabled`)."""
    context.setdefault("viewport", {"width": 1_280, "height": 900})
    profile = await browser.new_context(base_url=url, **context)
    profile.set_default_timeout(_PATIENCE_MS)
    page = await profile.new_page()
    opened = Opened(page)
    page.on("console", lambda said: opened.complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda request: opened.asked.add(request.url))
    try:
        yield opened
    finally:
        await profile.close()
