"""The outbox worker: decides what goes out when. Rows due come in from the outbox, go to the courier one lane at a time.

A lane is one channel's posts, or one channel's edits. Posts of a lane go out in the order they were written, and one
that has to wait holds back those behind it; lanes do not wait for each other, and edits (which say how things stand, not
what happened) never hold back a post. Rows are read again for every round, so a message is sent as it is wanted now.
Nothing is lost here: what is not sent stays in the outbox.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import NamedTuple

import structlog

from bot.metrics import OUTBOX_WAITING
from bot.model import OutboxRow
from bot.sinks import LookupFailed, OutboxStore, Posted, Sink
from bot.slack.courier import Courier, Outcome
from bot.slack.pace import Pace
from bot.slack.policy import Policy

__all__ = ["LookupFailed", "OutboxStore", "OutboxWorker", "Policy", "Posted", "Sink"]

MAX_BATCH = 1_000

_BATCH = 100
_BACKLOG_EVERY = 5.0  # seconds between counts of what waits
# Seconds by which a hold outlasts the row's own `not_before`: else the row behind it would be due first.
_MARGIN = 0.02
_WENT_WELL = frozenset(("posted", "edited", "found", "moved"))

log = structlog.get_logger(__name__)


class Lane(NamedTuple):
    """What goes out in order."""

    channel: str
    edits: bool


class OutboxWorker:
    """Sends what the outbox holds: `run()` until cancelled, `wake()` when something was written, `drain()` to stop.

    `clock` gives epoch seconds, as the outbox stores them; waiting itself goes by a steady clock.
    """

    def __init__(
        self,
        outbox: OutboxStore,
        sink: Sink,
        pace: Pace,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._pace = pace
        self._policy = policy or Policy()
        self._clock = clock
        self._courier = Courier(outbox, sink, self._policy, clock)
        self._active: dict[Lane, asyncio.Task[None]] = {}
        self._holds: dict[Lane, float] = {}
        self._paused_until = 0.0
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self._draining = False
        self._failure: BaseException | None = None
        self._batch = _BATCH
        self._counted_at = 0.0

    @property
    def problems(self) -> Mapping[str, str]:
        """What a person has to repair, always as of now: a channel's name (or the sink's) -> what is wrong with it."""
        return self._courier.problems

    def wake(self) -> None:
        """Something was written to the outbox: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Drain the outbox until cancelled, or until `drain`. An error of the outbox itself comes out of here."""
        self._failure = None
        try:
            if self._policy.sole_worker:
                await self._take_back()
            while not self._draining:
                self._wake.clear()
                pause = await self._round()
                await self._sleep(pause)
                if self._failure is not None:
                    raise self._failure
        finally:
            if not self._draining:  # else they are `drain`'s
                await self._stop_lanes()

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - whoever shuts down sets it
        """For the shutdown: end `run`, let what is under way finish and send what may go now.

        False where that took longer than `timeout` seconds and was cut short; the outbox has the rest.
        """
        self._draining = True
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                while self._failure is None:
                    await self._round()
                    if not self._active:
                        return True
                    await asyncio.wait(self._active.values(), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            return False
        finally:
            await self._stop_lanes()
        return False

    # -- rounds --------------------------------------------------------------------------------------------------------

    async def _round(self) -> float:
        """Start a task for every lane that has something due and is free; the seconds until another look is worth it."""
        async with self._looking:
            steady = time.monotonic()
            self._holds = {lane: until for lane, until in self._holds.items() if until > steady}
            await self._count_backlog(steady)
            if steady < self._paused_until:
                return self._paused_until - steady
            # Taken before the look: a lane that ends meanwhile may put back a row that this look did not see.
            busy = set(self._active)
            rows = await self._outbox.due(self._clock(), self._batch)
            busy |= self._holds.keys() | await self._posting_elsewhere(rows)
            for lane, waiting in _lanes(rows).items():
                if lane not in busy:
                    self._start(lane, self._work(lane, waiting))
            # One lane's backlog must not hide what other lanes have behind it.
            full, self._batch = len(rows) >= self._batch, min(MAX_BATCH, max(_BATCH, 2 * len(rows)))
            if full and len(rows) < self._batch:
                return 0.0
            return min([self._policy.poll, *(until - steady for until in self._holds.values())])

    async def _posting_elsewhere(self, rows: Iterable[OutboxRow]) -> set[Lane]:
        """Lanes in which another worker has a post under way (or left one): the order is its to keep."""
        if self._policy.sole_worker:
            return set()
        due = {row.key for row in rows}
        return {_lane(row) for row in await self._outbox.unsettled() if row.ts is None and row.key not in due}

    async def _count_backlog(self, steady: float) -> None:
        if steady - self._counted_at >= _BACKLOG_EVERY:
            self._counted_at = steady
            waiting, _ = await self._outbox.backlog()
            OUTBOX_WAITING.set(waiting)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    # -- lanes ---------------------------------------------------------------------------------------------------------

    async def _work(self, lane: Lane, rows: list[OutboxRow]) -> None:
        """Send a lane's rows in order, until one has to wait."""
        for row in rows:
            steady = time.monotonic()
            wait = self._pace.delay(lane.channel, steady, edit=lane.edits)
            if wait > 0:
                self._holds[lane] = steady + wait
                return
            if steady < self._paused_until:
                return
            self._pace.spend(lane.channel, steady, edit=lane.edits)
            outcome = await self._courier.deliver(row)
            if outcome.reason not in _WENT_WELL:
                log.warning("not sent", key=row.key, channel=row.channel, reason=outcome.reason, wait=outcome.hold)
            if outcome.hold > 0:
                self._hold(lane, outcome)
            if outcome.hold > 0 or outcome.taken:
                return

    def _hold(self, lane: Lane, outcome: Outcome) -> None:
        steady = time.monotonic()
        if outcome.limited:
            self._pace.penalise(lane.channel, outcome.hold, steady, edit=lane.edits)
        until = steady + outcome.hold + _MARGIN
        if outcome.everywhere:
            self._paused_until = until
        else:
            self._holds[lane] = until

    async def _take_back(self) -> None:
        lanes = _lanes(await self._outbox.unsettled())
        for lane, rows in lanes.items():
            self._start(lane, self._settle(rows))

    async def _settle(self, rows: list[OutboxRow]) -> None:
        for row in rows:
            await self._courier.settle(row)

    def _start(self, lane: Lane, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"outbox {lane.channel}")
        self._active[lane] = task
        task.add_done_callback(lambda done: self._finished(lane, done))

    def _finished(self, lane: Lane, task: asyncio.Task[None]) -> None:
        del self._active[lane]
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._wake.set()

    async def _stop_lanes(self) -> None:
        tasks = list(self._active.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _lane(row: OutboxRow) -> Lane:
    return Lane(row.channel, row.ts is not None)


def _lanes(rows: Iterable[OutboxRow]) -> dict[Lane, list[OutboxRow]]:
    lanes: dict[Lane, list[OutboxRow]] = {}
    for row in rows:
        lanes.setdefault(_lane(row), []).append(row)
    return lanes
