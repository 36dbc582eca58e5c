"""The tables, as SQLModel classes. Times are epoch seconds (UTC) as float; `start` of a window is a whole minute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from bot.counts import TOTALS
from bot.model import LATENCY_BUCKETS

HISTOGRAM = tuple(f"h{index:02d}" for index in range(LATENCY_BUCKETS))
COUNTS = (*TOTALS, *HISTOGRAM)

_Id = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER is SQLite's own row number


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
    """One layer's edge. `caller` may be a pseudo-caller. `interval` is its habit in seconds. Ids are never used twice:
    blocks name an edge by its id long after it may be gone.

    `detail` is what the layer knows besides counts: `{"protocols": […], "endpoints": {name: calls}, "via": [[…]],
    "certainty": 0..1, "how": ""}`, or `{}`.
    """

    __tablename__ = "edge"
    __table_args__ = (UniqueConstraint("layer", "caller", "callee"), {"sqlite_autoincrement": True})
    id: int | None = Field(default=None, primary_key=True, sa_type=_Id)
    layer: str
    caller: str
    callee: str = Field(index=True)
    first_seen: float
    last_seen: float = Field(index=True)
    interval: float
    detail: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class _Counted(SQLModel):
    """Counts of one layer's edge in one minute. All columns but the key only ever have something added to them.

    `h00`…`h15` is the latency histogram (see `bot.model.LATENCY_BUCKETS`): plain columns, so that late counts merge in
    SQL, commutatively, on every database. What is zero is stored as NULL, which takes no room on PostgreSQL and one
    byte on SQLite.
    """

    start: int = Field(primary_key=True, sa_type=BigInteger)  # four bytes end in 2038
    edge_id: int = Field(primary_key=True, sa_type=BigInteger)
    calls: float | None = None
    errors: float | None = None
    sampled: int | None = Field(default=None, sa_type=BigInteger)
    latency_us: float | None = None
    bytes: float | None = None
    h00: float | None = None
    h01: float | None = None
    h02: float | None = None
    h03: float | None = None
    h04: float | None = None
    h05: float | None = None
    h06: float | None = None
    h07: float | None = None
    h08: float | None = None
    h09: float | None = None
    h10: float | None = None
    h11: float | None = None
    h12: float | None = None
    h13: float | None = None
    h14: float | None = None
    h15: float | None = None


class EdgeWindowRow(_Counted, table=True):
    """Minutes from `kept_from` on: the truth about them. Rows of earlier ones only wait for their deletion."""

    __tablename__ = "edge_window"
    __table_args__ = ({"sqlite_with_rowid": False},)


class EdgeLateRow(_Counted, table=True):
    """Counts that came for minutes which are kept no longer, until they are added to their hour or day."""

    __tablename__ = "edge_late"
    __table_args__ = ({"sqlite_with_rowid": False},)


class EdgeBlockRow(SQLModel, table=True):
    """All edges' counts in one closed minute, hour or day (`seconds` long), as columns (see `bot.storage.columns`)."""

    __tablename__ = "edge_block"
    seconds: int = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EdgeSeenRow(SQLModel, table=True):
    """When each edge was last seen as of `at`, a full hour: the edges' ids and minutes, as columns."""

    __tablename__ = "edge_seen"
    at: int = Field(primary_key=True, sa_type=BigInteger)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class UnrolledRow(SQLModel, table=True):
    """A minute, hour or day whose block is not up to date. `token` is another one after every change."""

    __tablename__ = "unrolled"
    seconds: int = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BigInteger)
    token: int = Field(sa_type=BigInteger)


class KeptFromRow(SQLModel, table=True):
    """From when on minutes, hours and days are kept: what comes for earlier ones goes into the next coarser."""

    __tablename__ = "kept_from"
    seconds: int = Field(primary_key=True)
    start: int = Field(sa_type=BigInteger)


class PropertyChangeRow(SQLModel, table=True):
    """What the catalogue says of a service from `at` on; `{}` where it says nothing any more."""

    __tablename__ = "property_change"
    service: str = Field(primary_key=True)
    at: float = Field(primary_key=True)
    properties: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class LayerMemoryRow(SQLModel, table=True):
    """What a layer knew at `at` besides counts, to go on from after a restart, in the layer's own packing."""

    __tablename__ = "layer_memory"
    layer: str = Field(primary_key=True)
    at: float
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LayerWriteRow(SQLModel, table=True):
    """The last write of a layer's counts that was stored, by the name its writer gave it."""

    __tablename__ = "layer_write"
    layer: str = Field(primary_key=True)
    token: str


class ChangeEventRow(SQLModel, table=True):
    """One change event (see `bot.model.Change`). `change_id` tells changes of one source apart."""

    __tablename__ = "change_events"
    __table_args__ = (
        UniqueConstraint("source", "change_id"),
        Index("ix_change_events_at", "at", "id"),
        Index("ix_change_events_service", "service", "at", "id"),
    )
    id: int | None = Field(default=None, primary_key=True, sa_type=_Id)
    source: str
    change_id: str
    at: float
    received_at: float
    service: str
    kind: str
    title: str
    link: str
    author: str


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


class IncidentGradeRow(SQLModel, table=True):
    """What was said of an incident and what became of it (`bot.enrich.facts.Followed`), once it is over; and who a person says was
    at fault: `confirmed_cause` is a service id, '' where nobody has said, `none` where it was none of those named."""

    __tablename__ = "incident_grade"
    incident_id: int = Field(primary_key=True)
    closed_at: float = Field(index=True)
    outcome: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    confirmed_cause: str = ""
    confirmed_by: str = ""
    confirmed_at: float | None = None


class AliasWordRow(SQLModel, table=True):
    """Something a person said about a name (see `bot.storage.alias_store`). Rows are only ever added."""

    __tablename__ = "alias_word"
    id: int | None = Field(default=None, primary_key=True)
    at: float
    verdict: str
    alias: str
    service: str
    who: str


class HomeTeamRow(SQLModel, table=True):
    """The team that a person chose in Slack."""

    __tablename__ = "home_team"
    user_id: str = Field(primary_key=True)
    team: str
    at: float


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
