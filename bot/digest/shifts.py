"""Which dependencies behave differently for good: more or fewer calls, more errors, other latency, by the layer that counts best.

Comes in: the four sides of a period. Goes out: by pair, what changed in words. What is lost: whatever lasted shorter than both
halves of the period (an incident is no changed dependency), and what was so the day before already, so that it is told once.
"""

from __future__ import annotations

import numpy as np

from bot.counts import CALLS, Floats
from bot.digest.period import Sides
from bot.enrich.changes_between import Marks, Shifts, Side, measures, shifted
from bot.graph.edge_index import LAYERS, EdgeIndex, Places
from bot.model import Layer

SHIFTS = Shifts(calls_ratio=5.0, error_rate_ratio=3.0, error_rate_step=0.02, p95_ratio=2.0, calls=200.0)
"""Wider than an answer's: nights are quieter than days, and weekends than weeks."""

_BEST_LAST = (Layer.NETWORK, Layer.TRACE, Layer.IPC)


def lasting(index: EdgeIndex, sides: Sides) -> dict[int, tuple[str, ...]]:
    """By pair: `errors 0.2% → 14%`, `p95 20 ms → 80 ms`, `calls 10/min → 90/min`."""
    before = shifted(sides.usual, sides.before, SHIFTS)
    marks = {name: one & ~before[name] for name, one in _both_halves(sides).items()}
    speaker = _speakers(index, sides)
    anything = np.any(list(marks.values()), axis=0)
    was, now = measures(sides.usual), measures(_whole(sides.first, sides.second))
    found = {}
    for pair, position in enumerate(speaker.tolist()):
        if position >= 0 and anything[position]:
            said = [_said(name, was[name][position], now[name][position]) for name in marks if marks[name][position]]
            found[pair] = tuple(said)
    return found


def _both_halves(sides: Sides) -> dict[str, Marks]:
    """By position: what differs from the usual in both halves, and in the same direction."""
    usual, halves = measures(sides.usual), [measures(one) for one in (sides.first, sides.second)]
    differs = [shifted(sides.usual, one, SHIFTS) for one in (sides.first, sides.second)]
    return {
        name: differs[0][name]
        & differs[1][name]
        & ((halves[0][name] > usual[name]) == (halves[1][name] > usual[name]))
        & sides.usual.present
        & sides.first.present
        & sides.second.present
        for name in usual
    }


def _speakers(index: EdgeIndex, sides: Sides) -> Places:
    """By pair: the position of the layer that counts best among those that counted before and now; -1 for none."""
    size = len(sides.usual.present)
    speaker = np.full(int(index.pairs[:size].max(initial=-1)) + 1, -1, np.intp)
    counted = sides.usual.present & (sides.first.present | sides.second.present)
    for layer in _BEST_LAST:
        mine = np.flatnonzero(counted & (index.layers[:size] == LAYERS.index(layer)))
        speaker[index.pairs[mine]] = mine
    return speaker


def _whole(first: Side, second: Side) -> Side:
    columns: Floats = first.columns + second.columns
    return Side(columns[CALLS] > 0, columns, first.seconds + second.seconds)


def _said(name: str, was: float, now: float) -> str:
    if name == "error rate":
        return f"errors {_percent(was)} → {_percent(now)}"
    if name == "p95":
        return f"p95 {_ms(was)} → {_ms(now)}"
    return f"calls {_few(was)}/min → {_few(now)}/min"


def _percent(rate: float) -> str:
    return f"{100 * rate:.0f}%" if rate >= 0.1 or rate == 0 else f"{100 * rate:.1f}%"


def _ms(value: float) -> str:
    return f"{value / 1_000:.1f} s" if value >= 1_000 else f"{value:.0f} ms"


def _few(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
