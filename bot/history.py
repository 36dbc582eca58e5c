"""The map of the past, as views that every answer reads like the live one.

Comes in: moments and ranges (epoch s). Goes out: `MapView`s, and the changes between two of them. What is lost: what the store
no longer keeps as finely (see `bot.storage.history_store`). Whatever takes long runs in a thread, on data that nobody else changes.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, cast

import numpy as np

from bot.catalog.entries import Catalog, CatalogEntry, Link
from bot.changes.log import KEPT_SECONDS, ChangeLog
from bot.counts import CALLS, Floats, Integers, KnownEdge, Span, joined
from bot.digest.contents import Reading
from bot.digest.period import DAY, PeriodFold
from bot.enrich.changes_between import EdgeChange, Shifts, Side, changes_between
from bot.enrich.view import MapView
from bot.graph.edge_index import LAYERS, EdgeIndex
from bot.graph.live import LiveGraph
from bot.graph.past import PastGraph
from bot.graph.past_windows import PastCounts, PastWindows
from bot.layers.windows import Windows
from bot.model import WINDOW_SECONDS, Kind, Layer, Node, Owner
from bot.names import Background
from bot.storage.change_store import ChangeStore
from bot.storage.history_store import HistoryStore, Past

LATELY_SECONDS = 3_600 + WINDOW_SECONDS
"""A view of a moment has the minutes that the live map had then."""

_VIEWS_KEPT = 4
_VIEW_SECONDS = 60.0
_FEW = 1_000
_LEARNT_ANEW_SECONDS = 3_600.0
_HABITS_SECONDS = 60.0  # how old a digest's knowledge of the edges' habits may be
_MAX_EDGES = 2_000_000
_NAMES_REMEMBERED = 200_000
_MAX_CHANGES = 20_000

Moment = float
Range = tuple[float, float]
"""`[since, until)`"""

Fired = Callable[[Moment], Awaitable[dict[str, float]]]
"""Services with an alert that fired at a moment, and since when."""


class History:
    """Answers for any moment that is kept. One per program, used on the event loop."""

    def __init__(
        self,
        view: MapView,
        store: HistoryStore,
        edge_retention: float = 30.0 * 86_400.0,
        background: Background | None = None,
        changes: ChangeStore | None = None,
        fired: Fired | None = None,
    ) -> None:
        self.dropped: Counter[str] = Counter()
        self._live = view
        self._store = store
        self._changes = changes
        self._edge_retention = edge_retention
        self._fired = fired or _nobody_fired
        # A pattern match for every service is most of a view's time.
        self._hides = lru_cache(maxsize=_NAMES_REMEMBERED)((background or Background()).hides)
        self._index = EdgeIndex()
        self._nodes: dict[str, Node] = {}
        self._gone: set[int] = set()
        self._read_to = 0
        self._learnt = float("-inf")
        self._growing, self._folding = asyncio.Lock(), asyncio.Lock()
        self._views: OrderedDict[tuple[float, ...], tuple[float, MapView]] = OrderedDict()

    # -- questions -------------------------------------------------------------------------------------------------------

    async def at(self, moment: Moment) -> MapView:
        """The map as a reader at `moment` saw it, to be asked with `now=moment`. Nothing in it is later than `moment`: what
        a minute counted is in it from the minute's end on."""
        key = (float(moment // WINDOW_SECONDS),)
        if (found := self._remembered(key)) is not None:
            return found
        past = await self._store.past(moment, LATELY_SECONDS)
        index = await self._knowing(_numbers(past))
        catalog = _catalog(await self._store.properties(moment))
        view = await asyncio.to_thread(self._view, index, past, catalog)
        return self._remember(key, await self._with_events(view, moment))

    async def between(self, since: Moment, until: Moment) -> MapView:
        """The edges that were used in `[since, until)`, with the sums over all of it, whatever part of it is asked for; to
        be asked with `now=until`."""
        key = (float(since), float(until))
        if (found := self._remembered(key)) is not None:
            return found
        past = await self._range(since, until)
        index = await self._knowing([past.seen.edges])
        catalog = _catalog(await self._store.properties(until))
        view = await asyncio.to_thread(self._view, index, past, catalog, until - since)
        return self._remember(key, await self._with_events(view, until))

    async def diff(
        self, before: Moment | Range, after: Moment | Range, shifts: Shifts | None = None
    ) -> list[EdgeChange]:
        """What changed from one moment or range to another. Of a moment: the map then, and the counts of the hour before; of
        a range: the edges used in it, and all its counts."""
        pasts = [
            await (self._range(*one) if isinstance(one, tuple) else self._store.past(one, LATELY_SECONDS))
            for one in (before, after)
        ]
        index = await self._knowing([numbers for past in pasts for numbers in _numbers(past)])
        return await asyncio.to_thread(self._compare, index, pasts, shifts)

    async def period(self, since: Moment, until: Moment) -> Reading:
        """What a digest of `[since, until)` is made from. One at a time: of a big map it takes much memory."""
        async with self._folding:
            await self.refresh(_HABITS_SECONDS)
            view = await self.at(until)
            index, size = self._index, len(self._index)
            seen = []
            for moment in (since, until):
                past = await self._store.past(moment, 0)
                counts = PastCounts(index, past.spans, size)
                seen.append(await asyncio.to_thread(self._last_seen, index, past, counts, size))
            fold = PeriodFold(index, size, since, until)
            for start, end in fold.pieces():
                await asyncio.to_thread(fold.add, await self._store.total(start, end))
        heard = {layer.value: max(0.0, until - last) for layer, last in sorted(view.heard.items())}
        kinds = {service: node.kind for service, node in self._nodes.items()}
        # Whose a line is today's reader wants to know of today.
        catalog = self._live.catalog if until > time.time() - DAY else view.catalog
        return Reading(index, fold.period(*seen), lru_cache(None)(catalog.entry), kinds, view.graph.background, heard)

    # -- upkeep ----------------------------------------------------------------------------------------------------------

    async def note_properties(self, now: float) -> int:
        """Store what the catalogue says now, where that has changed; says for how many services. At the start, and after
        the catalogue was read again."""
        said = await asyncio.to_thread(_said, self._live.catalog)
        return await self._store.note_properties(now, said)

    async def refresh(self, within: float = _LEARNT_ANEW_SECONDS) -> None:
        """Learn which edges there are: new ones at once; all anew where some were taken back, which leave the past too, and
        where what has been learnt of the others is not from `within` that many seconds. To be called every few minutes."""
        if time.monotonic() - self._learnt < within:
            async with self._growing:
                self._read_to = await self._read(self._index, self._read_to)
            if len(self._index) <= await self._store.count_edges():
                return
        index = EdgeIndex()
        read_to = await self._read(index, 0)  # not under the lock: no question should wait for a whole map
        async with self._growing:
            self._index, self._read_to, self._gone = index, read_to, set()
            self._nodes = {node.id: node for node in await self._store.nodes()}
            self._views.clear()
        self._learnt = time.monotonic()

    # -- parts -----------------------------------------------------------------------------------------------------------

    async def _range(self, since: Moment, until: Moment) -> Past:
        """A range as one span: the edges used in it, and when they were last."""
        spans = await self._store.total(since, until)
        counts = await asyncio.to_thread(lambda: joined([span.counts for span in spans]).summed())
        seen = (await self._store.past(until, 0)).seen
        used = counts.edges[counts.columns[CALLS] > 0]
        start, end = int(since), int(until)
        return Past(
            end, await asyncio.to_thread(seen.among, used, start + WINDOW_SECONDS), [Span(start, end - start, counts)]
        )

    async def _with_events(self, view: MapView, moment: Moment) -> MapView:
        """A view with what fired and what was changed then."""
        view.firing = await self._fired(moment)
        view.changes = await self._changes_before(moment)
        return view

    async def _changes_before(self, moment: Moment) -> ChangeLog:
        """What was changed in the day before; of just now, what the live map has."""
        if self._changes is None or moment > time.time() - WINDOW_SECONDS:
            return self._live.changes
        log = ChangeLog()
        for stored in await self._changes.page((), moment - KEPT_SECONDS, moment, _MAX_CHANGES):
            log.add(stored.change, moment)
        return log

    async def _knowing(self, numbers: Sequence[Integers]) -> EdgeIndex:
        """The index, once it knows all edges with these numbers, save those that are gone."""
        async with self._growing:
            missing = await asyncio.to_thread(self._missing, numbers)
            if len(missing) > _FEW:
                self._read_to = await self._read(self._index, self._read_to)
                missing = await asyncio.to_thread(self._missing, numbers)
            if not missing:
                return self._index
            await asyncio.to_thread(self._learn, self._index, await self._store.edges(missing))
            self._gone.update(await asyncio.to_thread(self._missing, numbers))
            self._nodes = {node.id: node for node in await self._store.nodes()}
            return self._index

    async def _read(self, index: EdgeIndex, after: int) -> int:
        """Learn of all edges with higher numbers than `after`; gives the highest."""
        while edges := await self._store.edges_after(after):
            after = edges[-1].number
            await asyncio.to_thread(self._learn, index, edges)
        return after

    def _learn(self, index: EdgeIndex, edges: list[KnownEdge]) -> None:
        room = max(0, _MAX_EDGES - len(index))
        index.add(edges[:room])
        self.dropped["edge cap"] += max(0, len(edges) - room)

    def _missing(self, numbers: Sequence[Integers]) -> list[int]:
        index, size = self._index, len(self._index)
        unknown = [one[index.positions(one, size) < 0] for one in numbers]
        return sorted(set(np.concatenate(unknown).tolist()) - self._gone) if unknown else []

    def _view(self, index: EdgeIndex, past: Past, catalog: Catalog, span: float = 0.0) -> MapView:
        size = len(index)
        counts = PastCounts(index, past.spans, size)
        last_seen = self._last_seen(index, past, counts, size)
        graph = PastGraph(index, last_seen, past.moment, self._nodes, catalog.aliases, self._hides, span)
        graph.names.learn({**self._live.confirmed, **catalog.aliases})
        windows = {layer: PastWindows(layer, counts) for layer in LAYERS}
        heard = {}
        for place, layer in enumerate(LAYERS):
            newest = float(last_seen.max(initial=0.0, where=index.layers[:size] == place))
            if newest > 0:
                heard[layer] = newest
        # These read as the live ones do, which the types cannot say as long as the view names those.
        reading = cast(LiveGraph, graph), cast("Mapping[Layer, Windows]", windows)
        return MapView(*reading, catalog, heard, self._live.changes, metrics=self._live.metrics)

    def _last_seen(self, index: EdgeIndex, past: Past, counts: PastCounts, size: int) -> Floats:
        """By position, 0 for what nobody had seen for too long."""
        last_seen = np.zeros(size)
        positions = index.positions(past.seen.edges, size)
        last_seen[positions[positions >= 0]] = past.seen.until[positions >= 0]
        if all(span.seconds == WINDOW_SECONDS for span in past.spans):
            last_seen = counts.last_seen(last_seen)
        last_seen[last_seen <= past.moment - self._edge_retention] = 0.0
        return last_seen

    def _compare(self, index: EdgeIndex, pasts: Sequence[Past], shifts: Shifts | None) -> list[EdgeChange]:
        size = len(index)
        sides = []
        for past in pasts:
            counts = PastCounts(index, past.spans, size)
            seconds = sum(span.seconds for span in past.spans)
            present = self._last_seen(index, past, counts, size) > 0
            sides.append(Side(present, counts.columns(), float(seconds)))
        changes, left_out = changes_between(index, sides[0], sides[1], shifts)
        self.dropped["changes beyond the cap"] += left_out
        return changes

    # -- views made lately -----------------------------------------------------------------------------------------------

    def _remembered(self, key: tuple[float, ...]) -> MapView | None:
        made, view = self._views.get(key, (0.0, None))
        if view is None or time.monotonic() - made > _VIEW_SECONDS:
            return None
        self._views.move_to_end(key)
        return view

    def _remember(self, key: tuple[float, ...], view: MapView) -> MapView:
        self._views[key] = (time.monotonic(), view)
        self._views.move_to_end(key)
        while len(self._views) > _VIEWS_KEPT:
            self._views.popitem(last=False)
        return view


async def _nobody_fired(moment: Moment) -> dict[str, float]:
    return {}


def _numbers(past: Past) -> list[Integers]:
    return [past.seen.edges, *(span.counts.edges for span in past.spans)]


def _said(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """What a catalogue says of each service, as JSON, with every other name it answers to."""
    said = {service: asdict(entry) for service, entry in catalog.entries.items()}
    for alias, service in sorted(catalog.aliases.items()):
        if service in said:
            said[service].setdefault("names", []).append(alias)
    return {service: _plain(one) for service, one in said.items()}


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from the database; what says nothing is left out."""
    kept = {name: value for name, value in entry.items() if value}
    for name in ("aliases", "links", "depends_on"):
        if name in kept:
            kept[name] = list(kept[name])
    # Something is always said, so that a service without a word is not taken for one that is gone.
    return kept or {"tier": ""}


def _catalog(said: Mapping[str, dict[str, Any]]) -> Catalog:
    """The catalogue that said this."""
    entries = {}
    aliases = {}
    for service, known in said.items():
        given = dict(known)
        aliases.update(dict.fromkeys(given.pop("names", ()), service))
        owner, kind = given.get("owner"), given.get("kind")
        entries[service] = CatalogEntry(
            owner=Owner(**owner) if owner else None,
            tier=given.get("tier", ""),
            domain=given.get("domain", ""),
            runbook=given.get("runbook", ""),
            entry_point=given.get("entry_point", False),
            aliases=tuple(given.get("aliases", ())),
            kind=Kind(kind) if kind else None,
            repository=given.get("repository", ""),
            links=tuple(Link(**link) for link in given.get("links", ())),
            depends_on=tuple(given.get("depends_on", ())),
            sources=given.get("sources", {}),
        )
    return Catalog(entries, aliases)
