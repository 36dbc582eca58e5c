"""One open minute of the network layer: its legs merged by their ends, and what each has put on the map so far.

Kept so that an owner heard of late, or a correction of one, changes what was said instead of adding to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf

from bot.layers.flow_fold import BYTES, CLIENT, FIRST, LAST, MARKS, PORT, RECORDS, SERVER, SIDE, SLOT, Leg, Single
from bot.model import EdgeKey
from bot.telemetry.identities import canonical

GroupKey = tuple[float, str, str, int, str | None]
"""(slot, client address, server address, server port, marks), see `bot.layers.flow_fold.Leg`."""

MAX_SINGLES = 40_000


Said = tuple[EdgeKey, float, float]
"""(edge, calls, bytes): what the map has of a group."""


class Group:
    """The legs of one key. `heard`: when the first came. `said` is None where the map has nothing of it."""

    __slots__ = ("bytes", "first", "heard", "last", "more", "records", "said", "side")

    def __init__(self, leg: Leg, now: float) -> None:
        # Nearly every group has one side only, so the first is kept without a dictionary.
        _, _, _, _, self.side, _, self.records, self.bytes, self.first, self.last = leg
        self.more: dict[int, tuple[int, float]] | None = None
        self.heard = now
        self.said: Said | None = None

    def add(self, leg: Leg) -> None:
        """Take in more records of the same key."""
        if leg[FIRST] < self.first:
            self.first = leg[FIRST]
        if leg[LAST] > self.last:
            self.last = leg[LAST]
        side = leg[SIDE]
        if side == self.side:
            self.records += leg[RECORDS]
            self.bytes += leg[BYTES]
            return
        if self.more is None:
            self.more = {}
        records, size = self.more.get(side, (0, 0.0))
        self.more[side] = (records + leg[RECORDS], size + leg[BYTES])

    def amount(self) -> tuple[float, float]:
        """(connections, bytes). Both ends may report one connection, and each direction may be a record of its own: of
        several witnesses the one that saw most is believed, and the two directions' bytes are added."""
        if self.more is None:
            return float(self.records), self.bytes
        sides = {self.side: (self.records, self.bytes)} | self.more
        forward = max((size for side, (_, size) in sides.items() if not side & 1), default=0.0)
        reverse = max((size for side, (_, size) in sides.items() if side & 1), default=0.0)
        return float(max(records for records, _ in sides.values())), forward + reverse


class Minute:
    """Groups of one minute. `dirty` are those with news, `waiting` those with an end nobody has claimed yet, `crossing`
    those with an intermediary at an end; `rejoin` says that the crossing ones have to be joined anew."""

    def __init__(self) -> None:
        self.groups: dict[GroupKey, Group] = {}
        self.dirty: set[GroupKey] = set()
        self.waiting: set[GroupKey] = set()
        self.crossing: set[GroupKey] = set()
        self.rejoin = False
        self.said: dict[EdgeKey, tuple[float, float]] = {}
        """What the crossing legs have put on the map: edge -> (calls, bytes)."""
        self.singles: list[Single] = []
        self.leftover: Counter[str] = Counter()
        """Crossing connections that join nobody, by reason, as of the last join."""
        self.heard = 0.0

    def add(self, legs: Iterable[Leg], now: float) -> int:
        """Merge legs in; says how many groups are new."""
        groups, dirty = self.groups, self.dirty
        before = len(groups)
        for leg in legs:
            client, server = leg[CLIENT], leg[SERVER]
            if ":" in client or ":" in server:
                client, server = canonical(client), canonical(server)
            key = (leg[SLOT], client, server, leg[PORT], leg[MARKS])
            group = groups.get(key)
            if group is None:
                groups[key] = Group(leg, now)
            else:
                group.add(leg)
            dirty.add(key)
        self.heard = now
        return len(groups) - before

    def keep(self, single: Single) -> bool:
        """Keep a record to be compared with others; False where there are too many."""
        if len(self.singles) >= MAX_SINGLES:
            return False
        self.singles.append(single)
        return True

    def touch(self, changed: Mapping[str, float], until: float) -> None:
        """Look again at every group of addresses whose owners changed before `until`: address -> since when (epoch s)."""
        since = changed.get
        self.dirty.update(key for key in self.groups if since(key[1], inf) < until or since(key[2], inf) < until)
        # Marks may name such an address as well; they are few, so all of them are looked at.
        self.dirty.update(key for key in self.groups if key[4] is not None)
