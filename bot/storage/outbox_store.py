"""The outbox on disk: one row a message, holding what it should say and how far Slack, or PagerDuty, has it.

`put` is called inside the alert path's own transaction, so a message exists exactly when the facts it tells do.
Claims are single-statement compare-and-set, so that two replicas never work one row at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, case, delete, func, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.model import PAGERDUTY_SCHEME, Message, OutboxRow
from bot.storage.alert_records import Queued
from bot.storage.database import Database
from bot.storage.tables import OutboxMessageRow

ROOT_KEY = "incident:{incident}:root"
"""The key of an incident's root message."""

EVIDENCE_KEY = "incident:{incident}:evidence"
"""The key of the first post in its thread."""

PICTURE_KEY = "incident:{incident}:picture"
"""The key of the picture in its thread."""

LEASE_SECONDS = 60.0
"""A row claimed this long ago and not settled belongs to a process that died."""

_BATCH = 500

_outbox: Table = OutboxMessageRow.__table__  # type: ignore[attr-defined]
_parent = _outbox.alias("parent")
_selected = select(_outbox, _parent.c.ts.label("parent_ts"), _parent.c.channel_id.label("parent_channel_id")).outerjoin(
    _parent, _outbox.c.parent_key == _parent.c.key
)


async def put(
    connection: AsyncConnection, key: str, channel: str, message: Message, now: float, parent_key: str | None = None
) -> None:
    """Say what a message should read from now on: a first version, or the next revision of the one with this key."""
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    blocks = [dict(block) for block in message.blocks]
    statement = dialect.insert(_outbox).values(
        key=key, channel=channel, text=message.text, blocks=blocks, revision=1, sent_revision=0, parent_key=parent_key,
        state="pending", attempts=0, not_before=0, last_error="", created_at=now, updated_at=now,
    )  # fmt: skip
    # A row in flight stays 'sending': its worker sees the newer revision when it settles (see `sent`).
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "text": message.text,
                "blocks": blocks,
                "revision": _outbox.c.revision + 1,
                "updated_at": now,
                "state": case((_outbox.c.state == "sending", "sending"), else_="pending"),
                "not_before": case((_outbox.c.state == "pending", _outbox.c.not_before), else_=0),
            },
        )
    )


async def forget(connection: AsyncConnection, incidents: Sequence[int], before: float) -> None:
    """Let go of the messages of incidents that are forgotten, and of those that belong to none and are older than `before`.

    A message must not outlive its incident: SQLite may give the incident's number to a new one, whose first message would
    then be taken for an edit of the old.
    """
    for start in range(0, len(incidents), _BATCH):
        keys = [ROOT_KEY.format(incident=incident) for incident in incidents[start : start + _BATCH]]
        await connection.execute(delete(_outbox).where(or_(_outbox.c.key.in_(keys), _outbox.c.parent_key.in_(keys))))
    settled = _outbox.c.state.in_(("sent", "failed")) & (_outbox.c.updated_at < before)
    of_none = or_(*(_outbox.c.key.like(f"{kind}:%") for kind in ("delivery", "digest", "held", "share")))
    await connection.execute(delete(_outbox).where(settled, of_none))
    # Notes are named after PagerDuty's incident, which may come again as another incident of ours; its number never does.
    # One that waits goes, too: it may be left from when there was a token.
    old = _outbox.c.updated_at < before
    for kind in (PAGERDUTY_SCHEME, "courtesy:"):
        await connection.execute(delete(_outbox).where(old, _outbox.c.key.like(f"{kind}%")))


class OutboxStore:
    """One sender's side of the outbox (the Protocol in `bot.sinks`).

    `scheme`: whose rows it hands out: those whose channel begins so; with '' those of no other scheme, which are Slack's.
    """

    def __init__(self, database: Database, scheme: str = "") -> None:
        self._database = database
        others = _outbox.c.channel.like(f"{scheme or PAGERDUTY_SCHEME}%")
        self._mine = others if scheme else not_(others)

    async def due(self, now: float, limit: int) -> list[OutboxRow]:
        """Rows to work now, oldest first: pending and not put off, or claimed by somebody whose lease ran out."""
        waiting = (_outbox.c.state == "pending") & (_outbox.c.not_before <= now)
        orphaned = (_outbox.c.state == "sending") & (_outbox.c.attempted_at < now - LEASE_SECONDS)
        ready = or_(_outbox.c.parent_key.is_(None), _parent.c.ts.is_not(None))
        return await self._rows(
            _selected.where((waiting | orphaned) & ready & self._mine).order_by(_outbox.c.id).limit(limit)
        )

    async def unsettled(self) -> list[OutboxRow]:
        """Rows a killed process left `sending`."""
        return await self._rows(_selected.where(_outbox.c.state == "sending", self._mine).order_by(_outbox.c.id))

    async def latest(self, limit: int) -> list[OutboxRow]:
        """The newest messages, newest first, whatever their state (the preview page)."""
        return await self._rows(_selected.where(self._mine).order_by(_outbox.c.id.desc()).limit(limit))

    async def one(self, key: str) -> OutboxRow | None:
        """The message with this key, whatever its state."""
        return next(iter(await self._rows(_selected.where(_outbox.c.key == key, self._mine))), None)

    async def shown(self, channel_id: str, ts: str) -> OutboxRow | None:
        """The message that stands at a place."""
        here = (_outbox.c.channel_id == channel_id) & (_outbox.c.ts == ts)
        return next(iter(await self._rows(_selected.where(here, self._mine))), None)

    async def write(self, post: Queued, incident: int, now: float) -> None:
        """Say what a message of an incident should read, outside the alert path: what it tells is no fact that is stored."""
        parent = post.parent.format(incident=incident) or None
        async with self._database.write() as connection:
            await put(connection, post.key.format(incident=incident), post.channel, post.content, now, parent)

    async def _rows(self, statement: Any) -> list[OutboxRow]:
        async with self._database.read() as connection:
            return [_row(row._mapping) for row in await connection.execute(statement)]

    async def post(self, key: str, channel: str, message: Message, now: float) -> None:
        """Say a message that belongs to nothing else, by itself."""
        async with self._database.write() as connection:
            await put(connection, key, channel, message, now)

    async def claim(self, key: str, now: float) -> bool:
        """Take a row for one attempt; False where another worker has it."""
        free = (_outbox.c.state == "pending") | (
            (_outbox.c.state == "sending") & (_outbox.c.attempted_at < now - LEASE_SECONDS)
        )
        return await self._update(key, free, state="sending", attempts=_outbox.c.attempts + 1, attempted_at=now)

    async def sent(self, key: str, revision: int, channel_id: str, ts: str, now: float) -> None:
        """Slack has `revision`. Back to `pending` by itself where a newer one was written meanwhile."""
        state = case((_outbox.c.revision > revision, "pending"), else_="sent")
        await self._update(
            key, None, state=state, sent_revision=revision, channel_id=channel_id, ts=ts, attempts=0, not_before=0,
            last_error="", updated_at=now,
        )  # fmt: skip

    async def retry(self, key: str, not_before: float, error: str) -> None:
        """Try again at `not_before`."""
        await self._update(key, None, state="pending", not_before=not_before, last_error=error[:500])

    async def failed(self, key: str, error: str, now: float) -> None:
        """Given up for good, with the reason. A new revision revives the row."""
        await self._update(key, None, state="failed", last_error=error[:500], updated_at=now)

    async def _update(self, key: str, condition: Any, **values: Any) -> bool:
        statement = update(_outbox).where(_outbox.c.key == key).values(**values)
        async with self._database.write() as connection:
            result = await connection.execute(statement if condition is None else statement.where(condition))
            return bool(result.rowcount)

    async def backlog(self) -> tuple[int, float | None]:
        """How many messages wait, whoever's they are, and since when the oldest does (epoch s)."""
        open_states = _outbox.c.state.in_(("pending", "sending"))
        async with self._database.read() as connection:
            count, oldest = (
                await connection.execute(select(func.count(), func.min(_outbox.c.updated_at)).where(open_states))
            ).one()
            return int(count), oldest


def _row(row: Any) -> OutboxRow:
    return OutboxRow(
        key=row["key"], channel=row["channel"], message=Message(row["text"], tuple(row["blocks"])),
        revision=row["revision"], sent_revision=row["sent_revision"], channel_id=row["channel_id"], ts=row["ts"],
        parent_key=row["parent_key"], parent_ts=row["parent_ts"],
        parent_channel_id=row["parent_channel_id"], state=row["state"], attempts=row["attempts"],
        attempted_at=row["attempted_at"], created_at=row["created_at"],
    )  # fmt: skip
