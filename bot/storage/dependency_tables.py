"""The table of what was pushed to PagerDuty's service graph, as an SQLModel class; see `bot.storage.tables`."""

from __future__ import annotations

from sqlmodel import Field, SQLModel


class PushedDependencyRow(SQLModel, table=True):
    """One dependency between two PagerDuty services (see `bot.pushed.Pushed`)."""

    __tablename__ = "pushed_dependency"
    dependent: str = Field(primary_key=True)
    supporting: str = Field(primary_key=True)
    caller: str
    callee: str
    fate: str
    at: float
    number: str = ""
    why: str = ""
    last_seen: float
    habit: float
    layers: str
    silence: float
    checked_at: float
