"""One layer's word on one edge: when it was seen, how often it usually is, and how much that word is worth now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bot.edge_detail import EdgeDetail
from bot.model import WINDOW_SECONDS, Layer, Tally
from bot.moments import age as spelled

SHOWN = 0.5
"""Display threshold: an edge less likely than this to be real now is kept and counted, but not shown unless asked for."""
SHOWN_ESTIMATE = 0.75
"""The same for an edge that no layer saw and one estimated: a wrong name costs more than a missing one."""

_RAREST = 20.0
_Key = TypeVar("_Key", Layer, str)
_FRESH = 2.0
_STALE = 6.0
_GRACE_SECONDS = 120.0
_BASE_CONFIDENCE = {Layer.TRACE: 0.97, Layer.IPC: 0.95, Layer.NETWORK: 0.9}
_CONFLICT = 0.3
"""What is left of an estimate that a layer which covers both ends does not bear out."""
_MERE_ESTIMATE = 0.8
"""From this certainty on there is evidence of the pair itself, and another layer's silence tells nothing against it."""


@dataclass(slots=True)
class Sighted:
    """When one layer saw an edge. `interval` is its habit: the usual number of seconds between minutes with traffic."""

    first_seen: float
    last_seen: float
    interval: float = float(WINDOW_SECONDS)
    detail: EdgeDetail | None = None

    def see(self, minute: int, now: float) -> None:
        """Take in one minute with traffic. Late minutes widen the range but teach nothing about the habit."""
        seen = min(now, float(minute + WINDOW_SECONDS))
        gap = seen - self.last_seen
        if gap > WINDOW_SECONDS / 2:
            # A slow average: a nightly job's habit is a day, and one quiet hour of a busy edge does not make it nightly.
            self.interval += 0.25 * (max(gap, WINDOW_SECONDS) - self.interval)
        self.first_seen = min(self.first_seen, float(minute))
        self.last_seen = max(self.last_seen, seen)

    @property
    def certainty(self) -> float:
        """How sure the layer was that it joined the right two ends: below 1 where it had to estimate."""
        return 1.0 if self.detail is None else self.detail.certainty

    def freshness(self, now: float) -> str:
        """`fresh`, `fading` or `stale`, by age against the habit."""
        age = now - self.last_seen - _GRACE_SECONDS
        if age <= _FRESH * self.interval:
            return "fresh"
        return "fading" if age <= _STALE * self.interval else "stale"

    def decay(self, now: float) -> float:
        """1 while fresh, halving with every further two habitual intervals of silence."""
        over = now - self.last_seen - _GRACE_SECONDS - _FRESH * self.interval
        return 1.0 if over <= 0 else float(0.5 ** (over / (_FRESH * self.interval)))


def note(sighted: dict[_Key, Sighted], key: _Key, minute: int, now: float, tally: Tally) -> None:
    """Take in that a layer, or what else is the key, saw the edge in a minute."""
    if (known := sighted.get(key)) is not None:
        known.see(minute, now)
        return
    # Of an edge that is sampled one call in a hundred, the second sighting may be long in coming.
    rarity = tally.calls / tally.sampled if tally.sampled > 0 else 1.0
    interval = WINDOW_SECONDS * min(max(rarity, 1.0), _RAREST)
    sighted[key] = Sighted(float(minute), min(now, float(minute + WINDOW_SECONDS)), interval)


def confidence(parts: Mapping[Layer, Sighted], contradicted: bool, now: float) -> float:
    """0..1 that an edge is real now: each layer's word, faded by its silence; agreeing layers raise it.

    `contradicted`: a layer that covers both ends has not seen it. That tells against an estimate only: a connection that
    was seen is one, whether or not a request went over it.
    """
    doubt = 1.0
    for layer, part in parts.items():
        word = _BASE_CONFIDENCE[layer] * part.decay(now)
        detail = part.detail
        if detail is not None and detail.certainty < 1.0:
            word *= detail.certainty * (_CONFLICT if contradicted and detail.certainty < _MERE_ESTIMATE else 1.0)
        doubt *= 1.0 - word
    return 1.0 - doubt


def freshest(parts: Iterable[Sighted], now: float) -> str:
    """The best any layer says: `fresh`, `fading` or `stale`."""
    found = {part.freshness(now) for part in parts}
    return next(word for word in ("fresh", "fading", "stale") if word in found)


def worth_showing(parts: Mapping[Layer, Sighted], sure: float) -> bool:
    """Whether an edge of confidence `sure` is above the display threshold."""
    estimated = all(part.detail is not None and part.detail.certainty < 1.0 for part in parts.values())
    return sure >= (SHOWN_ESTIMATE if estimated else SHOWN)


def reasons(parts: Mapping[Layer, Sighted], contradicted: bool, now: float) -> list[str]:
    """Why the confidence is what it is, as short sentences, the layers first."""
    said = [_layers(parts)]
    for layer, part in sorted(parts.items()):
        if part.freshness(now) != "fresh":
            silent, habit = spelled(now - part.last_seen), spelled(part.interval)
            said.append(f"{layer}: silent for {silent}, usually seen every {habit}")
        if part.certainty < 1.0:
            said.append(f"{layer}: estimated behind an intermediary, {part.certainty:.0%} sure of the two ends")
    if contradicted and any(part.certainty < _MERE_ESTIMATE for part in parts.values()):
        said.append("a layer that covers both ends has not seen it")
    return said


def _layers(parts: Mapping[Layer, Sighted]) -> str:
    names = [layer.value for layer in sorted(parts)]
    return f"seen by {names[0]} only" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} agree"
