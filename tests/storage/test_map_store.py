"""The map on disk: counts add up however they come, and what is loaded is what was written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Mapping

import pytest
from sqlalchemy.exc import SQLAlchemyError

from bot.model import ENTRY, UNATTRIBUTED, EdgeKey, Kind, Layer, Node, Tally
from bot.storage.database import Database
from bot.storage.map_store import MapStore, StoredEdge
from tests.kit.maps import NOW, edge, minute, tally

AB, CB, XB = edge("a>b"), edge("c>b"), (ENTRY, "b")
Counts = dict[tuple[int, EdgeKey], tuple[float, float, int, float]]


@pytest.fixture
def store(database: Database) -> MapStore:
    return MapStore(database)


def stored_edge(one: EdgeKey, last_seen: float = NOW, layer: Layer = Layer.TRACE) -> StoredEdge:
    return StoredEdge(layer, one, last_seen - 60, last_seen, 60.0)


async def write(
    store: MapStore,
    windows: Mapping[int, Mapping[EdgeKey, Tally]],
    nodes: Iterable[Node] = (),
    layer: Layer = Layer.TRACE,
    last_seen: float = NOW,
) -> int:
    edges = dict.fromkeys(one for counts in windows.values() for one in counts)
    return await store.write(layer, nodes, [stored_edge(one, last_seen, layer) for one in edges], windows, NOW)


async def counts(store: MapStore, layer: Layer = Layer.TRACE, since: float = 0.0) -> Counts:
    """What a bot that starts now would load."""
    await store.edges()
    return {
        (start, one): (found.calls, found.errors, found.sampled, found.histogram[4])
        async for start, one, found in store.windows(layer, since)
    }


# -- counts ----------------------------------------------------------------------------------------------------------


async def test_counts_of_one_window_add_up(store: MapStore) -> None:
    assert await write(store, {minute(): {AB: tally(5, 1), CB: tally(2)}}) == 2
    await write(store, {minute(): {AB: tally(3, 1)}, minute(1): {AB: tally(1)}})

    assert await counts(store) == {
        (minute(), AB): (8, 2, 8, 8),
        (minute(), CB): (2, 0, 2, 2),
        (minute(1), AB): (1, 0, 1, 1),
    }


async def test_late_counts_and_corrections_merge_by_themselves(store: MapStore) -> None:
    for found in (tally(5, 2), tally(-5, -2), tally(1.5)):
        await write(store, {minute(500): {AB: found}})

    assert await counts(store) == {(minute(500), AB): (1.5, 0, 2, 1.5)}


async def test_the_order_of_writes_never_matters(database: Database) -> None:
    batches = [{minute(ago): {AB: tally(ago + 1, ago % 2), XB: tally(-1)}} for ago in (0, 1, 0, 2, 1, 0)]
    answers = []
    for seed, callee in enumerate(("p", "q")):
        store = MapStore(database)
        for batch in random.Random(seed).sample(batches, len(batches)):
            await write(
                store, {start: {(one[0], callee): found for one, found in batch[start].items()} for start in batch}
            )
        found = await counts(MapStore(database))
        answers.append({(start, one[0]): value for (start, one), value in found.items() if one[1] == callee})

    assert answers[0] == answers[1]
    assert len(answers[0]) == 6


async def test_every_part_of_a_count_comes_back_as_it_was_written(store: MapStore) -> None:
    found = Tally()
    found.calls, found.errors, found.sampled, found.latency_us = 10 / 3, 0.1, 2**40, 1.5e12
    found.histogram = [number + 0.25 for number in range(16)]
    await write(store, {minute(): {AB: found}})
    await store.edges()
    [(start, one, again)] = [row async for row in store.windows(Layer.TRACE, 0)]

    assert (start, one) == (minute(), AB)
    assert {name: getattr(again, name) for name in Tally.__slots__} == {
        name: getattr(found, name) for name in Tally.__slots__
    }
    assert isinstance(again.sampled, int)


@pytest.mark.parametrize("edges", [3, 700])
async def test_few_or_many_at_once_every_count_is_added_where_it_belongs(store: MapStore, edges: int) -> None:
    found = Tally()
    found.calls, found.errors, found.sampled, found.latency_us, found.bytes = 5.5, 1.0, 3, 7.25, 2.0**41
    found.histogram = [0.0, *(number + 0.5 for number in range(1, 16))]
    for _ in range(2):
        await write(store, {minute(late): {(f"s{number}", "b"): found for number in range(edges)} for late in (0, 1)})
    await store.edges()
    again = [row async for row in store.windows(Layer.TRACE, 0)]

    assert len(again) == 2 * edges
    for _, _, one in again:
        totals = (one.calls, one.errors, one.sampled, one.latency_us, one.bytes)
        assert totals == (11.0, 2.0, 6, 14.5, 2.0**42)
        assert one.histogram == [2 * count for count in found.histogram]


async def test_layers_are_kept_apart(store: MapStore) -> None:
    await write(store, {minute(): {AB: tally(5)}})
    await write(store, {minute(): {AB: tally(7)}}, layer=Layer.IPC)

    assert await counts(store) == {(minute(), AB): (5, 0, 5, 5)}
    assert await counts(store, Layer.IPC) == {(minute(), AB): (7, 0, 7, 7)}
    assert await counts(store, Layer.NETWORK) == {}


async def test_only_windows_asked_for_are_loaded(store: MapStore) -> None:
    await write(store, {minute(ago): {AB: tally(1)} for ago in range(5)})

    assert {start for start, _ in await counts(store, since=minute(2))} == {minute(2), minute(1), minute()}


async def test_pseudo_callers_are_stored_like_others(store: MapStore) -> None:
    await write(store, {minute(): {XB: tally(1), (UNATTRIBUTED, "b"): tally(2)}}, [Node("b")])

    assert {one for _, one in await counts(MapStore(store._database))} == {XB, (UNATTRIBUTED, "b")}
    assert [node.id for node in await store.services()] == ["b"]


async def test_thousands_of_edges_in_one_write_all_arrive(store: MapStore) -> None:
    found = {(f"s{number}", "hub"): tally(number + 1) for number in range(2_500)}
    assert await write(store, {minute(): found}, [Node(f"s{number}") for number in range(2_500)]) == 2_500
    again = await counts(store)

    assert {one: value[0] for (_, one), value in again.items()} == {one: value.calls for one, value in found.items()}
    assert len(await store.services()) == 2_500


async def test_a_write_that_fails_stores_nothing_and_the_next_one_everything(store: MapStore) -> None:
    broken = tally(1)
    broken.calls = "many"  # type: ignore[assignment]
    windows = {minute(): {AB: tally(5)}, minute(1): {CB: broken}}
    with pytest.raises((SQLAlchemyError, TypeError)):
        await write(store, {minute(): {AB: tally(5)}, minute(1): {(None, "b"): tally(1)}}, [Node("a")])  # type: ignore[dict-item]
    assert await counts(store) == {}
    assert await store.edges() == []
    assert await store.services() == []
    broken.calls = 1
    await write(store, windows, [Node("a")])

    assert (await counts(store)).keys() == {(minute(), AB), (minute(1), CB)}


async def test_a_write_that_is_tried_again_because_nobody_knows_how_it_ended_counts_once(store: MapStore) -> None:
    """The connection broke during the commit."""

    async def write_as(token: str, layer: Layer = Layer.TRACE, calls: float = 5) -> None:
        await store.write(layer, [], [stored_edge(AB, NOW, layer)], {minute(): {AB: tally(calls)}}, NOW, token)

    await write_as("first")
    await write_as("first")
    assert await counts(store) == {(minute(), AB): (5, 0, 5, 5)}
    await write_as("second", calls=2)
    await write_as("second", Layer.IPC, calls=1)
    await write_as("second", Layer.IPC, calls=1)
    assert await counts(store) == {(minute(), AB): (7, 0, 7, 7)}
    assert await counts(store, Layer.IPC) == {(minute(), AB): (1, 0, 1, 1)}


async def test_replicas_that_write_the_same_windows_at_once_neither_wait_forever_nor_lose_a_count(url: str) -> None:
    databases = [Database(url) for _ in range(3)]
    await databases[0].upgrade()
    stores = [MapStore(one) for one in databases]
    services = [f"s{number:02}" for number in range(40)]

    async def writer(store: MapStore, seed: int) -> None:
        for _ in range(5):
            order = random.Random(seed).sample(services, len(services))
            await write(store, {minute(): {(one, "hub"): tally(1) for one in order}}, [Node(one) for one in order])

    await asyncio.wait_for(asyncio.gather(*(writer(store, seed) for seed, store in enumerate(stores))), 60)
    found = await counts(stores[0])

    assert {one: value[0] for (_, one), value in found.items()} == {(one, "hub"): 15 for one in services}
    for one in databases:
        await one.close()


# -- services and edges ----------------------------------------------------------------------------------------------


async def test_what_is_loaded_is_what_was_written(store: MapStore) -> None:
    nodes = [
        Node("pay.shop@prod", Kind.SERVICE, "pay", "shop", "prod"),
        Node("pg", Kind.DATABASE, "pg"),
        Node("größe-日本", Kind.EXTERNAL, "größe-日本"),
    ]
    edges = [
        StoredEdge(Layer.TRACE, ("pay.shop@prod", "pg"), 100.25, NOW, 86_400.5),
        StoredEdge(Layer.TRACE, (ENTRY, "pay.shop@prod"), 1.0, 2.0, 60.0),
    ]
    await store.write(Layer.TRACE, nodes, edges, {}, NOW)

    assert sorted(await store.services(), key=lambda node: node.id) == sorted(nodes, key=lambda node: node.id)
    assert sorted(await store.edges(), key=lambda one: one.edge) == sorted(edges, key=lambda one: one.edge)


async def test_an_edge_keeps_its_windows_when_it_is_written_again(store: MapStore) -> None:
    await write(store, {minute(1): {AB: tally(1)}}, last_seen=NOW - 60)
    again = MapStore(store._database)
    await write(again, {minute(): {AB: tally(2)}})

    assert await again.edges() == [StoredEdge(Layer.TRACE, AB, NOW - 120, NOW, 60.0)]
    assert await counts(again) == {(minute(1), AB): (1, 0, 1, 1), (minute(), AB): (2, 0, 2, 2)}


async def test_what_a_service_is_can_be_written_later(store: MapStore) -> None:
    await store.write(Layer.TRACE, [Node("pg", name="pg")], [], {}, NOW)
    await store.write(Layer.TRACE, [Node("pg", Kind.DATABASE, name="pg")], [], {}, NOW)

    assert await store.services() == [Node("pg", Kind.DATABASE, name="pg")]


async def test_nothing_to_write_writes_nothing(store: MapStore) -> None:
    assert await store.write(Layer.TRACE, [], [], {}, NOW) == 0
    assert await counts(store) == {}


# -- forgetting ------------------------------------------------------------------------------------------------------


async def test_windows_older_than_the_retention_go_and_edges_stay(store: MapStore) -> None:
    await write(store, {minute(ago): {AB: tally(1)} for ago in (0, 10, 20)})

    assert await store.expire(windows_before=minute(10), edges_before=0) == (1, 0)
    assert {start for start, _ in await counts(store)} == {minute(), minute(10)}
    assert len(await store.edges()) == 1


async def test_edges_unseen_for_too_long_go_with_their_windows_and_the_services_they_leave_alone(
    store: MapStore,
) -> None:
    await write(store, {minute(): {AB: tally(1), XB: tally(1)}}, [Node("a"), Node("b")], last_seen=NOW - 1_000)
    await write(store, {minute(): {CB: tally(2)}}, [Node("c")])

    assert await store.expire(windows_before=0, edges_before=NOW - 500) == (0, 2)
    assert [found.edge for found in await store.edges()] == [CB]
    assert await counts(store) == {(minute(), CB): (2, 0, 2, 2)}
    assert sorted(node.id for node in await store.services()) == ["b", "c"]
    assert len(store._edge_ids) == 1


async def test_where_nothing_is_too_old_nothing_goes(store: MapStore) -> None:
    await write(store, {minute(): {AB: tally(1)}}, [Node("a"), Node("b")])

    assert await store.expire(windows_before=minute(), edges_before=NOW) == (0, 0)
    assert len(await store.services()) == 2


async def test_an_edge_that_comes_back_after_it_was_forgotten_starts_with_nothing(store: MapStore) -> None:
    await write(store, {minute(): {AB: tally(7)}}, last_seen=NOW - 1_000)
    await store.expire(windows_before=0, edges_before=NOW - 500)
    await write(store, {minute(): {AB: tally(1)}})

    assert await counts(store) == {(minute(), AB): (1, 0, 1, 1)}


async def test_an_edge_that_never_was_is_taken_back_with_all_its_counts(store: MapStore) -> None:
    await write(store, {minute(): {AB: tally(1), CB: tally(2)}, minute(1): {AB: tally(3)}})
    await store.forget([(Layer.TRACE, AB), (Layer.IPC, CB), (Layer.TRACE, edge("x>y"))])

    assert await counts(store) == {(minute(), CB): (2, 0, 2, 2)}
    await write(store, {minute(): {AB: tally(1)}})
    assert (await counts(store))[minute(), AB] == (1, 0, 1, 1)
