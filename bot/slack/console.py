"""Where messages go without a Slack token: the terminal, and the preview page (which reads the outbox itself)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bot.model import Message
from bot.sinks import Posted
from bot.slack.mrkdwn import unmentioned

_DATE = re.compile(r"<!date\^(\d+)\^[^|>]*\|([^>]*)>")
_MARKED = re.compile(r"(?<!\w)([*_])(?=\S)([^*\n]+?)(?<=\S)\1(?!\w)")
_LINK = re.compile(r"<(https?://[^|>]+)\|([^>]+)>")


class ConsoleSink:
    """Prints each message; never fails, never posts twice (it gives each key one `ts`)."""

    name = "preview"

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo

    async def post(self, *, key: str, channel: str, message: Message, thread_ts: str | None) -> Posted:
        """Show a message."""
        self._echo(f"── {channel}{' (thread)' if thread_ts else ''} ──\n{plain(message.text)}")
        return Posted(channel, f"{time.time():.6f}")

    async def update(self, *, channel_id: str, ts: str, message: Message) -> None:
        """Show an edit."""
        self._echo(f"── {channel_id} (edited) ──\n{plain(message.text)}")

    async def find(self, *, key: str, channel: str, thread_ts: str | None, since: float) -> Posted | None:
        """Nothing is ever in doubt here."""
        return None

    async def check(self) -> str:
        """What `doctor` says of it."""
        return "no SLACK_BOT_TOKEN is set: messages are printed and shown at /messages"


def plain(text: str) -> str:
    """mrkdwn as a terminal shows it: links spelt out, times in UTC, no bold and italic marks, entities undone."""
    text = unmentioned(text)
    text = _DATE.sub(lambda match: datetime.fromtimestamp(int(match[1]), UTC).strftime("%H:%M UTC"), text)
    text = _LINK.sub(r"\2 (\1)", text)
    text = _MARKED.sub(r"\2", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
