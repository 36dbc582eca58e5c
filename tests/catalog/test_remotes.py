"""Backstage and PagerDuty over HTTP: their pages, their refusals, and what must never be said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses
from responses import matchers

from bot.catalog import fetch, pagerduty_api
from bot.catalog.backstage_api import BackstageApi
from bot.catalog.entries import Link
from bot.catalog.fetch import SourceError, require_web_address
from bot.catalog.pagerduty_api import PagerDutyApi
from bot.catalog.sources import Remote

TOKEN = "token-nobody-may-see"
BACKSTAGE, PAGERDUTY = "https://backstage.test:7007", "https://api.pagerduty.test"
ENTITIES = f"{BACKSTAGE}/api/catalog/entities/by-query"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses between tries."""
    monkeypatch.setattr(fetch, "_pause", lambda state: 0.0)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    """Answers instead of the network; every one has to be asked for."""
    with responses.RequestsMock() as mock:
        yield mock


def component(name: str, **spec: str) -> dict[str, Any]:
    return {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name, "etag": None},
            "spec": {"type": "service", "owner": "group:default/web", "hidden": False} | spec, "relations": []}  # fmt: skip


def backstage() -> BackstageApi:
    return BackstageApi(BACKSTAGE + "/", TOKEN)


def pagerduty() -> PagerDutyApi:
    return PagerDutyApi(TOKEN, PAGERDUTY)


class TestBackstage:
    """All entities, page after page."""

    def test_pages_are_followed_by_their_cursor(self, web: responses.RequestsMock) -> None:
        first = {
            "limit": "500",
            "filter": [f"kind={one}" for one in ("component", "api", "resource", "system", "group")],
        }
        web.get(
            ENTITIES,
            match=[matchers.query_param_matcher(first), matchers.header_matcher({"Authorization": f"Bearer {TOKEN}"})],
            json={"items": [component("pay", system="money-in")], "pageInfo": {"nextCursor": "c1"}},
        )
        system = {"kind": "System", "metadata": {"name": "money-in"}, "spec": {"domain": "money"}}
        web.get(
            ENTITIES,
            match=[matchers.query_param_matcher({"limit": "500", "cursor": "c1"})],
            json={"items": [component("cart"), system], "pageInfo": {}},
        )
        api = backstage()
        found = api.read()

        assert api.source == "backstage.test"
        assert [(one.id, one.team, one.system, one.where("team")) for one in found.facts] == [
            ("pay", "web", "money-in", "backstage.test"), ("cart", "web", "", "backstage.test"),
        ]  # fmt: skip
        assert (found.systems, found.problems, found.whole) == ({"money-in": "money"}, (), True)

    def test_a_page_that_is_missing_makes_the_reading_fail(self, web: responses.RequestsMock) -> None:
        web.get(ENTITIES, json={"items": [component("pay")], "pageInfo": {"nextCursor": "c1"}})
        web.get(ENTITIES, status=404)

        with pytest.raises(SourceError, match="answered 404; does its address lead to the API"):
            backstage().read()

    def test_cursors_in_a_circle_end(self, web: responses.RequestsMock) -> None:
        web.get(ENTITIES, json={"items": [], "pageInfo": {"nextCursor": "c1"}})

        with pytest.raises(SourceError, match="would never end"):
            backstage().read()

    @pytest.mark.parametrize(
        "answer",
        [{"items": "x"}, {}, {"items": [], "pageInfo": []}, {"items": [], "pageInfo": {"nextCursor": 1}}],
    )
    def test_an_answer_of_another_shape_is_no_catalogue(self, web: responses.RequestsMock, answer: Any) -> None:
        web.get(ENTITIES, json=answer)

        with pytest.raises(SourceError):
            backstage().read()

    def test_entities_that_cannot_be_used_are_problems(self, web: responses.RequestsMock) -> None:
        web.get(ENTITIES, json={"items": ["x", {"kind": "Component", "metadata": []}, component("a")]})
        found = backstage().read()

        assert [one.id for one in found.facts] == ["a"]
        assert found.problems == (
            "backstage.test: an entity is not a mapping of fields",
            "backstage.test: metadata is not a mapping of fields",
            "backstage.test: a service has no id",
        )


class TestPagerDuty:
    """Services, whose they are, and who is on call now."""

    def test_a_service_has_its_team_and_who_is_on_call_first(self, web: responses.RequestsMock) -> None:
        def on_call(level: int, name: str, policy: str = "POLICY1") -> dict[str, Any]:
            return {"escalation_level": level, "escalation_policy": {"id": policy, "summary": "Pay"},
                    "user": {"id": "U", "name": name, "email": "x@shop.example"}}  # fmt: skip

        web.get(
            f"{PAGERDUTY}/oncalls",
            match=[
                matchers.query_param_matcher({"include[]": "users", "limit": "100", "offset": "0"}),
                matchers.header_matcher(
                    {"Authorization": f"Token token={TOKEN}", "Accept": "application/vnd.pagerduty+json;version=2"}
                ),
            ],
            json={
                "oncalls": [
                    on_call(2, "Zoe"),
                    on_call(1, "Cy"),
                    on_call(1, "Ada"),
                    on_call(1, "Cy"),
                    on_call(1, "Bo", "P2"),
                ]
            },
        )
        service: dict[str, Any] = {"id": "PF9KMXH", "name": "Payments API", "html_url": "https://shop.pagerduty.test/PF9KMXH",
                   "teams": [{"id": "T1", "summary": "Payments"}], "escalation_policy": {"id": "POLICY1", "summary": "Pay"}}  # fmt: skip
        bare = {"id": "P2", "summary": "cart", "teams": [], "escalation_policy": {"id": "P3", "name": "Cart people"}}
        services = {"include[]": ["teams", "escalation_policies"], "limit": "100"}
        web.get(
            f"{PAGERDUTY}/services",
            match=[matchers.query_param_matcher(services | {"offset": "0"})],
            json={"services": [service], "more": True},
        )
        web.get(
            f"{PAGERDUTY}/services",
            match=[matchers.query_param_matcher(services | {"offset": "100"})],
            json={"services": [bare, {"id": "P4"}, "x"], "more": False},
        )
        found = pagerduty().read()

        assert [(one.id, one.names, one.team, one.on_call, one.links) for one in found.facts] == [
            ("payments api", ("pf9kmxh", "payments-api"), "Payments", "Ada, Cy", (Link("PagerDuty", str(service["html_url"])),)),
            ("cart", ("p2",), "Cart people", "", ()),
        ]  # fmt: skip
        assert found.problems == ("api.pagerduty.test: a service has no id",)

    def test_what_lies_beyond_its_last_page_is_said(
        self, web: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pagerduty_api, "_LAST_OFFSET", 100)
        web.get(f"{PAGERDUTY}/oncalls", json={"oncalls": [], "more": True})

        with pytest.raises(SourceError, match="more than 10,000 oncalls"):
            pagerduty().read()


MAKERS: list[tuple[Callable[[], Remote], str, Any]] = [
    (backstage, ENTITIES, {"items": []}),
    (pagerduty, f"{PAGERDUTY}/oncalls", {"oncalls": []}),
]


@pytest.mark.parametrize(("make", "url", "good"), MAKERS, ids=["Backstage", "PagerDuty"])
class TestTrouble:
    """Bounded, said in words, and without the token."""

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_token_that_is_refused(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any, status: int
    ) -> None:
        web.get(url, status=status, body=f"bad {TOKEN}")

        with pytest.raises(
            SourceError, match=rf"refuses the token \({status}\); check (TOPOLOGY_BOT_BACK|PAGERDUTY)"
        ) as raised:
            make().read()
        assert TOKEN not in str(raised.value)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_passing_failure_is_tried_again_three_times(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any, status: int
    ) -> None:
        asked = web.get(url, status=status)

        with pytest.raises(SourceError, match=f"answered {status}"):
            make().read()
        assert asked.call_count == 3

    def test_a_passing_failure_that_passes_is_forgotten(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any
    ) -> None:
        web.get(url, status=503)
        web.get(url, body=requests.ConnectionError(f"https://u:{TOKEN}@x"))
        web.get(url, json=good)
        if make is pagerduty:
            web.get(f"{PAGERDUTY}/services", json={"services": []})

        assert make().read().facts == ()

    @pytest.mark.parametrize(
        "error", [requests.ConnectionError, requests.Timeout, requests.exceptions.InvalidURL, requests.TooManyRedirects]
    )
    def test_an_error_is_told_without_its_text(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any, error: type[Exception]
    ) -> None:
        web.get(url, body=error(f"https://u:{TOKEN}@x"))

        with pytest.raises(SourceError, match=error.__name__) as raised:
            make().read()
        assert TOKEN not in str(raised.value)
        assert raised.value.__suppress_context__

    def test_a_redirect_is_not_followed(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any
    ) -> None:
        web.get(url, status=302, headers={"Location": "https://elsewhere.test/"})

        with pytest.raises(SourceError, match="answered 302, to go elsewhere"):
            make().read()

    @pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"[" * 100_000, b"\xff\xfe", b"null"])
    def test_an_answer_that_is_not_theirs(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any, body: bytes
    ) -> None:
        web.get(url, body=body)

        with pytest.raises(SourceError, match="does its address lead to the API"):
            make().read()

    def test_an_answer_that_is_too_big_is_not_read_to_its_end(
        self,
        web: responses.RequestsMock,
        make: Callable[[], Remote],
        url: str,
        good: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(fetch, "MAX_BYTES", 10)
        web.get(url, json=good | {"padding": "x" * 1_000})

        with pytest.raises(SourceError, match="more than 10 bytes at once"):
            make().read()

    def test_all_pages_together_have_so_much_time(
        self,
        web: responses.RequestsMock,
        make: Callable[[], Remote],
        url: str,
        good: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(fetch, "TOTAL_SECONDS", -1.0)

        with pytest.raises(SourceError, match="has not answered in full within"):
            make().read()

    def test_one_that_was_closed_asks_nothing_more(
        self, web: responses.RequestsMock, make: Callable[[], Remote], url: str, good: Any
    ) -> None:
        remote = make()
        remote.close()

        with pytest.raises(SourceError, match="the bot is stopping"):
            remote.read()


def test_a_netrc_puts_nothing_in_the_tokens_place(
    web: responses.RequestsMock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine backstage.test login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.get(ENTITIES, match=[matchers.header_matcher({"Authorization": f"Bearer {TOKEN}"})], json={"items": []})

    backstage().read()


def test_without_a_token_none_is_sent(web: responses.RequestsMock) -> None:
    asked = web.get(ENTITIES, json={"items": []})
    BackstageApi(BACKSTAGE).read()

    assert "Authorization" not in asked.calls[0].request.headers


@pytest.mark.parametrize(
    "url", ["backstage.test", "ftp://b.test", "https://", "https://[b", f"https://b.test?t={TOKEN}"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="backstage_url: want an http") as raised:
        require_web_address("backstage_url", url)
    assert TOKEN not in str(raised.value)
