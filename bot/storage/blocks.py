"""Blocks of the map's history in the database: the counts of one minute, hour or day, and what was last seen as of an hour.

Comes in: counts as columns. Goes out: one row of the database each, and the same columns again. Everything is read as
plain tuples from the driver, since these are the only places where a hundred thousand rows are read at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.counts import CALLS, EdgeCounts, Floats, Integers, joined
from bot.storage.columns import pack, unpack

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_ROWS_AT_ONCE = 250_000


class Seen(NamedTuple):
    """When edges were last seen (epoch s): their ids, in order, and for each the end of the last minute with calls."""

    edges: Integers
    until: Integers

    def merged(self, other: Seen) -> Seen:
        """The later of the two for each edge."""
        edges = np.union1d(self.edges, other.edges)
        until = np.zeros(len(edges), np.int64)
        for one in (self, other):
            places = edges.searchsorted(one.edges)
            until[places] = np.maximum(until[places], one.until)
        return Seen(edges, until)

    def since(self, moment: float) -> Seen:
        """Without what was not seen after `moment`."""
        kept = self.until > moment
        return Seen(self.edges[kept], self.until[kept])

    def among(self, edges: Integers, otherwise: int) -> Seen:
        """Of these edges, in order, and no others; `otherwise` for one that is not known here."""
        until = np.full(len(edges), otherwise, np.int64)
        mine = np.isin(self.edges, edges)
        until[edges.searchsorted(self.edges[mine])] = self.until[mine]
        return Seen(edges, until)

    def same(self, other: Seen) -> bool:
        """Whether both say the same."""
        return np.array_equal(self.edges, other.edges) and np.array_equal(self.until, other.until)


NOTHING_SEEN = Seen(np.empty(0, np.int64), np.empty(0, np.int64))


def seen_of(pairs: Iterable[tuple[int, float]]) -> Seen:
    """(edge, epoch s) pairs, in any order; moments are rounded up to the minute's end."""
    ordered = sorted(pairs)
    edges = np.array([edge for edge, _ in ordered], np.int64)
    return Seen(edges, np.array([-(-moment // MINUTE) * MINUTE for _, moment in ordered], np.int64))


def counts_to_block(counts: EdgeCounts) -> bytes:
    """Counts in order of edge as a block's body."""
    return pack([np.diff(counts.edges, prepend=0), *counts.columns])


def block_to_counts(body: bytes) -> EdgeCounts:
    """A block's counts, in order of edge. Raises BlockUnreadable."""
    columns = unpack(body)
    return EdgeCounts(_running(columns[0]), columns[1:])


def seen_to_block(seen: Seen) -> bytes:
    """What was last seen when, as a block's body: whole minutes."""
    return pack([np.diff(seen.edges, prepend=0), seen.until // MINUTE])


def block_to_seen(body: bytes) -> Seen:
    """What was last seen when. Raises BlockUnreadable."""
    steps, minutes = unpack(body)
    return Seen(_running(steps), minutes.astype(np.int64) * MINUTE)


def last_minutes(parts: Iterable[tuple[int, EdgeCounts]]) -> Seen:
    """The end of the last minute with calls of each edge; `parts` are minutes: (start, counts)."""
    ended = [(start + MINUTE, counts.edges[counts.columns[CALLS] > 0]) for start, counts in parts]
    if not ended:
        return NOTHING_SEEN
    ended.sort(key=lambda one: -one[0])
    every = np.concatenate([edges for _, edges in ended])
    until = np.concatenate([np.full(len(edges), end, np.int64) for end, edges in ended])
    edges, first = np.unique(every, return_index=True)  # the first of each is its latest
    return Seen(edges, until[first])


def total(bodies: Iterable[bytes]) -> EdgeCounts:
    """The sums over several blocks, never more than a few of them unpacked at once."""
    waiting: list[EdgeCounts] = []
    for body in bodies:
        waiting.append(block_to_counts(body))
        if sum(map(len, waiting)) > _ROWS_AT_ONCE:
            waiting = [joined(waiting).summed()]
    return joined(waiting).summed()


async def fetch(connection: AsyncConnection, statement: str, *parameters: float) -> Sequence[Sequence[Any]]:
    """The rows of a query with `?` for numbers, as the driver gives them, which takes a fifth of the time."""
    driver = (await connection.get_raw_connection()).driver_connection
    if connection.dialect.name == "sqlite":
        return await driver.execute_fetchall(statement, parameters)  # type: ignore[union-attr,no-any-return]
    numbers = count(1)
    numbered = "".join(f"${next(numbers)}" if char == "?" else char for char in statement)
    return await driver.fetch(numbered, *parameters)  # type: ignore[union-attr,no-any-return]


def _running(steps: Floats) -> Integers:
    return np.cumsum(steps.astype(np.int64))
