"""What one delivery gathers on its way along the alert path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.enrich.facts import CauseFacts, IncidentFacts, MapFacts
from bot.enrich.manners import Courtesy
from bot.enrich.thread_evidence import Evidence
from bot.enrich.thread_lines import Joining
from bot.model import Alert
from bot.storage.alert_records import Outcome, Queued, StoredAlert, StoredDelivery, StoredIncident, Verdict

AlertKey = tuple[str, float]
"""(fingerprint, starts_at): what makes an alert the same one."""


@dataclass(slots=True)
class Found:
    """The service an alert is about: `service` is its id on the map or '', `named` what the sender called it."""

    service: str
    named: str
    why: str
    closest: tuple[str, ...] = ()


@dataclass(slots=True)
class Case:
    """One delivery on its way. Every step reads what earlier ones left and adds its own part. Without a delivery, an incident
    is being thought about again (`bot.incidents.rethinking`)."""

    delivery: StoredDelivery | None
    now: float
    outcome: Outcome
    alerts: tuple[Alert, ...] = ()
    known: Mapping[AlertKey, StoredAlert] = field(default_factory=dict)
    changed: list[Alert] = field(default_factory=list)
    found: dict[AlertKey, Found] = field(default_factory=dict)
    incident: StoredIncident | None = None
    incident_id: int | None = None
    """Once it is stored."""
    members: list[StoredAlert] = field(default_factory=list)
    cause: CauseFacts | None = None
    thought: bool = False
    """Whether `cause` was thought out now, and not taken from what the incident's message says."""
    map: MapFacts | None = None
    degraded: str = ""
    facts: IncidentFacts | None = None
    stored: Mapping[str, Any] = field(default_factory=dict)
    """The facts as JSON-able values."""
    evidence: Evidence | None = None
    messages: list[Queued] = field(default_factory=list)
    news: bool = False
    """Whether there is anything new to store of the incident."""
    rewritten: bool = False
    """Whether the root message reads otherwise than before, or would."""
    released: bool = False
    """Whether what was held back, or could have been, is posted now."""
    taken: tuple[Courtesy, ...] = ()
    """Lines in other channels that were an incident's which turned out to be this one."""
    shown: str = ""
    """Which part of the incident stands in a channel already, where it was held back itself."""
    joined_by: tuple[str, str] = ("", "")
    """The rule by which new alerts belong to their incident, and the reason."""
    folds: list[Joining] = field(default_factory=list)
    """Other incidents that turn out to be this one."""
    parts: list[Case] = field(default_factory=list)
    """A case for each incident that a delivery concerns."""
    notes: list[tuple[AlertKey, Verdict]] = field(default_factory=list)
    """Decisions about single alerts, as long as it is not known to which incident they belong."""

    @property
    def before(self) -> Mapping[str, Any] | None:
        """What the incident's messages were last written from."""
        return self.incident.facts if self.incident is not None else None

    @property
    def spread(self) -> bool:
        """Whether the incident concerns other services, or comes from elsewhere, than was said before."""
        before, after = self.before or {}, self.facts
        if after is None:
            return False
        cause = after.map.cause.service if after.map is not None and after.map.cause is not None else ""
        was = ((before.get("map") or {}).get("cause") or {}).get("service", "")
        return cause != was or set(before.get("services", ())) != set(after.services)

    def decided(self, step: str, verdict: str, reason: str) -> None:
        """Note a decision with its named reason; stored with everything else."""
        self.outcome.verdicts.append(Verdict(step, verdict, reason))

    def decided_of(self, alert: Alert, step: str, verdict: str, reason: str) -> None:
        """The same about one alert: it goes where the alert goes."""
        self.notes.append((key_of(alert), Verdict(step, verdict, reason)))

    def part(self, alerts: list[Alert], last: bool) -> Case:
        """A case of some of the delivery's alerts. The `last` closes the delivery: a kill before that has the rest worked again."""
        keys = {key_of(alert) for alert in alerts}
        outcome = Outcome(self.outcome.delivery_id if last else None, self.now, "")
        outcome.verdicts += [*self.outcome.verdicts, *(verdict for key, verdict in self.notes if key in keys)]
        return Case(
            self.delivery, self.now, outcome, self.alerts, self.known, alerts, self.found, degraded=self.degraded,
            joined_by=self.joined_by,
        )  # fmt: skip

    def joining(self) -> list[Joining]:
        """The alerts that join an incident which was open already."""
        new = [alert for alert in self.changed if key_of(alert) not in self.known]
        found = [(alert, self.found.get(key_of(alert))) for alert in new]
        alerts = [
            Joining(each.service or each.named if each else "", alert.title, self.joined_by[1]) for alert, each in found
        ]
        return [*self.folds, *alerts]


def key_of(alert: Alert) -> AlertKey:
    """What makes two alerts of one source the same."""
    return alert.fingerprint, alert.starts_at
