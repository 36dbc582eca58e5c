"""OpsLevel's `opslevel.yml` to facts.

Comes in: the documents of a file, each `version: 1` with a `service` or `component`. Goes out: facts. What is lost: teams,
systems and repositories, which are no services, and everything not read below.

Format: docs.opslevel.com, "opslevel.yml" (no schema is published; unverified).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot import names
from bot.catalog.entries import Link
from bot.catalog.facts import Facts, Notes, dashed, plain_kind, plain_tier
from bot.catalog.plain_yaml import Document, Fields, Items

_KEYS = ("service", "component")
_OTHERS = frozenset(("team", "system", "domain", "repository"))


def is_ours(document: object) -> bool:
    """Whether a document is one of OpsLevel's."""
    return isinstance(document, Fields) and "version" in document and not _OTHERS.union(_KEYS).isdisjoint(document)


def read(documents: Sequence[Document], notes: Notes) -> None:
    """Note what an `opslevel.yml` says."""
    for line, given in documents:
        if given is None:
            continue
        if not isinstance(given, Fields) or not is_ours(given):
            notes.problem(line, "want version: 1 and a service or a component")
            continue
        for key in _KEYS:
            service = notes.section(given, key)
            if service and (identifier := notes.identifier(notes.text(service, "name"), given.lines[key])):
                notes.facts.append(_facts(identifier, given.lines[key], service, notes))


def _facts(identifier: str, line: int, service: Fields, notes: Notes) -> Facts:
    tools = list(_tools(service, identifier, notes))
    display = notes.text(service, "name")
    aliases = [names.clean(one) for one in notes.texts(service, "aliases", identifier, "an alias")]
    # The name is a display name: what systems call it is among the aliases, or is its name with dashes.
    other = dashed(display)
    return Facts(
        id=identifier,
        format=notes.format,
        source=notes.source,
        line=line,
        team=notes.text(service, "owner"),
        tier=plain_tier(notes.text(service, "tier")),
        system=names.clean(notes.text(service, "system")),
        runbook=next((link.url for link, category in tools if category == "runbooks"), ""),
        repository=next((link.url for link, category in tools if category == "code"), ""),
        kind=plain_kind(notes.text(service, "type")),
        links=tuple(link for link, category in tools if category not in ("runbooks", "code")),
        depends_on=tuple(_dependencies(service, identifier, notes)),
        aliases=tuple(dict.fromkeys(one for one in aliases if one and one != identifier)),
        names=(other,) if other != identifier else (),
        lines={**service.lines, "team": service.lines.get("owner", line)},
    )


def _tools(service: Fields, identifier: str, notes: Notes) -> Iterator[tuple[Link, str]]:
    for line, tool in notes.items(service, "tools", identifier):
        if not isinstance(tool, Fields):
            notes.problem(line, f"{identifier}: a tool is not a mapping of fields")
        elif url := notes.address(tool, "url", identifier):
            yield Link(notes.text(tool, "name") or url, url), notes.text(tool, "category").lower()


def _dependencies(service: Fields, identifier: str, notes: Notes) -> Iterator[str]:
    listed = service.get("dependencies")
    for line, one in notes.items(service, "dependencies", identifier) if isinstance(listed, Items) else ():
        if name := notes.text(one, "alias") if isinstance(one, Fields) else one if isinstance(one, str) else "":
            yield name
        else:
            notes.problem(line, f"{identifier}: a dependency has no alias")
