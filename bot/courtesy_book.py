"""Which channels want to be left alone with other teams' trouble, as people say it in them and take it back; and which two ways
of writing a channel mean one.

Comes in: words, each kept with who said it and when; names and ids of channels, as messages went there. Goes out: whether a
channel may be told. What is lost: the name of a private channel, which Slack does not tell, until a message went there.
"""

from __future__ import annotations

from typing import Any

import structlog

from bot.errors import BadRequest
from bot.moments import iso
from bot.storage.courtesy_store import CourtesyStore, CourtesyWord

_NO_NAMES = frozenset(("", "privategroup", "directmessage"))

log = structlog.get_logger(__name__)


class CourtesyBook:
    """One per program. `refresh` before the first use, and now and then: others may write to the same database."""

    def __init__(self, store: CourtesyStore) -> None:
        self._store = store
        self._muted: dict[str, CourtesyWord] = {}
        self._ids: dict[str, str] = {}

    async def refresh(self) -> None:
        """Read what was said so far, and where messages went."""
        self._ids = {_plain(name): identifier for name, identifier in await self._store.channels()}
        muted: dict[str, CourtesyWord] = {}
        for word in await self._store.words():
            muted.pop(word.channel, None)
            if word.muted:
                muted[word.channel] = word
        self._muted = muted

    def same(self, one: str, other: str) -> bool:
        """Whether two texts name one channel, as far as is known."""
        return bool(self._meant(one) & self._meant(other))

    def muted(self, channel: str) -> bool:
        """Whether a channel is to be left alone."""
        meant = self._meant(channel)
        return any(word.channel in meant or (word.name and word.name in meant) for word in self._muted.values())

    async def mute(self, channel: str, name: str, who: str, now: float) -> str:
        """From now on a channel is left alone. Raises BadRequest."""
        await self._say(CourtesyWord(now, _spoken_in(channel), "" if name in _NO_NAMES else name, True, who))
        return "This channel is told no more when services of other teams fail that yours depend on."

    async def unmute(self, channel: str, who: str, now: float) -> str:
        """It is told again. Raises BadRequest where it never was otherwise."""
        known = self._muted.get(_spoken_in(channel))
        if known is None:
            raise BadRequest("This channel is not muted; `mute list` shows those that are.")
        await self._say(CourtesyWord(now, channel, known.name, False, who))
        return "This channel is told again when services of other teams fail that yours depend on."

    def listed(self) -> list[dict[str, Any]]:
        """`{"channel", "name", "by", "at", "seconds"}` of each channel that is muted, the latest first."""
        words = sorted(self._muted.values(), key=lambda word: -word.at)
        return [
            {"channel": one.channel, "name": one.name, "by": one.who, "at": iso(one.at), "seconds": one.at}
            for one in words
        ]

    def _meant(self, channel: str) -> set[str]:
        plain = _plain(channel)
        return {plain, self._ids.get(plain, plain)} - {""}

    async def _say(self, word: CourtesyWord) -> None:
        if not await self._store.add(word):
            raise BadRequest("Too much has been said about channels; TOPOLOGY_BOT_COURTESY turns all of it off.")
        log.info("courtesy lines", channel=word.channel, muted=word.muted, by=word.who)
        await self.refresh()


def _plain(channel: str) -> str:
    return channel.strip().lstrip("#")


def _spoken_in(channel: str) -> str:
    if not channel or channel.startswith("D"):
        raise BadRequest("Say it in the channel that is meant.")
    return channel
