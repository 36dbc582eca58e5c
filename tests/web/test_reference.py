"""The API's reference for people: complete, true, and a page that needs nothing but itself."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from bot.web import openapi, reference
from bot.web.openapi import ADMIN, ANYBODY, INGEST, READ, ROUTES, SIGNED, Route
from bot.web.reference import EXAMPLES, command, fields, kind_of, ticked
from bot.web.schemas import SCHEMAS
from tests.kit.bots import bot

TOKENS = "reader:read:t-read,shipper:ingest:t-ingest"
LARGE = {"stream"}  # never ends


class Page(HTMLParser):
    """What a browser would make of the page, as far as these tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert "style" not in given
        assert not [name for name in given if name.startswith("on")]
        self.scripts += tag in ("script", "style")
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag in ("link", "img"):
            self.loaded.append(given.get("href") or given["src"])
        if tag not in ("link", "meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def text_of(session: aiohttp.ClientSession) -> str:
    async with session.get("/api/v1/docs") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        return await answer.text()


async def test_every_endpoint_is_there_with_its_parameters_its_command_and_its_answer(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        text = await text_of(session)

    plain = text.replace("&#34;", '"').replace("&#39;", "'").replace("&amp;", "&")
    for route in ROUTES:
        anchor = route.name.replace(" ", "_")
        article = re.search(rf'<article id="{anchor}" .*?</article>', plain, re.DOTALL)
        assert article is not None, route.name
        for name in route.parameters:
            assert f"<code>{name}</code>" in article[0], (route.name, name)
        assert command(route) in article[0]
        assert (
            f"Answer: {route.answer}" in article[0]
            or not route.answer
            or not list(fields(SCHEMAS[route.answer], SCHEMAS))
        )
        assert all(f"<b>{status}</b>" in article[0] for status in (route.status, *route.problems))
    for name in SCHEMAS:
        assert f'id="shape-{name}"' in plain


async def test_the_page_is_whole_by_itself_and_every_link_on_it_leads_somewhere(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        page = Page(await text_of(session))
        for address in {*page.loaded, *(link for link in page.links if not link.startswith("#"))}:
            assert address.startswith("/")
            async with session.get(address) as answer:
                assert answer.status == 200, address

    assert page.open == []
    assert page.scripts == 0
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


async def test_who_has_the_page_already_is_told_so(tmp_path: Path) -> None:
    async with bot(tmp_path) as (_, session):
        async with session.get("/api/v1/docs") as answer:
            tag = answer.headers["ETag"]
        async with session.get("/api/v1/docs", headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.parametrize("route", [one for one in ROUTES if one.name in EXAMPLES], ids=lambda one: one.name)
def test_an_example_asks_for_what_its_route_takes(route: Route) -> None:
    given = dict(parse_qsl(EXAMPLES[route.name], strict_parsing=True))

    assert given.keys() <= set(openapi.allowed(route.name))


def test_there_are_no_examples_of_routes_that_are_not_there() -> None:
    assert {*EXAMPLES, *reference.BODIES} <= {route.name for route in ROUTES}


async def test_the_commands_that_read_can_be_typed_as_they_stand(tmp_path: Path) -> None:
    async with bot(tmp_path, api_tokens=TOKENS) as (running, session):
        for route in ROUTES:
            if route.method != "GET" or route.name in LARGE | {"static"}:
                continue
            words = shlex.split(command(route).replace("$BOT", running.url).replace("$TOKEN", "t-read"))
            headers = dict(word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H")
            if route.name == "preview":  # which leads to the messages
                headers["Authorization"] = "Bearer t-read"
            async with session.get(urlsplit(words[2]).path + "?" + urlsplit(words[2]).query, headers=headers) as answer:
                # Nobody is on the map, but nothing is wrong with the question.
                assert answer.status in (200, 404), (route.name, await answer.text())


@pytest.mark.parametrize("scope", [READ, INGEST, ADMIN, SIGNED, ANYBODY])
async def test_who_may_ask_is_as_the_page_says(tmp_path: Path, scope: str) -> None:
    async with bot(tmp_path, api_tokens=TOKENS) as (running, session):
        for route in (one for one in ROUTES if one.scope == scope and one.name not in LARGE):
            path = re.sub(r"{\w+}", "alertmanager" if "webhooks" in route.path else "12", route.path)
            path = "/webhooks/changes/github" if route.name == "change webhooks" else path
            statuses = {}
            for token in ("", "t-read", "t-ingest"):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                headers |= {"Origin": running.url} if route.page else {}
                async with session.request(route.method, path, headers=headers, allow_redirects=False) as answer:
                    statuses[token] = answer.status
            if scope in (READ, INGEST):
                good, other = ("t-read", "t-ingest") if scope == READ else ("t-ingest", "t-read")
                assert (statuses[""], statuses[other]) == (401, 403), route.name
                assert statuses[good] not in (401, 403), route.name
            elif scope == ADMIN:
                assert statuses == {"": 401, "t-read": 403, "t-ingest": 403}, route.name
            elif scope == SIGNED:
                assert set(statuses.values()) <= {401, 404}, route.name
            else:
                assert not {401} & set(statuses.values()), route.name


def test_types_are_said_in_words() -> None:
    assert kind_of({"type": "string"}) == ("text", "")
    assert kind_of({"type": ["string", "null"]}) == ("text or null", "")
    assert kind_of({"type": "string", "format": "date-time"}) == ("moment (ISO 8601)", "")
    assert kind_of({"type": "integer", "minimum": 1, "maximum": 9}) == ("whole number from 1 to 9", "")
    assert kind_of({"enum": ["new", None]}) == ("one of new, null", "")
    assert kind_of({"type": "array", "items": {"enum": ["a", "b"]}}) == ("list of a, b", "")
    assert kind_of({"type": "array", "items": {"$ref": "#/components/schemas/Edge"}}) == ("list of", "Edge")
    assert kind_of({"type": "object", "additionalProperties": {"type": "number"}}) == ("object, each value number", "")
    assert kind_of({}) == ("object", "")


def test_what_stands_in_ticks_is_code_and_nothing_is_markup() -> None:
    assert ticked("as `at` <b>") == "as <code>at</code> &lt;b&gt;"


def test_what_has_no_name_of_its_own_is_told_where_it_stands() -> None:
    found = {one.name: one for one in fields(SCHEMAS["DependentList"], SCHEMAS)}

    assert found["items"].kind == "list of object"
    assert (found["items[].confidence"].kind, found["items[].confidence"].required) == ("number from 0 to 1", False)
    assert (found["items[].hops"].kind, found["items[].hops"].required) == ("whole number", True)
    assert found["items[].owner.team"].kind == "text"
    services = {one.name: (one.kind, one.of) for one in fields(SCHEMAS["ServiceList"], SCHEMAS)}
    assert services["items"] == ("list of", "Service")
    assert services["items[].confidence"] == ("number from 0 to 1 or null", "")
