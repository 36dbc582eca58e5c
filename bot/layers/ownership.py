"""Who owned an address when, and where an intermediary's listeners lead.

Comes in: identity and listener records in any order, repeated as heartbeats. Goes out: the owner of an address at a
moment, or nobody. What is lost, and counted: claims beyond the cap, ranges that ended longer ago than the horizon.

Claims on one address are sorted by their start, and each lasts until its own end or the start of the next, so an owner
that never said goodbye is closed by its successor, whatever order the two were heard in. A claim without an end reaches
`ttl` seconds past its last heartbeat: an address nobody vouches for any more belongs to nobody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from bot.layers.windows import minute_of
from bot.model import WINDOW_SECONDS
from bot.telemetry.identities import Claim, Listener

TTL = 3_600.0


class _Range:
    __slots__ = ("claim", "heard", "until")

    def __init__(self, claim: Claim, heard: float) -> None:
        self.claim = claim
        self.heard = heard
        self.until = claim.end

    def reach(self, ttl: float) -> float:
        return self.until if self.until is not None else max(self.heard, self.claim.start) + ttl


class Ownership:
    """Sorted claims per address. One thread at a time; `now` (epoch s) comes in."""

    def __init__(self, ttl: float = TTL, max_ranges: int = 500_000) -> None:
        self.dropped: Counter[str] = Counter()
        self._ttl = ttl
        self._max = max_ranges
        self._ranges: dict[str, list[_Range]] = {}
        self._size = 0
        self._changed: dict[str, float] = {}
        self._boundaries: dict[int, set[str]] = {}  # by minute: where a range begins or ends
        self._restless: Sequence[tuple[str, int]] | None = None
        self._between: set[str] = set()

    def __len__(self) -> int:
        return self._size

    def add(self, claim: Claim, now: float) -> bool:
        """Take a claim in, or extend the one it repeats; False where the cap refuses it."""
        if claim.between:
            self._between.add(claim.ip)
        ranges = self._ranges.setdefault(claim.ip, [])
        at = bisect_right(ranges, claim.start, key=_start)
        before = ranges[at - 1] if at else None
        if before is not None and before.claim.node == claim.node and before.claim.kind == claim.kind:
            if before.until is None or claim.start <= before.until:
                self._extend(before, claim, now)
                return True
        elif before is not None and before.claim.start == claim.start:
            before.claim, before.heard, before.until = (
                claim,
                now,
                claim.end,
            )  # the same moment said anew: the later word stands
            self._change(claim.ip, claim.start)
            return True
        if self._size >= self._max:
            self.dropped["identity: too many ranges"] += 1
            return False
        ranges.insert(at, _Range(claim, now))
        self._size += 1
        self._change(claim.ip, claim.start)
        if claim.end is not None:
            self._change(claim.ip, claim.end)
        return True

    def _extend(self, known: _Range, claim: Claim, now: float) -> None:
        if known.heard + self._ttl < now and known.until is None:  # it had lapsed, and what came since was nobody's
            self._change(claim.ip, known.heard)
        known.heard = max(known.heard, now)
        if claim.end != known.until and not (claim.end is None and known.until == claim.start):
            # An end that is told later than the range itself, or taken back by a heartbeat of the same owner.
            self._change(claim.ip, min(one for one in (claim.end, known.until) if one is not None))
        known.until = claim.end

    def _change(self, ip: str, at: float) -> None:
        self._changed[ip] = min(self._changed.get(ip, inf), at)
        self._boundaries.setdefault(minute_of(at), set()).add(ip)
        self._restless = None

    def take_changed(self) -> dict[str, float]:
        """Addresses whose owners changed since the last call, and from when on."""
        changed, self._changed = self._changed, {}
        return changed

    def owner(self, ip: str, at: float) -> Claim | None:
        """Whose address it was at a moment; None where nobody vouches for it."""
        ranges = self._ranges.get(ip)
        if ranges is None:
            return None
        index = bisect_right(ranges, at, key=_start) - 1
        if index < 0:
            return None
        found = ranges[index]
        # An end is not a moment of ownership, but a start is: ranges are half-open.
        return found.claim if at < found.reach(self._ttl) else None

    def steady_minute(self, ip: str, minute: int) -> bool:
        """Whether an address has one owner, or none, all through a minute. (That a silent owner lapses in it is no change: how
        long silence lasts is a matter of judgement, not of record.)"""
        return ip not in self._boundaries.get(minute, ())

    def steady(self, ip: str, since: float, until: float) -> bool:
        """Whether nothing begins or ends on an address in `(since, until]`: one look-up then holds for all of it."""
        return not any(since < edge <= until for edge in self._edges(ip))

    def _edges(self, ip: str) -> Iterator[float]:
        for one in self._ranges.get(ip, ()):
            yield one.claim.start
            yield one.reach(self._ttl)

    def restless(self) -> Sequence[tuple[str, int]]:
        """(address, minute) wherever a range begins or ends; the same object as long as nothing changes."""
        if self._restless is None:
            self._restless = [(ip, minute) for minute, ips in self._boundaries.items() for ip in ips]
        return self._restless

    def between(self) -> set[str]:
        """Addresses that ever belonged to an intermediary."""
        return self._between

    def claims(self) -> Iterator[Claim]:
        """All claims, with the ends that heartbeats gave them."""
        for claim, _ in self.heard():
            yield claim

    def heard(self) -> Iterator[tuple[Claim, float]]:
        """The same, each with when it was last vouched for (epoch s)."""
        for ranges in self._ranges.values():
            for one in ranges:
                yield Claim(one.claim.ip, one.claim.node, one.claim.kind, one.claim.start, one.until), one.heard

    def expire(self, before: float) -> None:
        """Forget ranges that were over by `before`, by their own end, a successor or a long silence."""
        for minute in [one for one in self._boundaries if one + WINDOW_SECONDS < before]:
            del self._boundaries[minute]
            self._restless = None
        for ip, ranges in list(self._ranges.items()):
            ends = [*(_start(later) for later in ranges[1:]), inf]
            kept = [one for one, end in zip(ranges, ends, strict=True) if min(end, one.reach(self._ttl)) >= before]
            self._size -= len(ranges) - len(kept)
            if kept:
                self._ranges[ip] = kept
            else:
                del self._ranges[ip]
                self._between.discard(ip)


class Listeners:
    """Where intermediaries' listeners lead, now and lately: at most `keep` versions of each, the latest ones."""

    def __init__(self, keep: int = 20, max_listeners: int = 50_000) -> None:
        self.dropped: Counter[str] = Counter()
        self.version = 0
        """Goes up with every change, so that who has worked with these knows when to look again."""
        self._keep = keep
        self._max = max_listeners
        self._by_place: dict[tuple[str, int], list[Listener]] = {}

    def __len__(self) -> int:
        return len(self._by_place)

    def add(self, listener: Listener) -> bool:
        """Take a listener in; one that repeats the last adds nothing. False where the cap refuses it."""
        place = (listener.ip, listener.port)
        known = self._by_place.get(place)
        if known is None:
            if len(self._by_place) >= self._max:
                self.dropped["listener: too many"] += 1
                return False
            known = self._by_place[place] = []
        at = bisect_right(known, listener.start, key=_listener_start)
        if at and known[at - 1].targets == listener.targets and known[at - 1].intermediary == listener.intermediary:
            if known[at - 1].end == listener.end:
                return True
            known[at - 1] = listener if listener.start == known[at - 1].start else _ended(known[at - 1], listener.end)
        else:
            known.insert(at, listener)
            del known[: -self._keep]
        self.version += 1
        return True

    def find(self, ip: str, port: int, at: float) -> Listener | None:
        """The listener of an address and port at a moment; None where none is known."""
        known = self._by_place.get((ip, port))
        if known is None:
            return None
        index = bisect_right(known, at, key=_listener_start) - 1
        if index < 0:
            return None
        found = known[index]
        return found if found.end is None or at < found.end else None

    def through(self, ip: str, port: int, since: float, until: float) -> Listener | None:
        """The listener in a stretch of time, with the targets it had at its beginning and its end."""
        last, first = self.find(ip, port, until), self.find(ip, port, since)
        if last is None or first is None or first.targets == last.targets:
            return last or first
        return Listener(last.intermediary, ip, port, first.targets | last.targets, first.start, last.end)

    def places(self) -> Iterable[tuple[str, int]]:
        """Every (ip, port) that ever listened: a server's end, whatever the ports look like."""
        return self._by_place.keys()

    def all(self) -> Iterator[Listener]:
        """Every version of every listener."""
        for known in self._by_place.values():
            yield from known


def _ended(listener: Listener, end: float | None) -> Listener:
    return Listener(listener.intermediary, listener.ip, listener.port, listener.targets, listener.start, end)


def _start(one: _Range) -> float:
    return one.claim.start


def _listener_start(one: Listener) -> float:
    return one.start
