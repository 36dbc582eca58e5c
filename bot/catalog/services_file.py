"""Our own `services.yaml`: owners, tiers, domains, runbooks and aliases, by service.

Comes in: a file people write. Goes out: a `Catalog`. What is lost: entries that cannot be used, each named in `problems`
with the file and its number; the rest is used. A file that cannot be read at all is one problem and an empty catalogue,
never a bot that does not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot import names
from bot.model import Owner

MAX_BYTES = 10 * 1024 * 1024
_KNOWN = frozenset(
    ("id", "name", "aliases", "team", "slack", "tier", "domain", "runbook", "entry_point", "pagerduty_service_id")
)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """What the catalogue says of one service. Empty texts where it says nothing."""

    owner: Owner | None = None
    tier: str = ""
    domain: str = ""
    runbook: str = ""
    entry_point: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """All entries by id. `aliases` maps other names, PagerDuty service ids among them, to ids."""

    entries: Mapping[str, CatalogEntry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def entry(self, service: str) -> CatalogEntry | None:
        """The entry of a service: by its id, else without the environment, else without the namespace."""
        if not self.entries:
            return None
        bare = names.bare(service)
        return self.entries.get(service) or self.entries.get(bare) or self.entries.get(bare.partition(".")[0])


EMPTY = Catalog()


class _PlainLoader(yaml.SafeLoader):
    """YAML without references: nothing a service needs, and the way a small file becomes a huge one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references (*name) are not read")
        return super().compose_node(parent, index)


def load(path: Path) -> Catalog:
    """Read a `services.yaml`. Never raises: what is wrong with it is in `problems`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return Catalog(problems=(f"{path}: larger than {MAX_BYTES} bytes",))
        document = yaml.load(path.read_text(), _PlainLoader)  # noqa: S506 - a SafeLoader without references
    except OSError as error:
        return Catalog(problems=(f"{path}: cannot be read: {error.strerror}",))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        return Catalog(problems=(f"{path}: not YAML: {' '.join(str(error).split())[:300]}",))
    listed = document.get("services") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return Catalog(problems=(f"{path}: want a list under `services:`",))
    return _catalog(path, listed)


def _catalog(path: Path, listed: list[Any]) -> Catalog:
    entries: dict[str, CatalogEntry] = {}
    aliases: dict[str, str] = {}
    problems: list[str] = []
    for number, given in enumerate(listed, start=1):
        where = f"{path}, service {number}"
        identifier = names.clean(str(given.get("id") or given.get("name") or "")) if isinstance(given, dict) else ""
        if not identifier:
            problems.append(f"{where}: has no id")
            continue
        if identifier in entries:
            problems.append(f"{where}: {identifier} is there twice; the first is used")
            continue
        problems += [
            f"{where} ({identifier}): there is no field {name!r}" for name in sorted(map(str, set(given) - _KNOWN))
        ]
        entries[identifier] = _entry(path, given)
        for alias in (*entries[identifier].aliases, names.clean(str(given.get("pagerduty_service_id") or ""))):
            if alias and aliases.setdefault(alias, identifier) != identifier:
                problems.append(f"{where} ({identifier}): {alias!r} is an alias of {aliases[alias]} already")
    for alias in sorted(aliases.keys() & entries.keys()):
        problems.append(
            f"{path}: {alias!r} is an alias of {aliases.pop(alias)} and a service of its own; the service wins"
        )
    return Catalog(entries, aliases, tuple(problems[:100]))


def _entry(path: Path, given: dict[Any, Any]) -> CatalogEntry:
    team, slack = _text(given, "team"), _text(given, "slack")
    listed = given.get("aliases")
    return CatalogEntry(
        owner=Owner(team or slack, slack, path.name) if team or slack else None,
        tier=_text(given, "tier"),
        domain=_text(given, "domain"),
        runbook=_text(given, "runbook"),
        entry_point=given.get("entry_point") is True,
        aliases=tuple(names.clean(str(alias)) for alias in listed if alias) if isinstance(listed, list) else (),
    )


def _text(given: dict[Any, Any], name: str) -> str:
    value = given.get(name)
    return "" if value is None or isinstance(value, dict | list) else names.printable(str(value)).strip()[:300]
