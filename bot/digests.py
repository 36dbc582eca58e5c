"""Daily digests, from who asked to the outbox: finds what is due, reads its period, and settles the day with its message.

Comes in: subscriptions, the history, what was told and answered. Goes out: one outbox row a day and subscription, written in the
transaction that settles the day, so that neither a restart nor a second process sends it twice. What is lost: a day that could
not be told of within six hours, of which the next digest tells; both are counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import structlog

from bot import metrics
from bot.digest.contents import Line, Reading, lines, unattributed
from bot.digest.due import Due, decide, zone
from bot.digest.persistence import CHANGED, Memory
from bot.digest.wish import of_what
from bot.errors import BadRequest
from bot.grading.accuracy import Graded, week_line
from bot.history import History
from bot.model import Message, Subscription
from bot.slack.digest_view import Digest, digest
from bot.storage.alert_records import Held
from bot.storage.digest_store import DigestStore, LineAnswer
from bot.storage.grade_store import GradeStore

DAY = 86_400.0
MOST_TOLD = 20_000
"""Lines that one digest remembers to have told; more than that is a map that was renamed, and is told of again."""

_OPEN_SECONDS = 14 * DAY
"""How long a line that somebody looks into is shown as open."""
_EXPECTED_CHANGE_SECONDS = 7 * DAY
"""How long a change of numbers that was expected is not told of again: the next one may be another."""
_EXPIRE_SECONDS = 3_600.0
_LATE_SECONDS = 300.0
"""How long after it began an incident may be stored."""

Waited = Callable[[Subscription, float, float], Awaitable[list[Held]]]
"""Which incidents of those a subscription is about quiet hours held back in `[since, until)`."""

log = structlog.get_logger(__name__)


class Digests:
    """One per program."""

    def __init__(
        self,
        history: History,
        store: DigestStore,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
        waited: Waited | None = None,
        grades: GradeStore | None = None,
    ) -> None:
        self._waited = waited
        self._grades = grades
        self._history = history
        self._store = store
        self._wake = wake
        self._clock = clock
        self._expired = float("-inf")

    async def tick(self) -> int:
        """Write every digest that is due; says how many days were settled. To be called every minute or so."""
        now = self._clock()
        settled = 0
        reading: Reading | None = None
        for subscription, found in await asyncio.to_thread(_all_due, await self._store.subscriptions(), now):
            if found.verdict == "miss":
                settled += await self._miss(subscription, found, now)
                continue
            if reading is None or (reading.period.since, reading.period.until) != (found.since, found.until):
                reading = await self._history.period(found.since, found.until)
            settled += await self._send(subscription, found, reading, now)
        if now - self._expired > _EXPIRE_SECONDS:
            await self._store.expire(now)
            self._expired = now
        return settled

    async def preview(self, asked: Subscription, now: float) -> Message:
        """What a digest of the day up to `now` says, whether or not it was told before."""
        reading = await self._history.period(now - DAY, now)
        found = await asyncio.to_thread(lines, reading, asked)
        held = await self._held(asked, now - DAY, now)
        return await self._written(asked, reading, found, now, (), held)

    async def _held(self, asked: Subscription, since: float, until: float) -> list[Held]:
        return await self._waited(asked, since, until) if self._waited is not None else []

    async def _send(self, subscription: Subscription, due: Due, reading: Reading, now: float) -> bool:
        """Settle a day with what there is to tell."""
        memory = Memory.of(await self._store.told(subscription.id), subscription.created_at, due.until)
        found = (await asyncio.to_thread(lines, reading, subscription, memory))[:MOST_TOLD]
        answers = await self._store.answers(subscription.channel)
        news = [line for line in found if not _answered(line, answers.get(line.key), now)]
        # What began in the last minutes may still be on its way to the database, and is told of the next day.
        held = await self._held(subscription, due.since - _LATE_SECONDS, due.until - _LATE_SECONDS)
        message = None
        if news or held or subscription.always:
            notes = [] if due.reason == "due" else ["It tells of more than a day, since the bot sent no digest then."]
            notes += await self._week(subscription, due)
            message = await self._written(subscription, reading, found, now, notes, held)
        told = {line.pair: line.kind for line in found if line.kind != CHANGED}
        if not await self._store.settle(subscription, due.date, due.until, message, now, told):
            return False
        self._count(subscription, "quiet" if message is None else "sent", due)
        if message is not None:
            self._wake()
        return True

    async def _week(self, subscription: Subscription, due: Due) -> list[str]:
        """How right the bot was in the last seven days: for the foot of the first digest that is sent in a week."""
        if self._grades is None:
            return []
        day = date.fromisoformat(due.date)
        before = [(day - timedelta(days=back)).isoformat() for back in range(1, day.weekday() + 1)]
        if await self._store.written(subscription.id, before):
            return []
        line = week_line([Graded(*row) for row in await self._grades.since(due.until - 7 * DAY)])
        return [line] if line else []

    async def _miss(self, subscription: Subscription, due: Due, now: float) -> bool:
        if not await self._store.settle(subscription, due.date, None, None, now):
            return False
        self._count(subscription, "missed", due)
        return True

    async def _written(
        self,
        asked: Subscription,
        reading: Reading,
        found: list[Line],
        now: float,
        notes: Sequence[str],
        held: Sequence[Held],
    ) -> Message:
        """The message about these lines, without those that were answered."""
        answers = await self._store.answers(asked.channel)
        share = await asyncio.to_thread(unattributed, reading, asked)
        return digest(
            Digest(
                f"Dependencies of {of_what(asked) or 'all services'}",
                [line for line in found if not _answered(line, answers.get(line.key), now)],
                _open(answers, now),
                (_span(asked, reading), *notes),
                share,
                reading.heard,
                held,
            )
        )

    def _count(self, subscription: Subscription, outcome: str, due: Due) -> None:
        metrics.DIGESTS.labels(outcome).inc()
        log.info("digest", outcome=outcome, subscription=subscription.id, date=due.date, reason=due.reason)


def _all_due(subscriptions: Iterable[Subscription], now: float) -> list[tuple[Subscription, Due]]:
    """Those of one period one after the other: they share its reading, which is what takes time and memory."""
    due = [(one, found) for one in subscriptions if (found := _due(one, now)) is not None]
    return sorted(due, key=lambda one: (one[1].until, one[1].since, one[0].id))


def _due(subscription: Subscription, now: float) -> Due | None:
    """What is to be done about a subscription now, None for nothing."""
    try:
        found = decide(subscription, now)
    except BadRequest as error:  # its zone was one when it was asked for
        metrics.DIGESTS.labels("failed").inc()
        log.warning("a digest cannot be sent", subscription=subscription.id, why=str(error))
        return None
    return None if found.verdict == "wait" else found


def _answered(line: Line, answer: LineAnswer | None, now: float) -> bool:
    """Whether a line need not be told."""
    if answer is None or answer.answer == "open":
        return False
    return answer.answer == "look" or line.kind != CHANGED or now - answer.at < _EXPECTED_CHANGE_SECONDS


def _open(answers: Mapping[str, LineAnswer], now: float) -> dict[str, str]:
    """Line -> who looks into it, the newest first."""
    looking = [(one.at, key, one.who) for key, one in answers.items() if one.answer == "look"]
    return {key: who for at, key, who in sorted(looking, reverse=True) if now - at < _OPEN_SECONDS}


def _span(asked: Subscription, reading: Reading) -> str:
    """The period in the subscriber's own time."""
    ends = (datetime.fromtimestamp(at, zone(asked.zone)) for at in (reading.period.since, reading.period.until))
    return " to ".join(f"{one:%a %d %b %H:%M}" for one in ends) + f" ({asked.zone})"
