"""Our own `services.yaml`: owners, tiers, domains, runbooks and aliases, by service.

Comes in: a document people write, a list of services (under `services:` or alone). Goes out: facts. What is lost: entries
and fields that cannot be used, each named with the file and its line; the rest is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot import names
from bot.catalog import facts
from bot.catalog.entries import Link
from bot.catalog.facts import MAX_LISTED, MAX_TEXT, Facts, Notes, is_web_address, plain_tier
from bot.catalog.plain_yaml import Document, Fields, Items
from bot.model import Kind

_TEXTS = frozenset(
    ("id", "name", "team", "slack", "email", "on_call", "tier", "domain", "kind", "entry_point", "pagerduty_service_id")
)
_KNOWN = _TEXTS | {"mention", "aliases", "depends_on", "links", "repository", "runbook"}
_KINDS = tuple(kind.value for kind in Kind)
_YES, _NO = frozenset(("true", "yes", "on")), frozenset(("false", "no", "off", ""))


def read(documents: Sequence[Document], notes: Notes) -> None:
    """Note what a `services.yaml` says."""
    if len(documents) > 1:
        notes.problem(documents[1].line, "not YAML of one document: a second one starts here, and is left out")
    document = documents[0].value if documents else None
    listed = document.get("services", document) if isinstance(document, Fields) else document
    if isinstance(listed, Items):
        _Reading(notes).read(listed)
    else:
        notes.problem(0, "want a list under `services:`")


class _Reading:
    """One pass over a file's list."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._found: dict[str, Facts] = {}
        self._aliases: dict[str, str] = {}

    def read(self, listed: Items) -> None:
        """Note everything in the list that can be used."""
        for line, given in list(zip(listed.lines, listed, strict=True))[: facts.MAX_SERVICES]:
            if isinstance(given, Fields):
                self._service(line, given)
            else:
                self._notes.problem(line, "a service is not a mapping of fields")
        if (beyond := len(listed) - facts.MAX_SERVICES) > 0:
            self._notes.problem(listed.lines[facts.MAX_SERVICES], f"{beyond} services beyond {facts.MAX_SERVICES}")
        for alias in sorted(self._aliases.keys() & self._found.keys()):
            owner = self._aliases[alias]
            self._notes.problem(0, f"{alias!r} is an alias of {owner} and a service of its own; the service wins")
        self._notes.facts += self._found.values()

    def _service(self, line: int, given: Fields) -> None:
        notes = self._notes
        texts = {name: notes.text(given, name) for name in sorted(_TEXTS & given.keys())}
        display = names.clean(texts.get("name", ""))
        identifier = notes.identifier(texts.get("id", "") or display, line)
        if identifier in self._found:
            notes.problem(line, f"{identifier!r} is there twice; the first is used")
        elif identifier:
            for name in sorted(given.keys() - _KNOWN):
                notes.problem(given.lines[name], f"{identifier}: there is no field {name[:80]!r}")
            aliases = [names.clean(one) for one in notes.texts(given, "aliases", identifier, "an alias")]
            aliases = list(dict.fromkeys(one for one in aliases if one))
            other = [one for one in (display, names.clean(texts.get("pagerduty_service_id", ""))) if one]
            self._found[identifier] = self._facts(identifier, line, given, texts, (tuple(aliases), tuple(other)))
            for alias in (*aliases, *other):
                if alias != identifier and self._aliases.setdefault(alias, identifier) != identifier:
                    notes.problem(line, f"{identifier}: {alias!r} is an alias of {self._aliases[alias]} already")

    def _facts(
        self,
        identifier: str,
        line: int,
        given: Fields,
        texts: Mapping[str, str],
        known_as: tuple[tuple[str, ...], tuple[str, ...]],
    ) -> Facts:
        notes, kind, entry_point = self._notes, texts.get("kind", "").lower(), texts.get("entry_point", "").lower()
        if kind and kind not in _KINDS:
            notes.problem(given.lines["kind"], f"{identifier}: kind is none of {', '.join(_KINDS)}")
            kind = ""
        if entry_point not in _YES | _NO:
            notes.problem(given.lines["entry_point"], f"{identifier}: entry_point is neither true nor false")
            entry_point = ""
        aliases, other = known_as
        return Facts(
            id=identifier,
            format=notes.format,
            source=notes.source,
            line=line,
            **{name: texts.get(name, "") for name in ("team", "slack", "email", "on_call", "domain")},
            mention=notes.mention(given, "mention", identifier),
            tier=plain_tier(texts.get("tier", "")),
            runbook=notes.address(given, "runbook", identifier),
            repository=notes.address(given, "repository", identifier),
            kind=Kind(kind) if kind else None,
            entry_point=entry_point in _YES if entry_point else None,
            links=tuple(self._links(identifier, given)),
            depends_on=tuple(notes.texts(given, "depends_on", identifier, "a dependency")),
            aliases=aliases,
            names=other,
            lines=given.lines,
        )

    def _links(self, identifier: str, given: Fields) -> Iterator[Link]:
        """`links` maps names to addresses."""
        listed = self._notes.section(given, "links")
        if len(listed) > MAX_LISTED:
            self._notes.problem(given.lines["links"], f"{identifier}: only the first {MAX_LISTED} links are used")
        for name, url in list(listed.items())[:MAX_LISTED]:
            if isinstance(url, str) and is_web_address(url):
                yield Link(names.printable(name)[:MAX_TEXT], url)
            else:
                self._notes.problem(listed.lines[name], f"{identifier}: a link is not an http(s) address")
