"""The tables of daily digests, as SQLModel classes; see `bot.storage.tables`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer
from sqlmodel import Field, SQLModel

_Id = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER is SQLite's own row number


class DigestSubscriptionRow(SQLModel, table=True):
    """One daily digest that somebody asked for (see `bot.model.Subscription`)."""

    __tablename__ = "digest_subscription"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: int | None = Field(default=None, primary_key=True, sa_type=_Id)
    channel: str = Field(index=True)
    created_by: str
    created_at: float
    minute: int
    zone: str
    team: str
    domain: str
    tier: str
    service: str
    always: bool
    told_until: float | None = None
    last_date: str = ""


class DigestAnswerRow(SQLModel, table=True):
    """What somebody said of a digest's line, the newest of a line last: `expected`, `look`, or `open` to take it back."""

    __tablename__ = "digest_answer"
    __table_args__ = (Index("ix_digest_answer_line", "channel", "line", "id"),)
    id: int | None = Field(default=None, primary_key=True, sa_type=_Id)
    channel: str
    line: str
    answer: str
    who: str
    at: float


class DigestToldRow(SQLModel, table=True):
    """What a subscription was told last of two ends (`pair`: caller, line break, callee): that they are `new` or `gone`."""

    __tablename__ = "digest_told"
    subscription: int = Field(primary_key=True, sa_type=_Id)
    pair: str = Field(primary_key=True)
    kind: str
    at: float
