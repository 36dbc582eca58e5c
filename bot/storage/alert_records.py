"""What the alert path stores and reads back, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bot.model import Alert, Message


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """One webhook body as it was received."""

    id: int
    source: str
    received_at: float
    headers: Mapping[str, str]
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert with what the bot made of it: the incident it belongs to and the service it is about ('' if unknown)."""

    alert: Alert
    incident_id: int
    service: str
    named: str


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """One conversation. `facts` is what the root message was last written from."""

    id: int
    state: str
    group_key: str
    environment: str
    title: str
    opened_at: float
    created_at: float
    updated_at: float
    resolved_at: float | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One decision with its named reason."""

    step: str
    verdict: str
    reason: str


class Queued(NamedTuple):
    """What one message should say: its key (`{incident}` is filled in), channel, content, and the key of the message under
    which it stands; "" for none."""

    key: str
    channel: str
    content: Message
    parent: str = ""


class Hold(NamedTuple):
    """An incident that quiet hours hold back, or held: since when and until when (epoch s), what has become of it (`held`,
    `posted`, `over` by itself, `folded` into another), and the channel it would be posted to."""

    since: float
    until: float
    state: str
    title: str
    services: tuple[str, ...]
    channel: str


class Held(NamedTuple):
    """One incident that is or was held back."""

    incident: int
    hold: Hold


class Folded(NamedTuple):
    """An incident whose alerts go over to another: its id, and what it is from then on (columns of its row)."""

    incident: int
    values: dict[str, Any]


@dataclass(slots=True)
class Outcome:
    """Everything that follows from one delivery, if it is from one, to be stored at once. `incident_id` None with `alerts`
    opens a new one."""

    delivery_id: int | None
    at: float
    verdict: str
    verdicts: list[Verdict] = field(default_factory=list)
    incident_id: int | None = None
    incident: dict[str, Any] = field(default_factory=dict)
    alerts: list[tuple[Alert, str, str]] = field(default_factory=list)
    folded: list[Folded] = field(default_factory=list)
    hold: Hold | None = None
    """What quiet hours make of the incident, where they are a question."""
    grade: dict[str, Any] | None = None
    """What was said and what became of it, once the incident is over (see `bot.storage.grade_store`)."""
