"""Cortex's `cortex.yaml`: an OpenAPI document whose `info` carries `x-cortex-…` fields, to facts.

Comes in: the documents of a file; the fields may also stand at the top, as Cortex's command line prints them. Goes out:
facts. What is lost: entities of types that are no services (domain, team), scorecards, and everything not read below.

Format: docs.cortex.io, entity descriptors (seen in third parties' files; Cortex publishes no schema).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot import names
from bot.catalog.facts import Facts, Notes, address_or_nothing, dashed, plain_kind, plain_tier
from bot.catalog.plain_yaml import Document, Fields

_NO_SERVICES = frozenset(("domain", "team"))
_CODE_HOSTS = {"github": "https://github.com/", "gitlab": "https://gitlab.com/", "bitbucket": "https://bitbucket.org/"}


def is_ours(document: object) -> bool:
    """Whether a document is one of Cortex's."""
    return isinstance(document, Fields) and "x-cortex-tag" in _info(document)


def read(documents: Sequence[Document], notes: Notes) -> None:
    """Note what a descriptor says."""
    for line, given in documents:
        if given is None:
            continue
        if not isinstance(given, Fields) or not is_ours(given):
            notes.problem(line, "no x-cortex-tag, in `info` or at the top")
            continue
        info = _info(given)
        if notes.text(info, "x-cortex-type").lower() in _NO_SERVICES:
            continue
        if identifier := notes.identifier(notes.text(info, "x-cortex-tag"), info.lines["x-cortex-tag"]):
            notes.facts.append(_facts(identifier, line, info, notes))


def _info(document: Fields) -> Fields:
    info = document.get("info")
    return info if isinstance(info, Fields) and "x-cortex-tag" in info else document


def _facts(identifier: str, line: int, info: Fields, notes: Notes) -> Facts:
    owners = list(_mappings(info, "x-cortex-owners", identifier, notes))
    by_type = {kind: next((one for one in owners if notes.text(one, "type").lower() == kind), None)
               for kind in ("group", "email", "slack")}  # fmt: skip
    group, email, slack = (by_type[kind] for kind in ("group", "email", "slack"))
    channels = [*([slack] if slack else []),
                *_mappings(notes.section(info, "x-cortex-slack"), "channels", identifier, notes)]  # fmt: skip
    channel = next((notes.text(one, "channel") or notes.text(one, "name") for one in channels), "")
    links = list(notes.links(info, "x-cortex-link", identifier, "name"))
    groups = list(notes.texts(info, "x-cortex-groups", identifier, "a group"))
    display = notes.text(info, "title")
    pagerduty = notes.section(notes.section(info, "x-cortex-oncall"), "pagerduty")
    on_call_service = "" if notes.text(pagerduty, "type").lower() == "schedule" else notes.text(pagerduty, "id")
    other = (names.clean(display), dashed(display), names.clean(on_call_service))
    return Facts(
        id=identifier,
        format=notes.format,
        source=notes.source,
        line=line,
        team=notes.text(group, "name") if group else "",
        slack=f"#{channel.lstrip('#')}" if channel else "",
        email=(notes.text(email, "email") or notes.text(email, "name")) if email else "",
        tier=next((tier for one in groups if (tier := plain_tier(one)).isdigit()), ""),
        domain=next(
            (notes.text(one, "tag") for one in _mappings(info, "x-cortex-domain-parents", identifier, notes)), ""
        ),
        runbook=next((link.url for link, type_ in links if type_ == "runbook"), ""),
        repository=_repository(info, notes),
        kind=plain_kind(notes.text(info, "x-cortex-type")),
        links=tuple(link for link, type_ in links if type_ != "runbook"),
        depends_on=tuple(
            name
            for one in _mappings(info, "x-cortex-dependency", identifier, notes)
            if (name := notes.text(one, "tag"))
        ),
        names=tuple(dict.fromkeys(one for one in other if one and one != identifier)),
        lines={"team": info.lines.get("x-cortex-owners", line), "tier": info.lines.get("x-cortex-groups", line)},
    )


def _mappings(given: Fields, name: str, service: str, notes: Notes) -> Iterator[Fields]:
    for line, one in notes.items(given, name, service):
        if isinstance(one, Fields):
            yield one
        else:
            notes.problem(line, f"{service}: an item of {name} is not a mapping of fields")


def _repository(info: Fields, notes: Notes) -> str:
    git = notes.section(info, "x-cortex-git")
    for host, address in _CODE_HOSTS.items():
        if name := notes.text(notes.section(git, host), "repository"):
            return address_or_nothing(address + name)
    return ""
