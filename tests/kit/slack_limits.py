"""Slack's rate limits: a method, a channel and `now` in, the seconds to stay away out. Pure.

Tiers: java-slack-sdk metadata/web-api/rate_limit_tiers.json; docs.slack.dev/apis/web-api/rate-limits.
"""

from __future__ import annotations

from collections import deque

PER_MINUTE = {
    "api.test": 100,
    "auth.test": 200,
    "chat.postEphemeral": 100,
    "chat.postMessage": 300,
    "chat.update": 50,
    "conversations.history": 50,
    "conversations.info": 50,
    "conversations.list": 20,
    "conversations.replies": 50,
    "users.info": 100,
}


class Limits:
    """Counts calls. `burst`: posts a channel takes at once; `second`: how long Slack's second lasts in this test."""

    def __init__(self, burst: int = 5, second: float = 1.0) -> None:
        self._burst = burst
        self._second = second
        self._calls: dict[str, deque[float]] = {}
        self._channels: dict[str, tuple[float, float]] = {}

    def refuse(self, method: str, channel: str, now: float) -> float | None:
        """None where the call may go on (it is counted then), else Retry-After in seconds."""
        minute = 60 * self._second
        calls = self._calls.setdefault(method, deque())
        while calls and calls[0] <= now - minute:
            calls.popleft()
        if len(calls) >= PER_MINUTE.get(method, 50):
            return calls[0] + minute - now
        if method == "chat.postMessage":
            tokens, counted_at = self._channels.get(channel, (float(self._burst), now))
            tokens = min(float(self._burst), tokens + (now - counted_at) / self._second)
            if tokens < 1:
                return (1 - tokens) * self._second
            self._channels[channel] = tokens - 1, now
        calls.append(now)
        return None
