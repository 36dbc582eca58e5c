"""Our own `services.yaml`: owners, tiers, domains, runbooks and aliases, by service.

Comes in: a file people write. Goes out: a `Catalog`. What is lost: entries and fields that cannot be used, each named in
`problems` with the file and its line; the rest is used. A file that cannot be read at all is one problem and an empty
catalogue, never a bot that does not start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from bot import names
from bot.catalog import plain_yaml
from bot.catalog.plain_yaml import Fields, Items
from bot.model import Kind, Owner

MAX_BYTES = 10 * 1024 * 1024
MAX_SERVICES = 50_000
MAX_ALIASES = 50
MAX_TEXT = 300
MAX_PROBLEMS = 100

_TEXTS = frozenset(
    ("id", "name", "team", "slack", "tier", "domain", "runbook", "kind", "entry_point", "pagerduty_service_id")
)
_KNOWN = _TEXTS | {"aliases"}
_KINDS = tuple(kind.value for kind in Kind)
_YES, _NO = frozenset(("true", "yes", "on")), frozenset(("false", "no", "off", ""))
_WEB_ADDRESS = re.compile(r"https?://[^\s<>|\"]+")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """What the catalogue says of one service. Empty texts where it says nothing."""

    owner: Owner | None = None
    tier: str = ""
    domain: str = ""
    runbook: str = ""
    entry_point: bool = False
    aliases: tuple[str, ...] = ()
    kind: Kind | None = None


@dataclass(frozen=True)
class Catalog:
    """All entries by id. `aliases` maps other names, PagerDuty service ids among them, to ids."""

    entries: Mapping[str, CatalogEntry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def entry(self, service: str) -> CatalogEntry | None:
        """The entry of a service id: under the very id, or without environment, or one that leaves unsaid what the id says.

        `payments.shop@prod` finds `payments`, and `payments` finds `payments.shop` where no other namespace has one; but
        `payments.shop` never finds `payments.billing`: no owner is better than another team's.
        """
        found = self._named(service) or self._named(names.bare(service))
        if found is not None:
            return found
        name, namespace, environment = _parts(service)
        ranked: dict[int, list[str]] = {}
        for identifier in self._by_name.get(name, ()):
            _, its_namespace, its_environment = _parts(identifier)
            if _agree(namespace, its_namespace) and _agree(environment, its_environment):
                ranked.setdefault(bool(its_namespace) + bool(its_environment), []).append(identifier)
        if not ranked:
            return self._named(name)  # a name that has dots itself
        closest = ranked[max(ranked)]
        return self.entries[closest[0]] if len(closest) == 1 else None

    def _named(self, text: str) -> CatalogEntry | None:
        return self.entries.get(text) or self.entries.get(self.aliases.get(text, ""))

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for identifier in self.entries:
            name = _parts(identifier)[0]
            found[name] = (*found.get(name, ()), identifier)
        return found


EMPTY = Catalog()


def load(path: Path) -> Catalog:
    """Read a `services.yaml`. Never raises: what is wrong with it is in `problems`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        return Catalog(problems=(f"{path}: cannot be read: {error.strerror}",))
    if len(data) > MAX_BYTES:
        return Catalog(problems=(f"{path}: larger than {MAX_BYTES} bytes",))
    try:
        document = plain_yaml.read(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return Catalog(problems=(f"{path}: not YAML: {names.printable(' '.join(str(error).split()))[:300]}",))
    listed = document.get("services", document) if isinstance(document, Fields) else document
    if not isinstance(listed, Items):
        return Catalog(problems=(f"{path}: want a list under `services:`",))
    return _Reading(path).catalog(listed)


def _parts(identifier: str) -> tuple[str, str, str]:
    """(name, namespace, environment) of an id; a namespace has no dot."""
    bare, _, environment = identifier.partition("@")
    name, _, namespace = bare.rpartition(".")
    return (name, namespace, environment) if name else (bare, "", environment)


def _agree(one: str, other: str) -> bool:
    return one == other or not one or not other


class _Reading:
    """One pass over a file's list, gathering what can be used and what is wrong with the rest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, CatalogEntry] = {}
        self._aliases: dict[str, str] = {}
        self._problems: list[str] = []
        self._unnamed_problems = 0

    def catalog(self, listed: Items) -> Catalog:
        """Everything in the list that can be used."""
        for line, given in list(zip(listed.lines, listed, strict=True))[:MAX_SERVICES]:
            if isinstance(given, Fields):
                self._service(line, given)
            else:
                self._problem(line, "a service is not a mapping of fields")
        if len(listed) > MAX_SERVICES:
            self._problem(listed.lines[MAX_SERVICES], f"{len(listed) - MAX_SERVICES} services beyond {MAX_SERVICES}")
        for alias in sorted(self._aliases.keys() & self._entries.keys()):
            owner = self._aliases.pop(alias)
            self._problem(0, f"{alias!r} is an alias of {owner} and a service of its own; the service wins")
        if self._unnamed_problems:
            self._problems.append(f"{self._path}: and {self._unnamed_problems} problems more")
        return Catalog(self._entries, self._aliases, tuple(self._problems))

    def _problem(self, line: int, text: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(f"{self._path}:{line}: {text}" if line else f"{self._path}: {text}")
        else:
            self._unnamed_problems += 1

    def _service(self, line: int, given: Fields) -> None:
        texts = {name: self._text(given, name) for name in sorted(_TEXTS & given.keys())}
        display = names.clean(texts.get("name", ""))
        identifier = names.clean(texts.get("id", "")) or display
        if not identifier:
            self._problem(line, "a service has no id")
        elif len(identifier) > names.MAX_ID:
            self._problem(line, f"the id {identifier[:40]!r}… is longer than {names.MAX_ID}")
        elif identifier in self._entries:
            self._problem(line, f"{identifier!r} is there twice; the first is used")
        else:
            for name in sorted(given.keys() - _KNOWN):
                self._problem(given.lines[name], f"{identifier}: there is no field {name[:80]!r}")
            aliases = tuple(dict.fromkeys(self._listed_aliases(identifier, given)))
            self._entries[identifier] = self._entry(identifier, given, texts, aliases)
            for alias in (*aliases, display, names.clean(texts.get("pagerduty_service_id", ""))):
                if alias and alias != identifier and self._aliases.setdefault(alias, identifier) != identifier:
                    self._problem(line, f"{identifier}: {alias!r} is an alias of {self._aliases[alias]} already")

    def _entry(
        self, identifier: str, given: Fields, texts: Mapping[str, str], aliases: tuple[str, ...]
    ) -> CatalogEntry:
        team, slack, runbook = texts.get("team", ""), texts.get("slack", ""), texts.get("runbook", "")
        kind, entry_point = texts.get("kind", "").lower(), texts.get("entry_point", "").lower()
        if runbook and not _WEB_ADDRESS.fullmatch(runbook):
            self._problem(given.lines["runbook"], f"{identifier}: the runbook is not an http(s) address")
            runbook = ""
        if kind and kind not in _KINDS:
            self._problem(given.lines["kind"], f"{identifier}: kind is none of {', '.join(_KINDS)}")
            kind = ""
        if entry_point not in _YES | _NO:
            self._problem(given.lines["entry_point"], f"{identifier}: entry_point is neither true nor false")
        return CatalogEntry(
            owner=Owner(team or slack, slack, self._path.name) if team or slack else None,
            tier=texts.get("tier", ""),
            domain=texts.get("domain", ""),
            runbook=runbook,
            entry_point=entry_point in _YES,
            aliases=aliases,
            kind=Kind(kind) if kind else None,
        )

    def _text(self, given: Fields, name: str) -> str:
        value = given[name]
        if isinstance(value, list | dict):
            self._problem(given.lines[name], f"{name} is not a text")
            return ""
        text = names.printable(value or "").strip()
        if len(text) > MAX_TEXT:
            self._problem(given.lines[name], f"{name} is longer than {MAX_TEXT}; the rest is cut")
        return text[:MAX_TEXT]

    def _listed_aliases(self, identifier: str, given: Fields) -> Iterator[str]:
        listed = given.get("aliases")
        if isinstance(listed, str):
            yield names.clean(listed[:MAX_TEXT])
        elif isinstance(listed, Items):
            if len(listed) > MAX_ALIASES:
                self._problem(given.lines["aliases"], f"{identifier}: only the first {MAX_ALIASES} aliases are used")
            for line, alias in zip(listed.lines[:MAX_ALIASES], listed, strict=False):
                if isinstance(alias, str) and names.clean(alias[:MAX_TEXT]):
                    yield names.clean(alias[:MAX_TEXT])
                else:
                    self._problem(line, f"{identifier}: an alias is not a text")
        elif listed is not None:
            self._problem(given.lines["aliases"], f"{identifier}: aliases is not a list")
