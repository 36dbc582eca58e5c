"""Who counted which calls, and whom to believe: several counts of the same calls -> one.

Comes in: increases, each with who witnessed it (a proxy at either end, an SDK, an agent). Goes out: differences to what went
out before, so that their sum is what the believed witness counted, in whatever order things come. What is lost: the counts
of all others; endpoints of theirs; counts beyond the cap on open minutes, which are counted.

Of an edge's witnesses the one that counted most, all open minutes together, is believed for all of them, since it missed
least. Not minute by minute: a burst that one witness was asked about before the minute's end and another after it would be
taken from both. Only a minute the believed witness did not watch is told by the fullest other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bot.edge_detail import MAX_ENDPOINTS, EdgeDetail
from bot.layers.family import Family, Reading, Role
from bot.layers.histogram import rebinned
from bot.layers.windows import minute_of
from bot.model import WINDOW_SECONDS, EdgeKey, LayerDelta, Tally

_AS_GOOD = 1.02
"""Witnesses that differ by so little agree, and the one believed so far stays: they are never asked at the same moment."""

MAX_WITNESSES = 32
"""Witnesses of one edge: who they are comes out of labels, which anybody may fill in."""
_LONGEST = 3_600.0
_MOST_SAMPLED = 2.0**50  # a day of such minutes still fits a column of 64 bits


class _Counted:
    """What one witness says of one edge in one minute."""

    __slots__ = ("bounds", "bytes", "calls", "errors", "latency_us")

    def __init__(self) -> None:
        self.calls = self.errors = self.latency_us = self.bytes = 0.0
        self.bounds: dict[Family, dict[float, float]] | None = None  # upper bound in µs -> calls up to it

    def add(self, family: Family, reading: Reading, bound: float, increase: float) -> None:
        role = family.role
        if role is Role.CALLS:
            self.calls += increase
            if reading.failed:
                self.errors += increase
        elif role is Role.FAILED:
            self.errors += increase
        elif role is Role.LATENCY:
            self.latency_us += increase * family.unit
        elif role is Role.BYTES:
            self.bytes += increase
        else:
            if self.bounds is None:
                self.bounds = {}
            bounds = self.bounds.setdefault(family, {})
            bounds[bound] = bounds.get(bound, 0.0) + increase

    def tally(self) -> Tally:
        """With its latencies. A witness of bytes alone has seen one connection at least."""
        found = Tally()
        found.calls = self.calls if self.calls > 0 or self.bytes <= 0 else 1.0
        found.errors = min(self.errors, found.calls)
        found.sampled = round(min(found.calls, _MOST_SAMPLED))
        found.latency_us, found.bytes = self.latency_us, self.bytes
        for bounds in (self.bounds or {}).values():
            found.histogram = [mine + more for mine, more in zip(found.histogram, rebinned(bounds), strict=True)]
        return found


class _Account:
    """One witness's minutes of one edge, and the stretch of time (epoch s) it has certainly watched."""

    __slots__ = ("detail", "minutes", "since", "until")

    def __init__(self, since: float, until: float) -> None:
        self.minutes: dict[int, _Counted] = {}
        self.detail = EdgeDetail()
        self.since, self.until = since, until

    @property
    def tells(self) -> bool:
        return bool(self.detail.protocols or self.detail.endpoints or self.detail.workloads)

    def watched(self, since: float, until: float) -> None:
        if since > self.until + WINDOW_SECONDS or until < self.since - WINDOW_SECONDS:
            self.since, self.until = since, until
        else:
            self.since, self.until = min(since, self.since), max(until, self.until)

    def knows(self, minute: int) -> bool:
        """Whether it watched the minute or one beside it: what is counted late falls into the next."""
        before, after = minute - WINDOW_SECONDS, minute + WINDOW_SECONDS
        if self.since < after + WINDOW_SECONDS and self.until >= before:
            return True
        return any(one in self.minutes for one in (before, minute, after))

    def total(self, where: _Account | None) -> tuple[float, float]:
        """Calls and bytes, of the minutes that `where` watched."""
        counted = [one for minute, one in self.minutes.items() if where is None or where.knows(minute)]
        return sum(one.calls for one in counted), sum(one.bytes for one in counted)


class _Book:
    """All witnesses of one edge, the believed one, and what went out of its word so far."""

    __slots__ = ("accounts", "believed", "dirty", "placed", "said")

    def __init__(self) -> None:
        self.accounts: dict[str, _Account] = {}
        self.believed = ""
        self.placed = ""
        self.dirty: set[int] = set()
        self.said: dict[int, Tally] = {}

    def details(self) -> EdgeDetail | None:
        """What is known of the edge besides counts since the last call: the believed witness's word, but of workloads that of
        one who knows both ends', and always the same one, so that no call counts twice."""
        told = {name: account.detail for name, account in self.accounts.items() if account.tells}
        for name in told:
            self.accounts[name].detail = EdgeDetail()
        knowing = sorted(name for name, detail in told.items() if any(all(pair) for pair in detail.workloads))
        if self.believed in knowing:
            self.placed = self.believed
        elif knowing and self.placed not in self.accounts:
            self.placed = knowing[0]
        found, placed = told.get(self.believed), told.get(self.placed)
        if placed is not None and placed is not found:
            found = found or EdgeDetail()
            found.workloads = placed.workloads
        elif placed is None and self.placed in self.accounts and found is not None:
            found.workloads = {}
        return found

    def look_again(self, since: float, minute: int) -> None:
        """Minutes somebody else told may be the believed witness's to tell, now that it is known to have watched them."""
        first = minute_of(max(since, minute - _LONGEST))
        self.dirty.update(range(first - WINDOW_SECONDS, minute + 2 * WINDOW_SECONDS, WINDOW_SECONDS))

    def news(self) -> Iterator[tuple[int, Tally]]:
        """What has to be added to what was said, by minute; after that it is said."""
        minutes, self.dirty = self.dirty, set()
        believed, self.believed = self.believed, self._fullest()
        if believed and believed != self.believed:
            minutes = {minute for account in self.accounts.values() for minute in account.minutes}
        for minute in minutes:
            counted = self._told(minute)
            difference = _minus(counted, self.said.get(minute))
            if difference is not None:
                self.said[minute] = counted
                yield minute, difference

    def _fullest(self) -> str:
        """Whom to believe. The believed witness is measured by what it watched: the rest is told by others anyway."""
        believed = self.accounts.get(self.believed)
        if believed is not None and len(self.accounts) == 1:
            return self.believed
        totals = {name: account.total(believed) for name, account in sorted(self.accounts.items())}
        best = max(totals, key=totals.__getitem__)
        if believed is None:
            return best
        (calls, size), (mine, my_size) = totals[best], totals[self.believed]
        more = calls > mine * _AS_GOOD or (calls <= 0 and size > my_size * _AS_GOOD)
        return best if more else self.believed

    def _told(self, minute: int) -> Tally:
        believed = self.accounts[self.believed]
        counted = believed.minutes.get(minute)
        if counted is None and not believed.knows(minute):
            others = [one for _, account in sorted(self.accounts.items()) if (one := account.minutes.get(minute))]
            counted = max(others, key=lambda one: (one.calls, one.bytes), default=None)
        return counted.tally() if counted is not None else Tally()


class Witnesses:
    """The open minutes of every edge."""

    def __init__(self, dropped: Counter[str], max_open: int = 1_000_000) -> None:
        self.dropped = dropped
        self._max = max_open
        self._open = 0
        self._books: dict[EdgeKey, _Book] = {}
        self._edges: dict[int, set[EdgeKey]] = {}
        self._dirty: set[EdgeKey] = set()

    def count(
        self, edge: EdgeKey, family: Family, reading: Reading, bound: float, increase: float, span: tuple[int, float]
    ) -> None:
        """Add what a counter grew by in the minute `span[0]`, counting since `span[1]` (epoch s)."""
        minute, since = span
        book = self._books.get(edge)
        account = book.accounts.get(reading.witness) if book is not None else None
        counted = account.minutes.get(minute) if account is not None else None
        if book is None or account is None or counted is None:
            if self._open >= self._max:
                self.dropped["count: too many edges and minutes open"] += 1
                return
            if book is not None and account is None and len(book.accounts) >= MAX_WITNESSES:
                self.dropped["count: too many witnesses of one edge"] += 1
                return
            book, account, counted = self._opened(edge, reading.witness, minute, since)
        elif since < minute:
            book.look_again(since, minute)
        account.watched(since, minute)
        counted.add(family, reading, bound, increase)
        if reading.protocol and len(account.detail.protocols) < MAX_ENDPOINTS:
            account.detail.protocols.add(reading.protocol)
        if reading.endpoint and family.role is Role.CALLS:
            account.detail.add(EdgeDetail(endpoints={reading.endpoint: increase}))
        if reading.workloads is not None and family.role is Role.CALLS:
            account.detail.count_workloads(reading.workloads, increase, minute)
        book.dirty.add(minute)
        self._dirty.add(edge)

    def _opened(self, edge: EdgeKey, witness: str, minute: int, since: float) -> tuple[_Book, _Account, _Counted]:
        self._open += 1
        self._edges.setdefault(minute, set()).add(edge)
        book = self._books.setdefault(edge, _Book())
        account = book.accounts.setdefault(witness, _Account(since, minute))
        counted = account.minutes[minute] = _Counted()
        book.look_again(since, minute)
        return book, account, counted

    def watched(self, edge: EdgeKey, witness: str, since: float, until: float) -> None:
        """A witness looked, and nothing was there."""
        book = self._books.get(edge)
        if book is not None and (account := book.accounts.get(witness)) is not None:
            account.watched(since, until)
            if len(book.accounts) > 1:
                book.look_again(since, minute_of(until))
                self._dirty.add(edge)

    def take(self, delta: LayerDelta) -> None:
        """Put everything new into a delta."""
        dirty, self._dirty = self._dirty, set()
        for edge in dirty:
            book = self._books.get(edge)
            if book is None or not book.dirty:
                continue
            for minute, difference in book.news():
                delta.windows.setdefault(minute, {}).setdefault(edge, Tally()).add(difference)
            if (detail := book.details()) is not None:
                delta.details.setdefault(edge, EdgeDetail()).add(detail)

    def close(self, before: float) -> None:
        """Let minutes go that ended before `before` (epoch s)."""
        for minute in [one for one in self._edges if one + WINDOW_SECONDS < before]:
            for edge in self._edges.pop(minute):
                book = self._books[edge]
                book.said.pop(minute, None)
                for name, account in list(book.accounts.items()):
                    self._open -= account.minutes.pop(minute, None) is not None
                    if not account.minutes:
                        del book.accounts[name]
                if not book.accounts:
                    del self._books[edge]


def _minus(counted: Tally, before: Tally | None) -> Tally | None:
    """What is left to say; None where it is nothing."""
    mine, theirs = _numbers(counted), _numbers(before) if before is not None else None
    if theirs is None:
        return counted if any(mine) else None
    if mine == theirs:
        return None
    found = Tally()
    found.calls, found.errors = counted.calls - theirs[0], counted.errors - theirs[1]
    found.latency_us, found.bytes = counted.latency_us - theirs[2], counted.bytes - theirs[3]
    found.histogram = [here - there for here, there in zip(mine[4:], theirs[4:], strict=True)]
    found.sampled = counted.sampled - (before.sampled if before is not None else 0)
    return found


def _numbers(tally: Tally) -> list[float]:
    return [tally.calls, tally.errors, tally.latency_us, tally.bytes, *tally.histogram]
