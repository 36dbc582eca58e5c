"""What an incident's alerts come to: who is concerned, since when, in which state, and the facts its message says. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.enrich.facts import CauseFacts, Followed, IncidentFacts, SourceCount
from bot.enrich.view import MapView
from bot.incidents.case import Case, key_of
from bot.incidents.conditions import Known
from bot.incidents.decide import incident_state
from bot.incidents.severity import rank, words
from bot.model import ASSIGNED_TO, Alert, AlertStatus
from bot.slack_ids import channel
from bot.storage.alert_records import StoredAlert


def place(case: Case, alert: Alert) -> tuple[str, str]:
    """(the service on the map, what the sender called it)"""
    found = case.found.get(key_of(alert))
    return (found.service, found.named) if found else ("", "")


def members(known: list[StoredAlert], case: Case) -> list[StoredAlert]:
    """The incident's alerts as they are after this delivery."""
    incident_id = case.incident.id if case.incident else 0
    merged = {(stored.alert.source, key_of(stored.alert)): stored for stored in known}
    for alert in case.changed:
        merged[alert.source, key_of(alert)] = StoredAlert(alert, incident_id, *place(case, alert))
    return in_order(merged.values())


def in_order(alerts: Iterable[StoredAlert]) -> list[StoredAlert]:
    """An incident's alerts, the first to begin first."""
    return sorted(alerts, key=lambda stored: (stored.alert.starts_at, stored.alert.source, stored.alert.fingerprint))


def routed_by(view: MapView, facts: IncidentFacts) -> tuple[dict[str, tuple[str, ...]], str]:
    """(what routes may ask for, the channel of whoever owns the first service, "" for none)"""
    entries = [entry for one in facts.services[:_OWNERS_ASKED] if (entry := view.entry(one)) is not None]
    owners = [entry.owner for entry in entries if entry.owner is not None]
    known = {
        "owner": tuple(owner.team for owner in owners),
        "service": facts.services,
        "environment": (facts.environment,),
        "severity": (facts.severity,),
        "source": tuple(one.source for one in facts.sources),
        "tier": tuple(entry.tier for entry in entries),
        "domain": tuple(entry.domain for entry in entries),
    }
    return known, channel(owners[0].slack) if owners else ""


def known_each(view: MapView, facts: IncidentFacts) -> list[Known]:
    """The same for each service of an incident by itself, the first one first; with `critical` for all that means as much."""
    return [known_of(view, facts, service) for service in facts.services[:_SERVICES_ASKED] or ("",)]


def known_of(view: MapView, facts: IncidentFacts, service: str) -> Known:
    """The same for any service, as far as an incident concerns it."""
    entry = view.entry(service)
    owner = entry.owner if entry is not None else None
    return {
        "owner": (owner.team,) if owner is not None else (),
        "service": (service,),
        "environment": (facts.environment,),
        "severity": words(facts.severity),
        "source": tuple(one.source for one in facts.sources),
        "tier": (entry.tier,) if entry is not None else (),
        "domain": (entry.domain,) if entry is not None else (),
    }


def onset(case: Case) -> float:
    """When the first of the incident's alerts began (epoch s)."""
    return min(stored.alert.starts_at for stored in case.members)


def concerned(case: Case) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The services still alerting (all of them once everything is resolved), and names that are on no map. The first that
    alerted is first, unless the likely cause alerts itself."""
    live = [stored for stored in case.members if stored.alert.status is not AlertStatus.RESOLVED] or case.members
    closest = {found.named: found.closest for found in case.found.values()}
    known = list(dict.fromkeys(stored.service for stored in live if stored.service))
    cause = case.cause.service if case.cause is not None else ""
    known.sort(key=lambda service: service != cause)  # what all the others come from goes first
    unknown = {stored.named: closest.get(stored.named, ()) for stored in live if not stored.service and stored.named}
    return known, unknown


def gathered(case: Case, outcome: Followed | None) -> IncidentFacts:
    """Everything the incident's messages say."""
    alerts = [stored.alert for stored in case.members]
    state = incident_state([alert.status for alert in alerts])
    live = [alert for alert in alerts if alert.status is not AlertStatus.RESOLVED] or alerts
    worst = min(live, key=lambda alert: (rank(alert.severity), alert.starts_at))
    services, unknown = concerned(case)
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
        evidence=case.evidence,
    )


def _sources(alerts: list[Alert]) -> tuple[SourceCount, ...]:
    counted = []
    for source in sorted({alert.source for alert in alerts}):
        mine = [alert for alert in alerts if alert.source == source]
        firing = sum(alert.status is not AlertStatus.RESOLVED for alert in mine)
        newest = mine[-1]
        holder = newest.labels.get(ASSIGNED_TO, "") if firing else ""
        counted.append(SourceCount(source, firing, len(mine), newest.number, newest.link, holder, newest.fingerprint))
    return tuple(counted)


_OWNERS_ASKED = 10
_SERVICES_ASKED = 200


def beyond_memory(cause: CauseFacts) -> CauseFacts:
    """The same of trouble that began before anything is known of usual times: whoever seemed well cannot be judged."""
    if cause.service:
        return cause
    unknown = (*cause.ruled_out, *cause.unknown)
    return replace(cause, why_none="it began before anything is known of what is usual", ruled_out=(), unknown=unknown)
