"""Stage 2 of the network layer: from legs to and from intermediaries to who called whom through them. Pure.

Comes in: one minute's legs in (caller to intermediary) and out (intermediary to target). Goes out: `Pair`s, each with how
it was joined and how sure that is. What is lost: nothing silently; what joins nobody is in `leftover` by reason.

In falling order of certainty:
- *listener*: the place dialled has a known target set, so its callers reach those targets and no others;
- *implied*: one caller alone used the intermediary in that minute, or one target alone was reached through it;
- *likeness*: legs in and out that agree in start, end and bytes, and with nobody else, often enough;
- *estimated*: the rest, by the margins alone: each caller's share of each target's traffic. A cross product, and said so:
  its certainty is that of a draw, too low to be shown unless another layer bears it out.
An intermediary behind an intermediary is joined through: the chain is kept in `via`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bot.model import ENTRY, UNATTRIBUTED, EdgeKey
from bot.telemetry.identities import Listener

MAX_CHAIN = 4
MAX_PAIRS = 5_000
"""Most pairs joined through one intermediary in one minute, all its places and what lies behind it together; those whose
place has one way on do not count, for there are no more of them than legs."""
MAX_MINUTE_PAIRS = 200_000
MAX_STEPS, MAX_MINUTE_STEPS = 50_000, 1_000_000
"""Most targets looked at, for one intermediary and for all: many that lead to each other have more chains than time."""
SURE_ENOUGH = 0.7

Place = tuple[str, int]
Source = tuple[str, tuple[str, ...]]
"""(caller, the intermediaries passed so far)"""
Amount = tuple[float, float]
"""(connections, bytes)"""
Owner = Callable[[str], tuple[str, bool] | None]
"""Address -> (service or intermediary id, whether it stands between), or None where nobody vouches for it."""
FindListener = Callable[[str, int], Listener | None]
Certainty = Callable[[str, str, str, int, int], tuple[float, str]]
"""(intermediary, caller, callee, callers, callees) -> (0..1, how)."""


@dataclass(slots=True)
class Through:
    """One intermediary's minute: who dialled which of its places, and which targets it dialled."""

    ins: dict[Place, dict[str, Amount]] = field(default_factory=dict)
    outs: dict[Place, Amount] = field(default_factory=dict)


@dataclass(slots=True)
class Pair:
    """Calls from one end to the other through `via`."""

    calls: float = 0.0
    bytes: float = 0.0
    certainty: float = 0.0
    how: str = ""
    via: set[tuple[str, ...]] = field(default_factory=set)

    def take(self, amount: Amount, certainty: float, how: str, via: tuple[str, ...]) -> None:
        """Add calls joined one way; the surest way names the pair."""
        self.calls += amount[0]
        self.bytes += amount[1]
        self.via.add(via)
        if certainty > self.certainty:
            self.certainty, self.how = certainty, how


@dataclass(slots=True)
class _Budget:
    """What may still be spent."""

    pairs: int
    steps: int


@dataclass(slots=True)
class Joiner:
    """Joins one minute. `owner` and `listener` answer for that minute; `leftover` takes what joins nobody, by reason."""

    through: Mapping[str, Through]
    owner: Owner
    listener: FindListener
    certainty: Certainty
    leftover: Counter[str] = field(default_factory=Counter)
    pairs: dict[EdgeKey, Pair] = field(default_factory=dict)
    _left: _Budget = field(default_factory=lambda: _Budget(MAX_PAIRS, MAX_STEPS))

    def run(self) -> dict[EdgeKey, Pair]:
        """All pairs of the minute by (caller, callee)."""
        self.leftover.clear()
        minute = _Budget(MAX_MINUTE_PAIRS, MAX_MINUTE_STEPS)
        for intermediary in sorted(self.through):
            # Each has its own, so that one with thousands on either side takes nothing from the others.
            mine = self._left = _Budget(min(MAX_PAIRS, minute.pairs), min(MAX_STEPS, minute.steps))
            pairs, steps = mine.pairs, mine.steps
            ins: dict[Place, dict[Source, Amount]] = {
                place: {(caller, ()): amount for caller, amount in callers.items()}
                for place, callers in self.through[intermediary].ins.items()
            }
            self._pass(intermediary, ins, 1.0)
            minute.pairs -= pairs - mine.pairs
            minute.steps -= steps - mine.steps
        return self.pairs

    def _pass(self, intermediary: str, ins: Mapping[Place, Mapping[Source, Amount]], sure: float) -> None:
        """Send what came in at each place on to where it went. `sure`: how certain the way here was."""
        opaque: dict[Source, Amount] = {}
        for (ip, port), sources in sorted(ins.items()):
            listener = self.listener(ip, port)
            if listener is not None:
                self._by_listener(intermediary, listener, sources, sure)
            else:
                for source, amount in sources.items():
                    opaque[source] = _plus(opaque.get(source), amount)
        if opaque:
            self._blindly(intermediary, opaque, sure)

    def _by_listener(
        self, intermediary: str, listener: Listener, sources: Mapping[Source, Amount], sure: float
    ) -> None:
        outs = self.through[intermediary].outs if intermediary in self.through else {}
        seen = {target: outs[target][0] for target in listener.targets if target in outs}
        # Nobody reports the legs out (a VIP rewritten on the caller's node has none): every target is as likely.
        weights = seen or dict.fromkeys(listener.targets, 1.0)
        self._send(intermediary, sources, weights, sure, blind=False)

    def _blindly(self, intermediary: str, sources: Mapping[Source, Amount], sure: float) -> None:
        outs = self.through[intermediary].outs if intermediary in self.through else {}
        claimed = {
            target
            for place in (self.through[intermediary].ins if intermediary in self.through else ())
            if (listener := self.listener(*place)) is not None
            for target in listener.targets
        }
        weights = {target: amount[0] for target, amount in outs.items() if target not in claimed}
        if not weights:
            self.leftover["nothing was seen to leave the intermediary"] += round(sum(n for n, _ in sources.values()))
            return
        self._send(intermediary, sources, weights, sure, blind=True)

    def _send(
        self,
        intermediary: str,
        sources: Mapping[Source, Amount],
        weights: Mapping[Place, float],
        sure: float,
        *,
        blind: bool,
    ) -> None:
        self._left.steps -= len(weights)
        if self._left.steps < 0:
            self.leftover["too many ways through one intermediary"] += round(sum(n for n, _ in sources.values()))
            return
        ends: dict[str, float] = {}
        onward: dict[str, dict[Place, float]] = {}
        for target, weight in sorted(weights.items()):
            owned = self.owner(target[0])
            if owned is None:
                self.leftover["target unattributed"] += round(weight)
            elif owned[1]:
                onward.setdefault(owned[0], {})[target] = weight
            else:
                ends[owned[0]] = ends.get(owned[0], 0.0) + weight
        total = sum(ends.values()) + sum(sum(places.values()) for places in onward.values())
        choices = len(ends) + len(onward)
        reached = sorted(ends)
        joins = ((source, callee) for source in sorted(sources) for callee in reached)
        for count, (source, callee) in enumerate(joins):
            if choices > 1 and not self._left.pairs:
                self.leftover["too many pairs behind one intermediary"] += len(sources) * len(ends) - count
                break
            self._left.pairs -= choices > 1
            known = self._sure(intermediary, source[0], callee, (len(sources), choices), blind=blind)
            via = (*source[1], intermediary)
            share = ends[callee] / total
            self._put((source[0], callee), _part(sources[source], share), (known[0] * sure, known[1]), via)
        for behind, places in sorted(onward.items()):
            known = self._sure(intermediary, "", behind, (len(sources), choices), blind=blind)
            self._onward(intermediary, behind, places, sources, total, sure * known[0])

    def _put(self, edge: EdgeKey, amount: Amount, sure: tuple[float, str], via: tuple[str, ...]) -> None:
        """Add one join. Where users come in is said only where it is sure: a draw would make an entry point of everybody."""
        caller, callee = edge
        if caller == ENTRY and sure[0] < SURE_ENOUGH:
            caller = UNATTRIBUTED
        self.pairs.setdefault((caller, callee), Pair()).take(amount, *sure, via)

    def _sure(
        self, intermediary: str, caller: str, callee: str, counts: tuple[int, int], *, blind: bool
    ) -> tuple[float, str]:
        callers, callees = counts
        if callees == 1 and (not blind or not caller):  # the one way on for all that came in
            return (0.97, "implied") if blind else (1.0, "listener")
        known = self.certainty(intermediary, caller, callee, callers, callees)
        return known if blind or known[1] != "estimated" else (known[0], "listener, estimated")

    def _onward(
        self,
        intermediary: str,
        behind: str,
        places: Mapping[Place, float],
        sources: Mapping[Source, Amount],
        total: float,
        sure: float,
    ) -> None:
        ins: dict[Place, dict[Source, Amount]] = {}
        for place, weight in places.items():
            arriving = ins.setdefault(place, {})
            for (caller, passed), amount in sources.items():
                if len(passed) + 1 >= MAX_CHAIN or behind in passed or behind == intermediary:
                    self.leftover["chain of intermediaries too long or closed"] += round(amount[0])
                    continue
                if self._left.steps <= 0:
                    self.leftover["too many ways through one intermediary"] += round(amount[0])
                    continue
                self._left.steps -= 1
                source = (caller, (*passed, intermediary))
                arriving[source] = _plus(arriving.get(source), _part(amount, weight / total))
        if any(ins.values()):
            self._pass(behind, ins, sure)


def _plus(known: Amount | None, more: Amount) -> Amount:
    return more if known is None else (known[0] + more[0], known[1] + more[1])


def _part(amount: Amount, share: float) -> Amount:
    return (amount[0] * share, amount[1] * share)
