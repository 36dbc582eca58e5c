"""One process that lays pictures out (`bot.picture.layout_worker`): started when it is needed, ended when it crashes or takes too long.

Comes in: DOT. Goes out: SVG or PNG, or a `PictureError` that says why not. The event loop only ever waits for a pipe. The process
gets none of the bot's environment but what finds Python and fonts: a secret is no business of a C library's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import structlog

from bot.errors import PictureError
from bot.picture.layout_worker import ANSWER, REQUEST

MAX_DOT, MAX_PICTURE = 512 * 1024, 8 * 2**20
MAX_DRAWN = 500
"""Pictures one process draws before another takes its place: what a C library leaks is bounded."""
IDLE_SECONDS = 600.0

_START_SECONDS = 15.0
_DYING_SECONDS = 2.0
"""How long a process whose pipes have closed may take to end: killed before that, it would be said to have been killed."""

_KEPT = frozenset(("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "PYTHONPATH"))
_WORKER = (sys.executable, "-P", str(Path(__file__).with_name("layout_worker.py")))

log = structlog.get_logger(__name__)


class Layout:
    """One layout process at a time. For one caller at a time."""

    def __init__(self, seconds: float, command: tuple[str, ...] = _WORKER, idle: float = IDLE_SECONDS) -> None:
        self._seconds = seconds
        self._command = command
        self._idle = idle
        self._process: asyncio.subprocess.Process | None = None
        self._drawn = 0
        self._retiring: asyncio.TimerHandle | None = None

    async def draw(self, dot: bytes, kind: str) -> bytes:
        """A picture of `kind` (`svg`, `png`). Raises PictureError."""
        if len(dot) > MAX_DOT:
            raise PictureError("too big", f"the picture's text is too big to be laid out ({len(dot):,} bytes)")
        if self._retiring is not None:
            self._retiring.cancel()
        try:
            process = await self._started()
            async with asyncio.timeout(self._seconds):
                drawn, body = await self._ask(process, REQUEST.pack(kind.encode(), len(dot)) + dot)
        except TimeoutError:
            await self.close()
            raise PictureError("timed out", f"the picture was not laid out within {self._seconds:g} s") from None
        except (OSError, asyncio.IncompleteReadError):
            code = await self.close(_DYING_SECONDS)
            raise PictureError("crashed", f"the layout program ended in the midst of it ({_said(code)})") from None
        except BaseException:  # cancelled: the answer to this question must not become the next one's
            await self.close()
            raise
        self._drawn += 1
        if self._drawn >= MAX_DRAWN:
            await self.close()
        else:
            self._retiring = asyncio.get_running_loop().call_later(self._idle, self._end)
        if not drawn:
            raise PictureError("refused", f"the layout program refused the picture: {body.decode(errors='replace')}")
        return body

    async def close(self, patience: float = 0.0) -> int | None:
        """End the process, if there is one, after `patience` seconds in which it may end by itself; gives how it ended."""
        if self._retiring is not None:
            self._retiring.cancel()
            self._retiring = None
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
        if process.returncode is None:
            _kill(process)
            await process.wait()
        await _let_go(process)
        return process.returncode

    async def _started(self) -> asyncio.subprocess.Process:
        known = self._process
        if known is not None and known.returncode is None and known.stdin is not None and not known.stdin.is_closing():
            return known
        await self.close()
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        environment = {name: value for name, value in os.environ.items() if name in _KEPT}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=nothing, env=environment, start_new_session=True
            )
        except OSError as error:
            raise PictureError("absent", f"the layout program cannot be started: {error.strerror}") from None
        self._process, self._drawn = process, 0
        async with asyncio.timeout(max(self._seconds, _START_SECONDS)):
            able, why = await self._ask(process, b"")
        if not able:
            await self.close()
            raise PictureError("absent", f"no picture can be laid out here; {why.decode(errors='replace')}")
        log.debug("layout program started", pid=process.pid)
        return process

    async def _ask(self, process: asyncio.subprocess.Process, request: bytes) -> tuple[bool, bytes]:
        if process.stdin is None or process.stdout is None:
            raise OSError("the layout program has no pipes")
        if request:
            process.stdin.write(request)
            await process.stdin.drain()
        drawn, length = ANSWER.unpack(await process.stdout.readexactly(ANSWER.size))
        if length > MAX_PICTURE:
            await self.close()
            raise PictureError("too big", f"the picture is too big ({length:,} bytes)")
        return drawn, await process.stdout.readexactly(length)

    def _end(self) -> None:
        """Let an idle process go: its input ends, and so does it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        process.kill()
    except ProcessLookupError:
        log.debug("layout program had ended already", pid=process.pid)


async def _let_go(process: asyncio.subprocess.Process) -> None:
    """Close our end of the pipe; nobody reads the other any more."""
    if process.stdin is not None:
        process.stdin.close()
        try:
            await process.stdin.wait_closed()
        except OSError:
            log.debug("layout program closed its pipe first", pid=process.pid)


def _said(code: int | None) -> str:
    if code is None:
        return "no exit code"
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
