"""The map on disk: services, each layer's edges, and their minute windows. Bulk in, bulk out.

First seen only ever falls and last seen only ever rises, and counts are added, so that what is late or corrected merges by
itself, in any order. One call of `write` is one transaction: all of it or nothing. Rows go in the order of their keys, so
that two replicas that write the same ones cannot deadlock. Older minutes, hours and days: `bot.storage.history_store`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.counts import tally_of
from bot.edge_detail import EdgeDetail
from bot.model import EdgeKey, Kind, Layer, Node, Tally
from bot.storage.additions import add_counts
from bot.storage.blocks import MINUTE
from bot.storage.database import Database
from bot.storage.details import from_json, to_json
from bot.storage.notes import kept_from, mark
from bot.storage.retention import let_go, oldest
from bot.storage.roll_up import SETTLE_SECONDS, RollUp
from bot.storage.tables import COUNTS, EdgeRow, EdgeWindowRow, LayerWriteRow, ServiceRow

_BATCH = 1_000

_services: Table = ServiceRow.__table__  # type: ignore[attr-defined]
_edges: Table = EdgeRow.__table__  # type: ignore[attr-defined]
_writes: Table = LayerWriteRow.__table__  # type: ignore[attr-defined]
_windows: Table = EdgeWindowRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class StoredEdge:
    """One layer's edge as it is kept: when it was seen, its habitual interval in seconds, and what else the layer knows of
    it (None, when written: as it is stored)."""

    layer: Layer
    edge: EdgeKey
    first_seen: float
    last_seen: float
    interval: float
    detail: EdgeDetail | None = None


class MapStore:
    """Reads and writes the map's tables. Keeps the row ids of the edges that are stored, nothing else."""

    def __init__(self, database: Database, rolling: RollUp | None = None) -> None:
        self._database = database
        self._rolling = rolling or RollUp(database)
        self._insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert
        self._edge_ids: dict[tuple[Layer, EdgeKey], int] = {}

    async def write(
        self,
        layer: Layer,
        nodes: Iterable[Node],
        edges: Sequence[StoredEdge],
        windows: Mapping[int, Mapping[EdgeKey, Tally]],
        now: float,
        token: str = "",
    ) -> int:
        """Store what one layer learnt; says how many edge windows were written. `edges` covers every edge in `windows`.

        A `token` that is the layer's last one already adds nothing: a commit whose connection broke had been carried out.
        """
        async with self._database.write() as connection:
            await self._write_services(connection, nodes, now)
            ids = await self._write_edges(connection, edges)
            if await self._is_stored(connection, layer, token):
                windows = {}
            kept = (await kept_from(connection, while_writing=True))[MINUTE]
            written = 0
            for table, starts in (
                ("edge_window", [start for start in windows if start >= kept]),
                ("edge_late", [start for start in windows if start < kept]),
            ):
                rows = [
                    (start, ids[edge], *_counts(tally)) for start in starts for edge, tally in windows[start].items()
                ]
                await add_counts(connection, table, rows)
                written += len(rows)
            await mark(connection, MINUTE, windows)
        # Only once the transaction stands: a rolled-back id must not be remembered.
        self._edge_ids.update(((layer, edge), row_id) for edge, row_id in ids.items())
        return written

    async def _is_stored(self, connection: AsyncConnection, layer: Layer, token: str) -> bool:
        """Whether this write is the last that was stored of the layer; it is noted as that."""
        if not token:
            return False
        last = select(_writes.c.token).where(_writes.c.layer == layer.value)
        if await connection.scalar(last) == token:
            return True
        note = self._insert(_writes).values(layer=layer.value, token=token)
        await connection.execute(note.on_conflict_do_update(index_elements=["layer"], set_={"token": token}))
        return False

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
        earlier, later = ("min", "max") if self._database.is_sqlite else ("least", "greatest")
        statement = self._insert(_edges)
        new = statement.excluded
        changed = {
            "first_seen": getattr(func, earlier)(_edges.c.first_seen, new.first_seen),
            "last_seen": getattr(func, later)(_edges.c.last_seen, new.last_seen),
            "interval": new.interval,
        }
        ids: dict[EdgeKey, int] = {}
        for described in (False, True):
            rows = (
                {"layer": edge.layer.value, "caller": edge.edge[0], "callee": edge.edge[1],
                 "first_seen": edge.first_seen, "last_seen": edge.last_seen, "interval": edge.interval,
                 "detail": to_json(edge.detail)}
                for edge in sorted(edges, key=lambda edge: edge.edge)
                if (edge.detail is not None) is described
            )  # fmt: skip
            upsert = statement.on_conflict_do_update(
                index_elements=["layer", "caller", "callee"],
                set_=changed | {"detail": new.detail} if described else changed,
            ).returning(_edges.c.id, _edges.c.caller, _edges.c.callee)
            for batch in _batches(rows):
                for row_id, caller, callee in await connection.execute(upsert, batch):
                    ids[caller, callee] = row_id
        return ids

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

    async def edges(self, since: float = 0.0) -> list[StoredEdge]:
        """Every stored edge of every layer that was last seen at `since` (epoch s) or later."""
        async with self._database.read() as connection:
            columns = (
                _edges.c.id,
                _edges.c.layer,
                _edges.c.caller,
                _edges.c.callee,
                _edges.c.first_seen,
                _edges.c.last_seen,
                _edges.c.interval,
                _edges.c.detail,
            )
            found = []
            statement = select(*columns).where(_edges.c.last_seen >= since)
            for row_id, layer_name, caller, callee, first, last, interval, detail in await connection.execute(
                statement
            ):
                layer = Layer(layer_name)
                self._edge_ids[layer, (caller, callee)] = row_id
                found.append(StoredEdge(layer, (caller, callee), first, last, interval, from_json(detail)))
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
                    yield start, edge, tally_of([count or 0.0 for count in counts])

    async def expire(self, windows_before: float, edges_before: float) -> tuple[int, int]:
        """Drop minute windows older than the retention (whole hours, once they are rolled up), edges last seen before
        `edges_before` of which no count is kept at any resolution, and services left without an edge; says how many of the
        first two."""
        await self._rolling.roll(windows_before + SETTLE_SECONDS)
        windows = await let_go(self._database, MINUTE, windows_before)
        async with self._database.read() as connection:
            before = min(edges_before, await oldest(connection))
            gone = set((await connection.execute(select(_edges.c.id).where(_edges.c.last_seen < before))).scalars())
        if gone:
            await self._delete_edges(sorted(gone), before)
            async with self._database.write() as connection:
                used = select(_edges.c.caller).union(select(_edges.c.callee))
                await connection.execute(delete(_services).where(_services.c.id.not_in(used)))
            self._edge_ids = {edge: row_id for edge, row_id in self._edge_ids.items() if row_id not in gone}
        return windows, len(gone)

    async def forget(self, edges: Sequence[tuple[Layer, EdgeKey]]) -> None:
        """Take edges back: they turned out never to have been. What was counted on them belongs to nobody then, and goes
        with its time: it is found by time, not by edge."""
        ids = [row_id for edge in edges if (row_id := self._edge_ids.pop(edge, None)) is not None]
        await self._delete_edges(ids)

    async def _delete_edges(self, ids: Sequence[int], before: float = float("inf")) -> None:
        """Delete edges a batch at a time, save those that were seen again at `before` or later."""
        for start in range(0, len(ids), _BATCH // 2):
            async with self._database.write() as connection:
                batch = ids[start : start + _BATCH // 2]
                unseen = _edges.c.last_seen < before
                await connection.execute(delete(_edges).where(_edges.c.id.in_(batch), unseen))


def _counts(tally: Tally) -> Iterable[float | None]:
    """In the order of the columns, None for nothing."""
    totals = (tally.calls, tally.errors, tally.sampled, tally.latency_us, tally.bytes)
    return (count or None for count in (*totals, *tally.histogram))


_Row = TypeVar("_Row")


def _batches(rows: Iterable[_Row]) -> Iterable[list[_Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
