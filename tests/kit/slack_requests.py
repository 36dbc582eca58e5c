"""What Slack sends to a bot: bodies of slash commands, interactions and events, and the headers that sign them. Pure.

Signing: docs.slack.dev/authentication/verifying-requests-from-slack (`v0:{timestamp}:{raw body}`, HMAC-SHA256).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from tests.kit.slack_channel import TEAM, Channel

APP = "A000000001"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
OLD = 600.0
"""Seconds; Slack's own rule is to refuse what is older than five minutes."""


class Sign(StrEnum):
    """How a request is signed."""

    RIGHT = "right"
    WRONG = "wrong"
    """With another secret."""
    MISSING = "missing"
    """Without either header."""
    OLD = "old"
    """Rightly, but long ago: a replay."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The bot's HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


def signed(body: bytes, secret: str, now: float, how: Sign) -> dict[str, str]:
    """The two headers over these bytes."""
    if how is Sign.MISSING:
        return {}
    at = str(int(now - OLD if how is Sign.OLD else now))
    key = secret if how is not Sign.WRONG else f"not {secret}"
    digest = hmac.new(key.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={digest}"}


def command_body(command: str, text: str, user: str, channel: Channel, response_url: str, trigger_id: str) -> bytes:
    """A slash command as the form Slack posts."""
    fields = {
        "token": "deprecated", "team_id": TEAM, "team_domain": "acme", "channel_id": channel.id,
        "channel_name": "privategroup" if channel.private else channel.name, "user_id": user, "user_name": "someone",
        "command": command, "text": text, "api_app_id": APP, "is_enterprise_install": "false",
        "response_url": response_url, "trigger_id": trigger_id,
    }  # fmt: skip
    return urlencode(fields).encode()


def interaction_body(
    payload: Mapping[str, Any], user: str, channel: Channel, response_url: str, trigger_id: str
) -> bytes:
    """An interaction (`block_actions` unless `payload` says otherwise) as the form Slack posts."""
    whole = {
        "type": "block_actions", "user": {"id": user, "username": "someone", "team_id": TEAM}, "api_app_id": APP,
        "token": "deprecated", "trigger_id": trigger_id, "team": {"id": TEAM, "domain": "acme"},
        "channel": {"id": channel.id, "name": channel.name}, "response_url": response_url, **payload,
    }  # fmt: skip
    return urlencode({"payload": json.dumps(whole)}).encode()


def home_click_body(payload: Mapping[str, Any], user: str, trigger_id: str) -> bytes:
    """A click on the App Home tab as the form Slack posts."""
    whole = {
        "type": "block_actions", "user": {"id": user, "username": "someone", "team_id": TEAM}, "api_app_id": APP,
        "token": "deprecated", "trigger_id": trigger_id, "team": {"id": TEAM, "domain": "acme"},
        "container": {"type": "view", "view_id": "V000000001"}, **payload,
    }  # fmt: skip
    return urlencode({"payload": json.dumps(whole)}).encode()


def submission_body(
    view: Mapping[str, Any], user: str, trigger_id: str, response_urls: Sequence[Mapping[str, str]]
) -> bytes:
    """A modal that is handed in, as the form Slack posts: it knows no channel, and has a response_url only for each conversation
    chosen in a field with `response_url_enabled`."""
    whole = {
        "type": "view_submission", "user": {"id": user, "username": "someone", "team_id": TEAM}, "api_app_id": APP,
        "token": "deprecated", "trigger_id": trigger_id, "team": {"id": TEAM, "domain": "acme"}, "view": view,
        "response_urls": list(response_urls), "is_enterprise_install": False,
    }  # fmt: skip
    return urlencode({"payload": json.dumps(whole)}).encode()


def event_body(event: Mapping[str, Any], event_id: str, now: float) -> bytes:
    """An event in its envelope; an `url_verification` or a whole envelope goes as it is."""
    if event.get("type") in ("url_verification", "event_callback", "app_rate_limited"):
        return json.dumps(event).encode()
    envelope = {
        "token": "deprecated", "team_id": TEAM, "api_app_id": APP, "event": event, "type": "event_callback",
        "event_id": event_id, "event_time": int(now),
    }  # fmt: skip
    return json.dumps(envelope).encode()
