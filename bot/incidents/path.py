"""Runs the alert path: takes stored deliveries in order, runs the steps, times and counts each, and never loses an alert."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from bot import metrics
from bot.incidents.case import Case
from bot.incidents.steps import AlertPath, Step
from bot.model import Alert, Message
from bot.storage.alert_records import Outcome, StoredDelivery
from bot.storage.alert_store import MAX_ATTEMPTS, AlertStore

Forwarder = Callable[[Sequence[Alert], str], Message]
"""Alerts that could not be worked, and why -> a plain message."""

_BATCH = 20
_RETRY_SECONDS = 1.0
_IDLE_SECONDS = 1.0
_HURRY_SECONDS = 0.5

log = structlog.get_logger(__name__)


async def run(steps: Sequence[Step], case: Case) -> tuple[str, Exception | None]:
    """Run the steps; gives the verdict the path ended with, and the error of an essential step where one stopped it."""
    for step in steps:
        started = time.perf_counter()
        try:
            verdict = await step.run(case)
        except Exception as error:
            log.exception("a step of the alert path failed", step=step.name, essential=step.essential)
            metrics.ALERT_STEP_FAILURES.labels(step.name).inc()
            if step.essential:
                return f"{step.name} failed: {type(error).__name__}", error
            # The alert goes on without this step's part, and its message says so.
            case.degraded = f"{step.name} failed ({type(error).__name__})"
            case.decided(step.name, "failed", type(error).__name__)
            continue
        finally:
            metrics.ALERT_STEP_SECONDS.labels(step.name).observe(time.perf_counter() - started)
        if verdict is not None:
            return verdict, None
    return "done", None


class Again(Protocol):
    """What to do with open incidents while no delivery waits (see `bot.incidents.rethinking`)."""

    async def next(self, now: float) -> bool:
        """Do the next thing; False where there is none."""
        ...

    def thought(self, incident_id: int, now: float) -> None:
        """Take note that an incident has just been thought about."""
        ...


Fold = Callable[[int, float], Awaitable[bool]]
"""An incident that has changed -> whether others were folded into it, or it into one (see `bot.incidents.folding`)."""


async def _fold_nothing(incident_id: int, now: float) -> bool:
    return False


class AlertWorker:
    """The loop that works stored deliveries, oldest first. One at a time: alerts of one group must not overtake each other.

    While none waits, open incidents are thought about `again`: so nobody else writes an incident meanwhile.
    """

    def __init__(
        self,
        store: AlertStore,
        path: AlertPath,
        again: Again,
        forward: Forwarder,
        wrote: Callable[[], None],
        fold: Fold = _fold_nothing,
    ) -> None:
        self._store = store
        self._fold = fold
        self._arriving, self._steps = path.arriving(), path.steps()
        self._channel = path.channel
        self._again = again
        self._forward = forward
        self._wrote = wrote
        self._wake = asyncio.Event()
        self._came: deque[float] = deque(maxlen=2)
        self._last_again = 0.0
        self.waiting = 0
        """Deliveries stored and not worked yet, as far as this process knows."""

    def wake(self) -> None:
        """There is a new delivery."""
        self.waiting += 1
        self._came.append(time.monotonic())
        self._wake.set()

    @property
    def hurried(self) -> bool:
        """Whether deliveries come so fast that none should wait for what can be done later."""
        return self.waiting > 1 or (len(self._came) == 2 and self._came[1] - self._came[0] < _HURRY_SECONDS)

    @property
    def busy(self) -> bool:
        """Whether deliveries wait or have only just come: what is no news can wait."""
        return self.waiting > 0 or (bool(self._came) and time.monotonic() - self._came[-1] < _HURRY_SECONDS)

    async def run(self) -> None:
        """Work until cancelled. What a killed process left waiting is taken up first."""
        self.waiting = await self._store.count_waiting()
        while True:
            self._wake.clear()
            deliveries = await self._store.waiting(_BATCH)
            for delivery in deliveries:
                await self.work(delivery)
                self.waiting = max(0, self.waiting - 1)
                metrics.DELIVERIES_WAITING.set(self.waiting)
            if not deliveries and not await self._think_again():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _IDLE_SECONDS)

    async def _think_again(self) -> bool:
        """Use the time: while deliveries come fast, for one incident a second."""
        now = time.monotonic()
        since = now - self._came[-1] if self._came else _HURRY_SECONDS
        if since < _HURRY_SECONDS and now - self._last_again < _IDLE_SECONDS:
            return False
        worked = await self._again.next(time.time())
        self._last_again = time.monotonic()
        return worked

    async def work(self, delivery: StoredDelivery) -> None:
        """Take one delivery along the path. What fails is tried again, and in the end forwarded plain, never dropped."""
        now = time.time()
        case = Case(delivery, now, Outcome(delivery.id, now, ""))
        verdict, error = await run(self._arriving, case)
        if error is None and not case.parts:  # ended early: nothing but the delivery itself to close
            case.outcome.verdict = verdict
            await self._store.commit(case.outcome)
        for part in case.parts:
            if error is None:
                verdict, error = await run(self._steps, part)
                await self._worked(part, now)
        if error is not None:
            await self._failed(delivery, case, verdict)
            return
        metrics.DELIVERIES.labels(delivery.source, "worked").inc()
        log.info("delivery worked", source=delivery.source, delivery=delivery.id, verdict=verdict)

    async def _worked(self, part: Case, now: float) -> None:
        if part.incident_id is None:
            return
        if part.thought:
            self._again.thought(part.incident_id, now)
        folded = part.spread and await self._fold(part.incident_id, now)
        if part.messages or folded:
            self._wrote()

    async def _failed(self, delivery: StoredDelivery, case: Case, why: str) -> None:
        if delivery.attempts + 1 < MAX_ATTEMPTS:
            await self._store.delivery_failed(delivery, why)
            await asyncio.sleep(_RETRY_SECONDS)
            return
        # Written before the delivery is set aside: a kill between the two writes the same message again, and loses nothing.
        await self._store.forward(
            f"delivery:{delivery.id}:plain", self._channel, self._forward(case.alerts, why), case.now
        )
        await self._store.delivery_failed(delivery, why)
        metrics.DELIVERIES.labels(delivery.source, "failed").inc()
        self._wrote()
