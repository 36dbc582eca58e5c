"""The doors' side of telemetry: one worker thread per layer, bodies in, what a layer learnt out.

Comes in: request bodies with the door's own decoder. Goes out: what the decoder made of them, to answer the sender; and
`LayerDelta`s. What is lost: nothing silently: a full queue is `Overloaded` (the sender keeps the batch and tries again), a
body that comes twice within the grace is taken once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

from bot import metrics
from bot.errors import Overloaded
from bot.model import Layer, LayerDelta, Node

MAX_QUEUED_BYTES = 256 * 1024 * 1024
BATCH_GRACE_SECONDS = 900.0
_MAX_BATCH_IDS = 20_000
_MAX_NODES = 200_000


class Pipeline(Protocol):
    """One layer's way from decoded telemetry to edges. Used by one thread at a time."""

    layer: Layer
    dropped: Counter[str]

    def collect(self, now: float) -> LayerDelta:
        """Everything learnt since the last call."""

    def flush(self, now: float) -> LayerDelta:
        """The same, with what would rather have waited (shutdown)."""


class Batch(Protocol):
    """What a decoder makes of one body."""

    @property
    def accepted(self) -> int:
        """Records taken in."""

    @property
    def rejected(self) -> int:
        """Records refused."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Descriptions of the services it mentions."""


B = TypeVar("B", bound=Batch)
T = TypeVar("T")


@dataclass(slots=True)
class SourceStats:
    """What one telemetry door has taken in since the start, for `doctor`."""

    batches: int = 0
    accepted: int = 0
    last: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)


class Intake:
    """Owns the worker threads: the layers are single-threaded, and a big body must not hold the event loop."""

    def __init__(self, pipelines: Iterable[Pipeline], heard: dict[Layer, float], full: Callable[[], str]) -> None:
        self.sources: dict[str, SourceStats] = {}
        self.nodes: OrderedDict[str, Node] = OrderedDict()
        """Services described lately, by id."""
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._pipelines = {pipeline.layer: pipeline for pipeline in pipelines}
        self._workers = {layer: ThreadPoolExecutor(1, thread_name_prefix=layer.value) for layer in self._pipelines}
        self._heard = heard
        self._full = full
        self._queued = 0
        # One per layer, since each belongs to its layer's thread.
        self._applied: dict[Layer, OrderedDict[bytes, float]] = {layer: OrderedDict() for layer in self._pipelines}

    async def take(
        self,
        source: str,
        layer: Layer,
        body: bytes,
        decode: Callable[[bytes, float], B],
        keep: Callable[[B, float], None],
        *,
        repeats: bool = False,
    ) -> B:
        """Decode one body and keep what is in it, on the layer's thread. `repeats`: the same body again is news (a
        heartbeat). Raises BadRequest (nothing was taken) or Overloaded (try again later)."""
        if self._queued + len(body) > MAX_QUEUED_BYTES:
            raise Overloaded("too much telemetry is waiting to be decoded")
        if why := self._full():
            raise Overloaded(why)
        digest = b"" if repeats else hashlib.blake2b(body, digest_size=16, person=source.encode()[:16]).digest()
        self._queued += len(body)
        metrics.TELEMETRY_QUEUED.set(self._queued)
        try:
            work = partial(self._work, layer, digest, body, decode, keep)
            batch: B = await asyncio.get_running_loop().run_in_executor(self._workers[layer], work)
        finally:
            self._queued -= len(body)
            metrics.TELEMETRY_QUEUED.set(self._queued)
        self._note(source, layer, batch)
        return batch

    def _work(
        self,
        layer: Layer,
        digest: bytes,
        body: bytes,
        decode: Callable[[bytes, float], B],
        keep: Callable[[B, float], None],
    ) -> B:
        now = time.time()
        batch = decode(body, now)
        applied = self._applied[layer]
        while applied and (len(applied) > _MAX_BATCH_IDS or next(iter(applied.values())) < now - BATCH_GRACE_SECONDS):
            applied.popitem(last=False)
        if digest in applied:
            self.dropped[layer.value, "duplicate batch"] += 1  # a sender's retry: taken once, answered as before
            return batch
        keep(batch, now)
        if digest:  # only now: what could not be kept is news when the sender tries again
            applied[digest] = now
        return batch

    def _note(self, source: str, layer: Layer, batch: Batch) -> None:
        at = self.count(source, batch.accepted, batch.rejected)
        if batch.accepted:
            self._heard[layer] = at
        self.describe(batch.nodes)

    def count(self, source: str, accepted: int, rejected: int) -> float:
        """Count one body of a source, for `doctor` and the metrics; gives the time (epoch s)."""
        stats = self.sources.setdefault(source, SourceStats())
        stats.batches += 1
        stats.accepted += accepted
        stats.last = time.time()
        metrics.TELEMETRY_ACCEPTED.labels(source).inc(accepted)
        metrics.TELEMETRY_LAST.labels(source).set(stats.last)
        if rejected:
            stats.dropped["rejected"] += rejected
            metrics.TELEMETRY_DROPPED.labels(source, "rejected").inc(rejected)
        return stats.last

    async def ask(self, layer: Layer, question: Callable[[], T]) -> T:
        """The answer of something that only the layer's own thread may look at."""
        return await asyncio.get_running_loop().run_in_executor(self._workers[layer], question)

    def describe(self, nodes: Mapping[str, Node]) -> None:
        """Remember what services are, for when they come on the map."""
        for node in nodes.values():
            known = self.nodes.get(node.id)
            self.nodes[node.id] = known.merged(node) if known else node
        while len(self.nodes) > _MAX_NODES:
            self.nodes.popitem(last=False)

    async def collect(self, now: float, *, everything: bool = False) -> list[LayerDelta]:
        """What each layer has learnt since the last call."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(
                loop.run_in_executor(self._workers[layer], pipeline.flush if everything else pipeline.collect, now)
                for layer, pipeline in self._pipelines.items()
            )
        )

    def drops(self) -> Counter[tuple[str, str]]:
        """Everything left out so far, by (where, reason)."""
        found = Counter({(f"{layer} layer", reason): count for (layer, reason), count in self.dropped.copy().items()})
        for layer, pipeline in self._pipelines.items():
            found.update({(f"{layer.value} layer", reason): count for reason, count in pipeline.dropped.copy().items()})
        return found

    def close(self) -> None:
        """Stop the threads once they have done what they were given."""
        for worker in self._workers.values():
            worker.shutdown(wait=True)
