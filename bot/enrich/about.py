"""What the catalogue says of a service, as JSON: owner, on call, tier, links, each with its source and age."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot import names
from bot.catalog.entries import CatalogEntry
from bot.catalog.links import links_at
from bot.enrich.facts import label
from bot.enrich.owners import ownership
from bot.enrich.view import MapView
from bot.errors import Ambiguous, NotFound
from bot.model import Owner
from bot.moments import age

Json = dict[str, Any]
_NOTHING = CatalogEntry()


def owner_json(owner: Owner | None) -> Json | None:
    """An owner, or None. `label` is how messages write it."""
    if owner is None:
        return None
    return {"team": owner.team, "slack": owner.slack, "email": owner.email, "on_call": owner.on_call,
            "mention": owner.mention, "source": owner.source, "label": label(owner)}  # fmt: skip


def about(view: MapView, service: str, now: float) -> Json:
    """What is known of a service besides its traffic. `links` are the catalogue's own, then the templates' around `now`."""
    entry, owned = view.entry(service) or _NOTHING, ownership(view, service)
    read_at = view.catalog.read_at
    return {
        "owner": owner_json(entry.owner),
        "tier": entry.tier,
        "domain": entry.domain,
        "runbook": entry.runbook,
        "repository": entry.repository,
        "aliases": list(entry.aliases),
        "depends_on": list(entry.depends_on),
        "links": [{"name": link.name, "url": link.url} for link in (*entry.links, *links_at(view.templates, service, now))],
        "sources": {
            fact: {"source": source, "age_seconds": round(max(0.0, now - read_at[source])) if source in read_at else None}
            for fact, source in sorted(entry.sources.items())
        },
        "nearest_owned_dependent": {"id": owned.nearest[0], "owner": owner_json(owned.nearest[1])}
        if owned.nearest
        else None,
    }  # fmt: skip


def known_as(view: MapView, text: str) -> str:
    """The id of a service on the map, or else in the catalogue. Raises NotFound, Ambiguous."""
    try:
        return view.graph.names.resolve(text)
    except Ambiguous:
        raise
    except NotFound:
        wanted = names.clean(text)
        identifier = view.catalog.aliases.get(wanted, wanted)
        if identifier not in view.catalog.entries:
            raise
        return identifier


def about_lines(answer: Json) -> Iterator[str]:
    """The answer of `answers.owner` for a terminal."""
    owner, sources = answer["owner"], answer["sources"]

    def line(title: str, text: str, fact: str) -> Iterator[str]:
        if text:
            known = sources.get(fact)
            read = "" if known is None or known["age_seconds"] is None else f", read {age(known['age_seconds'])} ago"
            yield f"  {title}: {text}" + (f" ({known['source']}{read})" if known else "")

    yield answer["id"] + ("" if answer["on_map"] else ": not on the map, only in the catalogue")
    if owner is None:
        nearest = answer["nearest_owned_dependent"]
        yield "  no owner known" + (
            f"; nearest owned dependent is {nearest['id']} → {nearest['owner']['label']}" if nearest else ""
        )
    else:
        yield from line("owner", owner["team"], "owner" if "owner" in sources else "slack")
        for title, fact in (("Slack", "slack"), ("e-mail", "email"), ("on call", "on_call")):
            yield from line(title, owner[fact], fact)
    for fact in ("tier", "domain", "runbook", "repository"):
        yield from line(fact, answer[fact], fact)
    yield from line("depends on", ", ".join(answer["depends_on"]), "depends_on")
    for link in answer["links"]:
        yield f"  {link['name']}: {link['url']}"
