"""How an incident is shared in another channel: the form that asks where, and what is posted there. Pure.

What is posted is the incident as it stood, and says so: it is never edited, the message it links to is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.model import Message
from bot.slack.budget import fit
from bot.slack.hush import hushed
from bot.slack.modal_views import View, modal, plain
from bot.slack.mrkdwn import date, escape, truncate
from bot.slack.views import SHARE_FORM, Block, context, link_button, section

TITLE = "Share an incident"
WHERE, WORDS = "where", "words"
MAX_WORDS = 500

_STANDING = ("section", "context")


def form(channel: str, ts: str) -> View:
    """The modal: where to, with which words. `channel` and `ts` are the incident's message, and come back with it."""
    blocks: list[Block] = [
        {"type": "input", "block_id": WHERE, "label": plain("Where to"), "element": {
            "type": "conversations_select", "action_id": WHERE, "response_url_enabled": True,
            "filter": {"include": ["public", "private", "im", "mpim"], "exclude_bot_users": True}}},
        {"type": "input", "block_id": WORDS, "optional": True, "label": plain("What to say with it"), "element": {
            "type": "plain_text_input", "action_id": WORDS, "multiline": True, "max_length": MAX_WORDS}},
        context("It is posted with your name, as the incident stands now, with a link to its message."),
    ]  # fmt: skip
    kept = json.dumps([channel, ts])
    return modal(TITLE, blocks) | {"callback_id": SHARE_FORM, "submit": plain("Share"), "private_metadata": kept}


def filled(view: Mapping[str, Any]) -> tuple[str, str, str]:
    """(channel, ts, words) of a form that came back. Raises ValueError where that was never ours."""
    try:
        channel, ts = json.loads(str(view.get("private_metadata") or ""))
        words = view["state"]["values"][WORDS][WORDS].get("value") or ""
    except (TypeError, KeyError, AttributeError):
        raise ValueError("not what a form of ours keeps") from None
    return str(channel), str(ts), str(words)[:MAX_WORDS].strip()


def shared(message: Message, who: str, words: str, link: str, now: float) -> Message:
    """What others see: who shares it and why, then the incident's message without its buttons; it mentions nobody."""
    lines = [f"{escape(truncate(who, 80))} shares an incident, as it stood {date(now)}:"]
    if words:
        lines.append("\n".join(f"> {escape(line)}" for line in words.splitlines()))
    top = "\n".join(lines)
    quiet = standing(message)
    blocks = [section(top), *quiet.blocks]
    if link:
        blocks.append({"type": "actions", "elements": [link_button("How it stands now ↗", link, 0)]})
    return fit(Message("\n".join([top, quiet.text]), tuple(dict(block) for block in blocks)))


def standing(message: Message) -> Message:
    """A message shown in another place: it has no buttons there and mentions nobody."""
    quiet = hushed(message)
    kept = [block for block in quiet.blocks if block.get("type") in _STANDING]
    return Message(quiet.text, tuple({name: part for name, part in one.items() if name != "accessory"} for one in kept))
