"""What goes along with a message: pictures and files. Pure.

An enclosure is a block of ours among Slack's, so that a message stays one value in the outbox and in the preview: a picture as the
DOT it is drawn from, a file as its text. `bot.slack.files` draws and uploads it just before the message is sent and puts Slack's own
block in its place; where that fails its words stand there, so no message waits for a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.model import Message
from bot.slack.mrkdwn import escape, truncate

ENCLOSED = "enclosed"
MAX_ALT = 2_000
"""Slack's limit of a picture's alt text."""

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A picture (`dot`) or a file (`content`). `name` is the file's, `title` and `alt` are plain text."""

    name: str
    title: str
    alt: str
    dot: str = ""
    content: str = ""

    def block(self) -> Block:
        """As the message keeps it."""
        return {"type": ENCLOSED, **asdict(self)}


def enclosure(block: Mapping[str, Any]) -> Enclosure | None:
    """A block of ours read back; None where it is one of Slack's."""
    if block.get("type") != ENCLOSED:
        return None
    return Enclosure(**{name: str(block.get(name) or "") for name in Enclosure.__slots__})


def image(enclosed: Enclosure, file_id: str) -> Block:
    """A picture that Slack has (docs.slack.dev/reference/block-kit/blocks/image-block)."""
    return {
        "type": "image", "slack_file": {"id": file_id}, "alt_text": truncate(enclosed.alt, MAX_ALT),
        "title": {"type": "plain_text", "text": truncate(enclosed.title, MAX_ALT)},
    }  # fmt: skip


def linked(enclosed: Enclosure, permalink: str) -> Block:
    """A file that Slack has. Its owner's link is what lets those in the channel open it."""
    return _line(f"📎 <{permalink}|{escape(enclosed.title)}>")


def in_words(enclosed: Enclosure) -> Block:
    """What stands in its place where Slack has it not."""
    return _line(escape(truncate(enclosed.alt or enclosed.title, MAX_ALT)))


def told(message: Message) -> Message:
    """The message with all it encloses in words."""
    found = [(block, enclosure(block)) for block in message.blocks]
    return Message(message.text, tuple(in_words(one) if one else block for block, one in found))


def without_pictures(message: Message) -> Message | None:
    """The message with its uploaded pictures in words; None where it has none."""
    if not any("slack_file" in block for block in message.blocks):
        return None
    blocks = [_line(escape(str(block["alt_text"]))) if "slack_file" in block else block for block in message.blocks]
    return Message(message.text, tuple(blocks))


def _line(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
