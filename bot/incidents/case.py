"""What one delivery gathers on its way along the alert path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.enrich.facts import CauseFacts, IncidentFacts, MapFacts
from bot.model import Alert, Message
from bot.storage.alert_store import Outcome, StoredAlert, StoredDelivery, StoredIncident, Verdict

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
    message: Message | None = None

    def decided(self, step: str, verdict: str, reason: str) -> None:
        """Note a decision with its named reason; stored with everything else."""
        self.outcome.verdicts.append(Verdict(step, verdict, reason))


def key_of(alert: Alert) -> AlertKey:
    """What makes two alerts of one source the same."""
    return alert.fingerprint, alert.starts_at
