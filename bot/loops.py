"""Background loops that outlive their failures: each is restarted with a growing pause, counted, and shown in `/readyz`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from bot import metrics

_LONGEST_PAUSE = 30.0
_REMEMBERED_SECONDS = 60.0
_FINISH_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Loops:
    """Owns the background tasks of one bot."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._ticking: list[asyncio.Task[None]] = []
        self._failures: dict[str, tuple[float, str]] = {}
        self._stopping = asyncio.Event()

    def every(self, name: str, seconds: float, tick: Callable[[], Awaitable[object]]) -> None:
        """Call `tick` again and again with a pause of `seconds` between."""

        async def run() -> None:
            while not self._stopping.is_set():
                await tick()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), seconds)

        self._ticking.append(self.keep(name, run))

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Keep `run` going until `stop`."""
        self._tasks.append(asyncio.create_task(self._keep(name, run), name=name))
        return self._tasks[-1]

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = 0.5
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                await run()
            except Exception as error:  # the loop runner's rim: nothing below may end a loop for good
                metrics.LOOP_FAILURES.labels(name).inc()
                log.exception("a background loop failed and will be restarted", loop=name)
                self._failures[name] = time.monotonic(), type(error).__name__
            if self._stopping.is_set():
                return
            pause = 0.5 if time.monotonic() - started > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    def failing(self) -> Mapping[str, str]:
        """Loops that failed in the last minute, with the error's type."""
        now = time.monotonic()
        return {name: why for name, (at, why) in self._failures.items() if now - at < _REMEMBERED_SECONDS}

    async def stop(self) -> None:
        """End every loop and wait until it has ended.

        A tick that is under way may finish: a transaction that is cancelled in the middle can leave SQLite locked by a connection that
        nobody holds any more.
        """
        self._stopping.set()
        if self._ticking:
            await asyncio.wait(self._ticking, timeout=_FINISH_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
