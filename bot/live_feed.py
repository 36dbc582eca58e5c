"""What changes on the map and in incidents, for whoever listens. Costs one look where nobody does.

Comes in: edges as they are seen or taken back, incidents as they change. Goes out: numbered events to every listener, edges
gathered for a second. What is lost: a listener that falls behind is let go (counted), and comes back with the number of
the last event it had; events older than the last `KEPT` are forgotten, and it is told to read the map anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.model import EdgeKey

KEPT = 500
MAX_LISTENERS = 500
MAX_EDGES = 2_000
"""Edges named in one event; more are counted, and the reader asks for the map."""
_QUEUE = 100
_GRACE = 60


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell: `what` is `edges`, `incident` or `reset`."""

    number: int
    what: str
    data: Mapping[str, Any]


class Listener:
    """One open ear. `behind`: it was let go because it did not keep up, or because the program ends."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        self.behind = False


class LiveFeed:
    """Gathers and tells. Lives on the event loop."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._listeners: set[Listener] = set()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._number = 0
        self._seen: dict[EdgeKey, None] = {}
        self._gone: dict[EdgeKey, None] = {}
        self._more = 0
        self._incidents = 0
        self._alone = _GRACE  # flushes since the last listener left
        self._unheard = False  # something happened while nobody listened, nor had just left

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def number(self) -> int:
        """The last event's number."""
        return self._number

    @property
    def incidents(self) -> int:
        """How often an incident was opened or has changed."""
        return self._incidents

    def seen(self, edges: Iterable[EdgeKey]) -> None:
        """Note edges that were just seen."""
        self._note(self._seen, edges)

    def gone(self, edges: Iterable[EdgeKey]) -> None:
        """Note edges that were just taken back."""
        self._note(self._gone, edges)

    def _note(self, into: dict[EdgeKey, None], edges: Iterable[EdgeKey]) -> None:
        if self._alone >= _GRACE:
            self._unheard = True
            return
        for edge in edges:
            if len(into) < MAX_EDGES:
                into[edge] = None
            elif edge not in into:
                self._more += 1

    def incident(self, incident_id: int, state: str, title: str) -> None:
        """Tell of an incident that was opened or has changed."""
        self._incidents += 1
        if self._alone < _GRACE:
            self._tell("incident", {"id": incident_id, "state": state, "title": title})
        else:
            self._unheard = True

    def flush(self) -> None:
        """Tell of the edges gathered since the last time: once a second. A reader whose line breaks comes back soon, so what
        happens is kept for a minute after the last one left."""
        self._alone = 0 if self._listeners else min(_GRACE, self._alone + 1)
        if not self._seen and not self._gone:
            return
        data = {
            "seen": [list(edge) for edge in self._seen],
            "gone": [list(edge) for edge in self._gone],
            "more": self._more,
        }
        self._seen, self._gone, self._more = {}, {}, 0
        self._tell("edges", data)

    def _tell(self, what: str, data: Mapping[str, Any]) -> None:
        self._number += 1
        event = Event(self._number, what, data)
        self._kept.append(event)
        for listener in [*self._listeners]:
            try:
                listener.queue.put_nowait(event)
            except asyncio.QueueFull:  # a slow reader must not slow anybody else
                listener.behind = True
                self.leave(listener)
                self.dropped["listener too slow"] += 1

    def join(self, after: int | None = None) -> Listener | None:
        """A new listener, with the events after number `after` waiting, or a `reset` where they are forgotten; None where there
        are too many listeners."""
        if len(self._listeners) >= MAX_LISTENERS:
            self.dropped["too many listeners"] += 1
            return None
        listener = Listener()
        if self._unheard:  # who comes back with the last number has missed something all the same
            self._number += 1
            self._unheard = False
        if after is not None and after != self._number:
            missed = [event for event in self._kept if event.number > after]
            if after > self._number or len(missed) != self._number - after or len(missed) >= _QUEUE:
                missed = [Event(self._number, "reset", {})]
            for event in missed:
                listener.queue.put_nowait(event)
        self._listeners.add(listener)
        self._alone = 0
        return listener

    def close(self) -> None:
        """Let everybody go: a stream that waits for the next event would hold up the program's end."""
        for listener in [*self._listeners]:
            listener.behind = True
            self.leave(listener)
            if not listener.queue.full():
                listener.queue.put_nowait(Event(self._number, "reset", {}))

    def leave(self, listener: Listener) -> None:
        """Stop telling a listener."""
        self._listeners.discard(listener)
