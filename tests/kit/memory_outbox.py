"""An outbox in memory with the promises of the stored one, for tests of the sender.

Every call lets others run first, as one that goes to a database does. Every change is kept in `history`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.model import Message, OutboxRow

LEASE = 60.0


class MemoryOutbox:
    """Implements `bot.sinks.OutboxStore`; `put` is what the alert path does."""

    def __init__(self) -> None:
        self.rows: dict[str, OutboxRow] = {}
        self.errors: dict[str, str] = {}
        self.history: list[tuple[str, str]] = []
        self._not_before: dict[str, float] = {}

    def put(self, key: str, channel: str, message: Message, now: float, parent_key: str | None = None) -> None:
        """A first version, or the next revision."""
        row = self.rows.get(key)
        if row is None:
            self.rows[key] = OutboxRow(key, channel, message, created_at=now, parent_key=parent_key)
            return
        state = "sending" if row.state == "sending" else "pending"
        if row.state != "pending":
            self._not_before.pop(key, None)
        self.rows[key] = replace(row, message=message, revision=row.revision + 1, state=state)

    async def due(self, now: float, limit: int) -> list[OutboxRow]:
        """See the protocol."""
        await asyncio.sleep(0)
        rows = [self._with_parent(row) for row in self.rows.values() if self._free(row, now)]
        return [row for row in rows if row.parent_key is None or row.parent_ts is not None][:limit]

    def _free(self, row: OutboxRow, now: float) -> bool:
        if row.state == "pending":
            return self._not_before.get(row.key, 0.0) <= now
        return row.state == "sending" and (row.attempted_at or 0.0) < now - LEASE

    def _with_parent(self, row: OutboxRow) -> OutboxRow:
        parent = self.rows.get(row.parent_key or "")
        return replace(
            row, parent_ts=parent.ts if parent else None, parent_channel_id=parent.channel_id if parent else None
        )

    async def claim(self, key: str, now: float) -> bool:
        """See the protocol."""
        await asyncio.sleep(0)
        row = self.rows[key]
        expired = row.state == "sending" and (row.attempted_at or 0.0) < now - LEASE
        if row.state != "pending" and not expired:
            return False
        self._change(key, "claim", state="sending", attempts=row.attempts + 1, attempted_at=now)
        return True

    async def sent(self, key: str, revision: int, channel_id: str, ts: str, now: float) -> None:
        """See the protocol."""
        await asyncio.sleep(0)
        state = "pending" if self.rows[key].revision > revision else "sent"
        self._not_before.pop(key, None)
        self._change(key, "sent", state=state, sent_revision=revision, channel_id=channel_id, ts=ts, attempts=0)

    async def retry(self, key: str, not_before: float, error: str) -> None:
        """See the protocol."""
        await asyncio.sleep(0)
        self._not_before[key] = not_before
        self.errors[key] = error
        self._change(key, "retry", state="pending")

    async def failed(self, key: str, error: str, now: float) -> None:
        """See the protocol."""
        await asyncio.sleep(0)
        self.errors[key] = error
        self._change(key, "failed", state="failed")

    async def unsettled(self) -> list[OutboxRow]:
        """See the protocol."""
        await asyncio.sleep(0)
        return [self._with_parent(row) for row in self.rows.values() if row.state == "sending"]

    async def backlog(self) -> tuple[int, float | None]:
        """See the protocol."""
        await asyncio.sleep(0)
        waiting = [row.created_at for row in self.rows.values() if row.state in ("pending", "sending")]
        return len(waiting), min(waiting, default=None)

    def _change(self, key: str, what: str, **values: object) -> None:
        self.history.append((what, key))
        self.rows[key] = replace(self.rows[key], **values)  # type: ignore[arg-type]
