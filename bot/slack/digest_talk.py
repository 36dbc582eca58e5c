"""Digests as people speak of them in Slack: `/topology digest …` and the clicks on a digest's lines.

Comes in: what was typed or clicked, by whom and where. Goes out: answers, kept subscriptions and what was said of lines. A digest
is for a channel, or for a person: whoever asks in a direct conversation, or says `me`, gets it himself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bot.catalog.entries import CatalogEntry
from bot.digest.contents import covering
from bot.digest.due import due_at, zone
from bot.digest.wish import LIST, PREVIEW, UNSUBSCRIBE, Wish, clock, of_what, read
from bot.enrich.view import MapView
from bot.errors import BadRequest
from bot.model import Message, Subscription
from bot.slack.asker import Asker
from bot.slack.command_views import dressed, laid_out, told
from bot.slack.digest_view import EXPECTED, LOOK, answered, undo_button
from bot.slack.mrkdwn import code, date, escape, truncate
from bot.slack.views import Block, context, run_button, section
from bot.storage.digest_store import DigestStore, LineAnswer


class Writer(Protocol):
    """Writes a digest that nobody waits for."""

    async def preview(self, asked: Subscription, now: float) -> Message:
        """What a digest of the day up to `now` says."""
        ...


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds where a subscriber says nothing: minutes after midnight, and whether a day without news is passed over."""

    minute: int = 9 * 60
    quiet: bool = True


class DigestTalk:
    """One per program."""

    def __init__(
        self, view: MapView, store: DigestStore, writer: Writer, wake: Callable[[], None], defaults: Defaults
    ) -> None:
        self._view = view
        self._store = store
        self._writer = writer
        self._wake = wake
        self._defaults = defaults

    async def answer(self, text: str, asker: Asker, now: float) -> Message:
        """What `/topology digest TEXT` says. Raises BadRequest, and NotFound for a service that is not on the map."""
        wish = read(text)
        channel = _place(asker, wish)
        if wish.action == LIST:
            return _list(await self._store.subscriptions(channel), now)
        if wish.action == UNSUBSCRIBE:
            return await self._unsubscribe(wish.number, {channel, asker.id})
        if wish.action == PREVIEW:
            return await self._writer.preview(await self._asked(wish, asker, channel, now), now)
        kept = await self._store.subscribe(self._subscription(wish, asker, channel, now))
        return self._subscribed(kept, now)

    async def clicked(self, action: str, line: str, who: Asker, ts: str, now: float) -> Message:
        """[Expected], [Look into it] or [Undo] on a line: remembered for the channel the digest is for, shown to all there."""
        if line.count("\n") != 2 or len(line) > _LONGEST_LINE:
            raise BadRequest("That is no line of a digest.")
        answer = "expected" if action.startswith(EXPECTED) else "look" if action.startswith(LOOK) else "open"
        name = truncate(who.name or who.id or "somebody", 80)
        channel = await self._store.revise(who.channel, ts, lambda shown: answered(shown, line, answer, name), now)
        channel = channel or _place(who, Wish(LIST))
        await self._store.answer(channel, line, LineAnswer(answer, name, now))
        self._wake()
        kind, caller, callee = line.split("\n")
        said = told(f"{_SAID[answer]}: {kind} {caller} → {callee}.")
        return dressed(said, (), undo_button(line)) if answer != "open" else said

    async def home(self, user: str, now: float) -> list[Block]:
        """For somebody's App Home tab: the digests that he gets himself."""
        mine = await self._store.subscriptions(user)
        if not mine:
            (subscribe,) = run_button("Subscribe", "digest subscribe me")
            return [
                {**section("*Your digests*\nnone: what is new and gone on the map, once a day"), "accessory": subscribe}
            ]
        blocks = [section("*Your digests*")]
        for number, kept in enumerate(mine[:_HOME_SHOWN]):
            (end,) = run_button("Unsubscribe", _ending(kept), number)
            line = f"{kept.id}. {code(of_what(kept) or 'all services')} {_when(kept)}, next {date(_next(kept, now))}"
            blocks.append({**section(line), "accessory": end})
        more = len(mine) - _HOME_SHOWN
        return [*blocks, context(f"+{more} more: `/topology digest list`")] if more > 0 else blocks

    # -- subscriptions ---------------------------------------------------------------------------------------------------

    async def _asked(self, wish: Wish, asker: Asker, channel: str, now: float) -> Subscription:
        """What a preview is of: a subscription there is, or the filters that were said."""
        if not wish.number:
            return self._subscription(wish, asker, channel, now)
        mine = [*await self._store.subscriptions(channel), *await self._store.subscriptions(asker.id or channel)]
        for one in mine:
            if one.id == wish.number:
                return one
        raise BadRequest(f"There is no digest {wish.number} here; `digest list` shows those there are.")

    def _subscription(self, wish: Wish, asker: Asker, channel: str, now: float) -> Subscription:
        zone_name = wish.zone or getattr(asker.zone, "key", "UTC")
        return Subscription(
            0, channel, asker.id, now,
            minute=self._defaults.minute if wish.minute is None else wish.minute,
            zone=zone_name,
            team=wish.team, domain=wish.domain, tier=wish.tier,
            service=self._view.graph.names.resolve(wish.service) if wish.service else "",
            always=not self._defaults.quiet if wish.always is None else wish.always,
        )  # fmt: skip

    def _subscribed(self, kept: Subscription, now: float) -> Message:
        about = f"*{escape(of_what(kept))}*" if of_what(kept) else "*all services*"
        lines = [
            f"Digest {kept.id}: what is new, gone and changed among the dependencies of {about}, {_when(kept)}.",
            f"The first one comes {date(_next(kept, now))}."
            + ("" if kept.always else " A day without news is silent."),
        ]
        catalogue = (kept.team or kept.domain or kept.tier) and covering(kept, self._entries()) == 0
        if catalogue:
            lines.append("No service of the catalogue answers to that yet; the digest stays silent until one does.")
        buttons = [*run_button("Preview", f"digest preview {kept.id}"), *run_button("Unsubscribe", _ending(kept), 1)]
        return dressed(laid_out("\n".join(lines), ()), (), buttons)

    def _entries(self) -> list[tuple[str, CatalogEntry]]:
        return list(self._view.catalog.entries.items())

    async def _unsubscribe(self, number: int, places: set[str]) -> Message:
        for channel in sorted(places - {""}):
            if await self._store.unsubscribe(channel, number):
                return told(f"Digest {number} is ended.")
        raise BadRequest(f"There is no digest {number} here; `digest list` shows those there are.")


_LONGEST_LINE = 2_000
_HOME_SHOWN = 5
_SAID = {
    "expected": "Noted as expected, and not told again",
    "look": "Noted: shown as open, with your name, until it is expected",
    "open": "Taken back",
}


def _place(asker: Asker, wish: Wish) -> str:
    """Where a digest goes: the channel, or the person himself."""
    direct = not asker.channel or asker.channel.startswith("D")
    if (direct or wish.mine) and asker.id:
        return asker.id
    if direct:
        raise BadRequest("Slack does not say who you are, so there is nobody to send a digest to.")
    return asker.channel


def _list(found: list[Subscription], now: float) -> Message:
    if not found:
        return laid_out("There is no digest here yet. Ask for one: `/topology digest subscribe`.", ())
    lines = [
        f"{one.id}. {code(of_what(one) or 'all services')} {_when(one)}, next {date(_next(one, now))}" for one in found
    ]
    buttons = [
        one for number, kept in enumerate(found[:5]) for one in run_button(f"End {kept.id}", _ending(kept), number)
    ]
    return dressed(laid_out(f"*Daily digests here* {len(found)}", ("\n".join(lines),)), (), buttons)


def _ending(kept: Subscription) -> str:
    return f"digest unsubscribe {kept.id}"


def _when(kept: Subscription) -> str:
    place = "to you" if kept.channel.startswith(("U", "W")) else "here"
    return f"{place} at {clock(kept.minute)} {escape(kept.zone)}{', every day' if kept.always else ''}"


def _next(kept: Subscription, now: float) -> float:
    """When the next one comes."""
    today = datetime.fromtimestamp(now, UTC).astimezone(zone(kept.zone)).date()
    times = (due_at(today + timedelta(days=step), kept.minute, kept.zone) for step in range(-1, 4))
    return next(at for at in times if at > max(now, kept.created_at))
