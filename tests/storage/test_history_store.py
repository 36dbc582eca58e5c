"""The map's history on disk: sums that are right at every resolution however things come, and nothing of the future."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from bot.counts import CALLS, ERRORS
from bot.edge_detail import EdgeDetail
from bot.model import EdgeKey, Layer, Node, Tally
from bot.storage import retention, roll_up
from bot.storage.blocks import DAY, HOUR, MINUTE, block_to_counts
from bot.storage.database import Database
from bot.storage.history_store import HistoryStore
from bot.storage.map_store import MapStore, StoredEdge
from bot.storage.notes import kept_from
from bot.storage.tables import EdgeBlockRow, EdgeLateRow, EdgeSeenRow, EdgeWindowRow, UnrolledRow
from tests.kit.maps import edge, tally

DAY_ONE = 1_700_006_400
"""The first second of a day (UTC)."""
LATER = DAY_ONE + 5 * DAY
AB, CB = edge("a>b"), edge("c>b")


class Kept:
    """One database with both of its stores."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.map, self.history = MapStore(database), HistoryStore(database)

    async def write(self, windows: Mapping[int, Mapping[EdgeKey, Tally]], layer: Layer = Layer.TRACE) -> None:
        """Write windows, their edges last seen at the end of the last of them."""
        first = {one: start for start in sorted(windows, reverse=True) for one in windows[start]}
        last = {one: start for start in sorted(windows) for one in windows[start]}
        edges = [StoredEdge(layer, one, float(first[one]), float(last[one] + 60), 60.0) for one in first]
        await self.map.write(layer, [], edges, windows, 0.0)

    async def calls(self, size: int) -> dict[tuple[int, EdgeKey], float]:
        """What the blocks of one size say, as (start, edge) -> calls."""
        blocks = EdgeBlockRow.__table__  # type: ignore[attr-defined]
        names = {one.number: one.edge for one in await self.history.edges_after(0)}
        async with self.database.read() as connection:
            rows = (await connection.execute(select(blocks).where(blocks.c.seconds == size))).all()
        return {
            (row.start, names[number]): calls
            for row in rows
            for number, calls in columns(block_to_counts(row.body), CALLS).items()
        }

    async def count(self, table: Any, *which: Any) -> int:
        async with self.database.read() as connection:
            found = await connection.scalar(select(func.count()).select_from(table.__table__).where(*which))
            return int(found or 0)

    async def seen(self, moment: float) -> dict[EdgeKey, int]:
        """When every edge was last seen as of a moment, as a reader puts it together."""
        past = await self.history.past(moment, 3_660)
        names = {one.number: one.edge for one in await self.history.edges_after(0)}
        found = {names[int(number)]: int(until) for number, until in zip(*past.seen, strict=True)}
        for span in past.spans:
            for number, calls in columns(span.counts, CALLS).items():
                if calls > 0:
                    found[names[number]] = max(found.get(names[number], 0), span.start + span.seconds)
        return found

    async def total(self, since: float, until: float) -> dict[EdgeKey, float]:
        names = {one.number: one.edge for one in await self.history.edges_after(0)}
        found: dict[EdgeKey, float] = defaultdict(float)
        for span in await self.history.total(since, until):
            assert since <= span.start
            assert span.start + span.seconds <= until
            for number, calls in columns(span.counts, CALLS).items():
                found[names[number]] += calls
        return dict(found)


def columns(counts: Any, which: int) -> dict[int, float]:
    return dict(zip(counts.edges.tolist(), counts.columns[which].tolist(), strict=True))


@pytest.fixture
def kept(database: Database) -> Kept:
    return Kept(database)


def summed(windows: Iterable[tuple[int, EdgeKey, float]], size: int) -> dict[tuple[int, EdgeKey], float]:
    found: dict[tuple[int, EdgeKey], float] = defaultdict(float)
    for start, one, calls in windows:
        found[start // size * size, one] += calls
    return {key: calls for key, calls in found.items() if calls}


# -- rolling up ------------------------------------------------------------------------------------------------------


async def test_closed_minutes_hours_and_days_are_summed_and_open_ones_wait(kept: Kept) -> None:
    starts = [DAY_ONE, DAY_ONE + 60, DAY_ONE + HOUR, DAY_ONE + DAY]
    await kept.write({start: {AB: tally(1), CB: tally(2)} for start in starts})
    await kept.history.roll_up(DAY_ONE + DAY + 90, 0, 0)

    assert await kept.calls(MINUTE) == summed(
        [(start, one, n) for start in starts[:3] for one, n in ((AB, 1), (CB, 2))], 60
    )
    assert await kept.calls(HOUR) == {
        (DAY_ONE, AB): 2, (DAY_ONE, CB): 4, (DAY_ONE + HOUR, AB): 1, (DAY_ONE + HOUR, CB): 2,
    }  # fmt: skip
    assert await kept.calls(DAY) == {(DAY_ONE, AB): 3, (DAY_ONE, CB): 6}


async def test_a_late_minute_reaches_the_hour_and_the_day_that_were_rolled_up_before(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(1)}})
    await kept.history.roll_up(LATER, 0, 0)
    await kept.write({DAY_ONE: {AB: tally(5)}, DAY_ONE + 120: {CB: tally(7)}})
    await kept.history.roll_up(LATER, 0, 0)

    assert await kept.calls(HOUR) == await kept.calls(DAY) == {(DAY_ONE, AB): 6, (DAY_ONE, CB): 7}


async def test_a_late_minute_reaches_its_hour_when_minutes_are_gone_and_its_day_when_hours_are(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(1)}, DAY_ONE + DAY: {AB: tally(2)}, DAY_ONE + 2 * DAY: {AB: tally(4)}})
    await kept.history.roll_up(LATER, DAY_ONE + 2 * DAY, DAY_ONE + DAY)
    assert await kept.count(EdgeWindowRow) == 1
    await kept.write({DAY_ONE + day * DAY + 60: {AB: tally(10)} for day in range(3)})
    for _ in range(2):
        await kept.history.roll_up(LATER, DAY_ONE + 2 * DAY, DAY_ONE + DAY)

    assert await kept.calls(DAY) == {(DAY_ONE, AB): 11, (DAY_ONE + DAY, AB): 12, (DAY_ONE + 2 * DAY, AB): 14}
    assert await kept.calls(HOUR) == {(DAY_ONE + DAY, AB): 12, (DAY_ONE + 2 * DAY, AB): 14}
    assert await kept.count(EdgeLateRow) == await kept.count(UnrolledRow) == 0


async def test_what_is_later_than_anything_kept_is_dropped_and_counted(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(1)}})
    await kept.history.roll_up(LATER, LATER, LATER, LATER)
    await kept.write({DAY_ONE: {AB: tally(1), CB: tally(1)}})
    await kept.history.roll_up(LATER, LATER, LATER, LATER)

    assert await kept.calls(DAY) == {}
    assert kept.history.rolling.dropped == {"older than any day that is kept": 2}
    assert await kept.count(EdgeLateRow) == await kept.count(UnrolledRow) == 0


async def test_a_correction_takes_back_what_was_rolled_up(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(5, 1), CB: tally(1)}})
    await kept.history.roll_up(LATER, 0, 0)
    await kept.write({DAY_ONE: {AB: tally(-5, -1)}})
    await kept.history.roll_up(LATER, 0, 0)

    assert await kept.calls(MINUTE) == await kept.calls(DAY) == {(DAY_ONE, CB): 1}


async def test_every_count_survives_the_roll_up_to_the_last_bit(kept: Kept) -> None:
    found = Tally()
    found.calls, found.errors, found.sampled, found.latency_us, found.bytes = 10 / 3, 0.1, 2**40, 1.5e12, 2.0**50 + 1
    found.histogram = [number + 0.25 for number in range(16)]
    await kept.write({DAY_ONE: {AB: found}})
    await kept.history.roll_up(LATER, 0, 0)
    [span] = await kept.history.total(DAY_ONE, DAY_ONE + DAY)

    wanted = [found.calls, found.errors, found.sampled, found.latency_us, found.bytes, *found.histogram]
    assert span.counts.columns[:, 0].tolist() == wanted
    assert span.seconds == DAY


MOMENTS = st.integers(0, 3 * 24 * 60 - 1).map(lambda minute: DAY_ONE + 60 * minute)
WRITES = st.lists(st.tuples(MOMENTS, st.sampled_from([AB, CB]), st.integers(1, 9)), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WRITES),
        st.tuples(st.just("roll"), st.integers(0, 4 * 24)),
        st.tuples(st.just("kill"), st.integers(0, 12)),
        st.tuples(st.just("let go"), st.integers(0, 3 * 24)),
    ),
    max_size=10,
)


_numbers = itertools.count()


class _Killed(Exception):
    """The program ends here."""


async def _killed_after(kept: Kept, commits: int, minutes_until: int, hours_until: int) -> None:
    """Roll up and let go, and die in the transaction after so many."""
    whole, left = Database.write, [commits]

    def counted(database: Database) -> Any:
        left[0] -= 1
        return whole(database) if left[0] >= 0 else _dying(whole(database))

    with mock.patch.object(Database, "write", counted), contextlib.suppress(_Killed):
        await kept.history.roll_up(LATER, minutes_until, hours_until)


class _dying:  # noqa: N801
    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction

    async def __aenter__(self) -> Any:
        return await self._transaction.__aenter__()

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.__aexit__(_Killed, _Killed(), None)
        raise _Killed


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_order_of_writes_roll_ups_and_kills_gives_the_true_sums(
    engine: str, steps: list[tuple[str, Any]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "sqlite":
        asyncio.run(_true_sums(f"sqlite:///{tmp_path}/{next(_numbers)}.db", steps))
        return
    server = request.getfixturevalue("server")

    async def on_a_server() -> None:
        url = await server.create()
        await _true_sums(url, steps)
        await server.drop(url)

    asyncio.run(on_a_server())


async def _true_sums(url: str, steps: list[tuple[str, Any]]) -> None:
    database = Database(url)
    await database.upgrade()
    kept, written = Kept(database), []
    until = (0, 0)
    try:
        for step, what in steps:
            if step == "write":
                windows: dict[int, dict[EdgeKey, Tally]] = defaultdict(dict)
                for start, one, calls in what:
                    windows[start].setdefault(one, Tally()).add(tally(calls))
                await kept.write(windows)
                written += what
            elif step == "roll":
                await kept.history.roll_up(DAY_ONE + HOUR * what, 0, 0)
            elif step == "kill":
                await _killed_after(kept, what, *until)
            else:
                until = (DAY_ONE + HOUR * what, DAY_ONE + HOUR * what - DAY)
                await kept.history.roll_up(LATER, *until)
        await kept.history.roll_up(LATER, *until)

        async with database.read() as connection:
            since = await kept_from(connection)
        for size in (MINUTE, HOUR, DAY):
            truth = summed(written, size)
            assert await kept.calls(size) == {key: calls for key, calls in truth.items() if key[0] >= since[size]}
        assert sum((await kept.total(DAY_ONE, DAY_ONE + 3 * DAY)).values()) == sum(calls for *_, calls in written)
        assert await kept.count(UnrolledRow) == await kept.count(EdgeLateRow) == 0
    finally:
        await database.close()


async def test_two_that_roll_up_at_once_come_to_the_same_sums(url: str) -> None:
    databases = [Database(url) for _ in range(3)]
    await databases[0].upgrade()
    several = [Kept(database) for database in databases]

    async def work(one: Kept, seed: int) -> None:
        for number in range(6):
            await one.write({DAY_ONE + 60 * ((seed + number) % 4): {AB: tally(1), CB: tally(2)}})
            await one.history.roll_up(LATER, 0, 0)

    await asyncio.wait_for(asyncio.gather(*(work(one, seed) for seed, one in enumerate(several))), 60)
    await several[0].history.roll_up(LATER, 0, 0)

    assert await several[0].calls(DAY) == {(DAY_ONE, AB): 18, (DAY_ONE, CB): 36}
    for database in databases:
        await database.close()


async def test_minutes_go_in_transactions_of_a_minute_each(kept: Kept) -> None:
    await kept.write({DAY_ONE + 60 * number: {(f"s{one}", "b"): tally(1) for one in range(20)} for number in range(30)})
    await kept.history.rolling.roll(LATER)
    writes = mock.Mock(side_effect=kept.database.write)
    with mock.patch.object(kept.database, "write", writes):
        assert await retention.let_go(kept.database, MINUTE, DAY_ONE + HOUR) == 600

    assert writes.call_count >= 60
    assert await kept.count(EdgeWindowRow) == 0
    assert await kept.count(EdgeBlockRow, EdgeBlockRow.__table__.c.seconds == MINUTE) == 0  # type: ignore[attr-defined]


async def test_nothing_goes_that_is_not_rolled_up(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(1)}, DAY_ONE + HOUR: {AB: tally(1)}})
    await kept.history.rolling.roll(DAY_ONE + HOUR + roll_up.SETTLE_SECONDS)
    await retention.let_go(kept.database, MINUTE, LATER)

    assert await kept.count(EdgeWindowRow) == 1
    assert await kept.calls(HOUR) == {(DAY_ONE, AB): 1}


# -- as of a moment --------------------------------------------------------------------------------------------------


async def test_a_moment_shows_nothing_of_a_minute_that_had_not_ended(kept: Kept) -> None:
    await kept.write({DAY_ONE + 600: {AB: tally(1)}, DAY_ONE + 660: {CB: tally(1)}})
    for _ in range(2):  # from the rows, then from the blocks
        assert await kept.seen(DAY_ONE + 659.9) == {}
        assert await kept.seen(DAY_ONE + 660) == {AB: DAY_ONE + 660}
        assert await kept.seen(DAY_ONE + 719.9) == {AB: DAY_ONE + 660}
        assert await kept.seen(DAY_ONE + 720) == {AB: DAY_ONE + 660, CB: DAY_ONE + 720}
        await kept.history.roll_up(LATER, 0, 0)


async def test_a_moment_is_moved_back_to_the_full_hour_where_minutes_are_gone_and_to_the_full_day_where_hours_are(
    kept: Kept,
) -> None:
    starts = {"early": DAY_ONE + HOUR, "late": DAY_ONE + HOUR + 1_800, "next": DAY_ONE + 2 * HOUR}
    await kept.write({start: {edge(f"{name}>b"): tally(1)} for name, start in starts.items()})
    await kept.history.roll_up(LATER, DAY_ONE + DAY, 0)
    past = await kept.history.past(DAY_ONE + 2 * HOUR + 1_800, 3_660)

    assert past.moment == DAY_ONE + 2 * HOUR
    assert [(span.start, span.seconds) for span in past.spans] == [(DAY_ONE + HOUR, HOUR)]
    assert {one[0] for one in await kept.seen(DAY_ONE + 2 * HOUR - 1)} == set()
    assert {one[0] for one in await kept.seen(DAY_ONE + 2 * HOUR + 1_800)} == {"early", "late"}
    await kept.history.roll_up(LATER, DAY_ONE + DAY, DAY_ONE + DAY)
    assert await kept.seen(DAY_ONE + 2 * HOUR + 1_800) == {}
    assert {one[0] for one in await kept.seen(DAY_ONE + DAY + 1)} == {"early", "late", "next"}


async def test_late_counts_show_in_the_past_they_belong_to_and_in_every_moment_since(kept: Kept) -> None:
    await kept.write({DAY_ONE + HOUR * number: {AB: tally(1)} for number in range(6)})
    await kept.history.roll_up(LATER, 0, 0)
    await kept.write({DAY_ONE + 60: {CB: tally(1)}})
    for _ in range(2):
        assert CB not in await kept.seen(DAY_ONE + 119)
        for moment in (DAY_ONE + 120, DAY_ONE + HOUR, DAY_ONE + 3 * HOUR, DAY_ONE + DAY):
            assert (await kept.seen(moment))[CB] == DAY_ONE + 120
        await kept.history.roll_up(LATER, 0, 0)


async def test_edges_from_before_there_were_blocks_are_in_the_past_from_when_they_were_last_seen(kept: Kept) -> None:
    await kept.map.write(Layer.TRACE, [], [StoredEdge(Layer.TRACE, CB, 1.0, DAY_ONE - 90.0, 60.0)], {}, 0.0)
    await kept.write({DAY_ONE: {AB: tally(1)}})
    await kept.history.roll_up(LATER, 0, 0)

    assert await kept.seen(DAY_ONE + HOUR) == {AB: DAY_ONE + 60, CB: DAY_ONE - 60}


async def test_edges_unseen_for_longer_than_the_retention_leave_the_record(kept: Kept) -> None:
    kept.history = HistoryStore(kept.database, edge_retention=2 * HOUR)
    await kept.write({DAY_ONE: {AB: tally(1)}, **{DAY_ONE + 60 + HOUR * number: {CB: tally(1)} for number in range(4)}})
    await kept.history.roll_up(LATER, 0, 0)

    assert (await kept.seen(DAY_ONE + HOUR)).keys() == {AB, CB}
    assert (await kept.seen(DAY_ONE + 4 * HOUR)).keys() == {CB}
    assert await kept.count(EdgeSeenRow) == 5


# -- ranges ----------------------------------------------------------------------------------------------------------


async def test_a_range_is_summed_from_the_coarsest_spans_within_it(kept: Kept) -> None:
    starts = [DAY_ONE + 60 * number for number in range(0, 2 * 24 * 60, 7)]
    await kept.write({start: {AB: tally(1)} for start in starts})
    await kept.history.roll_up(LATER, 0, 0)
    for since, until in ((0, 2 * DAY), (90, DAY + 5 * HOUR + 125), (HOUR, HOUR + 60), (60, 60), (DAY, 2 * DAY)):
        found = await kept.total(DAY_ONE + since, DAY_ONE + until)
        wanted = sum(DAY_ONE + since <= start and start + 60 <= DAY_ONE + until for start in starts)
        assert found.get(AB, 0) == wanted

    assert {span.seconds for span in await kept.history.total(DAY_ONE, DAY_ONE + DAY + HOUR + 480)} == {
        DAY,
        HOUR,
        MINUTE,
    }


@pytest.mark.parametrize("rolled", [True, False])
async def test_a_range_from_long_before_there_was_anything_looks_at_no_day_in_between(kept: Kept, rolled: bool) -> None:
    looks = mock.AsyncMock(wraps=kept.history._bodies)
    with mock.patch.object(kept.history, "_bodies", looks):
        assert await kept.total(-5e10, LATER) == {}
        await kept.write({DAY_ONE + 60: {AB: tally(3)}})
        if rolled:
            await kept.history.roll_up(LATER, 0, 0)
        assert await kept.total(-5e10, LATER) == {AB: 3}
    assert looks.await_count < 40


async def test_a_range_counts_what_is_not_rolled_up_yet(kept: Kept) -> None:
    await kept.write({DAY_ONE + 60: {AB: tally(1)}})
    await kept.history.roll_up(LATER, 0, 0)
    await kept.write({DAY_ONE + 60: {AB: tally(2, 1)}, DAY_ONE + DAY: {AB: tally(4)}})

    assert await kept.total(DAY_ONE, DAY_ONE + 2 * DAY) == {AB: 7}
    [span] = [one for one in await kept.history.total(DAY_ONE, DAY_ONE + HOUR) if len(one.counts)]
    assert columns(span.counts, ERRORS) == {1: 1}


# -- edges and what the catalogue said -------------------------------------------------------------------------------


async def test_an_edge_keeps_its_details_when_it_is_written_without_any(kept: Kept) -> None:
    workloads = {("web-1.shop", "pay-2.shop@east"): (3.0, 60), ("", "pay-1"): (0.5, 120)}
    detail = EdgeDetail({"http"}, {"GET /": 3.0}, {("lb-1", "lb-2")}, 0.7, "likeness", workloads)
    await kept.map.write(Layer.NETWORK, [], [StoredEdge(Layer.NETWORK, AB, 1.0, 2.0, 60.0, detail)], {}, 0.0)
    await kept.map.write(Layer.NETWORK, [], [StoredEdge(Layer.NETWORK, AB, 1.0, 3.0, 60.0)], {}, 0.0)

    assert await kept.map.edges() == [StoredEdge(Layer.NETWORK, AB, 1.0, 3.0, 60.0, detail)]
    [found] = await kept.history.edges_after(0)
    assert (found.edge, found.layer, found.detail) == (AB, Layer.NETWORK, detail)


async def test_edges_are_kept_as_long_as_anything_counted_on_them(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(1)}, DAY_ONE + 3 * DAY: {CB: tally(1)}})
    await kept.history.roll_up(LATER, LATER - DAY, LATER - DAY)
    assert await kept.map.expire(LATER - DAY, LATER - DAY) == (0, 0)
    await kept.history.roll_up(LATER, LATER - DAY, LATER - DAY, DAY_ONE + 2 * DAY)
    assert await kept.map.expire(LATER - DAY, LATER - DAY) == (0, 1)

    assert [found.edge for found in await kept.history.edges_after(0)] == [CB]


async def test_the_number_of_an_edge_that_is_gone_is_never_used_again(kept: Kept) -> None:
    await kept.write({DAY_ONE: {AB: tally(1)}})
    [before] = await kept.history.edges_after(0)
    await kept.map.forget([(Layer.TRACE, AB)])
    await kept.write({DAY_ONE: {CB: tally(1)}})
    [after] = await kept.history.edges_after(0)

    assert after.number > before.number
    assert await kept.history.edges([before.number]) == []


async def test_properties_are_stored_when_they_change_and_read_as_of_any_moment(kept: Kept) -> None:
    history = kept.history
    assert await history.note_properties(100, {"pay": {"tier": "1", "aliases": ["p"]}, "web": {"tier": "2"}}) == 2
    assert await history.note_properties(200, {"pay": {"tier": "1", "aliases": ["p"]}, "web": {"tier": "2"}}) == 0
    assert await history.note_properties(300, {"pay": {"tier": "3"}}) == 2

    assert await history.properties(99) == {}
    assert await history.properties(250) == {"pay": {"tier": "1", "aliases": ["p"]}, "web": {"tier": "2"}}
    assert await history.properties(300) == {"pay": {"tier": "3"}}


async def test_what_was_said_before_any_day_that_is_kept_is_forgotten_once_something_else_was_said(kept: Kept) -> None:
    for at, tier in ((100.0, "1"), (200.0, "2"), (300.0, "3")):
        await kept.history.note_properties(at, {"pay": {"tier": tier}, "web": {"tier": "1"}})
    await kept.history.roll_up(LATER, 0, 0, days_until=250)

    assert await kept.history.properties(150) == {"web": {"tier": "1"}}
    assert await kept.history.properties(250) == {"pay": {"tier": "2"}, "web": {"tier": "1"}}
    assert await kept.history.properties(350) == {"pay": {"tier": "3"}, "web": {"tier": "1"}}


async def test_services_of_the_past_are_known_by_kind(kept: Kept) -> None:
    await kept.map.write(Layer.TRACE, [Node("a", name="a"), Node("b", name="b")], [], {}, 0.0)

    assert {node.id for node in await kept.history.nodes()} == {"a", "b"}
