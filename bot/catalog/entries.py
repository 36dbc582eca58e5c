"""What is known of each service, all sources merged, and how an entry is found by the names services go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bot import names
from bot.model import Kind, Owner


@dataclass(frozen=True, slots=True)
class Link:
    """A web page about a service: a dashboard, its documentation. `url` is http or https."""

    name: str
    url: str


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
    repository: str = ""
    reference: str = ""
    """What Backstage calls it: `kind:namespace/name` in lower case."""
    links: tuple[Link, ...] = ()
    depends_on: tuple[str, ...] = ()
    """Services it is declared to need, by the names they were written with."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each fact is from, by the fact's name (`owner`, `tier`, `on_call` …): a file, or a host."""


@dataclass(frozen=True)
class Catalog:
    """All entries by id. `aliases` maps other names, PagerDuty service ids among them, to ids.

    `read_at` says when each source was last read (epoch s), by the name it has in an entry's `sources`.
    """

    entries: Mapping[str, CatalogEntry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    read_at: Mapping[str, float] = field(default_factory=dict)

    def entry(self, service: str) -> CatalogEntry | None:
        """The entry of a service id: under the very id, or without environment, or one that leaves unsaid what the id says.

        `payments.shop@prod` finds `payments`, and `payments` finds `payments.shop` where no other namespace has one; but
        `payments.shop` never finds `payments.billing`: no owner is better than another team's.
        """
        found = self._named(service) or self._named(names.bare(service))
        if found is not None:
            return found
        name, namespace, environment = parts(service)
        ranked: dict[int, list[str]] = {}
        for identifier in self._by_name.get(name, ()):
            _, its_namespace, its_environment = parts(identifier)
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
            name = parts(identifier)[0]
            found[name] = (*found.get(name, ()), identifier)
        return found


EMPTY = Catalog()


def parts(identifier: str) -> tuple[str, str, str]:
    """(name, namespace, environment) of an id; a namespace has no dot."""
    bare, _, environment = identifier.partition("@")
    name, _, namespace = bare.rpartition(".")
    return (name, namespace, environment) if name else (bare, "", environment)


def _agree(one: str, other: str) -> bool:
    return one == other or not one or not other
