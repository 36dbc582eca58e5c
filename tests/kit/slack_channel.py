"""Channels and messages of the fake Slack, as people see them and as the API gives them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

BOT_USER, BOT_ID, TEAM = "U00000BOT1", "B000000001", "T000000001"

Answer = dict[str, Any]


@dataclass(slots=True)
class Post:
    """A message as people see it."""

    ts: str
    text: str
    blocks: list[Any]
    author: str
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    edits: int = 0
    replies: list[Post] = field(default_factory=list)

    @property
    def key(self) -> str | None:
        """The key in the metadata, where there is one."""
        return ((self.metadata or {}).get("event_payload") or {}).get("key")

    def shown(self, with_metadata: bool) -> Answer:
        """The message as the API gives it."""
        answer: Answer = {"type": "message", "ts": self.ts, "text": self.text, "user": self.author, "team": TEAM}
        if self.author == BOT_USER:
            answer["bot_id"] = BOT_ID
        if self.blocks:
            answer["blocks"] = self.blocks
        if self.thread_ts or self.replies:
            answer["thread_ts"] = self.thread_ts or self.ts
        if self.replies:
            answer["reply_count"] = len(self.replies)
        if self.edits:
            answer["edited"] = {"user": self.author, "ts": self.ts}
        if self.metadata:  # without the flag Slack says that there is some, not what
            answer["metadata"] = self.metadata if with_metadata else {"event_type": self.metadata["event_type"]}
        return answer


@dataclass(slots=True)
class Channel:
    """A channel. `member`: the bot is in it."""

    id: str
    name: str
    private: bool = False
    member: bool = True
    archived: bool = False
    posts: list[Post] = field(default_factory=list)

    def find(self, ts: object) -> Post | None:
        """The root or reply with this ts."""
        return next((post for post in self.everything() if post.ts == ts), None)

    def everything(self) -> Iterator[Post]:
        """Roots and replies."""
        for post in self.posts:
            yield post
            yield from post.replies

    def shown(self) -> Answer:
        """The channel as the API gives it."""
        return {
            "id": self.id, "name": self.name, "is_channel": not self.private, "is_private": self.private,
            "is_archived": self.archived, "is_member": self.member,
        }  # fmt: skip
