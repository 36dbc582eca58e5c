"""The two ends of a sender: the outbox it drains and the sink it fills (Slack, PagerDuty). No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bot.errors import DeliveryError
from bot.model import Message, OutboxRow


class OutboxStore(Protocol):
    """The outbox as the sender sees it. Times are epoch seconds."""

    async def due(self, now: float, limit: int) -> list[OutboxRow]:
        """Rows to work now, oldest first: `pending`, not put off, the root (if any) out; or `sending` too long."""
        ...

    async def claim(self, key: str, now: float) -> bool:
        """Take a row for one attempt; False where another worker has it."""
        ...

    async def sent(self, key: str, revision: int, channel_id: str, ts: str, now: float) -> None:
        """The sink has `revision`. The row is `pending` again by itself where a newer one was written meanwhile."""
        ...

    async def retry(self, key: str, not_before: float, error: str) -> None:
        """Back to `pending`, put off until then."""
        ...

    async def failed(self, key: str, error: str, now: float) -> None:
        """Given up for good."""
        ...

    async def unsettled(self) -> list[OutboxRow]:
        """All rows that are `sending`."""
        ...

    async def backlog(self) -> tuple[int, float | None]:
        """How many rows wait, and since when the oldest does."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a message is. `ts` is its id within the channel: a string, never a number.

    `misplaced`: it was meant for a thread whose root is gone, and stands in the channel instead.
    """

    channel_id: str
    ts: str
    misplaced: bool = False


class LookupFailed(DeliveryError):
    """It cannot be found out whether a message arrived; `code` says why. Asking again soon will not help."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Verdict(StrEnum):
    """Whose fault a permanent refusal is, which says what can still be done for the message."""

    AUTH = "auth"
    """The token's: nothing gets out until a person repairs it."""
    CHANNEL = "channel"
    """The channel's: another channel may take it."""
    PAYLOAD = "payload"
    """The message's: a plainer one may be taken."""
    GONE = "gone"
    """The message to edit is no longer there, or no longer ours to edit."""
    UNKNOWN = "unknown"


class Sink(Protocol):
    """A place messages go to. Every failure is one of the three `DeliveryError`s of `bot.errors`."""

    name: str

    async def post(self, *, key: str, channel: str, message: Message, thread_ts: str | None) -> Posted:
        """Post once. Raises `AmbiguousDeliveryError` where it may have arrived all the same."""
        ...

    async def update(self, *, channel_id: str, ts: str, message: Message) -> None:
        """Replace the whole content. Can be repeated without harm, so it never raises `AmbiguousDeliveryError`."""
        ...

    async def find(self, *, key: str, channel: str, thread_ts: str | None, since: float) -> Posted | None:
        """The message with this key, posted at or after `since` (epoch s); None where it surely is not there.

        Raises `LookupFailed` where it cannot look, `RetryableDeliveryError` where it cannot look now.
        """
        ...

    async def check(self) -> str:
        """`ok: workspace X as bot Y`. Raises `DeliveryError`."""
        ...
