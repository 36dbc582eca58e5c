"""How patient the sender of messages is, and where it goes instead. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.sinks import Verdict
from bot.slack.verdict import verdict


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the sender is. Seconds, unless said otherwise."""

    concurrency: int = 8
    """Calls to the sink at a time."""
    grace: float = 3.0
    """How long a post whose answer was lost may still be on its way, before it is looked up."""
    first_wait: float = 1.0
    longest_wait: float = 60.0
    slow_retry: float = 300.0
    """Between attempts that a person's help must come before."""
    lookups: int = 3
    """Attempts at a look-up that is refused (not: that fails) before the message is posted again."""
    doubtful_claims: int = 10
    """Claims of a row (about a minute each) that may pass in doubt before it is posted again."""
    lease: float = 60.0
    """How long the outbox leaves a claimed row to one worker."""
    call: float = 25.0
    """The longest a call to the sink takes, with a picture to draw and upload; a post is not begun where it could outlast the lease."""
    poll: float = 2.0
    """Between looks at the outbox where nothing woke the worker."""
    fallback_channel: str = ""
    """Takes what another channel will not, if it is urgent."""
    urgent: tuple[str, ...] = ("",)
    """How the keys of urgent messages begin. A digest that nobody can get any more is nobody else's business."""
    judge: Callable[[str], Verdict] = verdict
    """Whose fault a refusal with this error word of the sink's is."""
    sole_worker: bool = False
    """No other process works this outbox, so what is `sending` at the start was left by a dead one."""
