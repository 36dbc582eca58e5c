"""Links to the bot's pages that people paste in Slack: shown with what they lead to, and nobody else's touched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app import Running
from bot.page import address
from bot.page.address import Look
from bot.slack.pasted import MAX_URL, Pasted, read
from tests.kit.bots import bot, until, with_slack
from tests.kit.fake_slack import FakeSlack
from tests.slack.bench import counted
from tests.slack.test_aliases import alert
from tests.slack.test_commands import CATALOG, learn

Ready = tuple[Running, FakeSlack]
PUBLIC = "https://topology.example/ops"


@pytest.fixture
async def ready(tmp_path: Path) -> AsyncIterator[Ready]:
    """A bot that knows web -> payments -> ledger, whose pages people open under PUBLIC."""
    (tmp_path / "services.yaml").write_text(CATALOG)
    async with FakeSlack() as slack:
        options = with_slack(slack.url) | {"public_url": PUBLIC, "catalog": tmp_path / "services.yaml"}
        async with bot(tmp_path, **options) as (running, session):
            await learn(running, session)
            yield running, slack


async def pasted(ready: Ready, *urls: str, outcome: str = "shown", **how: Any) -> dict[str, list[Any]]:
    """Paste links, and wait until all of them are counted so; what Slack shows below the message."""
    before = counted("slack_unfurls", outcome=outcome)
    assert (await ready[1].paste(ready[0].url, *urls, **how)).status == 200

    async def done() -> bool:
        return counted("slack_unfurls", outcome=outcome) >= before + len(urls)

    await until(done, f"the links were not counted as {outcome}")
    return ready[1].workspace.unfurled


def words(blocks: list[Any]) -> str:
    return json.dumps(blocks, ensure_ascii=False)


@pytest.mark.parametrize("writing", [False, True])
async def test_a_service_is_shown_with_its_numbers_and_its_picture(ready: Ready, writing: bool) -> None:
    url = PUBLIC + Look("payments", depth=2, direction="callers").href
    blocks = (await pasted(ready, url, writing=writing))[url]

    assert "payments" in words(blocks)
    assert "tier 1" in words(blocks)
    (image,) = [block for block in blocks if block["type"] == "image"]
    # Drawn as the page draws it: with its callers alone.
    assert "web" in image["alt_text"]
    assert "ledger" not in image["alt_text"]
    assert not any(block["type"] == "actions" or "accessory" in block for block in blocks)


async def test_an_incident_is_shown_as_its_message_stands_with_its_picture(ready: Ready) -> None:
    await alert(ready, "payments", "Boom <!channel>")

    async def drawn() -> bool:
        row = await ready[0].outbox.one("incident:1:picture")
        return row is not None and row.state == "sent"

    await until(drawn, "the thread has no picture")
    url = f"{PUBLIC}/incidents/1"
    blocks = (await pasted(ready, url))[url]

    assert "*payments* is failing" in words(blocks)
    assert [block["type"] for block in blocks].count("image") == 1
    assert ready[1].workspace.mentions == []


async def test_each_page_with_a_short_answer_is_shown(ready: Ready) -> None:
    pages = {
        f"{PUBLIC}": "services",
        f"{PUBLIC}/coverage": "services",
        PUBLIC + address.plan(["payments", "ledger"]): "web",
        PUBLIC + address.address("/diff", {"service": "payments", "from": "-1h"}): "payments",
        PUBLIC + Look("ledger", supposed=True).href: "payments",
    }
    shown = await pasted(ready, *pages)
    assert {url: word in words(shown[url]) for url, word in pages.items()} == dict.fromkeys(pages, True)


async def test_what_nobody_knows_stays_a_bare_link(ready: Ready) -> None:
    before = len(ready[1].called("chat.unfurl"))
    names = ("nobody", "<!channel>", "'; drop table services; --", "\u202eshop", "x" * 2_000)
    await pasted(ready, *(f"{PUBLIC}/map?service={quote(name)}" for name in names), outcome="unknown")
    await pasted(ready, f"{PUBLIC}/incidents/999", outcome="unknown")
    assert len(ready[1].called("chat.unfurl")) == before


async def test_a_link_is_shown_once_however_often_slack_tells_of_it(ready: Ready) -> None:
    url = f"{PUBLIC}/coverage"
    await pasted(ready, url, event_id="Ev1")
    await pasted(ready, url, event_id="Ev1", retry=1, outcome="sent again")
    assert len(ready[1].called("chat.unfurl")) == 1


async def test_a_slack_that_does_not_take_it_is_counted(ready: Ready) -> None:
    ready[1].fail_next("chat.unfurl", "cannot_unfurl_url")
    await pasted(ready, f"{PUBLIC}/coverage", outcome="failed")
    await pasted(ready, f"{PUBLIC}/coverage")


@pytest.mark.parametrize(("method", "trouble"), [("upload", "http_500"), ("chat.unfurl", "cannot_parse_attachment")])
async def test_a_picture_that_slack_does_not_take_costs_the_picture_alone(
    ready: Ready, method: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.client._UNREADY_SECONDS", (0.0, 0.0))
    url = PUBLIC + Look("payments").href
    for _ in range(1 if method == "upload" else 2):
        ready[1].fail_next(method, trouble)
    blocks = (await pasted(ready, url))[url]
    assert not any(block["type"] == "image" for block in blocks)
    assert "payments" in words(blocks)


async def test_without_an_address_of_its_own_no_link_is_the_bots(tmp_path: Path) -> None:
    async with FakeSlack() as slack, bot(tmp_path, **with_slack(slack.url)) as (running, _):
        await pasted((running, slack), f"{PUBLIC}/coverage", outcome="not shown")
        assert slack.called("chat.unfurl") == []


@pytest.mark.parametrize("event", [{}, {"links": 1}, {"links": [1]}, {"unfurl_id": 1}, {"message_ts": None}])
async def test_an_event_that_is_none_does_nothing(ready: Ready, event: dict[str, Any]) -> None:
    whole = {"type": "link_shared", "channel": "C1", "message_ts": "1.1", "links": [], **event}
    assert (await ready[1].event(ready[0].url, whole)).status == 200
    await pasted(ready, f"{PUBLIC}/coverage")  # what came before was worked without harm
    assert len(ready[1].called("chat.unfurl")) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://topology.example/other", "https://topology.example.evil/ops/coverage", "https://topology.example/opsy/coverage",
        "http://topology.example/ops/coverage", "https://topology.example:8443/ops/coverage", "https://a:b@topology.example/ops/coverage",
        "https://topology.example/ops/api/v1/graph", "https://topology.example/ops/map", "https://topology.example/ops/incidents/1x",
        "https://topology.example/ops/incidents/", "https://topology.example/ops/plan?service=,", "https://[topology.example/ops",
        "https://topology.example/ops/search?q=payments", f"https://topology.example/ops/map?service={'x' * MAX_URL}",
        "https://topology.example/ops/map?" + "&".join(f"a{n}=1" for n in range(99)), "", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_is_not_one_of_the_bots_pages_is_not_read(url: str) -> None:
    assert read(url, PUBLIC) is None


def test_a_page_asks_what_one_would_type() -> None:
    assert read(f"{PUBLIC}/", PUBLIC) == read("HTTPS://Topology.Example:443/ops", PUBLIC) == Pasted("health")
    assert read(f"{PUBLIC}/incidents/12", PUBLIC) == Pasted(incident=12)
    at = read(f"{PUBLIC}/map?service=a%20b&at=2026-11-24T02:50:00Z", PUBLIC)
    assert at is not None
    assert at.question.endswith('"a b" at 2026-11-24T02:50:00Z')
    assert at.drawn == {"service": "a b", "at": "2026-11-24T02:50:00Z"}


@given(st.text(max_size=200))
def test_no_address_is_trouble(text: str) -> None:
    found = read(f"{PUBLIC}/map?service={text}", PUBLIC)
    assert found is None or found.question
    assert read(text, PUBLIC) is None
