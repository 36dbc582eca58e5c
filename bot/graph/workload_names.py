"""Which services run on a workload of some name, so that a reader's word for one is found without looking at every edge.

Comes in: the pairs of workloads of each edge, as they become known. Goes out: places by name, in full or without cluster and
namespace. What is lost: workloads of a service beyond the cap, which can still be named as `service/workload`.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.edge_detail import OTHER_PAIR, WorkloadPair
from bot.model import EdgeKey
from bot.names import bare

MAX_OF_SERVICE = 1_000

Place = tuple[str, str]
"""(service id, workload); "" for the workload where it may be any"""


class WorkloadNames:
    """Grows with the map; a service that leaves the map takes its workloads along."""

    def __init__(self) -> None:
        self._places: dict[str, set[Place]] = {}
        self._of: dict[str, set[str]] = {}

    def learn(self, edge: EdgeKey, pairs: Iterable[WorkloadPair]) -> None:
        """Take in the pairs that an edge has."""
        for pair in pairs:
            if pair == OTHER_PAIR:
                continue
            for service, workload in zip(edge, pair, strict=True):
                known = self._of.setdefault(service, set()) if workload else None
                if known is not None and workload not in known and len(known) < MAX_OF_SERVICE:
                    known.add(workload)
                    for name in _spellings(workload):
                        self._places.setdefault(name, set()).add((service, workload))

    def discard(self, service: str) -> None:
        """Forget a service."""
        for workload in self._of.pop(service, ()):
            for name in _spellings(workload):
                self._places[name].discard((service, workload))
                if not self._places[name]:
                    del self._places[name]

    def find(self, name: str) -> list[Place]:
        """Every place of that name, each as it was ever seen."""
        return sorted(self._places.get(name, ()))


def _spellings(workload: str) -> set[str]:
    return {workload, bare(workload), bare(workload).partition(".")[0]}
