"""What an incident's thread is told: one line for each real change between two readings of its facts. Pure.

Comes in: the facts as they were stored, the facts now. Goes out: `Line`s, and `Told`, which is stored with the facts, so that
nothing is said twice. What is lost: lines that wait beyond `MAX_WAITING`, which are counted; how often what comes and goes does so.

A service that was hit once counts as hit until the incident is over (see `bot.enrich.facts.followed`), so it is told of once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.enrich.facts import IncidentFacts
from bot.enrich.told import Line, Told

PAUSE_SECONDS = 30.0
"""Between two posts to one thread; what happens meanwhile is told together."""

MAX_WAITING = 20
MAX_FLAPS = 3
FLAP_SECONDS = 900.0
"""A service that recovers and fails again this often within this time is said to come and go, and then nothing more."""

CAUSE_SECONDS = 120.0
"""A cause has to stand for so long before another one is told of."""


@dataclass(frozen=True, slots=True)
class Joining:
    """An alert that joined an incident that was open: its service ('' if unknown), title, and why it belongs there."""

    service: str
    title: str
    why: str
    folded: bool = False
    """Not an alert, but an incident about that service that turns out to be this one."""


def tell(
    before: Mapping[str, Any] | None, after: IncidentFacts, joining: Sequence[Joining], now: float
) -> tuple[Told, tuple[Line, ...]]:
    """What to post to the thread now, and how far it is then. The first facts of an incident are its message, not news; what
    is news waits until the last post is `PAUSE_SECONDS` old, unless the incident is over."""
    told = Told.stored(before)
    if not before:
        cause = after.map.cause.service if after.map is not None and after.map.cause is not None else ""
        return Told(cause=cause, cause_at=now, changes=tuple(_changes(after)), posted_at=now), ()
    state = _State(told, now)
    state.add(before, after, joining)
    waiting = (*told.waiting, *state.lines)
    kept, left_out = waiting[:MAX_WAITING], told.left_out + max(0, len(waiting) - MAX_WAITING)
    over = after.state == "resolved" and before.get("state") != "resolved"
    due = over or now - told.posted_at >= PAUSE_SECONDS
    post: tuple[Line, ...] = ()
    posts, posted_at = told.posts, told.posted_at
    if due and (kept or over):
        post = (*kept, *((("more", left_out),) if left_out else ()), *((("over",),) if over else ()))
        kept, left_out, posts, posted_at = (), 0, posts + 1, now
    return (
        Told(posts, posted_at, kept, left_out, state.cause, state.cause_at, state.changes, state.turns),
        post,
    )


class _State:
    """What changed between two readings, as lines."""

    def __init__(self, told: Told, now: float) -> None:
        self.lines: list[Line] = []
        self.cause, self.cause_at, self.changes, self.turns = told.cause, told.cause_at, told.changes, dict(told.turns)
        self._now = now

    def add(self, before: Mapping[str, Any], after: IncidentFacts, joining: Sequence[Joining]) -> None:
        was = before.get("state", "")
        if was == "resolved" and after.state != "resolved":
            self.lines.append(("again",))
        elif was == "open" and after.state == "acknowledged":
            self.lines.append(("acknowledged",))
        self._alerts(before, after, joining)
        self._radius(before, after, {one.service for one in joining})
        if after.state != "resolved":
            self._cause(after)
            self._changed(after)

    def _alerts(self, before: Mapping[str, Any], after: IncidentFacts, joining: Sequence[Joining]) -> None:
        known = set(before.get("services", ()))
        self.lines += [("folded", one.service, one.why) for one in joining if one.folded]
        for one in {one.service: one for one in joining if one.service not in known and not one.folded}.values():
            if self._turn(one.service):
                self.lines.append(("alert", one.service, one.title, one.why))
        gone = [service for service in before.get("services", ()) if service not in after.services]
        if after.state != "resolved":
            for service in gone:
                if self._turn(service):
                    self.lines.append(("recovered", service, len(after.services)))

    def _turn(self, service: str) -> bool:
        """Whether a turn of a service is told of: not where it comes and goes."""
        since, turns = self.turns.get(service, (self._now, 0))
        if self._now - since > FLAP_SECONDS:
            since, turns = self._now, 0
        self.turns[service] = since, turns + 1
        if turns + 1 == MAX_FLAPS:
            self.lines.append(("flapping", service))
        return turns + 1 < MAX_FLAPS

    def _radius(self, before: Mapping[str, Any], after: IncidentFacts, joined: set[str]) -> None:
        outcome, known = after.outcome, before.get("outcome") or {}
        if outcome is None or not known:
            return
        so_far = set(known.get("hit", ()))
        new = [one for one in outcome.hit if one not in so_far]
        if new:
            self.lines.append(("hit", [*new], len(outcome.hit), len(outcome.predicted)))
        missed = [one for one in outcome.missed if one not in set(known.get("missed", ()))]
        if missed:
            self.lines.append(("missed", [*missed]))

    def _cause(self, after: IncidentFacts) -> None:
        cause = after.map.cause if after.map is not None else None
        if cause is None or cause.service == self.cause or (self._now - self.cause_at < CAUSE_SECONDS and self.cause):
            return
        was, self.cause, self.cause_at = self.cause, cause.service, self._now
        if cause.service:
            self.lines.append(("cause", cause.service, was, cause.p, cause.evidence[0] if cause.evidence else ""))
        else:
            self.lines.append(("no cause", was, cause.why_none, was in cause.ruled_out))

    def _changed(self, after: IncidentFacts) -> None:
        for key, line in _changes(after).items():
            if key not in self.changes:
                self.changes = (*self.changes, key)[-50:]
                self.lines.append(("change", line))


def _changes(facts: IncidentFacts) -> dict[str, str]:
    return dict(facts.evidence.changes) if facts.evidence is not None else {}
