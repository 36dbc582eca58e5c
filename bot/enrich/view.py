"""What an answer is read from: the live graph, the recent windows, the catalogue, and who is known to be alerting."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bot.catalog.entries import Catalog, CatalogEntry
from bot.catalog.links import LinkTemplate
from bot.changes.log import ChangeLog
from bot.enrich.causes.metric_kinds import TABLE, MetricTable
from bot.graph.live import LiveGraph
from bot.graph.places import Places
from bot.layers.windows import Windows
from bot.model import EdgeKey, Layer, Tally

# Where several layers count the same calls, one is believed: metrics count every call, traces a sample of them.
_ENTRIES_REMEMBERED = 200_000
COUNTING_LAYERS = (Layer.IPC, Layer.TRACE)


@dataclass(slots=True)
class MapView:
    """One reading of the map. Shared by every reader; nobody but the ingest side changes what is in it."""

    graph: LiveGraph
    windows: Mapping[Layer, Windows]
    catalog: Catalog
    heard: dict[Layer, float] = field(default_factory=dict)
    """Per layer, when it last sent anything (epoch s)."""
    changes: ChangeLog = field(default_factory=ChangeLog)
    """What was deployed, configured, switched or scaled lately."""
    firing: dict[str, float] = field(default_factory=dict)
    """Services with an alert firing now, and since when (epoch s)."""
    places: Places = field(default_factory=Places)
    """On which machines and in which zones services run now."""
    templates: tuple[LinkTemplate, ...] = ()
    """Links out that every service has."""
    metrics: MetricTable = TABLE
    """What metrics' names say they measure."""
    confirmed: Mapping[str, str] = field(default_factory=dict)
    """Other names of services, as people confirmed them: alias -> id."""
    apart: Collection[tuple[str, str]] = frozenset()
    """(name, id) of which people said that they are not the same."""
    _entries: dict[str, CatalogEntry | None] = field(default_factory=dict)

    def counts(self, edge: EdgeKey, since: float, until: float) -> Tally:
        """Counts on one edge over the windows that start in `[since, until)`, from the layer that counts best."""
        tally = Tally()
        for layer in COUNTING_LAYERS:
            if (windows := self.windows.get(layer)) is not None:
                tally = windows.sum(edge, since, until)
                if tally.calls > 0:
                    return tally
        return tally

    def served(self, service: str, since: float, until: float) -> Tally:
        """What a service was asked by anybody, known or not, from the layer that counts best."""
        tally = Tally()
        for layer in COUNTING_LAYERS:
            if (windows := self.windows.get(layer)) is not None:
                tally = windows.sum_inward(service, since, until)
                if tally.calls > 0:
                    return tally
        return tally

    def erring(self, since: float, until: float) -> set[EdgeKey]:
        """Edges on which any layer counted a failed call in the windows that start in `[since, until)`."""
        return set().union(*(windows.erring(since, until) for windows in self.windows.values()))

    def call_share(self, caller: str, callee: str) -> float | None:
        """Calls to `callee` for each request `caller` serves, at most 1; None where its own requests are not known."""
        for layer in COUNTING_LAYERS:
            if (windows := self.windows.get(layer)) is not None:
                served, calls = windows.served(caller), windows.calls((caller, callee))
                if served > 0 and calls > 0:
                    return min(1.0, calls / served)
        return None

    def entry(self, service: str) -> CatalogEntry | None:
        """What the catalogue says of a service. Remembered: an answer on a hub asks for thousands."""
        if not self.catalog.entries:
            return None
        if service not in self._entries:
            if len(self._entries) >= _ENTRIES_REMEMBERED:
                self._entries.clear()
            self._entries[service] = self.catalog.entry(service)
        return self._entries[service]

    def learn(self, catalog: Catalog) -> None:
        """Answer from another reading of the catalogue from now on."""
        self.catalog = catalog
        self._entries.clear()
        self.graph.names.learn({**self.confirmed, **catalog.aliases})

    def confirm(self, aliases: Mapping[str, str], apart: Collection[tuple[str, str]]) -> None:
        """Find services by the names that people confirmed, too; the catalogue's word goes before theirs."""
        self.confirmed, self.apart = aliases, apart
        self.learn(self.catalog)

    def is_entry_point(self, service: str) -> bool:
        """Whether users come in here: said by the catalogue, or seen as requests from outside every known service."""
        entry = self.entry(service)
        return (entry is not None and entry.entry_point) or self.graph.entry(service) is not None
