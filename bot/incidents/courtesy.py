"""Tells other teams, once and quietly, that something their services depend on is failing: a line each, in their own channels.

Comes in: a case that was decided. Goes out: lines to write and to edit, among the case's messages, kept with its facts; stored by
the notify step with everything else, so that no restart doubles one. What is lost: whom the cap, a mute, quiet hours or a line
that stands there already leaves out, each counted and among the decisions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from bot import metrics
from bot.enrich.blast import Dependent, blast_radius
from bot.enrich.facts import RADIUS_GRADED, IncidentFacts
from bot.enrich.manners import Courtesy
from bot.enrich.view import MapView
from bot.incidents.case import Case
from bot.incidents.conditions import Known
from bot.incidents.gathering import known_of
from bot.incidents.open_incidents import OpenIncidents
from bot.incidents.quiet import QuietHours, quiet
from bot.incidents.severity import MAJOR, rank
from bot.model import Message
from bot.slack_ids import channel
from bot.storage.alert_records import Queued
from bot.storage.outbox_store import ROOT_KEY

AFTER_SECONDS = 60.0
"""How long an incident has to stand before anybody else is told: much is over, or folded into another, by then."""
STORM_SECONDS = 1_800.0
"""A channel that was told of one open incident is not told of another within this time."""
SURE = 0.75
"""Confidence that every call on the way has to have."""
MOST_HOPS = 3
_MOST_PASSED = 20
_MOST_SERVICES = 20

KEY = "courtesy:{incident}.{created}:{channel}"
"""The key of a line in the outbox. Numbers of incidents may be given again; not at the same second."""

AT_RISK, HIT, OVER = "at risk", "hit", "over"

Write = Callable[[Courtesy, IncidentFacts, str], Message]
"""A line in words; the last is the address of the incident's message."""

Place = Callable[[str], Awaitable[tuple[str, str] | None]]
"""(channel's id, ts) of the message with a key; None where it is not out."""


class Channels(Protocol):
    """What is known of channels (see `bot.courtesy_book`)."""

    def same(self, one: str, other: str) -> bool:
        """Whether two texts name one channel."""
        ...

    def muted(self, channel: str) -> bool:
        """Whether a channel is to be left alone."""
        ...


@dataclass(frozen=True, slots=True)
class CourtesyRules:
    """`channels`: how many one incident tells at most. Told are owners of services of that `tier` or a better one, or of which
    that `share` of requests needs what fails."""

    channels: int = 3
    tier: int = 2
    share: float = 0.5


def worth_telling(facts: IncidentFacts, age: float) -> bool:
    """Whether an incident is bad enough, old enough and read surely enough to tell others of it."""
    read = facts.map is not None and not facts.degraded and not facts.map.truncated
    known = bool(facts.map is not None and facts.map.alerting and facts.services[0] in facts.map.alerting)
    return facts.state != "resolved" and read and known and age >= AFTER_SECONDS and rank(facts.severity) <= MAJOR


def at_risk(view: MapView, facts: IncidentFacts, rules: CourtesyRules, now: float) -> Iterator[Dependent]:
    """The dependents whose owners may be told, those that matter most first: not failing yet, important enough, and reached by
    calls that are surely there."""
    roots = facts.map.alerting if facts.map is not None else ()
    radius = blast_radius(view, roots, now, depth=MOST_HOPS, limit=RADIUS_GRADED)
    for service in radius.at_risk:
        one = radius.describe(service)
        matters = (one.tier.isdigit() and int(one.tier) <= rules.tier) or (one.share or 0.0) >= rules.share
        if matters and not one.asynchronous and one.owner is not None and _sure(view, one.path, now):
            yield one


def _sure(view: MapView, path: Sequence[str], now: float) -> bool:
    return all(
        view.graph.confidence(caller, callee, now) >= SURE
        and any(seen.certainty >= 1.0 for seen in view.graph.layers(caller, callee).values())
        for caller, callee in pairwise(path)
    )


@dataclass(frozen=True, slots=True)
class Courtesies:
    """The step, where courtesy is wanted."""

    view: MapView
    rules: CourtesyRules
    quiet_hours: Sequence[QuietHours]
    channels: Channels
    opens: OpenIncidents
    write: Write
    place: Place

    async def tell(self, case: Case) -> None:
        """Add to a case that was decided what other channels are told of it."""
        facts, incident = case.facts, case.incident
        if facts is None or incident is None or facts.manners.held:
            return
        manners, cause = facts.manners, _cause(facts)
        before = {one.key: one for one in (*manners.courtesies, *case.taken)}
        after = {key: replace(one, state=_state(one, facts), cause=cause) for key, one in before.items()}
        passed = list(manners.passed)
        root = await self.place(ROOT_KEY.format(incident=incident.id))
        if root is not None and worth_telling(facts, case.now - incident.created_at):
            for one in self._new(case, facts, list(after.values()), passed):
                key = KEY.format(incident=incident.id, created=int(incident.created_at), channel=one.channel)
                after[key] = replace(one, key=key, cause=cause, at=case.now)
                metrics.COURTESIES.labels("told").inc()
                case.decided("courtesy", one.channel, f"{one.services[0]} is at risk")
        kept = replace(manners, courtesies=tuple(after.values()), passed=tuple(passed))
        if kept == manners:
            return
        changed = [one for key, one in after.items() if _said(one) != _said(before.get(key))]
        case.facts = facts = replace(facts, manners=kept)
        case.stored = facts.stored()
        case.messages += [Queued(one.key, one.channel, self.write(one, facts, _address(root))) for one in changed]
        case.news = True

    def _new(self, case: Case, facts: IncidentFacts, told: Sequence[Courtesy], passed: list[str]) -> Iterable[Courtesy]:
        """Channels that are to be told now, each with its services; those that are not, and why, go to `passed`."""
        wanted: dict[str, list[str]] = {}
        first = self.view.entry(facts.services[0])
        ours = first.owner.team if first is not None and first.owner is not None else ""
        refused: set[str] = set()
        for one in at_risk(self.view, facts, self.rules, case.now):
            where = channel(one.owner.slack) if one.owner is not None else ""
            if not where or where in refused or (one.owner is not None and one.owner.team == ours):
                continue
            known = next((each for each in wanted if self.channels.same(each, where)), "")
            if known:
                wanted[known] = [*wanted[known], one.id][:_MOST_SERVICES]
                continue
            if any(self.channels.same(where, each) for each in (facts.channel, *(line.channel for line in told))):
                continue
            why = self._against(case, where, known_of(self.view, facts, one.id), len(told) + len(wanted))
            if not why:
                wanted[where] = [one.id]
                continue
            refused.add(where)
            if f"{where} {why}" not in passed and len(passed) < _MOST_PASSED:
                passed.append(f"{where} {why}")
                metrics.COURTESIES.labels(why.partition(":")[0]).inc()
                case.decided("courtesy", "nobody", f"{where}: {why}")
        return [Courtesy("", where, tuple(services)) for where, services in wanted.items()]

    def _against(self, case: Case, where: str, known: Known, told: int) -> str:
        """Why a channel is not told; "" for nothing."""
        if self.channels.muted(where):
            return "muted"
        if told >= self.rules.channels:
            return "cap"
        if quiet(self.quiet_hours, [known], case.now) is not None:
            return "quiet hours"
        mine = case.incident.id if case.incident is not None else 0
        others = (one for one in self.opens.all() if one.id != mine)
        lately = (each for one in others for each, at in one.told.items() if case.now - at < STORM_SECONDS)
        return "told already" if any(self.channels.same(where, each) for each in lately) else ""


def _state(one: Courtesy, facts: IncidentFacts) -> str:
    if facts.state == "resolved":
        return OVER
    failed = {*(facts.outcome.hit if facts.outcome is not None else ()), *facts.services}
    return HIT if failed.intersection(one.services) else AT_RISK


def _cause(facts: IncidentFacts) -> str:
    cause = facts.map.cause if facts.map is not None else None
    return cause.service if cause is not None and cause.service not in facts.services[:1] else ""


def _said(one: Courtesy | None) -> tuple[str, ...]:
    """What a reader sees of a line. Once it is over, nobody minds what it came from."""
    return () if one is None else (one.state, "" if one.state == OVER else one.cause)


def _address(root: tuple[str, str] | None) -> str:
    return f"https://slack.com/archives/{root[0]}/p{root[1].replace('.', '')}" if root is not None else ""
