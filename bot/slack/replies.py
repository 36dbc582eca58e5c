"""What Slack sends and takes with a click, in our terms: who clicked, and a `Message` as the fields of an answer. Pure."""

from __future__ import annotations

from typing import Any

from bot.model import Message
from bot.slack.asker import Asker


def asker_of(body: dict[str, Any]) -> Asker:
    """Who clicked, or handed a form in."""
    user, channel = (one if isinstance(one, dict) else {} for one in (body.get("user"), body.get("channel")))
    name = str(user.get("name") or user.get("username") or "")
    where = str(channel.get("id") or "")
    return Asker(str(user.get("id") or ""), name, channel=where, channel_name=str(channel.get("name") or ""))


def content(message: Message) -> dict[str, Any]:
    """What is shown."""
    return {"text": message.text, "blocks": [dict(block) for block in message.blocks]}


def ephemeral(message: Message) -> dict[str, Any]:
    """The same for one reader alone."""
    return {**content(message), "response_type": "ephemeral"}
