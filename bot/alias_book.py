"""Other names of services, as people confirm them: said in Slack, kept with who and when, taken back when somebody says so.

Comes in: a name, a service, who says it. Goes out: what was done, in words, and a map that finds the service by the name at
once. Telemetry that names a service so follows from the next start on, as with the catalogue's aliases: a count that is taken
back has to go where it was added. A name that is known to be another's is never given away by this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from bot import names
from bot.enrich.view import MapView
from bot.errors import BadRequest
from bot.model import PSEUDO
from bot.moments import iso
from bot.storage.alias_store import APART, FORGOTTEN, SAME, AliasStore, AliasWord

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Settled:
    """What stands after all that was said: each alias's last word, and the pairs that are not the same."""

    same: dict[str, AliasWord] = field(default_factory=dict)
    apart: set[tuple[str, str]] = field(default_factory=set)

    @property
    def aliases(self) -> dict[str, str]:
        """Alias -> service id."""
        return {alias: word.service for alias, word in self.same.items()}

    def hear(self, word: AliasWord) -> None:
        """Take the next word into account."""
        standing = self.same.get(word.alias)
        if standing is not None and (word.verdict != APART or standing.service == word.service):
            del self.same[word.alias]
        if word.verdict == SAME:
            self.same[word.alias] = word
            self.apart.discard((word.alias, word.service))
        elif word.verdict == APART:
            self.apart.add((word.alias, word.service))
        else:
            self.apart = {pair for pair in self.apart if pair[0] != word.alias}


def settled(words: Iterable[AliasWord]) -> Settled:
    """What stands after all of them. Pure."""
    found = Settled()
    for word in words:
        found.hear(word)
    return found


def objection(alias: str, service: str, catalogued: Mapping[str, str], confirmed: Mapping[str, str]) -> str:
    """Why `alias` cannot be made another name of `service`; "" where it can. Pure."""
    if not alias or len(alias) > names.MAX_ID or alias in PSEUDO:
        return "That is no name a service could have."
    if alias == service:
        return f"{service} is its own name already."
    if catalogued.get(alias, service) != service:
        return f"The catalogue says that {alias} is {catalogued[alias]}; change it there."
    if leading := sorted(one for one, target in confirmed.items() if target == alias):
        return f"{', '.join(leading[:3])} leads to {alias}: forget that first."
    return ""


class AliasBook:
    """One per program."""

    def __init__(self, view: MapView, store: AliasStore) -> None:
        self._view = view
        self._store = store
        self._settled = Settled()

    async def load(self) -> None:
        """Read what was said so far."""
        self._settled = settled(await self._store.words())
        self._tell()

    async def same(self, alias: str, service: str, who: str, now: float) -> str:
        """From now on `alias` is `service`'s other name. Raises BadRequest with what speaks against it."""
        alias = names.clean(alias)
        if why := objection(alias, service, self._view.catalog.aliases, self._settled.aliases):
            raise BadRequest(why)
        await self._say(AliasWord(now, SAME, alias, service, who))
        known = alias in self._view.graph
        return f"{alias} is {service} from now on, for alerts and questions." + (
            f" {alias} is on the map, too: its calls become {service}'s when the bot starts next." if known else ""
        )

    async def apart(self, alias: str, service: str, who: str, now: float) -> str:
        """`alias` is not `service`: it will not be suggested again. Raises BadRequest."""
        alias = names.clean(alias)
        if not alias or len(alias) > names.MAX_ID:
            raise BadRequest("That is no name a service could have.")
        await self._say(AliasWord(now, APART, alias, service, who))
        return f"{alias} is not {service}; this will not be asked again."

    async def forget(self, alias: str, who: str, now: float) -> str:
        """Take back whatever people said of `alias`. Raises BadRequest where they said nothing."""
        alias = names.clean(alias)
        word = self._settled.same.get(alias)
        if word is None and all(alias != one for one, _ in self._settled.apart):
            raise BadRequest(f"Nobody has said here what {alias[:80]} is.")
        await self._say(AliasWord(now, FORGOTTEN, alias, word.service if word else "", who))
        return f"{alias} is no longer {word.service}." if word else f"{alias} may be suggested again."

    def listed(self) -> list[dict[str, Any]]:
        """`{"alias", "service", "by", "at"}` of each, by alias."""
        return [
            {"alias": alias, "service": word.service, "by": word.who, "at": iso(word.at), "seconds": word.at}
            for alias, word in sorted(self._settled.same.items())
        ]

    async def _say(self, word: AliasWord) -> None:
        if not await self._store.add(word):
            raise BadRequest("Too much has been said about names; the catalogue is the place for so many.")
        self._settled.hear(word)
        self._tell()
        log.info("name", verdict=word.verdict, alias=word.alias, service=word.service, by=word.who)

    def _tell(self) -> None:
        self._view.confirm(self._settled.aliases, self._settled.apart)
