"""How often one reader may ask: a bucket of tokens for each, so that one script cannot keep the others waiting."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from bot.errors import RateLimited

_MAX_READERS = 10_000


class RateLimit:
    """`rate` questions a second each, `burst` at once. Remembers the readers heard of lately."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._readers: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, as of when

    def take(self, reader: str) -> None:
        """Let one question pass. Raises RateLimited with the seconds until the next may."""
        now = self._clock()
        left, since = self._readers.pop(reader, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        self._readers[reader] = (left - 1 if left >= 1 else left, now)
        if len(self._readers) > _MAX_READERS:
            self._readers.popitem(last=False)
        if left < 1:
            wait = max(1, math.ceil((1 - left) / self._rate))
            raise RateLimited(f"more than {self._rate:g} questions a second; ask again in {wait} s", wait)
