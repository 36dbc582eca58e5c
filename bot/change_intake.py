"""From a door to the log of changes: put under the id that the map has, stored, and only then known to answers.

Comes in: `Change`s as a door or a watcher made them. Goes out: rows in the database and the last day's in `MapView.changes`, each
change once. What is lost, and counted: what the retention or a cap lets go of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bot import metrics
from bot.changes import releases as telemetry
from bot.changes.log import KEPT_SECONDS, MAX_PER_SERVICE, MAX_SERVICES
from bot.changes.releases import Releases
from bot.enrich.view import MapView
from bot.errors import Overloaded
from bot.model import Change
from bot.storage.change_store import ChangeStore

MAX_UNDER_WAY = 100_000
"""Changes that may wait for the database. Not deliveries: deploy tools tell of many at once, and some never try again."""

_SLICE = 500
_LOADED = min(MAX_SERVICES * MAX_PER_SERVICE, 200_000)


class ChangeIntake:
    """Keeps the view's log and the database the same. Lives on the event loop. `retention` is in seconds."""

    def __init__(self, store: ChangeStore, view: MapView, retention: float) -> None:
        self.store = store
        self._view = view
        self._retention = retention
        self._under_way = 0
        self._published: Counter[str] = Counter()

    def oldest(self, now: float) -> float:
        """From when on changes are kept (epoch s)."""
        return now - self._retention

    async def load(self, now: float) -> None:
        """Read the last day's changes back into memory. Writes nothing: whoever only reads a database does this, too."""
        for stored in reversed(await self.store.page((), now - KEPT_SECONDS, now + KEPT_SECONDS, _LOADED)):
            self._view.changes.add(stored.change, now)

    async def take(self, source: str, changes: Sequence[Change], now: float) -> int:
        """Store changes; says how many were news. Raises Overloaded where many wait for the database already."""
        if self._under_way + len(changes) > MAX_UNDER_WAY:
            raise Overloaded(f"{self._under_way} changes wait to be stored")
        self._under_way += len(changes)
        try:
            found = [one async for one in self._placed(changes, now)]
            new = await self.store.add(found, now)
        finally:
            self._under_way -= len(changes)
        for place, one in enumerate(found):
            if (one.source, one.id) in new:
                self._view.changes.add(one, now)
            if place % _SLICE == 0:
                await asyncio.sleep(0)
        metrics.CHANGES.labels(source, "accepted").inc(len(new))
        metrics.CHANGES.labels(source, "repeated").inc(len(found) - len(new))
        return len(new)

    async def _placed(self, changes: Sequence[Change], now: float) -> AsyncIterator[Change]:
        """The changes under the ids that the map has, a slice at a time so that an alert never waits for many."""
        placed = self._view.graph.names.placed
        for place, one in enumerate(changes):
            # A sender's clock may be ahead of ours; nothing has changed in the future.
            yield replace(one, service=placed(one.service), at=min(one.at, now))
            if place % _SLICE == 0:
                await asyncio.sleep(0)

    async def follow(self, releases: Releases, now: float) -> None:
        """Store the deploys that telemetry has told of since the last call. What cannot be stored is put back, and the error raised."""
        found = releases.take()
        if not found:
            return
        try:
            await self.take(telemetry.SOURCE, found, now)
        except BaseException:
            releases.restore(found)
            raise

    async def tend(self, now: float) -> None:
        """Let go of what is too old, and rename what was told of before its service was on the map. To be called now and then."""
        log = self._view.changes
        log.expire(now)
        await self._rename(now)
        _, over = await self.store.expire(self.oldest(now))
        dropped = log.dropped + Counter({"too many stored": self._published["too many stored"] + over})
        for reason, count in (dropped - self._published).items():
            metrics.CHANGES_DROPPED.labels(reason).inc(count)
        self._published = dropped

    async def _rename(self, now: float) -> None:
        names, log = self._view.graph.names, self._view.changes
        better = {old: new for old in log.services() if (new := names.placed(old)) != old}
        if better:
            await self.store.rename(better)
            for old, new in better.items():
                log.rename(old, new, now)
