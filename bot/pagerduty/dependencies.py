"""Keeps PagerDuty's service graph told of what the map discovers: comes in the map, goes out dependencies, one look an hour.

Every call is written down before it is made and read back afterwards, because PagerDuty is known to fail calls that it took. A
look that fails ends there and is taken up again after a pause; nobody waits for it. What is lost: nothing; what is left out is
counted in `state`, and what PagerDuty refused waits a week.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bot import metrics
from bot.enrich.view import MapView
from bot.errors import DeliveryError, PermanentDeliveryError, RetryableDeliveryError
from bot.moments import iso
from bot.pagerduty.discovered import Found, discovering
from bot.pagerduty.plan import ROUND, Graph, Plan, intended, plan
from bot.pagerduty.service_graph import ServiceGraph
from bot.pushed import Fate, Pair, Pushed
from bot.storage.dependency_store import DependencyStore

BATCH = 50
"""Dependencies in one call. The API states no limit; so many are quickly searched for the one it refuses."""
MOST_TAKEN_BACK = 20
"""Dependencies taken back at one look: a mistake of ours must not empty a service graph overnight."""

_MOST_REFUSED = 20
_SOON = 60.0
_LONGEST_PAUSE = 1_800.0
_NAMED = 5
_REFUSALS = frozenset(("pd_refused", "pd_circular", "pd_not_found"))
_HINTS = {
    "pd_unauthorized": " (is PAGERDUTY_API_TOKEN a REST API key of this account, and PAGERDUTY_API_URL its region's?)",
    "pd_forbidden": " (the key has to be one that may write)",
    "pd_plan_lacks_it": " (the account's plan has no service graph)",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at both sides, and what follows from it."""

    found: Found
    graph: Graph
    plan: Plan
    ours: int


class Dependencies:
    """One account's. `least` is the confidence that is enough; `remove`: also take back what is ours and gone; `first`: seconds
    until the first look. `clock` gives epoch seconds."""

    def __init__(
        self,
        graph: ServiceGraph,
        store: DependencyStore,
        view: MapView,
        least: float,
        remove: bool = False,
        first: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._graph, self._store, self._view = graph, store, view
        self._least, self._remove, self._clock = least, remove, clock
        self._due = clock() + first
        self._failures = 0
        self._refused = self._made = 0
        """At this look."""
        self._last: tuple[float, Look] | None = None
        self._done: Counter[str] = Counter()
        self._problem = ""

    async def tick(self) -> None:
        """Look, and do what is to be done, once it is due."""
        if self._clock() < self._due:
            return
        try:
            look = await self._round()
        except DeliveryError as error:
            self._failures += 1
            pause = min(_SOON * 2 ** (self._failures - 1), _LONGEST_PAUSE)
            self._due = self._clock() + max(pause, getattr(error, "retry_after", None) or 0.0)
            code = getattr(error, "code", "failed")
            self._problem = f"dependencies are not pushed: {code}{_HINTS.get(code, '')}"
            log.warning("PagerDuty's service graph could not be told", why=code)
            return
        self._failures, self._problem = 0, ""
        # Without any service in common there is nothing to be slow about: the catalogue may be on its way.
        self._due = self._clock() + (ROUND if look.found.services else _SOON)

    async def look(self) -> Look:
        """What would be done now; nothing is changed, here or there."""
        account = await self._graph.services()
        found = await _piecemeal(discovering(self._view, account, self._least, self._clock()))
        known = await self._store.all()
        of_interest = {end for pair in (*found.seen, *known) for end in pair} & set(account)
        graph = await self._graph.read(sorted(of_interest))
        made = await asyncio.to_thread(plan, found, graph, known, self._clock())
        after = {**known, **{row.pair: row for row in made.rows}}
        ours = sum(row.fate is Fate.OURS for pair, row in after.items() if pair in graph.standing)
        return Look(found, graph, made, ours)

    def state(self) -> dict[str, Any]:
        """How it goes, for `doctor`."""
        if self._last is None:
            return {"last_look": "never", "problem": self._problem}
        at, look = self._last
        left = look.found.left_out + Counter(one.why for one in look.plan.left)
        problem = self._problem
        if not problem and not look.found.services and self._view.graph.service_count:
            problem = (
                "no service on the map is known as one of PagerDuty's: the catalogue has to name its PagerDuty service"
            )
        return {
            "last_look": iso(at),
            "services": len(look.found.services),
            "there": len(look.plan.there) + self._made,
            "ours": look.ours + self._made,
            "done": ", ".join(f"{count} × {what}" for what, count in sorted(self._done.items())),
            "left_out": ", ".join(f"{count} × {why}" for why, count in sorted(left.items()) if count),
            "gone": listed(look.plan.gone),
            "problem": problem,
        }

    # -- one look ------------------------------------------------------------------------------------------------------

    async def _round(self) -> Look:
        look = await self.look()
        # Shielded: a transaction that is cancelled in the middle can leave the database locked.
        await asyncio.shield(self._store.keep(look.plan.rows))
        await asyncio.shield(self._store.forget(look.plan.forget))
        await asyncio.shield(self._store.expire(self._clock()))
        self._count("deleted by somebody", len(look.plan.declined))
        self._last, self._refused, self._made = (self._clock(), look), 0, 0
        for start in range(0, len(look.plan.push), BATCH):
            await self._push(look.plan.push[start : start + BATCH], look.found)
        if self._remove:
            for row in look.plan.gone[:MOST_TAKEN_BACK]:
                await self._take_back(row)
        return look

    async def _push(self, pairs: Sequence[Pair], found: Found) -> None:
        """Make some dependencies. Those among them that PagerDuty refuses are searched for by halves."""
        ends = sorted({dependent for dependent, _ in pairs})
        before = await self._graph.read(ends)
        wanted = [pair for pair in pairs if pair not in before.standing and pair[0] in before.read]
        if not wanted:
            return
        rows = {pair: intended(pair, found.seen[pair], self._clock()) for pair in wanted}
        await asyncio.shield(self._store.keep(rows.values()))
        told: dict[Pair, str] = {}
        failure: DeliveryError | None = None
        try:
            told = await self._graph.associate(wanted)
        except DeliveryError as error:
            failure = error
        after = await self._graph.read(ends) if _may_have_arrived(failure) else before
        there = {pair: number for pair in wanted if (number := after.standing.get(pair) or told.get(pair))}
        await self._note(there, rows)
        self._count("pushed" if failure is None else "there although the call failed", len(there))
        missing = [pair for pair in wanted if pair not in there]
        if failure is None:
            self._count("not there although the call succeeded", len(missing))
        elif isinstance(failure, PermanentDeliveryError) and failure.code in _REFUSALS:
            await self._search(missing, failure, found, rows)
        else:
            raise failure

    async def _note(self, there: dict[Pair, str], rows: dict[Pair, Pushed]) -> None:
        ours = [replace(rows[pair], fate=Fate.OURS, at=self._clock(), number=number) for pair, number in there.items()]
        await asyncio.shield(self._store.keep(ours))
        self._made += len(ours)

    async def _search(
        self, missing: Sequence[Pair], failure: PermanentDeliveryError, found: Found, rows: dict[Pair, Pushed]
    ) -> None:
        """Find out which of them PagerDuty refuses, and make the others."""
        if len(missing) > 1:
            for half in (missing[: len(missing) // 2], missing[len(missing) // 2 :]):
                await self._push(half, found)
            return
        for pair in missing:
            refused = replace(rows[pair], fate=Fate.REFUSED, at=self._clock(), why=failure.code)
            await asyncio.shield(self._store.keep([refused]))
            self._count("refused", 1)
            self._refused += 1
            if self._refused >= _MOST_REFUSED:
                raise RetryableDeliveryError("pd_refuses_too_many")

    async def _take_back(self, row: Pushed) -> None:
        await asyncio.shield(self._store.keep([replace(row, fate=Fate.REMOVING, at=self._clock())]))
        failure: DeliveryError | None = None
        try:
            await self._graph.disassociate([row.pair])
        except DeliveryError as error:
            failure = error
        if _may_have_arrived(failure):
            after = await self._graph.read([row.dependent])
            if row.dependent in after.read and row.pair not in after.standing:
                await asyncio.shield(self._store.forget([row.pair]))
                self._count("taken back", 1)
                log.info("dependency taken back", caller=row.caller, callee=row.callee)
        if failure is not None and not (isinstance(failure, PermanentDeliveryError) and failure.code in _REFUSALS):
            raise failure

    def _count(self, what: str, number: int) -> None:
        if number:
            self._done[what] += number
            metrics.PAGERDUTY_DEPENDENCIES.labels(what).inc(number)


async def _piecemeal(work: Generator[None, None, Found]) -> Found:
    """Do it in pieces, and let others have their turn in between."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            found: Found = done.value
            return found
        await asyncio.sleep(0)


def listed(rows: Iterable[Pushed]) -> str:
    """`a → b, c → d and 3 more`, by the map's names."""
    names = [f"{row.caller} → {row.callee}" for row in rows]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _may_have_arrived(failure: DeliveryError | None) -> bool:
    """Whether it has to be read back what became of a call: everything but what surely did not go out."""
    return not isinstance(failure, RetryableDeliveryError)
