"""The alert path's steps, in order: read -> dedupe -> find service -> correlate -> causes -> enrich -> decide -> notify.

Each takes a `Case`, adds its part, and may end the path early by returning the verdict the delivery is closed with. A
step that is not `essential` may fail: the alert then goes on plain, and the message says why (see `bot.incidents.path`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass

from bot import names
from bot.enrich.causes.ranking import rank
from bot.enrich.facts import Followed, IncidentFacts, SourceCount, cause_facts, followed, read_map, stored_cause
from bot.enrich.live_situation import SPAN_SECONDS, situation
from bot.enrich.view import MapView
from bot.errors import BadRequest
from bot.incidents.case import Case, Found, key_of
from bot.incidents.decide import alert_change, incident_state, message_action
from bot.model import Alert, AlertStatus, Delivery, Message, ServiceHint
from bot.near_names import close_matches
from bot.storage.alert_store import AlertStore, StoredAlert
from bot.storage.outbox_store import ROOT_KEY

THOUGHT_SECONDS = SPAN_SECONDS / 2
"""For how long after its onset the cause of an incident is thought out anew."""

_DAY = 86_400.0

Parser = Callable[[bytes, Mapping[str, str], float], Delivery]
Renderer = Callable[[IncidentFacts], Message]
StepRun = Callable[[Case], Awaitable[str | None]]
Teller = Callable[[int, str, str], None]


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
    render: Renderer
    channel: str
    tell: Teller = lambda incident_id, state, title: None
    """Who listens to incidents as they change."""
    hurried: Callable[[], bool] = lambda: False
    """Whether deliveries come so fast that none should wait for what can be done later."""
    past: Callable[[float], Awaitable[MapView]] | None = None
    """The map of a moment: what is usual at this hour is read from the day before. It takes longer than an alert should wait,
    so only second thoughts use it."""

    def steps(self) -> tuple[Step, ...]:
        """The path. Order matters: a service must be found before alerts about it can join an incident, the incident
        must be known before its message can be decided, and everything is stored by the last step, at once."""
        return (
            Step("read", self.read),
            Step("dedupe", self.dedupe),
            Step("find service", self.find_service, essential=False),
            Step("correlate", self.correlate),
            Step("causes", self.causes, essential=False),
            Step("enrich", self.enrich, essential=False),
            Step("decide", self.decide),
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
                case.decided("dedupe", change, f"{alert.source} {alert.fingerprint[:40]} since {alert.starts_at:.0f}")
        return None if case.changed else "nothing new: every alert in it is known in this state"

    async def find_service(self, case: Case) -> str | None:
        """Find each alert's service on the map; where none is found the alert goes on with the name it came with."""
        for alert in case.changed:
            stored = case.known.get(key_of(alert))
            if stored is not None and stored.service:
                case.found[key_of(alert)] = Found(stored.service, stored.named, "as before")
                continue
            found = self._find(alert)
            case.found[key_of(alert)] = found
            case.decided("find service", found.service or "unknown", found.why)
        return None

    def _find(self, alert: Alert) -> Found:
        index = self.view.graph.names
        for hint in alert.service_hints:
            for text in _spellings(hint, alert.environment):
                if (service := index.find(text)) is not None:
                    return Found(service, hint.name, f"{hint.origin} says {hint.name!r}")
        readable = [hint for hint in alert.service_hints if not hint.opaque]
        if not readable:
            return Found("", "", "the alert names no service")
        first = readable[0]
        name = names.clean(first.name)[: names.MAX_ID]
        near = [one for one in close_matches(name, self.view.graph.services()) if (name, one) not in self.view.apart]
        return Found("", name, f"no service called {first.name!r} on the map", tuple(near[:3]))

    async def correlate(self, case: Case) -> str | None:
        """Join an open incident, or open one."""
        stored = next((case.known[key_of(alert)] for alert in case.changed if key_of(alert) in case.known), None)
        if stored is not None:
            case.incident = await self.store.incident(stored.incident_id)
            case.decided("correlate", "same_alert", f"incident {stored.incident_id} has this alert already")
        else:
            first = case.changed[0]
            services = sorted({found.service for found in case.found.values() if found.service})
            joined = await self.store.open_incident(first.source, first.group_key, services, first.environment)
            if joined is not None:
                case.incident, reason = joined
                case.decided("correlate", reason, f"joins incident {case.incident.id}")
            else:
                case.decided("correlate", "new", "no open incident shares its group or its service")
        case.members = await self.store.alerts_of(case.incident.id) if case.incident else []
        case.members = _with(case.members, case)
        return None

    async def causes(self, case: Case) -> str | None:
        """Where the first service's trouble likely comes from: read off the map here, thought out in a thread.

        It takes longer than all the rest, so while deliveries come fast it is put off (see `bot.incidents.rethinking`).
        """
        if self.hurried():
            case.cause = stored_cause(case.incident.facts) if case.incident is not None else None
            case.decided("causes", "put off", "other alerts come fast: thought out when there is time")
            return None
        return await self.think(case)

    async def think(self, case: Case) -> str | None:
        """The same, whoever waits. Of trouble that goes on for long, memory has too little of what was usual before: what was
        said of its cause stands."""
        case.thought = True
        said = stored_cause(case.incident.facts) if case.incident is not None else None
        if said is not None and case.now - _onset(case) > THOUGHT_SECONDS:
            case.cause = said
            case.decided("causes", "kept", "the trouble is older than what is known of usual times reaches")
            return None
        services, _ = _concerned(case)
        known = [service for service in services if service in self.view.graph]
        if not known or not any(stored.alert.status is not AlertStatus.RESOLVED for stored in case.members):
            return None
        about = next((stored.alert.title for stored in case.members if stored.service == known[0]), "")
        again = case.delivery is None
        usual = await self.past(_onset(case) - _DAY) if self.past is not None and again else None
        around = situation(self.view, known[0], _onset(case), about, usual, until=case.now)
        found = case.cause = cause_facts(await asyncio.to_thread(rank, around, self.view.metrics))
        verdict = f"named {found.service}" if found.service else "named nobody"
        case.decided("causes", verdict, found.why_none or "; ".join(found.evidence))
        return None

    async def enrich(self, case: Case) -> str | None:
        """Read the alert against the map."""
        services, unknown = _concerned(case)
        case.map = read_map(self.view, services, unknown, case.now, _onset(case), case.cause)
        return None

    async def decide(self, case: Case) -> str | None:
        """Gather the facts and decide whether a reader needs to see them."""
        before = case.incident.facts if case.incident else None
        case.facts = _facts(case, followed(before, case.map))
        action, reason = message_action(before, case.facts)
        case.decided("decide", action, reason)
        case.message = None if action == "leave" else self.render(case.facts)
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
        outcome.alerts = [(alert, *_place(case, alert)) for alert in case.changed]
        outcome.incident = {
            "state": facts.state, "environment": facts.environment, "title": facts.title[:300], "opened_at": facts.opened_at,
            "updated_at": case.now, "resolved_at": facts.resolved_at, "facts": facts.stored(),
        }  # fmt: skip
        if case.incident is None:
            outcome.incident |= {"group_key": case.changed[0].group_key, "created_at": case.now}
        if facts.state == "resolved" and facts.outcome is not None:
            outcome.grade = asdict(facts.outcome)
        message = None if case.message is None else (ROOT_KEY, self.channel, case.message)
        incident_id = case.incident_id = await self.store.commit(outcome, message)
        if incident_id is not None:
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


def _spellings(hint: ServiceHint, environment: str) -> list[str]:
    """The ids a hint may mean, surest first. A display name's spaces stand for the dashes of an id."""
    plain = names.clean(hint.name)
    spelt = [plain, plain.replace(" ", "-")] if " " in plain else [plain]
    found = [f"{text}.{names.clean(hint.namespace)}" for text in spelt if hint.namespace] + spelt
    suffix = names.clean(environment)
    return [f"{text}@{suffix}" for text in found if suffix] + found


def _place(case: Case, alert: Alert) -> tuple[str, str]:
    found = case.found.get(key_of(alert))
    return (found.service, found.named) if found else ("", "")


def _with(members: list[StoredAlert], case: Case) -> list[StoredAlert]:
    """The incident's alerts as they are after this delivery."""
    incident_id = case.incident.id if case.incident else 0
    merged = {(stored.alert.source, key_of(stored.alert)): stored for stored in members}
    for alert in case.changed:
        merged[alert.source, key_of(alert)] = StoredAlert(alert, incident_id, *_place(case, alert))
    return sorted(
        merged.values(), key=lambda stored: (stored.alert.starts_at, stored.alert.source, stored.alert.fingerprint)
    )


def _onset(case: Case) -> float:
    return min(stored.alert.starts_at for stored in case.members)


def _concerned(case: Case) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The services still alerting (all of them once everything is resolved), and names that are on no map."""
    live = [stored for stored in case.members if stored.alert.status is not AlertStatus.RESOLVED] or case.members
    closest = {found.named: found.closest for found in case.found.values()}
    known = list(dict.fromkeys(stored.service for stored in live if stored.service))
    unknown = {stored.named: closest.get(stored.named, ()) for stored in live if not stored.service and stored.named}
    return known, unknown


def _facts(case: Case, outcome: Followed | None) -> IncidentFacts:
    alerts = [stored.alert for stored in case.members]
    state = incident_state([alert.status for alert in alerts])
    live = [alert for alert in alerts if alert.status is not AlertStatus.RESOLVED] or alerts
    worst = min(live, key=lambda alert: (_SEVERITIES.get(alert.severity.lower(), 9), alert.starts_at))
    services, unknown = _concerned(case)
    ends = [alert.ends_at for alert in alerts if alert.ends_at]
    return IncidentFacts(
        state=state,
        title=worst.title,
        summary=worst.summary,
        severity=worst.severity,
        environment=next((alert.environment for alert in live if alert.environment), ""),
        opened_at=min(alert.starts_at for alert in alerts),
        updated_at=case.now,
        resolved_at=(max(ends) if ends else case.now) if state == "resolved" else None,
        sources=_sources(alerts),
        services=(*services, *unknown),
        map=case.map,
        degraded=case.degraded,
        link=worst.link,
        runbook=worst.runbook or (case.map.runbook if case.map else ""),
        outcome=outcome,
    )


def _sources(alerts: list[Alert]) -> tuple[SourceCount, ...]:
    counted = []
    for source in sorted({alert.source for alert in alerts}):
        mine = [alert for alert in alerts if alert.source == source]
        firing = sum(alert.status is not AlertStatus.RESOLVED for alert in mine)
        newest = mine[-1]
        counted.append(SourceCount(source, firing, len(mine), newest.number, newest.link))
    return tuple(counted)


_SEVERITIES = {
    "page": 0,
    "critical": 0,
    "p1": 0,
    "error": 1,
    "high": 1,
    "p2": 1,
    "warning": 2,
    "p3": 2,
    "low": 3,
    "info": 4,
}
