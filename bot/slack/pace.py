"""How fast we may send: a channel and `now` (of any steady clock, in seconds) come in, seconds to wait come out. Pure.

Slack allows about one post a second and channel, "several hundred" a minute and workspace, and fifty `chat.update` a
minute (Tier 3); it tolerates bursts, and says so with HTTP 429 where it does not. So posts start with an allowance and
fall to the steady pace once it is used up; a 429 empties the allowance. What is lost: the counts of the channels used
longest ago, beyond `MAX_CHANNELS`. Source: docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

from collections import OrderedDict

MAX_CHANNELS = 2_000

_POSTS_PER_SECOND = 1.0
_WORKSPACE_POSTS_PER_SECOND = 5.0
_WORKSPACE_BURST = 300.0
_EDIT_BURST = 10.0  # burst and refill together stay within fifty in any minute
_EDITS_PER_SECOND = 40 / 60
_ROUNDING = 1e-6  # seconds; waiting shorter than that may not move a float clock at all


class _Bucket:
    """A token bucket: full at first, refilled evenly, closed until `closed_until` after a refusal."""

    __slots__ = ("capacity", "closed_until", "rate", "tokens", "updated_at")

    def __init__(self, capacity: float, rate: float, now: float) -> None:
        self.capacity = capacity
        self.rate = rate
        self.tokens = capacity
        self.updated_at = now
        self.closed_until = now

    def delay(self, now: float) -> float:
        """Seconds until a token is there."""
        self._refill(now)
        wait = max((1.0 - self.tokens) / self.rate, self.closed_until - now)
        return wait if wait > _ROUNDING else 0.0

    def spend(self, now: float) -> None:
        """Take a token, on credit where there is none."""
        self._refill(now)
        self.tokens -= 1.0

    def empty(self, until: float) -> None:
        """Closed until then, and then with one token: what was refused may go, the next waits its turn."""
        self.closed_until = max(self.closed_until, until)
        self.tokens = 1.0
        self.updated_at = self.closed_until

    def _refill(self, now: float) -> None:
        if now > self.updated_at:
            self.tokens = min(self.capacity, self.tokens + (now - self.updated_at) * self.rate)
            self.updated_at = now


class Pace:
    """The allowances of one workspace. Ask `delay` (0: go), then `spend`; tell it of refusals with `penalise`.

    `burst` is how many posts a channel may get at once before the pace falls to one a second. Edits have an allowance
    of their own for the whole workspace, so that they never hold back a post.
    """

    def __init__(self, burst: int = 120) -> None:
        self._burst = float(max(1, burst))
        self._channels: OrderedDict[str, _Bucket] = OrderedDict()
        self._posts: _Bucket | None = None
        self._edits: _Bucket | None = None

    def delay(self, channel: str, now: float, *, edit: bool = False) -> float:
        """Seconds until the next post to (or edit in) this channel may go out."""
        return max(bucket.delay(now) for bucket in self._buckets(channel, now, edit))

    def spend(self, channel: str, now: float, *, edit: bool = False) -> None:
        """Count one post or edit that goes out now."""
        for bucket in self._buckets(channel, now, edit):
            bucket.spend(now)

    def penalise(self, channel: str, retry_after: float, now: float, *, edit: bool = False) -> None:
        """Slack refused: nothing more there (no edits anywhere) for `retry_after` seconds, and no burst after that."""
        self._buckets(channel, now, edit)[0].empty(now + max(0.0, retry_after))

    def __len__(self) -> int:
        return len(self._channels)

    def _buckets(self, channel: str, now: float, edit: bool) -> tuple[_Bucket, ...]:
        """The buckets that bound one call, the narrowest first."""
        if edit:
            self._edits = self._edits or _Bucket(_EDIT_BURST, _EDITS_PER_SECOND, now)
            return (self._edits,)
        self._posts = self._posts or _Bucket(_WORKSPACE_BURST, _WORKSPACE_POSTS_PER_SECOND, now)
        bucket = self._channels.pop(channel, None) or _Bucket(self._burst, _POSTS_PER_SECOND, now)
        self._channels[channel] = bucket
        if len(self._channels) > MAX_CHANNELS:
            self._channels.popitem(last=False)
        return (bucket, self._posts)
