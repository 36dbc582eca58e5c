"""Who owned an address when.

Comes in: identity records in any order, repeated as heartbeats. Goes out: the owner of an address at a moment, or nobody.
What is lost, and counted: claims beyond the caps; ranges that ended longer ago than the horizon.

Claims on one address are sorted by their start, and each lasts until its own end or the start of the next, so an owner
that never said goodbye is closed by its successor, whatever order the two were heard in. A claim without an end reaches
`ttl` seconds past its last heartbeat: an address nobody vouches for any more belongs to nobody. Unless the one before is
still being repeated: then the successor was a mistake, or a guest, and the address is its owner's again once it has gone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf

from bot.layers.windows import minute_of
from bot.model import WINDOW_SECONDS
from bot.telemetry.identities import Claim

TTL = 3_600.0
LEASE = 7 * 86_400.0
"""An end further ahead than this many seconds is a plan: until then the claim has to be repeated."""
QUIET = 300.0
"""A successor of whom nobody has spoken for so many seconds, while the owner before it is still being repeated, has gone."""
_MARKS_PER_RANGE = 8
_AGAIN = 16


class _Range:
    """One owner's time. `again`: later starts the same owner claimed in it, which count once somebody else comes between."""

    __slots__ = ("again", "claim", "heard", "until")

    def __init__(self, claim: Claim, heard: float) -> None:
        self.claim = claim
        self.heard = heard
        self.until = claim.end
        self.again: tuple[float, ...] = ()

    def split(self, at: float) -> _Range | None:
        """Somebody else had it from `at`: gives what the owner claimed after that, if anything, as a range of its own."""
        later = [start for start in self.again if start > at]
        if not later:
            return None
        rest = _Range(replace(self.claim, start=later[0], end=self.until), self.heard)
        rest.again = tuple(later[1:])
        self.again = tuple([start for start in self.again if start <= at])
        self.until = self.claim.end
        return rest

    def reach(self, ttl: float) -> float:
        if self.until is None:
            return max(self.heard, self.claim.start) + ttl
        return min(self.until, max(self.heard, self.claim.start) + LEASE)


class Ownership:
    """Sorted claims per address, at most `max_owners` on each. One thread at a time; `now` (epoch s) comes in."""

    def __init__(
        self, dropped: Counter[str], ttl: float = TTL, max_ranges: int = 500_000, max_owners: int = 1_000
    ) -> None:
        self.dropped = dropped
        self._ttl = ttl
        self._max = max_ranges
        self._max_owners = max_owners
        self._ranges: dict[str, list[_Range]] = {}
        self._size = 0
        self._changed: dict[str, float] = {}
        self._boundaries: dict[int, set[str]] = {}  # by minute: where a range begins or ends
        self._marks = 0  # addresses in all of them
        self._restless: Sequence[tuple[str, int]] | None = None
        self._between: set[str] = set()

    def __len__(self) -> int:
        return self._size

    def add(self, claim: Claim, now: float) -> bool:
        """Take a claim in, or extend the one it repeats; False where the cap refuses it."""
        ranges = self._ranges.get(claim.ip, [])
        at = bisect_right(ranges, claim.start, key=_start)
        before = ranges[at - 1] if at else None
        if before is not None and _same_owner(before.claim, claim):
            if before.until is None or claim.start <= before.until:
                self._extend(ranges, at - 1, claim, now)
                return True
        elif before is not None and before.claim.start == claim.start:
            # The same moment said anew: the later word stands.
            before.claim, before.heard, before.until = claim, now, claim.end
            self._know(claim)
            return True
        if self._size >= self._max:
            self.dropped["identity: too many ranges"] += 1
            return False
        added = [_Range(claim, now)]
        if before is not None and (rest := before.split(claim.start)) is not None:
            added.append(rest)
            self._change(claim.ip, rest.claim.start)
        ranges[at:at] = added
        self._ranges[claim.ip] = ranges
        over = max(0, len(ranges) - self._max_owners)
        self._size += len(added) - over
        if over:
            del ranges[:over]
            self.dropped["identity: too many owners of one address"] += over
        self._know(claim)
        return True

    def _know(self, claim: Claim) -> None:
        if claim.between:
            self._between.add(claim.ip)
        self._change(claim.ip, claim.start)
        if claim.end is not None:
            self._change(claim.ip, claim.end)

    def _extend(self, ranges: list[_Range], index: int, claim: Claim, now: float) -> None:
        known = ranges[index]
        if claim.workload and not known.claim.workload:  # the same owner, better known
            known.claim = replace(known.claim, workload=claim.workload)
            self._change(claim.ip, known.claim.start)
        if known.heard + self._ttl < now and known.until is None:  # it had lapsed, and what came since was nobody's
            self._change(claim.ip, known.heard)
        if claim.start > known.claim.start and claim.start not in known.again:
            known.again = tuple(sorted((*known.again, claim.start)))[-_AGAIN:]
        gone, since = self._gone(ranges[index + 1 :])
        returns = known.heard <= since < now and claim.end is None
        known.heard = max(known.heard, now)
        if claim.end != known.until and not (claim.end is None and known.until == claim.start):
            # An end that is told later than the range itself, or taken back by a heartbeat of the same owner.
            self._change(claim.ip, min(one for one in (claim.end, known.until) if one is not None))
        known.until = claim.end
        if returns and gone > -inf:
            self._change(claim.ip, gone)

    def _gone(self, successors: Iterable[_Range]) -> tuple[float, float]:
        """(when the last of them had gone, from when on the owner before them is believed to be back if it is repeated)."""
        gone, since = -inf, -inf
        for one in successors:
            gone = max(gone, one.reach(self._ttl))
            since = max(since, gone, one.heard + QUIET)
        return gone, since

    def _change(self, ip: str, at: float) -> None:
        self._changed[ip] = min(self._changed.get(ip, inf), at)
        self._mark(ip, at)
        if self._marks > _MARKS_PER_RANGE * self._max:  # ends that are said and taken back over and over
            self._boundaries, self._marks = {}, 0
            for one in self.claims():
                self._mark(one.ip, one.start)
                if one.end is not None:
                    self._mark(one.ip, one.end)

    def _mark(self, ip: str, at: float) -> None:
        marked = self._boundaries.setdefault(minute_of(at), set())
        self._marks += ip not in marked
        marked.add(ip)
        self._restless = None

    def take_changed(self) -> dict[str, float]:
        """Addresses whose owners changed since the last call, and from when on."""
        changed, self._changed = self._changed, {}
        return changed

    def owner(self, ip: str, at: float) -> Claim | None:
        """Whose address it was at a moment; None where nobody vouches for it."""
        found = self._holder(self._ranges.get(ip, ()), at)
        return found.claim if found is not None else None

    def _holder(self, ranges: Sequence[_Range], at: float) -> _Range | None:
        since = -inf
        for index in range(bisect_right(ranges, at, key=_start) - 1, -1, -1):
            one = ranges[index]
            reach = one.reach(self._ttl)
            # An end is not a moment of ownership, but a start is: ranges are half-open.
            if at < reach and (since == -inf or (one.until is None and one.heard > since)):
                return one
            since = max(since, reach, one.heard + QUIET)
        return None

    def steady_minute(self, ip: str, minute: int) -> bool:
        """Whether an address has one owner, or none, all through a minute. (That a silent owner lapses in it is no change: how
        long silence lasts is a matter of judgement, not of record.)"""
        return ip not in self._boundaries.get(minute, ())

    def steady(self, ip: str, since: float, until: float) -> bool:
        """Whether nothing begins or ends on an address in `(since, until]`: one look-up then holds for all of it."""
        ranges = self._ranges.get(ip, ())
        if bisect_right(ranges, since, key=_start) != bisect_right(ranges, until, key=_start):
            return False
        return since == until or self._holder(ranges, since) is self._holder(ranges, until)

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
                yield replace(one.claim, end=one.until), one.heard

    def expire(self, before: float) -> None:
        """Forget ranges that were over by `before`, by their own end, a successor or a long silence."""
        for minute in [one for one in self._boundaries if one + WINDOW_SECONDS < before]:
            self._marks -= len(self._boundaries.pop(minute))
            self._restless = None
        for ip, ranges in list(self._ranges.items()):
            kept = self._kept(ranges, before)
            self._size -= len(ranges) - len(kept)
            if kept:
                self._ranges[ip] = kept
            else:
                del self._ranges[ip]
                self._between.discard(ip)

    def _kept(self, ranges: Sequence[_Range], before: float) -> list[_Range]:
        kept: list[_Range] = []
        closed, since = inf, -inf
        for one in reversed(ranges):
            reach = one.reach(self._ttl)
            back = one.until is None and one.heard > since
            if (reach if back else min(closed, reach)) >= before:
                kept.append(one)
            closed, since = one.claim.start, max(since, reach, one.heard + QUIET)
        return kept[::-1]


def _same_owner(one: Claim, other: Claim) -> bool:
    """Who does not name a workload speaks of whichever it is."""
    workloads = {one.workload, other.workload} - {""}
    return one.node == other.node and one.kind == other.kind and len(workloads) <= 1


def _start(one: _Range) -> float:
    return one.claim.start
