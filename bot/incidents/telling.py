"""What is said of an incident, and where: posted, edited, held back, left. The decide step's own work.

Comes in: a case that was read against the map. Goes out: its facts, the messages to queue, and every decision with its reason.
Nothing here waits or writes; all of it is stored by the notify step, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bot.enrich.facts import IncidentFacts, followed
from bot.enrich.manners import Manners
from bot.enrich.thread_evidence import Evidence
from bot.enrich.thread_lines import tell
from bot.enrich.told import Line, Told
from bot.enrich.view import MapView
from bot.incidents.case import Case
from bot.incidents.conditions import Conditions
from bot.incidents.decide import message_action
from bot.incidents.gathering import gathered, known_each, routed_by
from bot.incidents.holding import HELD, POSTED, Holding, foremost_hit, hold
from bot.incidents.mentions import whom
from bot.incidents.open_incidents import OpenIncidents
from bot.incidents.quiet import QuietHours, quiet
from bot.incidents.routing import Route, destination
from bot.model import Message
from bot.storage.alert_records import Hold, Queued
from bot.storage.outbox_store import EVIDENCE_KEY, ROOT_KEY


class Words(Protocol):
    """How an incident's messages are written."""

    def incident(self, facts: IncidentFacts) -> Message:
        """The root message."""
        ...

    def evidence(self, evidence: Evidence, facts: IncidentFacts) -> Message:
        """The first post of its thread."""
        ...

    def folded(self, services: Sequence[str], title: str, into: int, about: str, why: str) -> Message:
        """What is left of the root message of an incident that turned out to be another, the one numbered `into`."""
        ...

    def thread(self, lines: Sequence[Line], facts: IncidentFacts, incident: int) -> Message:
        """What has happened since the last post."""
        ...


@dataclass(frozen=True, slots=True)
class Etiquette:
    """What settings say of manners: for which incidents an owner is called, and who has quiet hours when."""

    mentions: Sequence[Conditions] = ()
    quiet_hours: Sequence[QuietHours] = ()


@dataclass(frozen=True, slots=True)
class Telling:
    """What the decision needs. `channel` gets what no route claims."""

    view: MapView
    words: Words
    channel: str
    routes: Sequence[Route] = ()
    etiquette: Etiquette = field(default_factory=Etiquette)
    opens: OpenIncidents = field(default_factory=OpenIncidents)

    def decide(self, case: Case) -> None:
        """Gather the facts and decide whether a reader needs to see them."""
        before = case.before
        manners = Manners.stored(before)
        facts = gathered(case, followed(before, case.map))
        holding, manners = self._holding(case, facts, manners)
        if holding.verdict == HELD:
            self._keep(case, replace(facts, manners=manners), holding)
            return
        said = None if holding.verdict == POSTED else before
        told, lines = tell(said, facts, case.joining() if said else (), case.now)
        channel = (said or {}).get("channel", "") or self._channel(case, facts)
        if not said:
            manners = self._mention(case, facts, manners)
        case.facts = facts = replace(facts, told=told, channel=channel, manners=manners)
        case.stored = facts.stored()
        action, reason = message_action(said, case.stored)
        case.decided("decide", action, holding.reason or reason)
        if action != "leave":
            case.messages.append(Queued(ROOT_KEY, channel, self.words.incident(facts)))
        if facts.evidence and not facts.evidence.says_as(Evidence.stored(said)):
            evidence = self.words.evidence(facts.evidence, facts)
            case.messages.append(Queued(EVIDENCE_KEY, channel, evidence, ROOT_KEY))
        if lines:
            number = case.incident.id if case.incident is not None else 0
            post = self.words.thread(lines, facts, number)
            case.messages.append(Queued(f"incident:{{incident}}:thread:{told.posts}", channel, post, ROOT_KEY))
        case.rewritten = action != "leave"
        case.news = bool(case.messages) or told != Told.stored(before)

    # -- quiet hours -----------------------------------------------------------------------------------------------------

    def _holding(self, case: Case, facts: IncidentFacts, manners: Manners) -> tuple[Holding, Manners]:
        rules = self.etiquette.quiet_hours
        if case.before is not None and not manners.held:
            return Holding("", ""), manners
        silent = quiet(rules, known_each(self.view, facts), case.now) if rules else None
        foremost = foremost_hit(self.view, facts) if silent is not None else ""
        found = hold(manners if case.before is not None else None, facts, silent, foremost, case.shown)
        if not found.verdict:
            return found, manners
        since = manners.held_since or case.now
        case.released = found.verdict == POSTED
        if found.verdict == HELD or manners.held:
            state = POSTED if case.released else "over" if facts.state == "resolved" else HELD
            where = self._channel(case, facts) if found.verdict == HELD else ""
            until = found.until or manners.held_until or case.now
            case.outcome.hold = Hold(since, until, state, facts.title, facts.services[:_LISTED], where)
            manners = replace(manners, held_since=since, held_until=found.until)
        if found.until != Manners.stored(case.before).held_until or found.verdict == POSTED:
            case.decided("quiet hours", found.verdict, found.reason)
        return found, manners

    def _keep(self, case: Case, facts: IncidentFacts, holding: Holding) -> None:
        """Post nothing, and remember how it stands: there is no message yet, so nothing of it is news to anybody."""
        before = case.before
        case.facts = facts = replace(facts, channel="", told=Told())
        case.stored = facts.stored()
        action, reason = message_action(before, case.stored)
        case.rewritten = action != "leave"
        case.news = case.rewritten or facts.manners != Manners.stored(before)
        case.decided("decide", "keep", holding.reason if not before else reason)

    # -- where, and to whom ----------------------------------------------------------------------------------------------

    def _channel(self, case: Case, facts: IncidentFacts) -> str:
        posted = bool(case.before) and not Manners.stored(case.before).held
        if posted or not self.routes:
            return self.channel
        channel, why = destination(self.routes, *routed_by(self.view, facts), self.channel)
        case.decided("route", channel, why)
        return channel

    def _mention(self, case: Case, facts: IncidentFacts, manners: Manners) -> Manners:
        """Decide once whom the first post calls."""
        first = facts.services[0] if facts.services else ""
        entry = self.view.entry(first)
        if entry is None or entry.owner is None or facts.state == "resolved":
            return manners
        known = known_each(self.view, facts)[:1]
        silent = quiet(self.etiquette.quiet_hours, known, case.now)
        others = (one for one in self.opens.all() if case.incident is None or one.id != case.incident.id)
        told = next((one.id for one in others if first in one.predicted), 0)
        foretold = f"incident {told} said that {first} would be hit" if told else ""
        wanted = self.etiquette.mentions
        called, name, why = whom(entry.owner, wanted, known[0], silent.why if silent else "", foretold)
        if wanted:
            case.decided("mention", name if called else "nobody", why)
        return replace(manners, mention=called, mentioned=name if called else "")


_LISTED = 20
