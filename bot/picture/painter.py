"""Paints focus graphs in any of the four formats: DOT and Mermaid at once, SVG and PNG with the layout processes' help.

Comes in: a `Focus`. Goes out: bytes with their content type, or a `PictureError`. At most so many layouts at once, a few more waiting
for them, the same picture laid out once however many ask, and the last pictures kept for a minute. All of it is counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

from bot import metrics
from bot.errors import PictureError
from bot.picture.dot import dot
from bot.picture.focus import Focus
from bot.picture.layout import Layout
from bot.picture.mermaid import mermaid
from bot.picture.svg import shown

_WAITING = 16
_KEPT, _KEPT_BYTES, _KEPT_SECONDS = 64, 16 * 2**20, 60.0


class Format(StrEnum):
    """What a picture may be written as."""

    SVG = "svg"
    PNG = "png"
    DOT = "dot"
    MERMAID = "mmd"

    @property
    def content_type(self) -> str:
        """As HTTP has it. Mermaid has no registered one."""
        return _CONTENT_TYPES[self]

    @property
    def laid_out(self) -> bool:
        """Whether it takes the layout program to make it."""
        return self in (Format.SVG, Format.PNG)


_CONTENT_TYPES = {
    Format.SVG: "image/svg+xml", Format.PNG: "image/png", Format.DOT: "text/vnd.graphviz", Format.MERMAID: "text/plain",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    at: float


class Painter:
    """One per program; a context, with which the layout processes end. `layouts` at once, `seconds` for each."""

    def __init__(self, layouts: int, seconds: float) -> None:
        self._layouts = [Layout(seconds) for _ in range(layouts)]
        self._free: asyncio.Queue[Layout] = asyncio.Queue()
        for layout in self._layouts:
            self._free.put_nowait(layout)
        self._most_waiting = layouts + _WAITING
        self._under_way: dict[str, asyncio.Task[bytes]] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def __aenter__(self) -> Painter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def paint(self, focus: Focus, form: Format) -> bytes:
        """The picture. Raises PictureError, which costs nothing but the picture."""
        try:
            body, outcome = await self._painted(focus, form)
        except PictureError as error:
            metrics.PICTURES.labels(form.value, error.reason).inc()
            raise
        metrics.PICTURES.labels(form.value, outcome).inc()
        return body

    async def png(self, text: str) -> bytes:
        """A focus graph that was written as DOT before. Raises PictureError."""
        try:
            body, outcome = await self._laid(text.encode(), Format.PNG)
        except PictureError as error:
            metrics.PICTURES.labels(Format.PNG.value, error.reason).inc()
            raise
        metrics.PICTURES.labels(Format.PNG.value, outcome).inc()
        return body

    async def laid_out(self, text: str) -> bytes:
        """DOT as the SVG that Graphviz writes of it, for whoever finishes it himself. Raises PictureError."""
        written = text.encode()
        key = hashlib.blake2b(b"laid out\n" + written, digest_size=16).hexdigest()
        try:
            kept = self._remembered(key)
            body = kept if kept is not None else await self._once(key, written, Format.SVG, None)
        except PictureError as error:
            metrics.PICTURES.labels("page", error.reason).inc()
            raise
        metrics.PICTURES.labels("page", "drawn" if kept is None else "kept").inc()
        return body

    async def close(self) -> None:
        """End the layout processes, and whatever waits for them."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for layout in self._layouts:
            await layout.close()

    async def _painted(self, focus: Focus, form: Format) -> tuple[bytes, str]:
        if form is Format.MERMAID:
            return mermaid(focus).encode(), "drawn"
        text = dot(focus).encode()
        if form is Format.DOT:
            return text, "drawn"
        return await self._laid(text, form, focus)

    async def _laid(self, text: bytes, form: Format, focus: Focus | None = None) -> tuple[bytes, str]:
        # An SVG also holds words that are not in the DOT: full names.
        key = hashlib.blake2b(f"{form}\n{focus!r}".encode() if form is Format.SVG else text, digest_size=16).hexdigest()
        if (kept := self._remembered(key)) is not None:
            return kept, "kept"
        return await self._once(key, text, form, focus), "drawn"

    async def _once(self, key: str, text: bytes, form: Format, focus: Focus | None) -> bytes:
        """Laid out once, however many ask meanwhile."""
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._most_waiting:
                raise PictureError("busy", "too many pictures are being laid out; ask again in a moment")
            task = asyncio.create_task(self._laid_out(key, text, form, focus))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._over(key, done))
        # Whoever asked may go away; the others who wait for the same picture, and the next who ask, still get it.
        return await asyncio.shield(task)

    async def _laid_out(self, key: str, text: bytes, form: Format, focus: Focus | None) -> bytes:
        layout = await self._free.get()
        started = time.perf_counter()
        try:
            body = await layout.draw(text, form.value)
        finally:
            self._free.put_nowait(layout)
            metrics.PICTURE_SECONDS.labels(form.value).observe(time.perf_counter() - started)
        if form is Format.SVG and focus is not None:
            body = shown(body, focus)
        self._remember(key, body)
        return body

    def _over(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # seen, even where whoever asked has gone away

    def _remembered(self, key: str) -> bytes | None:
        kept = self._kept.get(key)
        return kept.body if kept is not None and time.monotonic() - kept.at <= _KEPT_SECONDS else None

    def _remember(self, key: str, body: bytes) -> None:
        now = time.monotonic()
        self._kept[key] = _Kept(body, now)
        self._kept.move_to_end(key)
        while self._kept:
            oldest = next(iter(self._kept.values()))
            full = len(self._kept) > _KEPT or sum(len(one.body) for one in self._kept.values()) > _KEPT_BYTES
            if not full and now - oldest.at <= _KEPT_SECONDS:
                break
            self._kept.popitem(last=False)
