"""Keeps the records of one cluster coming: changes at once, everything again every minute.

Comes in: a cluster. Goes out: batches of identity and listener records (design §10) to `on_records`, one batch at a time. What
is lost, and counted: what nobody takes for so long that it passes `MAX_CHANGES`; the next heartbeat repeats what still holds.

Needs to `list` and `watch` pods, services, nodes, and endpointslices (discovery.k8s.io), in all namespaces.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from bot.errors import Overloaded
from bot.kubernetes.config import Cluster
from bot.kubernetes.identities import Identities, Record
from bot.kubernetes.labels import Pods
from bot.kubernetes.objects import Object
from bot.kubernetes.watch import RESOURCES, Api, Follower

HEARTBEAT_SECONDS = 60.0
BATCH = 2_000
MAX_CHANGES = 400_000
_GATHER_SECONDS = 0.2

OnRecords = Callable[[list[dict[str, object]]], Awaitable[object]]

log = structlog.get_logger(__name__)


class Watcher:
    """Watches one cluster. `environment` is what its services carry as theirs, "" for none.

    `run` ends only by being cancelled, or with what `on_records` raised; it may then be run again, and starts over. Where
    `on_records` is merely `Overloaded`, it gets the same batch again when it says.
    """

    def __init__(
        self,
        cluster: Cluster,
        on_records: OnRecords,
        *,
        environment: str = "",
        heartbeat: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._on_records = on_records
        self._environment = environment
        self._heartbeat = heartbeat
        self._clock = clock
        self.dropped: Counter[str] = Counter()
        self._fresh()

    def _fresh(self) -> None:
        self._identities = Identities(self._environment)
        self._followers: list[Follower] = []
        self._changes: list[Record] = []
        self._begun = False
        self._told_at: float | None = None

    async def run(self) -> None:
        """Watch, and hand records on, until cancelled."""
        self._fresh()
        async with aiohttp.ClientSession() as session:
            api = Api(session, self._cluster)
            self._followers = [Follower(api, resource, self, self._clock) for resource in RESOURCES]
            async with asyncio.TaskGroup() as tasks:
                for follower in self._followers:
                    tasks.create_task(follower.run(), name=f"kubernetes {follower.resource.name}")
                tasks.create_task(self._tell(), name="kubernetes records")

    @property
    def synced(self) -> bool:
        """Whether everything was listed once."""
        return self._begun

    def pods(self) -> Pods | None:
        """The cluster's pods; None before all are listed."""
        return self._identities.pods() if self._begun else None

    def state(self) -> dict[str, object]:
        """For `doctor`: the cluster, what is known of it, and how each resource fares."""
        return {
            "server": self._cluster.server,
            "origin": self._cluster.origin,
            "synced": self._begun,
            "counts": self._identities.counts(),
            "last_records": self._told_at,
            "dropped": dict(self.dropped + self._identities.dropped),
            "resources": {follower.resource.name: follower.state() for follower in self._followers},
        }

    # -- what followers say --------------------------------------------------------------------------------------------

    def listed(self, kind: type[Object], objects: list[Object]) -> None:
        """See `Mirror`."""
        self._note(self._identities.replace(kind, objects, self._clock()))

    def changed(self, one: Object) -> None:
        """See `Mirror`."""
        self._note(self._identities.put(one, self._clock()))

    def deleted(self, one: Object) -> None:
        """See `Mirror`."""
        self._note(self._identities.remove(one, self._clock()))

    def _note(self, records: list[Record]) -> None:
        if self._begun:  # before all is listed, half of it would give pods the addresses of nodes
            self._add(records)

    def _add(self, records: list[Record]) -> None:
        room = max(0, MAX_CHANGES - len(self._changes))
        self._changes += records[:room]
        if len(records) > room:
            self.dropped["record: nobody takes them"] += len(records) - room

    # -- handing on ----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        for follower in self._followers:
            await follower.listed.wait()
        self._identities.begin(self._clock())
        self._begun = True
        log.info("the cluster is known", server=self._cluster.server, **self._identities.counts())
        beat = -self._heartbeat
        while True:
            if time.monotonic() - beat >= self._heartbeat:
                beat = time.monotonic()
                self._add(self._identities.records())
            while self._changes:
                batch = self._changes[:BATCH]
                try:
                    await self._on_records(batch)
                except Overloaded as error:
                    await asyncio.sleep(error.retry_after)
                    continue
                del self._changes[: len(batch)]
                self._told_at = self._clock()
            await asyncio.sleep(_GATHER_SECONDS)
