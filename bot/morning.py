"""Tells in the morning of incidents that were over before quiet hours were, where no digest does.

Comes in: what quiet hours held back. Goes out: one message for each channel that would have had them, written in the transaction
that settles that they were told of; nothing where a daily digest tells of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bot.digest.contents import fits
from bot.enrich.view import MapView
from bot.model import Subscription
from bot.slack.digest_view import held_message
from bot.storage.alert_records import Held
from bot.storage.digest_store import DigestStore
from bot.storage.hold_store import HoldStore


class Morning:
    """One per program."""

    def __init__(
        self,
        view: MapView,
        held: HoldStore,
        digests: DigestStore,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._held = held
        self._digests = digests
        self._wake = wake
        self._clock = clock

    async def waited(self, asked: Subscription, since: float, until: float) -> list[Held]:
        """Incidents that began to wait in `[since, until)`, of the services that a digest is about."""
        return [one for one in await self._held.between(since, until) if self._concerns(one, asked)]

    def _concerns(self, one: Held, asked: Subscription) -> bool:
        return any(fits(each, self._view.entry(each), asked) for each in one.hold.services)

    async def tick(self) -> int:
        """Tell of whatever nobody was told of; says how many messages that took. To be called every minute or so."""
        now = self._clock()
        found = await self._held.untold(now)
        if not found:
            return 0
        asked = await self._digests.subscriptions()
        by_channel: dict[str, list[Held]] = {}
        for one in found:
            told = any(self._concerns(one, wanted) for wanted in asked)
            by_channel.setdefault("" if told else one.hold.channel, []).append(one)
        written = 0
        for channel, held in by_channel.items():
            message = held_message(held) if channel else None
            settled = await self._held.tell([one.incident for one in held], channel, message, now)
            written += settled and message is not None
        if written:
            self._wake()
        return written
