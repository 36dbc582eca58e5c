"""Datadog's service definitions: `service.datadog.yaml` (v2, v2.1, v2.2) and `entity.datadog.yaml` (v3) to facts.

Comes in: the documents of a file; JSON is read as the YAML it is, a comma too many forgiven. Goes out: facts. What is lost:
systems, which are no services; contacts that are neither Slack nor e-mail; `inheritFrom`, which names what no file holds.

Format: github.com/DataDog/schema, service-catalog/v2*/schema.json and v3/*.schema.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot import names
from bot.catalog.entries import Link
from bot.catalog.facts import Facts, Notes, dashed, is_web_address, plain_kind, plain_tier
from bot.catalog.plain_yaml import Document, Fields

_NO_SERVICES = frozenset(("system", "team", "library"))


def is_ours(document: object) -> bool:
    """Whether a document is one of Datadog's."""
    return isinstance(document, Fields) and (
        ("schema-version" in document and "dd-service" in document)
        or (document.get("apiVersion") == "v3" and isinstance(document.get("metadata"), Fields))
    )


def read(documents: Sequence[Document], notes: Notes) -> None:
    """Note what a file of definitions says."""
    for line, given in documents:
        if given is None:
            continue
        if not is_ours(given):
            notes.problem(
                line, "neither a definition of v2 (schema-version, dd-service) nor of v3 (apiVersion: v3, metadata)"
            )
        elif isinstance(given, Fields) and "dd-service" in given:
            _version_2(line, given, notes)
        elif isinstance(given, Fields) and notes.text(given, "kind").lower() not in _NO_SERVICES:
            _version_3(line, given, notes)


def _version_2(line: int, given: Fields, notes: Notes) -> None:
    if identifier := notes.identifier(notes.text(given, "dd-service"), line):
        contact, tags = _contacts(given, identifier, notes), _tags(given, identifier, notes)
        links = [*notes.links(given, "links", identifier, "name"), *notes.links(given, "docs", identifier, "name")]
        links += [(link, "repo") for link, _ in notes.links(given, "repos", identifier, "name")]
        integrations = notes.section(given, "integrations")
        written = integrations.get("pagerduty")  # an address in v2, a mapping since v2.1
        service = notes.text(integrations if isinstance(written, str) else notes.section(integrations, "pagerduty"),
                             "pagerduty" if isinstance(written, str) else "service-url")  # fmt: skip
        notes.facts.append(Facts(
            id=identifier, format=notes.format, source=notes.source, line=line,
            team=notes.text(given, "team") or notes.text(given, "dd-team"), slack=contact.slack, email=contact.email,
            tier=plain_tier(notes.text(given, "tier")), domain=tags.get("domain", "") or notes.text(given, "application"),
            runbook=_of_type(links, "runbook"), kind=plain_kind(notes.text(given, "type")),
            repository=_of_type(links, "repo"), links=(*_pages(links), *contact.links), names=_pagerduty(service), lines=given.lines,
        ))  # fmt: skip


def _version_3(line: int, given: Fields, notes: Notes) -> None:
    metadata, spec = notes.section(given, "metadata"), notes.section(given, "spec")
    if identifier := notes.identifier(notes.text(metadata, "name"), line):
        contact, tags = _contacts(metadata, identifier, notes), _tags(metadata, identifier, notes)
        links = list(notes.links(metadata, "links", identifier, "name"))
        pagerduty = notes.section(notes.section(given, "integrations"), "pagerduty")
        display = notes.text(metadata, "displayName")
        other = (names.clean(display), dashed(display), *_pagerduty(notes.text(pagerduty, "serviceURL")))
        kind = notes.text(given, "kind")
        notes.facts.append(Facts(
            id=identifier, format=notes.format, source=notes.source, line=line,
            team=notes.text(metadata, "owner"), slack=contact.slack, email=contact.email,
            tier=plain_tier(notes.text(spec, "tier")), domain=tags.get("domain", ""),
            runbook=_of_type(links, "runbook"), repository=_of_type(links, "repo"),
            kind=None if kind == "api" else plain_kind(kind), links=(*_pages(links), *contact.links),
            depends_on=tuple(one.rpartition(":")[2] for one in notes.texts(spec, "dependsOn", identifier, "a dependency")),
            names=tuple(dict.fromkeys(one for one in other if one and one != identifier)),
            lines={**spec.lines, "team": metadata.lines.get("owner", line)},
        ))  # fmt: skip


@dataclass(slots=True)
class _Contact:
    slack: str = ""
    email: str = ""
    links: tuple[Link, ...] = ()


def _contacts(given: Fields, service: str, notes: Notes) -> _Contact:
    found = _Contact()
    for line, one in notes.items(given, "contacts", service):
        if not isinstance(one, Fields):
            notes.problem(line, f"{service}: a contact is not a mapping of fields")
            continue
        type_, contact = notes.text(one, "type").lower(), notes.text(one, "contact")
        if type_ == "email":
            found.email = found.email or contact
        elif type_ == "slack" and is_web_address(contact):  # the address of a channel says nothing to who reads it
            found.links += (Link(notes.text(one, "name") or "Slack", contact),)
        elif type_ == "slack":
            found.slack = found.slack or contact
    return found


def _tags(given: Fields, service: str, notes: Notes) -> dict[str, str]:
    """`key:value` tags."""
    pairs = (one.partition(":") for one in notes.texts(given, "tags", service, "a tag"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _of_type(links: Sequence[tuple[Link, str]], wanted: str) -> str:
    return next((link.url for link, type_ in links if type_ == wanted), "")


def _pages(links: Sequence[tuple[Link, str]]) -> tuple[Link, ...]:
    return tuple(link for link, type_ in links if type_ not in ("runbook", "repo"))


def _pagerduty(address: str) -> tuple[str, ...]:
    """The service's id at the end of `https://….pagerduty.com/service-directory/PXXXXXX`."""
    last = urlsplit(address).path.rstrip("/").rpartition("/")[2] if is_web_address(address) else ""
    return (names.clean(last),) if last else ()
