"""The map on disk: services, each layer's edges, and their minute windows. Bulk in, bulk out.

Writes are absolute for what is known (first and last seen) and additive for counts, so that a late or corrected count
merges by itself. One call of `write` is one transaction: all of it or nothing. Rows go in the order of their keys, so that
two replicas that write the same ones cannot deadlock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.model import EdgeKey, Kind, Layer, Node, Tally
from bot.storage.database import Database
from bot.storage.tables import COUNTS, HISTOGRAM, EdgeRow, EdgeWindowRow, ServiceRow

_BATCH = 1_000

_services: Table = ServiceRow.__table__  # type: ignore[attr-defined]
_edges: Table = EdgeRow.__table__  # type: ignore[attr-defined]
_windows: Table = EdgeWindowRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class StoredEdge:
    """One layer's edge as it is kept: when it was seen, and its habitual interval in seconds."""

    layer: Layer
    edge: EdgeKey
    first_seen: float
    last_seen: float
    interval: float


class MapStore:
    """Reads and writes the map's tables. Keeps the row ids of the edges that are stored, nothing else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert
        self._edge_ids: dict[tuple[Layer, EdgeKey], int] = {}

    async def write(
        self,
        layer: Layer,
        nodes: Iterable[Node],
        edges: Sequence[StoredEdge],
        windows: Mapping[int, Mapping[EdgeKey, Tally]],
        now: float,
    ) -> int:
        """Store what one layer learnt; says how many edge windows were written. `edges` covers every edge in `windows`."""
        async with self._database.write() as connection:
            await self._write_services(connection, nodes, now)
            ids = await self._write_edges(connection, edges)
            rows = [
                _window_row(start, ids[edge], tally)
                for start, counts in windows.items()
                for edge, tally in counts.items()
            ]
            await self._write_windows(connection, rows)
        # Only once the transaction stands: a rolled-back id must not be remembered.
        self._edge_ids.update(((layer, edge), row_id) for edge, row_id in ids.items())
        return len(rows)

    async def _write_services(self, connection: AsyncConnection, nodes: Iterable[Node], now: float) -> None:
        statement = self._insert(_services)
        statement = statement.on_conflict_do_update(index_elements=["id"], set_={"kind": statement.excluded.kind})
        rows = (
            {"id": node.id, "kind": node.kind.value, "name": node.name, "namespace": node.namespace,
             "environment": node.environment, "first_seen": now}
            for node in sorted(nodes, key=lambda node: node.id)
        )  # fmt: skip
        for batch in _batches(rows):
            await connection.execute(statement, batch)

    async def _write_edges(self, connection: AsyncConnection, edges: Sequence[StoredEdge]) -> dict[EdgeKey, int]:
        statement = self._insert(_edges)
        statement = statement.on_conflict_do_update(
            index_elements=["layer", "caller", "callee"],
            set_={"last_seen": statement.excluded.last_seen, "first_seen": statement.excluded.first_seen,
                  "interval": statement.excluded.interval},
        ).returning(_edges.c.id, _edges.c.caller, _edges.c.callee)  # fmt: skip
        ids: dict[EdgeKey, int] = {}
        rows = (
            {"layer": edge.layer.value, "caller": edge.edge[0], "callee": edge.edge[1], "first_seen": edge.first_seen,
             "last_seen": edge.last_seen, "interval": edge.interval}
            for edge in sorted(edges, key=lambda edge: edge.edge)
        )  # fmt: skip
        for batch in _batches(rows):
            for row_id, caller, callee in await connection.execute(statement, batch):
                ids[caller, callee] = row_id
        return ids

    async def _write_windows(self, connection: AsyncConnection, rows: Sequence[dict[str, float]]) -> None:
        statement = self._insert(_windows)
        added = {name: _windows.c[name] + statement.excluded[name] for name in COUNTS}
        statement = statement.on_conflict_do_update(index_elements=["start", "edge_id"], set_=added)
        for batch in _batches(sorted(rows, key=lambda row: (row["start"], row["edge_id"]))):
            await connection.execute(statement, batch)

    async def services(self) -> list[Node]:
        """Every service ever stored and not expired."""
        async with self._database.read() as connection:
            columns = (
                _services.c.id,
                _services.c.kind,
                _services.c.name,
                _services.c.namespace,
                _services.c.environment,
            )
            rows = await connection.execute(select(*columns))
            return [Node(row[0], Kind(row[1]), *row[2:]) for row in rows]

    async def edges(self) -> list[StoredEdge]:
        """Every stored edge of every layer."""
        async with self._database.read() as connection:
            columns = (
                _edges.c.id,
                _edges.c.layer,
                _edges.c.caller,
                _edges.c.callee,
                _edges.c.first_seen,
                _edges.c.last_seen,
                _edges.c.interval,
            )
            found = []
            for row_id, layer_name, caller, callee, *times in await connection.execute(select(*columns)):
                layer = Layer(layer_name)
                self._edge_ids[layer, (caller, callee)] = row_id
                found.append(StoredEdge(layer, (caller, callee), *times))
            return found

    async def windows(self, layer: Layer, since: float) -> AsyncIterator[tuple[int, EdgeKey, Tally]]:
        """Counts of one layer in the windows that start at `since` or later, as (start, edge, counts)."""
        by_id = {row_id: edge for (edge_layer, edge), row_id in self._edge_ids.items() if edge_layer is layer}
        columns = (_windows.c.start, _windows.c.edge_id, *(_windows.c[name] for name in COUNTS))
        async with self._database.read() as connection:
            for start, edge_id, *counts in await connection.execute(
                select(*columns).where(_windows.c.start >= int(since))
            ):
                if (edge := by_id.get(edge_id)) is not None:
                    yield start, edge, _tally(counts)

    async def expire(self, windows_before: float, edges_before: float) -> tuple[int, int]:
        """Drop windows and edges older than the retention, and services left without an edge; says how many of the first two."""
        async with self._database.write() as connection:
            windows = await connection.execute(delete(_windows).where(_windows.c.start < int(windows_before)))
            old = select(_edges.c.id).where(_edges.c.last_seen < edges_before)
            gone = set((await connection.execute(old)).scalars())
            if gone:  # else every window would be looked at for nothing: they are found by time, not by edge
                await connection.execute(delete(_windows).where(_windows.c.edge_id.in_(old)))
                await connection.execute(delete(_edges).where(_edges.c.last_seen < edges_before))
                used = select(_edges.c.caller).union(select(_edges.c.callee))
                await connection.execute(delete(_services).where(_services.c.id.not_in(used)))
        if gone:
            self._edge_ids = {edge: row_id for edge, row_id in self._edge_ids.items() if row_id not in gone}
        return windows.rowcount, len(gone)

    async def forget(self, edges: Sequence[tuple[Layer, EdgeKey]]) -> None:
        """Take edges back with everything counted on them: they turned out never to have been."""
        ids = [row_id for edge in edges if (row_id := self._edge_ids.pop(edge, None)) is not None]
        async with self._database.write() as connection:
            for batch in (ids[start : start + _BATCH // 2] for start in range(0, len(ids), _BATCH // 2)):
                await connection.execute(delete(_windows).where(_windows.c.edge_id.in_(batch)))
                await connection.execute(delete(_edges).where(_edges.c.id.in_(batch)))


def _window_row(start: int, edge_id: int, tally: Tally) -> dict[str, float]:
    row = {"start": start, "edge_id": edge_id, "calls": tally.calls, "errors": tally.errors, "sampled": tally.sampled,
           "latency_us": tally.latency_us}  # fmt: skip
    row.update(zip(HISTOGRAM, tally.histogram, strict=True))
    return row


def _tally(counts: Sequence[float]) -> Tally:
    tally = Tally()
    tally.calls, tally.errors, tally.sampled, tally.latency_us = counts[0], counts[1], int(counts[2]), counts[3]
    tally.histogram = list(counts[4:])
    return tally


def _batches(rows: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
