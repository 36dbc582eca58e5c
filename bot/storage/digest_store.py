"""Digests on disk: who gets one and when, what he was told, each day settled once with its message, and what was answered.

A day is settled by one compare-and-set, in the transaction that puts its message into the outbox: however many processes
share the database and wherever one is killed, a digest is sent once or not at all, and never half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import BadRequest
from bot.model import Message, Subscription
from bot.storage.database import Database
from bot.storage.digest_tables import DigestAnswerRow, DigestSubscriptionRow, DigestToldRow
from bot.storage.outbox_store import put
from bot.storage.tables import OutboxMessageRow

KEY = "digest:{subscription}:{date}"
"""The key of a digest's message in the outbox."""

MAX_SUBSCRIPTIONS = 2_000
MAX_IN_CHANNEL = 10
ANSWERS = ("expected", "look", "open")
"""Never to be told again; shown as open the next day, with who looks into it; told like any other line."""

TOLD_SECONDS = 90 * 86_400.0
"""How long it is remembered what was told; `bot.digest.contents` looks back less far than that."""
ANSWER_SECONDS = 365 * 86_400.0
_BATCH = 500

_subscriptions: Table = DigestSubscriptionRow.__table__  # type: ignore[attr-defined]
_answers: Table = DigestAnswerRow.__table__  # type: ignore[attr-defined]
_told: Table = DigestToldRow.__table__  # type: ignore[attr-defined]
_outbox: Table = OutboxMessageRow.__table__  # type: ignore[attr-defined]
_WHAT = ("minute", "zone", "team", "domain", "tier", "service", "always")


class LineAnswer(NamedTuple):
    """The last word on a line: one of `ANSWERS`, by whom (a Slack user id) and when (epoch s)."""

    answer: str
    who: str
    at: float


class DigestStore:
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribe(self, wanted: Subscription) -> Subscription:
        """Keep a subscription, whatever id it has; gives it with its own. Asked for again, it is the one there is.

        Raises BadRequest where there are too many.
        """
        async with self._database.write() as connection:
            await self._database.alone(connection, "digest subscriptions")
            rows = await connection.execute(select(_subscriptions).where(_subscriptions.c.channel == wanted.channel))
            mine = [_subscription(row) for row in rows]
            for one in mine:
                if all(getattr(one, name) == getattr(wanted, name) for name in _WHAT):
                    return one
            total = await connection.scalar(select(func.count()).select_from(_subscriptions)) or 0
            if len(mine) >= MAX_IN_CHANNEL or total >= MAX_SUBSCRIPTIONS:
                raise BadRequest(
                    f"there are {len(mine)} digests here and {total} in all, which is as many as there may be"
                )
            values = {name: value for name, value in asdict(wanted).items() if name != "id"}
            statement = insert(_subscriptions).values(values).returning(_subscriptions)
            return _subscription((await connection.execute(statement)).one())

    async def unsubscribe(self, channel: str, number: int) -> bool:
        """End a channel's subscription; False where it has none of that number."""
        mine = (_subscriptions.c.id == number) & (_subscriptions.c.channel == channel)
        async with self._database.write() as connection:
            if not (await connection.execute(delete(_subscriptions).where(mine))).rowcount:
                return False
            await connection.execute(delete(_told).where(_told.c.subscription == number))
            return True

    async def subscriptions(self, channel: str = "") -> list[Subscription]:
        """All subscriptions, or one channel's, the oldest first."""
        wanted = select(_subscriptions).order_by(_subscriptions.c.id)
        if channel:
            wanted = wanted.where(_subscriptions.c.channel == channel)
        async with self._database.read() as connection:
            return [_subscription(row) for row in await connection.execute(wanted)]

    async def settle(
        self,
        subscription: Subscription,
        date: str,
        until: float | None,
        message: Message | None,
        now: float,
        told: Mapping[str, str] | None = None,
    ) -> bool:
        """Settle a local date (ISO): `until` is the end of the period told of, None where the day was missed; `message` is
        None where there is nothing to say; `told` is what it says, by pair (see `told`). False, and nothing is sent, where
        somebody settled it or a later one before, or ended the subscription."""
        values: dict[str, Any] = {"last_date": date}
        if until is not None:
            values["told_until"] = until
        open_still = (_subscriptions.c.id == subscription.id) & (_subscriptions.c.last_date < date)
        async with self._database.write() as connection:
            if not (await connection.execute(update(_subscriptions).where(open_still).values(values))).rowcount:
                return False
            if message is not None:
                key = KEY.format(subscription=subscription.id, date=date)
                await put(connection, key, subscription.channel, message, now)
            await self._remember(connection, subscription.id, told or {}, now)
            return True

    async def written(self, subscription: int, dates: Sequence[str]) -> bool:
        """Whether the digest of one of these local dates (ISO) had something to say."""
        keys = [KEY.format(subscription=subscription, date=date) for date in dates]
        wanted = select(_outbox.c.key).where(_outbox.c.key.in_(keys)).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(wanted)).first() is not None

    async def _remember(
        self, connection: AsyncConnection, subscription: int, told: Mapping[str, str], now: float
    ) -> None:
        statement = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(_told)
        statement = statement.on_conflict_do_update(
            index_elements=["subscription", "pair"],
            set_={"kind": statement.excluded.kind, "at": statement.excluded.at},
        )
        rows = [{"subscription": subscription, "pair": pair, "kind": kind, "at": now} for pair, kind in told.items()]
        for start in range(0, len(rows), _BATCH):
            await connection.execute(statement, rows[start : start + _BATCH])

    async def told(self, subscription: int) -> dict[str, str]:
        """Pair (caller, line break, callee) -> what the subscription was told of it last, `new` or `gone`."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(_told.c.pair, _told.c.kind).where(_told.c.subscription == subscription)
            )
            return {row.pair: row.kind for row in rows}

    async def expire(self, now: float) -> None:
        """Let go of what was told or answered too long ago to matter."""
        async with self._database.write() as connection:
            await connection.execute(delete(_told).where(_told.c.at < now - TOLD_SECONDS))
            await connection.execute(delete(_answers).where(_answers.c.at < now - ANSWER_SECONDS))

    async def answer(self, channel: str, line: str, said: LineAnswer) -> bool:
        """Note what was said of a line (see `bot.digest.contents.Line.key`); False where just that is its last word already."""
        if said.answer not in ANSWERS:
            raise BadRequest(f"no answer {said.answer[:20]!r}")
        here = (_answers.c.channel == channel) & (_answers.c.line == line)
        async with self._database.write() as connection:
            await self._database.alone(connection, "digest answers")
            last = await connection.scalar(
                select(_answers.c.answer).where(here).order_by(_answers.c.id.desc()).limit(1)
            )
            if last == said.answer:
                return False
            await connection.execute(insert(_answers).values(channel=channel, line=line, **said._asdict()))
            return True

    async def revise(self, channel_id: str, ts: str, edit: Callable[[Message], Message], now: float) -> str:
        """Put a digest that Slack has into other words, as the outbox's next revision of it; gives the channel or person it is
        for, "" where no digest is there."""
        here = (_outbox.c.channel_id == channel_id) & (_outbox.c.ts == ts) & _outbox.c.key.like("digest:%")
        async with self._database.write() as connection:
            await self._database.alone(connection, f"digest {channel_id} {ts}")
            row = (await connection.execute(select(_outbox).where(here))).first()
            if row is None:
                return ""
            shown = Message(row.text, tuple(row.blocks))
            if (edited := edit(shown)) != shown:
                await put(connection, row.key, row.channel, edited, now)
            return str(row.channel)

    async def answers(self, channel: str) -> Mapping[str, LineAnswer]:
        """Line -> the last word on it in a channel."""
        latest = select(func.max(_answers.c.id)).where(_answers.c.channel == channel).group_by(_answers.c.line)
        async with self._database.read() as connection:
            rows = await connection.execute(select(_answers).where(_answers.c.id.in_(latest)))
            return {row.line: LineAnswer(row.answer, row.who, row.at) for row in rows}


def _subscription(row: Any) -> Subscription:
    return Subscription(**row._mapping)
