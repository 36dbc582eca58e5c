"""The alert path's steps, in order: read -> dedupe -> look closer -> find service -> correlate -> causes -> enrich -> decide -> notify.

Each takes a `Case`, adds its part, and may end the path early by returning the verdict the delivery is closed with. A
step that is not `essential` may fail: the alert then goes on plain, and the message says why (see `bot.incidents.path`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bot.enrich.causes.ranking import rank, without
from bot.enrich.facts import IncidentFacts, cause_facts, read_map, stored_cause
from bot.enrich.live_situation import SPAN_SECONDS, situation
from bot.enrich.thread_evidence import Evidence, read_evidence
from bot.enrich.view import MapView
from bot.errors import BadRequest
from bot.graph.walk import dependencies
from bot.incidents.case import Case, Found, key_of
from bot.incidents.correlate import NewAlerts
from bot.incidents.courtesy import Courtesies
from bot.incidents.decide import alert_change, superseded
from bot.incidents.finding import find_service, surely_known
from bot.incidents.gathering import beyond_memory, concerned, members, onset, place
from bot.incidents.open_incidents import NEEDS_HOPS, NEEDS_LIMIT, OpenIncidents
from bot.incidents.routing import Route
from bot.incidents.telling import Etiquette, Telling, Words
from bot.model import Alert, AlertStatus, Delivery, Message
from bot.storage.alert_records import Queued
from bot.storage.alert_store import AlertStore

THOUGHT_SECONDS = SPAN_SECONDS / 2
"""For how long after its onset the cause of an incident is thought out anew."""

_DAY = 86_400.0

Parser = Callable[[bytes, Mapping[str, str], float], Delivery]
StepRun = Callable[[Case], Awaitable[str | None]]
Teller = Callable[[int, str, str], None]
NoteTaker = Callable[[IncidentFacts, Sequence[Alert]], list[tuple[str, str, Message]]]
LookCloser = Callable[[Alert, bool], Awaitable[Alert]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the path. Returning a text from `run` ends the path with that verdict."""

    name: str
    run: StepRun
    essential: bool = True


@dataclass(frozen=True, slots=True)
class AlertPath:
    """The steps with what they need. `channel` gets what no route claims."""

    store: AlertStore
    view: MapView
    parsers: Mapping[str, Parser]
    words: Words
    channel: str
    tell: Teller = lambda incident_id, state, title: None
    """Who listens to incidents as they change."""
    hurried: Callable[[], bool] = lambda: False
    """Whether deliveries come so fast that none should wait for what can be done later."""
    past: Callable[[float], Awaitable[MapView]] | None = None
    """The map of a moment: what is usual at this hour is read from the day before. It takes longer than an alert should wait,
    so only second thoughts use it."""
    routes: Sequence[Route] = ()
    """Which incidents go to which channel; see `bot.incidents.routing`."""
    notes: NoteTaker = lambda facts, alerts: []
    """What is to be written beside the Slack message: key, channel and content of each note."""
    look_closer: Mapping[str, LookCloser] = field(default_factory=dict)
    """Source -> who can tell more of an alert than its webhook says, in bounded time, or at once where its service is known
    surely; gives the alert back as it was where it cannot."""

    opens: OpenIncidents = field(default_factory=OpenIncidents)
    etiquette: Etiquette = field(default_factory=Etiquette)
    """Whom incidents call, and when they wait; see `bot.incidents.telling`."""
    courtesies: Courtesies | None = None
    """Who tells other teams; None where that is not wanted."""

    def arriving(self) -> tuple[Step, ...]:
        """The path as far as the whole delivery goes it: a service must be found before alerts about it can join an incident."""
        return (
            Step("read", self.read),
            Step("dedupe", self.dedupe),
            Step("look closer", self.closer, essential=False),
            Step("find service", self.find_service, essential=False),
            Step("correlate", self.correlate),
        )

    def steps(self) -> tuple[Step, ...]:
        """The path of each incident that the delivery concerns: what it says is decided when the map was read, and all of it is
        stored by the last step, at once."""
        return (
            Step("causes", self.causes, essential=False),
            Step("enrich", self.enrich, essential=False),
            Step("decide", self.decide),
            Step("courtesy", self.tell_others, essential=False),
            Step("notify", self.notify),
        )

    async def read(self, case: Case) -> str | None:
        """Parse the stored body again: what is stored is what was sent, so a better parser can work it once more."""
        stored = case.delivery
        if stored is None:
            raise LookupError("there is no delivery to read")
        try:
            delivery = self.parsers[stored.source](stored.body, stored.headers, stored.received_at)
        except BadRequest as error:
            return f"unreadable: {error}"
        case.alerts = delivery.alerts
        return None if delivery.alerts else f"ignored: {delivery.ignored or 'no alerts in it'}"

    async def dedupe(self, case: Case) -> str | None:
        """Keep the alerts that say something new. A repeat of what is known ends here."""
        case.known = await self.store.known(case.alerts)
        for alert in case.alerts:
            change = alert_change(case.known.get(key_of(alert)), alert)
            if change:
                case.changed.append(alert)
                case.decided_of(
                    alert, "dedupe", change, f"{alert.source} {alert.fingerprint[:40]} since {alert.starts_at:.0f}"
                )
        for alert in superseded(case.known.values(), case.changed):
            case.changed.append(alert)
            case.decided_of(alert, "dedupe", "superseded", f"{alert.source} {alert.fingerprint[:40]} began anew")
        return None if case.changed else "nothing new: every alert in it is known in this state"

    async def closer(self, case: Case) -> str | None:
        """Ask the source what an alert's webhook left out, where that may tell its service: the alert's own labels."""
        for index, alert in enumerate(case.changed):
            look, stored = self.look_closer.get(alert.source), case.known.get(key_of(alert))
            if look is None or (stored is not None and stored.service):
                continue
            case.changed[index] = seen = await look(alert, surely_known(self.view, alert))
            if seen is not alert:
                case.decided_of(
                    seen, "look closer", "told more", f"{len(seen.service_hints)} names, {len(seen.labels)} labels"
                )
        return None

    async def find_service(self, case: Case) -> str | None:
        """Find each alert's service on the map; where none is found the alert goes on with the name it came with."""
        for alert in case.changed:
            stored = case.known.get(key_of(alert))
            if stored is not None and stored.service:
                case.found[key_of(alert)] = Found(stored.service, stored.named, "as before")
                continue
            found = find_service(alert, self.view)
            case.found[key_of(alert)] = found
            case.decided_of(alert, "find service", found.service or "unknown", found.why)
        return None

    async def correlate(self, case: Case) -> str | None:
        """Join open incidents, or open one: `case.parts` has a case for each incident that the delivery concerns."""
        groups: dict[int, list[Alert]] = {}
        for alert in case.changed:
            stored = case.known.get(key_of(alert))
            groups.setdefault(stored.incident_id if stored is not None else 0, []).append(alert)
        reasons = {one: ("same_alert", f"incident {one} has this alert already") for one in groups if one}
        if new := groups.pop(0, []):
            into, verdict, reason = await self._belongs(case, new)
            groups[into] = [*groups.get(into, ()), *new]
            reasons[into] = verdict, reason
            case.joined_by = (verdict, reason)
        for number, alerts in groups.items():
            last = len(case.parts) == len(groups) - 1
            part = case.part(alerts, last)
            part.decided("correlate", *reasons[number])
            part.incident = await self.store.incident(number) if number else None
            part.members = members(await self.opens.members(self.store, number) if number else [], part)
            case.parts.append(part)
        return None

    async def _belongs(self, case: Case, new: list[Alert]) -> tuple[int, str, str]:
        """(incident that new alerts belong to, 0 for a new one; the rule; the reason)"""
        first = new[0]
        services = tuple(sorted({service for alert in new if (service := place(case, alert)[0])}))
        joined = await self.store.open_incident(first.source, first.group_key, services, first.environment)
        if joined is not None:
            return joined[0].id, joined[1], f"joins incident {joined[0].id}"
        if services:
            needs = dependencies(self.view.graph, services, NEEDS_HOPS, limit=NEEDS_LIMIT).found
            places = self.view.places.shared(services, case.now)
            alerts = NewAlerts(services, first.environment, min(one.starts_at for one in new), needs, places)
            if (found := self.opens.explaining(alerts)) is not None:
                return found
        return 0, "new", "no open incident shares its group or its service, or explains it"

    async def causes(self, case: Case) -> str | None:
        """Where the first service's trouble likely comes from: read off the map here, thought out in a thread.

        It takes longer than all the rest, so while deliveries come fast it is put off (see `bot.incidents.rethinking`).
        """
        if self.hurried():
            case.evidence = Evidence.stored(case.before)
            case.cause = stored_cause(case.before or {})
            case.decided("causes", "put off", "other alerts come fast: thought out when there is time")
            return None
        return await self.think(case)

    async def think(self, case: Case) -> str | None:
        """The same, whoever waits. Of trouble that goes on for long, memory has too little of what was usual before: what was
        said of its cause stands."""
        case.thought = True
        case.evidence = Evidence.stored(case.before)
        said = stored_cause(case.before or {})
        rejected = await self.store.rejected(case.incident.id) if case.incident is not None else frozenset()
        if said is not None and said.service not in rejected and case.now - onset(case) > THOUGHT_SECONDS:
            case.cause = said
            case.decided("causes", "kept", "the trouble is older than what is known of usual times reaches")
            return None
        services, _ = concerned(case)
        known = [service for service in services if service in self.view.graph]
        if not known or not any(stored.alert.status is not AlertStatus.RESOLVED for stored in case.members):
            return None
        about = next((stored.alert.title for stored in case.members if stored.service == known[0]), "")
        again = case.delivery is None
        usual = await self.past(onset(case) - _DAY) if self.past is not None and again else None
        around = situation(self.view, known[0], onset(case), about, usual, until=case.now)
        verdict = without(await asyncio.to_thread(rank, around, self.view.metrics), rejected)
        old = usual is None and case.now - onset(case) > THOUGHT_SECONDS
        found = case.cause = beyond_memory(cause_facts(verdict)) if old else cause_facts(verdict)
        case.evidence = read_evidence(self.view, known[0], found.service, onset(case), case.now)
        named = f"named {found.service}" if found.service else "named nobody"
        case.decided("causes", named, found.why_none or "; ".join(found.evidence))
        return None

    async def enrich(self, case: Case) -> str | None:
        """Read the alert against the map."""
        services, unknown = concerned(case)
        case.map = read_map(self.view, services, unknown, case.now, onset(case), case.cause)
        return None

    async def decide(self, case: Case) -> str | None:
        """Gather the facts and decide whether a reader needs to see them."""
        telling = Telling(self.view, self.words, self.channel, self.routes, self.etiquette, self.opens)
        telling.decide(case)
        return None

    async def tell_others(self, case: Case) -> str | None:
        """Tell other teams whose services depend on what fails, where that is wanted."""
        if self.courtesies is not None:
            await self.courtesies.tell(case)
        return None

    async def notify(self, case: Case) -> str | None:
        """Store everything in one transaction: incident, alerts, decisions, the message's next wording, the delivery."""
        facts = case.facts
        if facts is None:
            raise LookupError("the decide step left no facts")
        outcome = case.outcome
        if case.delivery is not None:
            outcome.verdict = f"{len(case.changed)} of {len(case.alerts)} alerts said something new"
        outcome.incident_id = case.incident.id if case.incident else None
        outcome.alerts = [(alert, *place(case, alert)) for alert in case.changed]
        outcome.incident = {
            "state": facts.state, "environment": facts.environment, "title": facts.title[:300], "opened_at": facts.opened_at,
            "updated_at": case.now, "resolved_at": facts.resolved_at, "facts": case.stored,
        }  # fmt: skip
        if case.incident is None:
            outcome.incident |= {"group_key": case.changed[0].group_key, "created_at": case.now}
        if facts.state == "resolved" and facts.outcome is not None:
            outcome.grade = asdict(facts.outcome)
        messages = list(case.messages)
        if case.rewritten:
            messages += [Queued(*note) for note in self.notes(facts, [one.alert for one in case.members])]
        incident_id = case.incident_id = await self.store.commit(outcome, messages)
        if incident_id is not None:
            self.opens.put(incident_id, facts.state, facts.environment, case.stored, case.members, self.view.graph)
            self.tell(incident_id, facts.state, facts.title)
        _note_firing(self.view.firing, case)
        return outcome.verdict


def _note_firing(firing: dict[str, float], case: Case) -> None:
    """Keep the list of firing services true to this incident. (A service that another incident holds, too, comes back with
    the next full reading, see `bot.app`.)"""
    since: dict[str, float] = {}
    for stored in case.members:
        if stored.service and stored.alert.status is not AlertStatus.RESOLVED:
            since.setdefault(stored.service, stored.alert.starts_at)
    for stored in case.members:
        if stored.service not in since:
            firing.pop(stored.service, None)
    firing.update(since)
