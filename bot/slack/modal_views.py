"""What every modal of ours is made of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.slack.views import Block, section

View = dict[str, Any]


def modal(title: str, blocks: Sequence[Block]) -> View:
    """A modal that can be closed; `title` has 24 characters at most."""
    return {"type": "modal", "title": plain(title), "close": plain("Close"), "blocks": list(blocks)}


def told(title: str, text: str) -> View:
    """A modal with nothing left to do in it; `text` is mrkdwn."""
    return modal(title, [section(text)])


def waiting(title: str, what: str) -> View:
    """A modal while something is asked or done."""
    return told(title, f"{what} …")


def plain(text: str) -> Block:
    """A text without markup."""
    return {"type": "plain_text", "text": text, "emoji": True}
