"""Evidence for who is behind an intermediary that nothing explains: minutes with one party, and legs that look alike.

Comes in: each minute's callers and targets, and single records. Goes out: how sure a pair is. What is lost: evidence for
the pairs beyond the cap (the least recently fed go first, counted), and that of minutes long gone, but for its sums.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate

from bot.layers.flow_fold import Single

MAX_PAIRS = 100_000
_START = 0.25
_END = 0.5
_BYTES = 0.05
_BYTES_SLACK = 1_000.0
_SHIFT = 7.3
"""Seconds the legs out are moved to count the matches that chance alone makes."""
_CROWD = 200
"""Legs out that start with one leg in, beyond which nobody is looked for among them: that would take time in the square."""
_ENOUGH = 3
_MATCHES = 4
_MINUTES = 4

Key = tuple[str, str, str]
"""(intermediary, caller, callee)"""
OwnerOf = Callable[[str], str | None]


def alike(ins: Sequence[Single], outs: Sequence[Single], shift: float = 0.0) -> list[tuple[Single, Single]]:
    """Pairs of legs that agree in start, end and bytes within the tolerance, and agree with nobody else.

    The leg out starts with the leg in or a moment later, ends about when it does, and carries about as many bytes.
    """
    outs = sorted(outs, key=lambda one: one.start)
    starts = [one.start + shift for one in outs]
    wooed: Counter[int] = Counter()
    only: list[tuple[Single, int]] = []
    crowded = [0] * (len(outs) + 1)  # what goes up at an index goes up for all after it
    for leg in ins:
        first, end = bisect_left(starts, leg.start - 0.01), bisect_right(starts, leg.start + _START)
        if end - first > _CROWD:
            crowded[first] += 1
            crowded[end] -= 1
            continue
        found = []
        for index in range(first, end):
            other = outs[index]
            near = abs(other.end + shift - leg.end) <= _END
            if near and abs(other.bytes - leg.bytes) <= max(_BYTES_SLACK, _BYTES * leg.bytes):
                found.append(index)
        wooed.update(found)
        if len(found) == 1:
            only.append((leg, found[0]))
    others = list(accumulate(crowded))
    return [(leg, outs[index]) for leg, index in only if wooed[index] == 1 and not others[index]]


class Evidence:
    """Sums per pair, and the minutes still open, whose part is replaced whenever they are looked at again."""

    def __init__(self, dropped: Counter[str], max_pairs: int = MAX_PAIRS) -> None:
        self.dropped = dropped
        self._max = max_pairs
        # pair -> [minutes in which it was implied, matches, matches by chance]
        self._sums: OrderedDict[Key, list[float]] = OrderedDict()
        self._minutes: dict[int, dict[Key, tuple[float, float, float]]] = {}
        # intermediary -> (all it was ever seen to reach, up to two; in which of the first minutes)
        self._ways: OrderedDict[str, tuple[set[str], set[int]]] = OrderedDict()

    def replace(self, minute: int, found: dict[Key, tuple[float, float, float]]) -> None:
        """Put a minute's evidence in the place of what the same minute gave before."""
        self._add(self._minutes.get(minute, {}), -1)
        self._minutes[minute] = found
        self._add(found, 1)

    def reached(self, intermediary: str, minute: int, callees: Collection[str]) -> None:
        """Note whom an intermediary reached in a minute."""
        known, minutes = self._ways.setdefault(intermediary, (set(), set()))
        self._ways.move_to_end(intermediary)
        if len(known) < 2:
            known.update(callees)
        if len(minutes) < _ENOUGH:
            minutes.add(minute)
        while len(self._ways) > self._max:
            self._ways.popitem(last=False)

    def _only_way(self, intermediary: str, callee: str) -> bool:
        known, minutes = self._ways.get(intermediary, ((), ()))
        return len(minutes) >= _ENOUGH and len(known) == 1 and callee in known

    def close(self, minute: int) -> None:
        """Keep a minute's part of the sums, and forget which it was."""
        self._minutes.pop(minute, None)

    def _add(self, found: dict[Key, tuple[float, float, float]], sign: int) -> None:
        for key, amounts in found.items():
            sums = self._sums.setdefault(key, [0.0, 0.0, 0.0])
            self._sums.move_to_end(key)
            for index, amount in enumerate(amounts):
                sums[index] += sign * amount
        while len(self._sums) > self._max:
            self._sums.popitem(last=False)
            self.dropped["evidence: too many pairs"] += 1

    def certainty(self, intermediary: str, caller: str, callee: str, callers: int, callees: int) -> tuple[float, str]:
        """How sure a pair is, and by what. A draw among m callers and n targets joins at least max(m, n) of m·n pairs:
        that share is what a pair without evidence gets."""
        implied, matches, chance = self._sums.get((intermediary, caller, callee), (0.0, 0.0, 0.0))
        best = (1.0 / max(1, min(callers, callees)) if min(callers, callees) > 1 else 0.5, "estimated")
        if matches >= _MATCHES and matches > 3 * chance:
            best = max(best, (min(0.97, 1.0 - (chance + 1.0) / (matches + 1.0)), "likeness"))
        if self._only_way(intermediary, callee):
            best = max(best, (0.97, "implied"))
        if implied >= _MINUTES:  # one such minute may have lost a leg to the next one, and two by chance
            best = max(best, (0.97 if implied >= 2 * _MINUTES else 0.9, "implied"))
        return best


def gather(
    intermediary: str,
    callers: Collection[str],
    callees: Collection[str],
    legs: tuple[Sequence[Single], Sequence[Single]],
    owner: OwnerOf,
) -> dict[Key, tuple[float, float, float]]:
    """One minute's evidence behind one intermediary: implied pairs, and matches with those of chance beside them."""
    found: dict[Key, list[float]] = {}
    if len(callers) == 1 or len(callees) == 1:
        for caller in callers:
            for callee in callees:
                found[intermediary, caller, callee] = [1.0, 0.0, 0.0]
    for index, shift in ((1, 0.0), (2, _SHIFT)):
        for leg, other in alike(*legs, shift):
            ends = owner(leg.client), owner(other.server)
            if ends[0] is not None and ends[1] is not None:
                found.setdefault((intermediary, ends[0], ends[1]), [0.0, 0.0, 0.0])[index] += 1.0
    return {key: (one[0], one[1], one[2]) for key, one in found.items()}
