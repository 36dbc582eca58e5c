"""Gets one message out: an outbox row comes in, is posted or edited, and is settled in the outbox.

Slack has no idempotency key, so a post whose answer was lost is looked up by its key before it is posted again. While in
doubt the row stays `sending`: should this process die, its successor looks too. What may be lost: a look (blocks that
Slack will not take become plain text), a place (the fallback channel instead of a dead one) and, only where nothing can
be looked up for long, the promise of exactly one. All three are counted and named in `problems`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_before_delay, wait_exponential_jitter

from bot.errors import AmbiguousDeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.metrics import OUTBOX_FAILED, OUTBOX_LATENCY, OUTBOX_POSSIBLE_DUPLICATES, OUTBOX_RETRIES, OUTBOX_SENT
from bot.model import Message, OutboxRow
from bot.sinks import LookupFailed, OutboxStore, Posted, Sink, Verdict
from bot.slack.hush import hushed
from bot.slack.mrkdwn import code, escape
from bot.slack.policy import Policy

MAX_PROBLEMS = 100
_ROOT_TRIES = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `hold`: seconds in which nothing else should go the same way."""

    reason: str
    hold: float = 0.0
    everywhere: bool = False
    """Every channel is concerned, not this row's alone."""
    limited: bool = False
    """The sink said we are too fast."""
    taken: bool = False
    """Another worker has the row, and with it the order of what comes after."""


class _StillInDoubt(Exception):
    """It could not be found out, within the lease, whether the message is out."""


class Courier:
    """Delivers rows one at a time; several may be under way. `problems`: channel (or the sink's name) -> what is wrong."""

    def __init__(self, outbox: OutboxStore, sink: Sink, policy: Policy, clock: Callable[[], float]) -> None:
        self._outbox = outbox
        self._sink = sink
        # The keys of problems that are not one channel's.
        self._everywhere, self._history = sink.name, f"{sink.name} history"
        self._policy = policy
        self._clock = clock
        self._slots = asyncio.Semaphore(policy.concurrency)
        self._law = wait_exponential_jitter(
            multiplier=policy.first_wait, max=policy.longest_wait, jitter=policy.first_wait
        )
        self._looking = AsyncRetrying(
            retry=retry_if_exception_type((LookupFailed, RetryableDeliveryError)),
            wait=self._wait,
            stop=self._give_up_looking,
            reraise=True,
        )
        self.problems: dict[str, str] = {}

    async def deliver(self, row: OutboxRow) -> Outcome:
        """One attempt at a row. Only the outbox's own errors come out of it."""
        now = self._clock()
        if not await self._outbox.claim(row.key, now):
            return Outcome("taken by another worker", taken=True)
        # What was read before the claim may be old: another worker may have sent it since. What is read now stays.
        claimed = next((one for one in await self._outbox.unsettled() if one.key == row.key), None)
        if claimed is None:
            return Outcome("taken by another worker", taken=True)
        doubtful = row.state == "sending" or claimed.attempts != row.attempts + 1
        row = claimed
        try:
            return await (self._post(row, now, doubtful) if row.ts is None else self._edit(row))
        except RetryableDeliveryError as error:
            return await self._put_off(row, error)
        except PermanentDeliveryError as error:
            return await self._refused(row, error.code)
        except _StillInDoubt:
            # The row stays 'sending': the outbox hands it out again, to be looked up first, when its lease runs out.
            return Outcome("in doubt", hold=max(0.0, now + self._policy.lease - self._clock()))

    async def settle(self, row: OutboxRow) -> Outcome:
        """Take back a row a dead process left `sending` (`Policy.sole_worker`), so that it need not wait for its lease."""
        now = self._clock()
        if row.ts is None:
            await asyncio.sleep(min(self._policy.grace, max(0.0, (row.attempted_at or 0.0) + self._policy.grace - now)))
            try:
                found = await self._find(row)
            except (LookupFailed, RetryableDeliveryError) as error:
                return Outcome(f"in doubt: {error}")
            if found is not None:
                return await self._found(row, found)
        await self._outbox.retry(row.key, self._clock(), "interrupted")
        return Outcome("interrupted")

    # -- posting and editing -------------------------------------------------------------------------------------------

    async def _post(self, row: OutboxRow, claimed_at: float, doubtful: bool) -> Outcome:
        if doubtful:
            found = await self._look_up(row, claimed_at)
            if found is not None:
                return await self._found(row, found)
        try:
            posted = await self._try_to_post(row, row.parent_channel_id or row.channel, row.message)
        except AmbiguousDeliveryError as error:
            await asyncio.sleep(self._policy.grace)
            found = await self._look_up(row, claimed_at)
            if found is None:
                raise RetryableDeliveryError(error.code) from None
            posted = found
        now = self._clock()
        await self._outbox.sent(row.key, row.revision, posted.channel_id, posted.ts, now)
        OUTBOX_SENT.labels("post").inc()
        OUTBOX_LATENCY.observe(max(0.0, now - row.created_at))
        if posted.misplaced:
            OUTBOX_FAILED.labels("thread_gone").inc()
        return Outcome("posted")

    async def _found(self, row: OutboxRow, posted: Posted) -> Outcome:
        """Settle a row somebody else posted. With which revision nobody knows, so a later one is sent as an edit."""
        await self._outbox.sent(row.key, max(1, row.revision - 1), posted.channel_id, posted.ts, self._clock())
        OUTBOX_SENT.labels("found").inc()
        return Outcome("found")

    async def _try_to_post(self, row: OutboxRow, channel: str, message: Message) -> Posted:
        """Post; where that is refused, once without blocks, once to the fallback channel."""
        try:
            async with self._slots:
                posted = await self._sink.post(key=row.key, channel=channel, message=message, thread_ts=row.parent_ts)
        except PermanentDeliveryError as error:
            fault = self._policy.judge(error.code)
            if fault in (Verdict.PAYLOAD, Verdict.UNKNOWN) and message.blocks:
                OUTBOX_FAILED.labels(error.code).inc()
                return await self._try_to_post(row, channel, Message(message.text, ()))
            fallback = self._fallback(row)
            if fault is Verdict.CHANNEL and fallback not in ("", channel):
                await self._after_its_root(row, error)
                OUTBOX_FAILED.labels(error.code).inc()
                self._note(channel, f"{error.code}: posting to {fallback} instead")
                return await self._try_to_post(row, fallback, _redirected(message, channel, error))
            raise
        self._works(channel)
        return posted

    async def _edit(self, row: OutboxRow) -> Outcome:
        channel_id, ts = row.channel_id or row.channel, row.ts or ""
        try:
            async with self._slots:
                await self._sink.update(channel_id=channel_id, ts=ts, message=row.message)
        except PermanentDeliveryError as error:
            fault = self._policy.judge(error.code)
            if fault is Verdict.CHANNEL and self._fallback(row):
                return await self._move(row, error)
            if fault not in (Verdict.PAYLOAD, Verdict.UNKNOWN) or not row.message.blocks:
                raise
            OUTBOX_FAILED.labels(error.code).inc()
            async with self._slots:
                await self._sink.update(channel_id=channel_id, ts=ts, message=Message(row.message.text, ()))
        OUTBOX_SENT.labels("edit").inc()
        self._works(_place(row))
        await self._outbox.sent(row.key, row.revision, channel_id, ts, self._clock())
        return Outcome("edited")

    async def _move(self, row: OutboxRow, error: PermanentDeliveryError) -> Outcome:
        """A message whose channel died goes on in the fallback channel, and its thread with it. What was said there before stays
        there. It may have been moved already, and the answer lost, so it is looked for first."""
        fallback = self._fallback(row)
        if row.parent_channel_id == row.channel_id:
            await self._after_its_root(row, error)
        try:
            async with self._slots:
                posted = await self._sink.find(
                    key=row.key, channel=fallback, thread_ts=row.parent_ts, since=row.created_at
                )
        except LookupFailed:
            OUTBOX_POSSIBLE_DUPLICATES.inc()
            posted = None
        if posted is not None and (posted.channel_id, posted.ts) == (row.channel_id, row.ts):
            raise error  # it stands in the fallback channel, which is the dead one
        if posted is not None:
            return await self._found(row, posted)
        self._note(row.channel, f"{error.code}: posting to {fallback} instead")
        message = hushed(_redirected(row.message, row.channel, error))  # whom it calls, it called at first
        try:
            posted = await self._try_to_post(row, fallback, message)
        except AmbiguousDeliveryError as doubt:
            raise RetryableDeliveryError(doubt.code) from None
        await self._outbox.sent(row.key, row.revision, posted.channel_id, posted.ts, self._clock())
        OUTBOX_SENT.labels("moved").inc()
        return Outcome("moved")

    async def _after_its_root(self, row: OutboxRow, error: PermanentDeliveryError) -> None:
        """A line of a thread whose root stands in a dead channel: have the root moved, and come again for its new place. Where that
        does not come about, the line goes alone."""
        if row.parent_key is None or row.attempts > _ROOT_TRIES:
            return
        if not any(one.key == row.parent_key for one in await self._outbox.unsettled()):
            await self._outbox.retry(row.parent_key, self._clock(), error.code)
        raise RetryableDeliveryError("root_moves")

    # -- looking up ----------------------------------------------------------------------------------------------------

    async def _look_up(self, row: OutboxRow, claimed_at: float) -> Posted | None:
        """Find a message that may be out; None where it is to be posted (again). Raises `_StillInDoubt`."""
        found: Posted | None = None
        try:
            found = await self._looking.copy()(self._find, row)  # a copy: its state is one call's
        except LookupFailed as error:
            # An alert lost is worse than one doubled.
            self._note(self._history, f"cannot look doubtful posts up ({error.code}): some may be doubled")
            OUTBOX_POSSIBLE_DUPLICATES.inc()
        except RetryableDeliveryError:
            if row.attempts < self._policy.doubtful_claims:
                raise _StillInDoubt from None
            OUTBOX_POSSIBLE_DUPLICATES.inc()
        lease_left = claimed_at + self._policy.lease - self._clock()
        if found is None and lease_left < self._policy.call + self._policy.grace:
            raise _StillInDoubt  # by the time a post got through, another worker may be at this row
        return found

    async def _find(self, row: OutboxRow) -> Posted | None:
        """Look where it was sent and, where that is not it, in the fallback channel."""
        channels = dict.fromkeys((row.parent_channel_id or row.channel, self._fallback(row) or row.channel))
        missing: list[LookupFailed] = []
        for channel in channels:
            try:
                async with self._slots:
                    found = await self._sink.find(
                        key=row.key, channel=channel, thread_ts=row.parent_ts, since=row.created_at
                    )
            except LookupFailed as error:
                if error.code != "channel_not_found":
                    raise
                missing.append(error)  # what we cannot see, we cannot have posted to: the other channel has it or none
                continue
            if found is not None:
                return found
        if len(missing) == len(channels):
            raise missing[0]
        self.problems.pop(self._history, None)
        return None

    def _wait(self, state: RetryCallState) -> float:
        """The timing law: what the sink asked for, else exponential with jitter."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, RetryableDeliveryError) else None
        return self._law(state) if asked is None else asked

    def _give_up_looking(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, LookupFailed) and state.attempt_number >= self._policy.lookups:
            return True
        return stop_before_delay(self._policy.lease / 2)(state)

    # -- what did not work ---------------------------------------------------------------------------------------------

    async def _put_off(self, row: OutboxRow, error: RetryableDeliveryError) -> Outcome:
        OUTBOX_RETRIES.labels(error.code).inc()
        wait = error.retry_after
        if wait is None:
            state = RetryCallState(self._looking, None, (), {})
            state.attempt_number = max(1, row.attempts)
            wait = self._law(state)
        await self._outbox.retry(row.key, self._clock() + wait, error.code)
        return Outcome(error.code, hold=wait, limited=error.retry_after is not None)

    async def _refused(self, row: OutboxRow, word: str) -> Outcome:
        """Nothing is given up that a person can still repair, and nothing else waits for one message's own fault."""
        now, slow = self._clock(), self._policy.slow_retry
        fault = self._policy.judge(word)
        self._note(self._everywhere if fault is Verdict.AUTH else _place(row), word)
        if fault in (Verdict.PAYLOAD, Verdict.GONE):
            OUTBOX_FAILED.labels(word).inc()
            await self._outbox.failed(row.key, word, now)
            return Outcome(word)
        OUTBOX_RETRIES.labels(word).inc()
        if fault is Verdict.UNKNOWN:
            await self._outbox.retry(row.key, now + slow, word)
            return Outcome(word)
        # Put off in memory only (`hold`): after a restart, which is how a token is repaired, it should go at once.
        await self._outbox.retry(row.key, now, word)
        return Outcome(word, hold=slow, everywhere=fault is Verdict.AUTH)

    def _fallback(self, row: OutboxRow) -> str:
        """Where a message may go instead of its channel; "" for nowhere."""
        other = self._policy.fallback_channel
        return other if row.key.startswith(self._policy.urgent) and other.lstrip("#") != row.channel.lstrip("#") else ""

    def _note(self, where: str, what: str) -> None:
        self.problems.pop(where, None)
        self.problems[where] = what
        if len(self.problems) > MAX_PROBLEMS:
            self.problems.pop(next(iter(self.problems)))

    def _works(self, channel: str) -> None:
        self.problems.pop(channel, None)
        self.problems.pop(self._everywhere, None)


def _place(row: OutboxRow) -> str:
    """Where trouble with this row is: the channel it stands in (maybe the fallback's), else the one it is meant for."""
    return row.channel_id or row.channel


def _redirected(message: Message, channel: str, error: PermanentDeliveryError) -> Message:
    """The message with a first line that says where it should have gone, and why it did not."""
    why = f"Meant for {escape(channel)}, which cannot take it ({code(error.code)})."
    first = {"type": "context", "elements": [{"type": "mrkdwn", "text": why}]}
    return Message(f"{why}\n{message.text}", (first, *message.blocks) if message.blocks else ())
