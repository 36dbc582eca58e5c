"""Which minute is asked when: late is fine, missing is not, doubled never.

Comes in: time, and a `PrometheusPull` to ask. Goes out: rows of each minute once it is over, newest minute first; what
failed or was partial is asked again until it is `MAX_BACKLOG` minutes old. What is lost, and counted: minutes that got too
old. Rows of a minute may be given again, fuller; they replace the earlier ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bot.model import WINDOW_SECONDS
from bot.pull.answers import PullError
from bot.pull.prometheus import PrometheusPull, Row

MAX_BACKLOG = 15
DELAY_SECONDS = 30.0
"""How long after its end a minute is asked for: samples come late where a proxy or remote write stands between."""
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0

log = structlog.get_logger(__name__)


class Puller:
    """Keeps one server's minutes coming. `tick` often (every few seconds).

    `take` gets the rows of one minute and is awaited before the minute counts as done. `since` (epoch s) is the end of what an
    earlier run already has: what lies between, as far as the backlog reaches, is asked for first of all.
    """

    def __init__(
        self,
        pull: PrometheusPull,
        take: Callable[[Sequence[Row]], Awaitable[object]],
        *,
        since: float | None = None,
        delay: float = DELAY_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._pull = pull
        self._take = take
        self._delay = delay
        self._clock = clock
        self._first = self._next = _minute(since if since is not None else clock())
        self._waiting: dict[int, frozenset[str] | None] = {}  # minute -> metrics still to ask for; None: all
        self._known: frozenset[str] | None = None
        self._looked_at = 0.0
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0

    async def tick(self) -> None:
        """Ask for what is due, and hand it on. Returns early where the server does not answer."""
        now = self._clock()
        self._queue(now)
        if now < self._not_before:
            return
        for minute in sorted(self._waiting, reverse=True):
            if not await self._work(minute):
                self._not_before = self._clock() + self._pause
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
                return
        self._pause = _FIRST_PAUSE

    @property
    def next_minute(self) -> int:
        """The first minute (epoch s) not asked for yet: what the next run wants as `since`."""
        return self._next

    def state(self) -> dict[str, object]:
        """For `doctor`: the server's state, and the minutes not had yet."""
        return self._pull.state() | {"backlog": sorted(self._waiting), "minutes_dropped": dict(self.dropped)}

    def _queue(self, now: float) -> None:
        oldest = _minute(now) - MAX_BACKLOG * WINDOW_SECONDS
        if self._next < oldest:  # a machine that slept
            self.dropped["minute: too old"] += (oldest - self._next) // WINDOW_SECONDS
            self._next = oldest
        while self._next + WINDOW_SECONDS + self._delay <= now:
            self._waiting[self._next] = None
            self._next += WINDOW_SECONDS
        for minute in [one for one in self._waiting if one < oldest]:
            del self._waiting[minute]
            self.dropped["minute: too old"] += 1
            log.warning("a minute of counters was never answered in full", minute=minute, server=self._pull.url)

    async def _work(self, minute: int) -> bool:
        """Ask for one minute; False where some of it has to wait."""
        only = self._waiting[minute]
        try:
            if only is None:
                self._note(await asyncio.to_thread(self._pull.discover))
            reading = await asyncio.to_thread(self._pull.read_minute, minute, only)
        except PullError as error:
            log.warning("counters cannot be read", why=str(error))
            return False
        if reading.rows:
            await self._take(reading.rows)
        for metric, why in reading.refused.items():
            log.warning("a counter's minute is left out", metric=metric, minute=minute, why=why)
        if reading.again:
            self._waiting[minute] = frozenset(reading.again)
            return False
        del self._waiting[minute]
        return True

    def _note(self, metrics: frozenset[str]) -> None:
        """Metrics found only now may have been counting ever since the last look: ask for those minutes, too."""
        looked_at = self._pull.looked_at
        if self._known is not None:
            since = max(self._looked_at, looked_at - (MAX_BACKLOG - 1) * WINDOW_SECONDS)
            oldest = max(self._first, _minute(since))
            for minute in range(oldest, self._next, WINDOW_SECONDS) if metrics - self._known else ():
                wanted = self._waiting.get(minute, frozenset())
                self._waiting[minute] = None if wanted is None else wanted | (metrics - self._known)
        self._known, self._looked_at = metrics, looked_at


def _minute(at: float) -> int:
    return int(at // WINDOW_SECONDS) * WINDOW_SECONDS
