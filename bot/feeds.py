"""What the bot goes and gets by itself: counters from a Prometheus-compatible server, addresses and rollouts from a
Kubernetes cluster, the catalogue from its files and hosts.

Comes in: where they are. Goes out: the same batches the doors take in, by the same intake. What is lost: see `bot.pull` and
`bot.kubernetes`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bot.catalog.facts import Reading
from bot.catalog.sources import Sources
from bot.change_intake import ChangeIntake
from bot.enrich.view import MapView
from bot.intake import Intake
from bot.kubernetes import labels, rollouts
from bot.kubernetes.config import Cluster, from_kubeconfig, in_cluster
from bot.kubernetes.rollout_watcher import RolloutWatcher
from bot.kubernetes.watcher import Watcher
from bot.layers.families import FAMILIES
from bot.layers.ipc import IpcLayer
from bot.layers.network import NetworkLayer
from bot.model import Change, Layer, Node
from bot.pull.backlog import Puller
from bot.pull.prometheus import PrometheusPull, Row
from bot.telemetry import identities

IN_CLUSTER = "in-cluster"
_SILENT_SECONDS = 600.0


@dataclass(slots=True)
class _Pulled:
    """Rows of one minute, as a batch."""

    rows: Sequence[Row]
    rejected: int = 0

    @property
    def accepted(self) -> int:
        """Rows taken in."""
        return len(self.rows)

    @property
    def nodes(self) -> Mapping[str, Node]:
        """None: the layer describes its services itself."""
        return {}


class PrometheusFeed:
    """One server's counters, a minute at a time."""

    def __init__(self, url: str, headers: Mapping[str, str], intake: Intake, ipc: IpcLayer) -> None:
        self._intake = intake
        self._ipc = ipc
        self._puller = Puller(PrometheusPull(url, FAMILIES, headers=headers), self._take)
        self._started = time.time()

    async def tick(self) -> None:
        """Ask for what is due."""
        await self._puller.tick()

    async def _take(self, rows: Sequence[Row]) -> None:
        def keep(batch: _Pulled, now: float) -> None:
            self._ipc.add_increases(batch.rows, now)

        await self._intake.take("prometheus", Layer.IPC, b"", lambda body, now: _Pulled(rows), keep, repeats=True)

    def state(self) -> dict[str, Any]:
        """For `doctor`."""
        found = self._puller.state()
        last = found["last_success"]
        silent = time.time() - (last if isinstance(last, float) else self._started)
        problem = ""
        if silent > _SILENT_SECONDS:
            problem = f"{found['url']} has not answered in full for {silent:.0f} s: {found['last_error'] or 'no reason known'}"
        elif isinstance(last, float) and not found["metrics"]:
            problem = f"{found['url']} has none of the metrics that count calls"
        return found | {"families": sorted(self._ipc.families_seen), "problem": problem}


class KubernetesFeed:
    """One cluster's addresses."""

    def __init__(self, cluster: Cluster, environment: str, intake: Intake, network: NetworkLayer) -> None:
        self._intake = intake
        self._network = network
        self._source = f"labels at {urlsplit(cluster.server).hostname}"
        self._watcher = Watcher(cluster, self._take, environment=environment)

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._watcher.run()

    async def _take(self, records: list[dict[str, object]]) -> None:
        body = b"\n".join(map(msgspec.json.encode, records))
        await self._intake.take("kubernetes", Layer.NETWORK, body, identities.decode, self._network.learn, repeats=True)

    @property
    def known(self) -> bool:
        """Whether everything in it has been listed."""
        return self._watcher.synced

    def labels(self) -> Callable[[], Reading] | None:
        """What its pods' labels say of whose they are, to be called in a thread; None before the cluster is known."""
        known = self._watcher.pods()
        return None if known is None else partial(labels.reading, known, self._source)

    def state(self) -> dict[str, Any]:
        """For `doctor`."""
        found = self._watcher.state()
        return found | {"problem": "" if found["synced"] else f"the cluster at {found['server']} is not known yet"}


class CatalogFeed:
    """The catalogue, read again now and then; what it said before is in the history."""

    def __init__(
        self,
        sources: Sources,
        view: MapView,
        noted: Callable[[float], Awaitable[object]],
        every: float,
        clusters: Sequence[KubernetesFeed] = (),
    ) -> None:
        self._sources = sources
        self._view = view
        self._noted = noted
        self._every = every
        self._clusters = clusters
        self._labels: dict[int, Callable[[], Reading]] = {}
        self._due = 0.0

    async def tick(self) -> None:
        """Read it again where that is due, or where a cluster has just become known."""
        new = any(cluster.known and place not in self._labels for place, cluster in enumerate(self._clusters))
        if new or time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            await self.refresh()

    async def refresh(self) -> None:
        """Read all sources again, in a thread, and answer from what they say from then on; `noted` writes it down."""
        for place, cluster in enumerate(self._clusters):
            # A cluster that is being listed anew keeps what it said last.
            if (said := cluster.labels()) is not None:
                self._labels[place] = said
        more = list(self._labels.values())
        self._view.learn(await asyncio.to_thread(self._sources.read, time.time(), more=more))
        await self._noted(time.time())

    def state(self) -> dict[str, Any]:
        """For `doctor`. Its problems are the catalogue's own."""
        found = self._sources.state()
        waiting = len(self._view.catalog.aliases.keys() - self._view.graph.names.renamed)
        return found | {"services": len(self._view.catalog.entries), "aliases_only_found_by": waiting}


class RolloutFeed:
    """What is rolled out in one cluster."""

    def __init__(self, cluster: Cluster, environment: str, changes: ChangeIntake) -> None:
        self._changes = changes
        self._watcher = RolloutWatcher(cluster, self._take, environment=environment)

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._watcher.run()

    async def _take(self, changes: list[Change]) -> None:
        await self._changes.take(rollouts.SOURCE, changes, time.time())

    def state(self) -> dict[str, Any]:
        """For `doctor`."""
        return self._watcher.state() | {"problem": self._watcher.problem()}


Feed = PrometheusFeed | KubernetesFeed | RolloutFeed


def cluster(where: str, context: str) -> Cluster:
    """The cluster that `in-cluster` or the path of a kubeconfig names. Raises ConfigError."""
    return in_cluster(os.environ) if where == IN_CLUSTER else from_kubeconfig(Path(where), context)
