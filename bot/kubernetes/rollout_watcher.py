"""Watches what is rolled out in one cluster, and hands the changes on.

Comes in: a cluster. Goes out: lists of `Change`s to `on_changes`. What is lost, and counted: what nobody takes for so long that it
passes `MAX_WAITING`. Apart from `bot.kubernetes.watcher`, so that a cluster which does not let us see its workloads still tells
who has which address.

Needs to `list` and `watch` deployments, statefulsets and daemonsets (apps), in all namespaces.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp

from bot.errors import Overloaded
from bot.kubernetes.config import Cluster
from bot.kubernetes.objects import Object, Workload
from bot.kubernetes.rollouts import Rollouts, key_of
from bot.kubernetes.watch import WORKLOADS, Api, Follower
from bot.model import Change

MAX_WAITING = 20_000
_GATHER_SECONDS = 0.2

OnChanges = Callable[[list[Change]], Awaitable[object]]


class RolloutWatcher:
    """Watches one cluster. `run` ends only by being cancelled, or with what `on_changes` raised; it may then be run again, and
    starts over. Where `on_changes` is merely `Overloaded`, it gets the same changes again when it says."""

    def __init__(
        self,
        cluster: Cluster,
        on_changes: OnChanges,
        *,
        environment: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._on_changes = on_changes
        self._environment = environment
        self._clock = clock
        self.dropped: Counter[str] = Counter()
        self._fresh()

    def _fresh(self) -> None:
        self._rollouts = Rollouts(self._environment)
        self._followers: list[Follower] = []
        self._waiting: list[Change] = []

    async def run(self) -> None:
        """Watch, and hand changes on, until cancelled."""
        self._fresh()
        async with aiohttp.ClientSession() as session:
            api = Api(session, self._cluster)
            self._followers = [Follower(api, resource, self, self._clock) for resource in WORKLOADS]
            async with asyncio.TaskGroup() as tasks:
                for follower in self._followers:
                    tasks.create_task(follower.run(), name=f"kubernetes {follower.resource.name}")
                tasks.create_task(self._tell(), name="kubernetes changes")

    def state(self) -> dict[str, object]:
        """For `doctor`: what is known of the cluster, and how each resource fares."""
        return {
            "server": self._cluster.server,
            "workloads": len(self._rollouts),
            "dropped": dict(self.dropped + self._rollouts.dropped),
            "resources": {follower.resource.name: follower.state() for follower in self._followers},
        }

    def problem(self) -> str:
        """What keeps it from seeing everything, in words; "" where nothing does."""
        errors = (f"{one.resource.name}: {error}" for one in self._followers if (error := one.state()["error"]))
        return next(errors, "")

    # -- what followers say --------------------------------------------------------------------------------------------

    def listed(self, kind: type[Object], objects: list[Object]) -> None:
        """See `Mirror`."""
        if issubclass(kind, Workload):
            self._note(
                self._rollouts.replace(kind, [one for one in objects if isinstance(one, Workload)], self._clock())
            )

    def changed(self, one: Object) -> None:
        """See `Mirror`."""
        if isinstance(one, Workload):
            self._note(self._rollouts.put(one, self._clock()))

    def deleted(self, one: Object) -> None:
        """See `Mirror`."""
        if isinstance(one, Workload):
            self._rollouts.remove(key_of(one))

    def _note(self, changes: list[Change]) -> None:
        room = max(0, MAX_WAITING - len(self._waiting))
        self._waiting += changes[:room]
        if len(changes) > room:
            self.dropped["change: nobody takes them"] += len(changes) - room

    async def _tell(self) -> None:
        while True:
            if batch := list(self._waiting):
                try:
                    await self._on_changes(batch)
                except Overloaded as error:
                    await asyncio.sleep(error.retry_after)
                    continue
                del self._waiting[: len(batch)]
            await asyncio.sleep(_GATHER_SECONDS)
