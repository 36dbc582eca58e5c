"""Who a message may call when it goes out: a `Message` comes in, one that calls nobody it must not goes out. Pure.

The first post of a message may mention whom it was decided to mention; its edits, and everything in a thread, mention nobody
and read the same, with the name in the mention's place. Nothing that this bot sends ever calls a whole channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.model import Message
from bot.slack.mrkdwn import unmentioned

_BROADCAST = re.compile(r"<!(here|channel|everyone)(?:\|[^<>]*)?>")


def hushed(message: Message) -> Message:
    """For edits and threads: nobody is mentioned."""
    return Message(unmentioned(message.text), tuple(_each(block, unmentioned) for block in message.blocks))


def posted(message: Message) -> Message:
    """For the first post of a message: whoever it mentions by name, but no channel."""
    return Message(_quiet(message.text), tuple(_each(block, _quiet) for block in message.blocks))


def _quiet(text: str) -> str:
    return _BROADCAST.sub(r"@\1", text)


def _each(part: Any, change: Any) -> Any:
    """A block with all its marked-up texts changed; labels, values and addresses stay as they are."""
    if isinstance(part, Mapping):
        marked = part.get("type") in ("mrkdwn", "markdown")
        return {
            name: change(one) if marked and name == "text" and isinstance(one, str) else _each(one, change)
            for name, one in part.items()
        }
    return [_each(one, change) for one in part] if isinstance(part, list | tuple) else part
