"""Backstage's entities, from `catalog-info.yaml` or its catalog API: components, resources and APIs to facts.

Comes in: the documents of a descriptor file, or entities. Goes out: facts; which domain each system is in; how to write to
each group. What is lost: kinds that are no services (Location, User, Template, an organisation's own), and everything not
read below. `pagerduty.com/integration-key` is a secret and is never read.

Format: backstage.io/docs/features/software-catalog/descriptor-format, …/well-known-annotations, …/references;
backstage.io/docs/reference/plugin-notifications-backend-module-slack for `slack.com/bot-notify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot import names
from bot.catalog.facts import Facts, Notes, address_or_nothing, plain_kind, plain_tier, team_key
from bot.catalog.plain_yaml import Document, Fields
from bot.model import Kind
from bot.slack_ids import channel, mention_id

_SERVICES = frozenset(("component", "resource", "api"))
_TIER = frozenset(("tier", "service-tier"))
_SLACK = frozenset(("slack", "slack-channel"))
_NAMESPACE = "default"
_MENTION = frozenset(("slack-mention", "slack-usergroup", "slack-user-group"))
_NOTIFY = "slack.com/bot-notify"
"""Backstage's own Slack notifications: an id of a person, a channel or a user group, or a name of one."""
_NOBODY = "user:guest"  # what Backstage's own templates put where nobody was named


def is_ours(document: object) -> bool:
    """Whether a document is a Backstage entity."""
    version = document.get("apiVersion") if isinstance(document, Fields) else None
    return isinstance(version, str) and version.startswith("backstage.io/")


def read(documents: Sequence[Document], notes: Notes) -> None:
    """Note what a descriptor file, or a page of entities, says."""
    for line, entity in documents:
        if entity is None:
            continue
        if isinstance(entity, Fields):
            _entity(line, entity, notes)
        else:
            notes.problem(line, "an entity is not a mapping of fields")


def reference(text: str) -> str:
    """The name in an entity reference `[kind:][namespace/]name`; "" for the guest that stands for nobody."""
    plain = names.printable(text).strip()
    return "" if plain.lower() in (_NOBODY, "user:default/guest") else plain.rpartition(":")[2].rpartition("/")[2]


def _entity(line: int, entity: Fields, notes: Notes) -> None:
    kind = notes.text(entity, "kind").lower()
    metadata, spec = notes.section(entity, "metadata"), notes.section(entity, "spec")
    if not kind:
        notes.problem(line, "an entity has no kind; want kind: Component, API, Resource, System, Domain or Group")
    elif kind == "system":
        if domain := reference(notes.text(spec, "domain")):
            notes.systems.setdefault(names.clean(notes.text(metadata, "name")), domain)
    elif kind == "group":
        team = team_key(notes.text(metadata, "name"))
        if email := notes.text(notes.section(spec, "profile"), "email"):
            notes.emails.setdefault(team, (email, notes.source))
        if mention := _mention((notes.section(metadata, "annotations"),), notes):
            notes.mentions.setdefault(team, (mention, notes.source))
    elif kind in _SERVICES and (identifier := notes.identifier(notes.text(metadata, "name"), line)):
        notes.facts.append(_facts(identifier, line, kind, (metadata, spec), notes))


def _facts(identifier: str, line: int, kind: str, parts: tuple[Fields, Fields], notes: Notes) -> Facts:
    metadata, spec = parts
    annotations, labels = notes.section(metadata, "annotations"), notes.section(metadata, "labels")
    links = list(notes.links(metadata, "links", identifier))
    runbook = next((link.url for link, type_ in links if type_ == "runbook" or "runbook" in link.name.lower()), "")
    kubernetes = names.clean(notes.text(annotations, "backstage.io/kubernetes-id"))
    other = (notes.text(metadata, "title"), notes.text(annotations, "pagerduty.com/service-id"))
    return Facts(
        id=identifier,
        format=notes.format,
        source=notes.source,
        line=line,
        team=reference(notes.text(spec, "owner")),
        slack=_marked((annotations, labels), _SLACK, notes) or channel(notes.text(annotations, _NOTIFY)),
        mention=_mention((annotations, labels), notes),
        tier=plain_tier(notes.text(spec, "tier") or _marked((labels, annotations), _TIER, notes)),
        # A system of this file may be described in another one; a domain of its own is not in Backstage's model.
        system=names.clean(reference(notes.text(spec, "system"))),
        runbook=runbook,
        repository=_repository(annotations, notes),
        reference=f"{kind}:{notes.text(metadata, 'namespace').lower() or _NAMESPACE}/{notes.text(metadata, 'name').lower()}",
        kind=None if kind == "api" else plain_kind(notes.text(spec, "type")) or _by_default(kind, spec),
        links=tuple(link for link, _ in links if link.url != runbook),
        depends_on=tuple(
            name for one in notes.texts(spec, "dependsOn", identifier, "a dependency") if (name := reference(one))
        ),
        aliases=(kubernetes,) if kubernetes and kubernetes != identifier else (),
        names=tuple(dict.fromkeys(name for one in other if (name := names.clean(one)) and name != identifier)),
        lines={"team": spec.lines.get("owner", line), "tier": spec.lines.get("tier", line)},
    )


def _by_default(kind: str, spec: Fields) -> Kind | None:
    return Kind.SERVICE if kind == "component" and not spec.get("type") else None


def _marked(places: Iterable[Fields], keys: frozenset[str], notes: Notes) -> str:
    """A label or annotation by what follows its prefix: Backstage has no key of its own for these."""
    return next(
        (notes.text(place, key) for place in places for key in sorted(place) if key.rpartition("/")[2] in keys), ""
    )


def _mention(places: Sequence[Fields], notes: Notes) -> str:
    return mention_id(_marked(places, _MENTION, notes)) or mention_id(notes.text(places[0], _NOTIFY))


def _repository(annotations: Fields, notes: Notes) -> str:
    if slug := notes.text(annotations, "github.com/project-slug"):
        return address_or_nothing(f"https://github.com/{slug}")
    return address_or_nothing(notes.text(annotations, "backstage.io/source-location").removeprefix("url:"))
