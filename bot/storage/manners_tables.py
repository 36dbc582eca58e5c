"""The tables of quiet hours and courtesy lines, as SQLModel classes; see `bot.storage.tables`."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index
from sqlmodel import Field, SQLModel


class IncidentHoldRow(SQLModel, table=True):
    """An incident that quiet hours hold back, or held (see `bot.storage.alert_records.Hold`). `told_at`: when it was said that it
    was over before anybody heard of it, where no digest says so."""

    __tablename__ = "incident_hold"
    __table_args__ = (Index("ix_incident_hold_since", "since"), Index("ix_incident_hold_state", "state", "until"))
    incident_id: int = Field(primary_key=True)
    since: float
    until: float
    state: str
    title: str
    services: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    channel: str
    told_at: float | None = None


class CourtesyWordRow(SQLModel, table=True):
    """Somebody said that a channel (its Slack id and its name) wants no courtesy lines, or wants them again. Only ever added to."""

    __tablename__ = "courtesy_word"
    id: int | None = Field(default=None, primary_key=True)
    at: float
    channel: str
    name: str
    muted: bool
    who: str
