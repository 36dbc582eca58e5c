"""What to do about PagerDuty's service graph: comes in what the map saw, what stands there and what we did; goes out a plan. Pure.

Additive: what somebody else made is never touched, what somebody deleted is not made again. PagerDuty takes no circles and at
most `MAX_NEIGHBOURS` dependencies a service, so an edge that would be one too many is left out here rather than refused there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.digest.persistence import Persistence
from bot.pagerduty.circles import CircleFree
from bot.pagerduty.discovered import DAY, Found, Sight
from bot.pushed import MAX_PUSHED, STANDING, Fate, Pair, Pushed

ROUND = 3_600.0
"""Seconds from one look to the next."""
MAX_NEIGHBOURS = 2_000
GONE = Persistence(quiet=14 * DAY)
"""An edge of ours is gone once it was not seen for four times its habit, and at least two weeks, while its layers reported."""

MOST_PUSHED = 1_000
"""Dependencies pushed at one look: of more, the rest waits for the next, which sees a map as fresh."""

_AGAIN_SECONDS = 7 * DAY
"""How long what PagerDuty refused is not asked for again."""

_WHY_NOT = {
    Fate.DECLINED: "somebody deleted it",
    Fate.MISSING: "it is missing since the last look",
    Fate.REMOVING: "it is being taken back",
}


@dataclass(frozen=True, slots=True)
class Left:
    """An edge that is fit to be pushed and is not, and why."""

    pair: Pair
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`push` in the order to push in. `rows` are to be remembered anew, `forget` not at all. `gone`: ours, and on the map no
    more. `there`: fit edges that stand in PagerDuty, whoever made them."""

    push: tuple[Pair, ...] = ()
    there: tuple[Pair, ...] = ()
    left: tuple[Left, ...] = ()
    gone: tuple[Pushed, ...] = ()
    rows: tuple[Pushed, ...] = ()
    forget: tuple[Pair, ...] = ()
    declined: tuple[Pair, ...] = ()
    """What somebody deleted since the last look."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What was read of PagerDuty's service graph: the neighbours of the services in `read`. `standing`: pair -> its number."""

    read: frozenset[str]
    standing: Mapping[Pair, str]
    neighbours: Mapping[str, int]
    """By service: with how many others it stands in the graph, business services among them."""


def plan(found: Found, graph: Graph, known: Mapping[Pair, Pushed], now: float) -> Plan:
    """What is to be done. `known` is everything that is remembered."""
    rows: dict[Pair, Pushed] = {}
    forget, declined = [], []
    for pair, row in known.items():
        if not graph.read.issuperset(pair):
            continue  # an end is no service of the account, or not of ours, any more
        after = _looked_at(_aged(row, found, now), graph, now)
        if after is None:
            forget.append(pair)
        elif after != row:
            rows[pair] = after
            if after.fate is Fate.DECLINED is not row.fate:
                declined.append(pair)
    for pair in found.wanted:
        # Remembered as well, so that it is not made again once somebody deletes it.
        if pair in graph.standing and pair not in known and len(known) + len(rows) < MAX_PUSHED:
            rows[pair] = replace(intended(pair, found.seen[pair], now), fate=Fate.THEIRS)
    dropped = set(forget)
    after_all = {pair: row for pair, row in {**known, **rows}.items() if pair not in dropped}
    push, left = _chosen(found, graph, after_all, now)
    gone = [
        row for pair, row in after_all.items()
        if row.fate in (Fate.OURS, Fate.REMOVING) and pair in graph.standing and _is_gone(row)
    ]  # fmt: skip
    return Plan(
        tuple(push),
        tuple(pair for pair in found.wanted if pair in graph.standing),
        tuple(left),
        tuple(sorted(gone, key=lambda row: row.pair)),
        tuple(rows.values()),
        tuple(forget),
        tuple(declined),
    )


def intended(pair: Pair, sight: Sight, now: float) -> Pushed:
    """What is written down before a dependency is pushed."""
    return Pushed(
        *pair, sight.caller, sight.callee, Fate.INTENDED, now,
        last_seen=sight.last_seen, habit=sight.habit, layers=sight.layers, checked_at=now,
    )  # fmt: skip


def _aged(row: Pushed, found: Found, now: float) -> Pushed:
    """With what the map says of it now. Silence counts only while the bot looks and a layer that knows the edge reports."""
    sight = found.seen.get(row.pair)
    if sight is not None and sight.last_seen > row.last_seen:
        fresh = replace(row, caller=sight.caller, callee=sight.callee, last_seen=sight.last_seen, habit=sight.habit)
        return replace(fresh, layers=sight.layers, silence=0.0, checked_at=now)
    looking = found.services.keys() >= set(row.pair) and not found.reporting.isdisjoint(row.layers.split(","))
    passed = min(now - row.checked_at, 2 * ROUND) if looking else 0.0
    return replace(row, silence=row.silence + max(0.0, passed), checked_at=now)


def _is_gone(row: Pushed) -> bool:
    return row.silence >= max(GONE.silences * row.habit, GONE.quiet)


def _looked_at(row: Pushed, graph: Graph, now: float) -> Pushed | None:
    """What has become of it, as PagerDuty has it now; None where there is nothing to remember."""
    number = graph.standing.get(row.pair)
    if number is None:
        if row.fate in (Fate.INTENDED, Fate.REMOVING):
            return None
        if row.fate in STANDING:
            return replace(row, fate=Fate.MISSING, at=now)
        if row.fate is Fate.MISSING and now - row.at >= ROUND / 2:
            return replace(row, fate=Fate.DECLINED, at=now, number="")
        return row
    if row.fate in (Fate.MISSING, Fate.OURS, Fate.REMOVING):
        fate = Fate.OURS if row.number and row.number == number else Fate.THEIRS
        fate = Fate.REMOVING if fate is Fate.OURS and row.fate is Fate.REMOVING and _is_gone(row) else fate
        return (
            row
            if fate is row.fate
            else replace(row, fate=fate, at=now, number=number if fate is not Fate.THEIRS else "")
        )
    if row.fate in (Fate.INTENDED, Fate.REFUSED):
        # Nobody read what became of our call, or it was refused: whoever made this since, it need not have been us.
        return replace(row, fate=Fate.THEIRS, at=now, why="")
    return row


def _chosen(found: Found, graph: Graph, known: Mapping[Pair, Pushed], now: float) -> tuple[list[Pair], list[Left]]:
    order = CircleFree()
    for pair in graph.standing:
        order.add(pair)
    counts = Counter(graph.neighbours)
    push: list[Pair] = []
    left: list[Left] = []
    for pair in found.wanted:
        if pair in graph.standing:
            continue
        why = _remembered(known.get(pair), now)
        if not why and not graph.read.issuperset(pair):
            why = "PagerDuty did not say what stands there"
        if not why and len(known) + len(push) >= MAX_PUSHED:
            why = "too many are remembered"
        if not why and max(counts[end] for end in pair) >= MAX_NEIGHBOURS:
            why = f"a service has {MAX_NEIGHBOURS} dependencies"
        if not why and len(push) >= MOST_PUSHED:
            why = "enough for one look"
        if not why and not order.add(pair):
            why = "it would close a circle"
        if why:
            left.append(Left(pair, why))
            continue
        push.append(pair)
        counts.update(pair)
    return push, left


def _remembered(row: Pushed | None, now: float) -> str:
    if row is None:
        return ""
    if row.fate is Fate.REFUSED and now - row.at < _AGAIN_SECONDS:
        return f"PagerDuty refused it: {row.why}"
    return _WHY_NOT.get(row.fate, "")
