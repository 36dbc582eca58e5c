"""The tables, as SQLModel classes. Times are epoch seconds (UTC) as float; `start` of a window is a whole minute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from bot.model import LATENCY_BUCKETS

HISTOGRAM = tuple(f"h{index:02d}" for index in range(LATENCY_BUCKETS))
COUNTS = ("calls", "errors", "sampled", "latency_us", *HISTOGRAM)


class ServiceRow(SQLModel, table=True):
    """A node of the map."""

    __tablename__ = "service"
    id: str = Field(primary_key=True)
    kind: str
    name: str
    namespace: str
    environment: str
    first_seen: float


class EdgeRow(SQLModel, table=True):
    """One layer's edge. `caller` may be a pseudo-caller. `interval` is its habit in seconds."""

    __tablename__ = "edge"
    __table_args__ = (UniqueConstraint("layer", "caller", "callee"),)
    id: int | None = Field(default=None, primary_key=True)
    layer: str
    caller: str
    callee: str = Field(index=True)
    first_seen: float
    last_seen: float = Field(index=True)
    interval: float


class EdgeWindowRow(SQLModel, table=True):
    """Counts of one layer's edge in one minute. All columns but the key only ever have something added to them.

    `h00`…`h15` is the latency histogram (see `bot.model.LATENCY_BUCKETS`): plain columns, so that late counts merge in
    SQL, commutatively, on every database; an empty bucket costs SQLite one byte.
    """

    __tablename__ = "edge_window"
    __table_args__ = ({"sqlite_with_rowid": False},)
    start: int = Field(primary_key=True, sa_type=BigInteger)  # four bytes end in 2038
    edge_id: int = Field(primary_key=True)
    calls: float = 0
    errors: float = 0
    sampled: int = Field(default=0, sa_type=BigInteger)
    latency_us: float = 0
    h00: float = 0
    h01: float = 0
    h02: float = 0
    h03: float = 0
    h04: float = 0
    h05: float = 0
    h06: float = 0
    h07: float = 0
    h08: float = 0
    h09: float = 0
    h10: float = 0
    h11: float = 0
    h12: float = 0
    h13: float = 0
    h14: float = 0
    h15: float = 0


class DeliveryRow(SQLModel, table=True):
    """One webhook body, stored before it is acknowledged. States: `waiting`, `done`, `failed`."""

    __tablename__ = "delivery"
    __table_args__ = (
        Index("ix_delivery_key", "source", "key", "received_at"),
        Index("ix_delivery_state", "state", "id"),
    )
    id: int | None = Field(default=None, primary_key=True)
    source: str
    key: str
    received_at: float
    headers: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = "waiting"
    attempts: int = 0
    verdict: str = ""


class IncidentRow(SQLModel, table=True):
    """One conversation. `facts` is the answer the root message was last written from."""

    __tablename__ = "incident"
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(index=True)
    group_key: str
    environment: str
    title: str
    opened_at: float
    created_at: float
    updated_at: float
    resolved_at: float | None = None
    facts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class AlertRow(SQLModel, table=True):
    """One alert. `service` is the id on the map, or empty where none was found; `named` what the sender called it."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("source", "fingerprint", "starts_at"),)
    id: int | None = Field(default=None, primary_key=True)
    incident_id: int = Field(index=True, foreign_key="incident.id")
    source: str
    fingerprint: str
    starts_at: float
    status: str
    group_key: str
    service: str
    named: str
    title: str
    summary: str
    severity: str
    environment: str
    link: str
    runbook: str
    number: str
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    ends_at: float | None = None
    updated_at: float


class DecisionRow(SQLModel, table=True):
    """Why the bot did what it did: one named verdict with its reason, for replay and for `why`."""

    __tablename__ = "decision"
    id: int | None = Field(default=None, primary_key=True)
    incident_id: int | None = Field(default=None, index=True)
    delivery_id: int | None = Field(default=None, index=True)
    at: float
    step: str
    verdict: str
    reason: str


class OutboxMessageRow(SQLModel, table=True):
    """One Slack message as we want it (see `bot.model.OutboxRow`)."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "state", "not_before"),)
    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)
    channel: str
    text: str
    blocks: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    revision: int = 1
    sent_revision: int = 0
    channel_id: str | None = None
    ts: str | None = None
    parent_key: str | None = Field(default=None, index=True)
    state: str = "pending"
    attempts: int = 0
    attempted_at: float | None = None
    not_before: float = 0
    last_error: str = ""
    created_at: float
    updated_at: float
