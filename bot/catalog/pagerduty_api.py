"""PagerDuty's services, whose they are, and who is on call for them now.

`GET /services?include[]=teams&include[]=escalation_policies` and `GET /oncalls?include[]=users`, pages by `limit` (at most
100) and `offset` (together at most 10,000) until `more` is false; without `since` and `until`, `/oncalls` is about now
(developer.pagerduty.com, REST API v2; github.com/PagerDuty/api-schema).

A service's facts are under its display name; its id is among the names it answers to, so that it finds the service that a
stronger source gives this id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot import names
from bot.catalog.entries import Link
from bot.catalog.facts import MAX_TEXT, Facts, Format, Notes, Reading, dashed, is_web_address
from bot.catalog.fetch import Fetcher, SourceError

DEFAULT_URL = "https://api.pagerduty.com"
_PAGE = 100
_LAST_OFFSET = 10_000 - _PAGE
_MOST_ON_CALL = 3

Json = Mapping[str, Any]


class PagerDutyApi:
    """One PagerDuty account. `token` is a REST API key, read-only is enough."""

    def __init__(self, token: str, url: str = DEFAULT_URL) -> None:
        headers = {"Authorization": f"Token token={token}", "Accept": "application/vnd.pagerduty+json;version=2"}
        self._fetcher = Fetcher(url, headers, "check PAGERDUTY_API_TOKEN: a REST API key, not a webhook's secret")

    @property
    def source(self) -> str:
        """Its host."""
        return self._fetcher.host

    def close(self) -> None:
        """See `Fetcher`."""
        self._fetcher.close()

    def read(self) -> Reading:
        """All services. Raises SourceError where a page is missing."""
        notes, deadline = Notes(Format.PAGERDUTY, self.source, self.source), self._fetcher.deadline()
        on_call = _first_on_call(self._pages("oncalls", ["users"], deadline))
        for service in self._pages("services", ["teams", "escalation_policies"], deadline):
            if fact := _facts(service, on_call, notes):
                notes.facts.append(fact)
        return notes.reading()

    def _pages(self, what: str, include: list[str], deadline: float) -> Iterator[Json]:
        for offset in range(0, _LAST_OFFSET + 1, _PAGE):
            wanted: dict[str, str | list[str]] = {"include[]": include, "limit": str(_PAGE), "offset": str(offset)}
            answer = self._fetcher.get(f"/{what}", wanted, deadline)
            items = answer.get(what)
            if not isinstance(items, list):
                raise SourceError(
                    "answered JSON of another shape than documented; does PAGERDUTY_API_URL lead to the API?"
                )
            yield from (item for item in items if isinstance(item, dict))
            if answer.get("more") is not True:
                return
        raise SourceError(f"has more than 10,000 {what}, which is as far as its pages go")


def _first_on_call(listed: Iterator[Json]) -> dict[str, str]:
    """Escalation policy's id -> who is woken first; where that is several people, all of them."""
    found: dict[str, list[str]] = {}
    for one in listed:
        user, policy = _part(one, "user"), _text(_part(one, "escalation_policy"), "id")
        name = _text(user, "name") or _text(user, "summary")
        if one.get("escalation_level") == 1 and name and name not in found.setdefault(policy, []):
            found[policy].append(name)
    return {policy: ", ".join(sorted(people)[:_MOST_ON_CALL]) for policy, people in found.items() if people}


def _facts(service: Json, on_call: Mapping[str, str], notes: Notes) -> Facts | None:
    number, name = _text(service, "id"), _text(service, "name") or _text(service, "summary")
    identifier = notes.identifier(name, 0)
    if not identifier:
        return None
    policy = _part(service, "escalation_policy")
    teams = [
        _text(team, "name") or _text(team, "summary") for team in service.get("teams") or () if isinstance(team, dict)
    ]
    page = _text(service, "html_url")
    other = (names.clean(number), dashed(name))
    return Facts(
        id=identifier,
        format=notes.format,
        source=notes.source,
        team=next((team for team in teams if team), "") or _text(policy, "name") or _text(policy, "summary"),
        on_call=on_call.get(_text(policy, "id"), ""),
        links=(Link("PagerDuty", page),) if is_web_address(page) else (),
        names=tuple(dict.fromkeys(one for one in other if one and one != identifier)),
    )


def _part(given: Json, name: str) -> Json:
    value = given.get(name)
    return value if isinstance(value, dict) else {}


def _text(given: Json, name: str) -> str:
    value = given.get(name)
    return names.printable(value[:MAX_TEXT]).strip() if isinstance(value, str) else ""
