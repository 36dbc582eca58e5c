"""Backstage's catalog API: all entities, a page at a time, to facts.

`GET /api/catalog/entities/by-query` answers `{"items": […], "pageInfo": {"nextCursor"?}}`; filters given more than once are
joined by "or"; with a cursor, which carries them, they are not sent again (backstage.io/docs/features/software-catalog/
software-catalog-api). Entities are the same as in files: see `bot.catalog.backstage`.
"""

from __future__ import annotations

from bot.catalog import backstage
from bot.catalog.facts import MAX_SERVICES, Format, Notes, Reading
from bot.catalog.fetch import Fetcher, SourceError
from bot.catalog.plain_yaml import Document, of_json

_PATH = "/api/catalog/entities/by-query"
_LIMIT = "500"
_KINDS = ("component", "api", "resource", "system", "group")
MAX_PAGES = 200


class BackstageApi:
    """One Backstage, at its backend's address. `token` may be empty where it asks for none."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._fetcher = Fetcher(url, headers, "check TOPOLOGY_BOT_BACKSTAGE_TOKEN")

    @property
    def source(self) -> str:
        """Its host."""
        return self._fetcher.host

    def close(self) -> None:
        """See `Fetcher`."""
        self._fetcher.close()

    def read(self) -> Reading:
        """All entities. Raises SourceError where a page is missing: half a catalogue would look like services gone."""
        notes = Notes(Format.BACKSTAGE, self.source, self.source)
        deadline, cursor, seen = self._fetcher.deadline(), "", set[str]()
        while cursor not in seen:
            seen.add(cursor)
            wanted: dict[str, str | list[str]] = {"limit": _LIMIT}
            wanted |= {"cursor": cursor} if cursor else {"filter": [f"kind={kind}" for kind in _KINDS]}
            answer = self._fetcher.get(_PATH, wanted, deadline)
            items, following = answer.get("items"), answer.get("pageInfo", {})
            if not isinstance(items, list) or not isinstance(following, dict):
                raise SourceError(
                    "answered JSON of another shape than documented; does its address lead to the backend?"
                )
            backstage.read([Document(0, of_json(item)) for item in items], notes)
            cursor = following.get("nextCursor") or ""
            if not cursor:
                return notes.reading()
            if not isinstance(cursor, str) or len(seen) >= MAX_PAGES or len(notes.facts) >= MAX_SERVICES:
                raise SourceError(f"has more than {MAX_SERVICES} entities, or {MAX_PAGES} pages")
        raise SourceError("gave a page's cursor twice, and would never end")
