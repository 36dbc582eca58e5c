"""How fast flow records become edges: `python -m tests.benchmarks.flow_ingest`.

Stage 1 is measured against the columnar library alone: DuckDB reads the same NDJSON and groups it by the same addresses,
port and minute, and hands the groups over, without a single check. Rounds alternate and medians are compared. All three
stages are measured on the same records, of which one in five crosses an intermediary, in bodies of 400,000; memory is
measured with five times the records over the same pairs.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

import duckdb

from bot.layers.flow_fold import FlowFold, Terms, _as_file
from bot.layers.network import NetworkLayer
from bot.names import service
from bot.telemetry.identities import Claim, IdentityBatch, Listener

RECORDS = 1_000_000
BODY = 400_000
PAIRS = 15_000
ROUNDS = 5
TARGET_RATIO = 0.6
TARGET_RATE = 800_000
SERVICES, PODS, BALANCERS = 2_000, 3, 200
_MINUTES = 5

_ALONE = """
SELECT src_ip, dst_ip, dst_port, floor(start / 60), count(*), sum(bytes) FROM read_json('{path}', format = 'newline_delimited',
 columns = {{start: 'DOUBLE', "end": 'DOUBLE', src_ip: 'VARCHAR', src_port: 'INTEGER', dst_ip: 'VARCHAR', dst_port: 'INTEGER',
 proto: 'VARCHAR', bytes: 'BIGINT', packets: 'BIGINT', client: 'VARCHAR'}}) GROUP BY ALL
"""


class Company:
    """Services with pods and balancers, and which of them talk."""

    def __init__(self, base: float) -> None:
        self._rng = random.Random(7)
        self.base = base
        self._pods = {
            (number, pod): f"10.{number // 250}.{number % 250}.{pod + 1}"
            for number in range(SERVICES)
            for pod in range(PODS)
        }
        self._targets = {f"172.16.0.{number + 1}": self._rng.randrange(SERVICES) for number in range(BALANCERS)}
        self._pairs = [self._pair() for _ in range(PAIRS)]

    def _pod(self, number: int | None = None) -> str:
        chosen = self._rng.randrange(SERVICES) if number is None else number
        return self._pods[chosen, self._rng.randrange(PODS)]

    def _pair(self) -> tuple[str, str, int]:
        if self._rng.random() < 0.8:
            return self._pod(), self._pod(), 8080
        balancer, target = self._rng.choice(list(self._targets.items()))
        return (self._pod(), balancer, 443) if self._rng.random() < 0.5 else (balancer, self._pod(target), 8080)

    def identities(self) -> IdentityBatch:
        """Everybody's addresses and listeners."""
        batch = IdentityBatch()
        for (number, _), ip in self._pods.items():
            if (node := service(f"s{number}", "shop")) is not None:
                batch.claims.append(Claim(ip, node, "service", self.base - 3_600))
        for ip, target in self._targets.items():
            if (node := service(f"lb{target}", "edge")) is not None:
                places = frozenset((self._pods[target, pod], 8080) for pod in range(PODS))
                batch.listeners.append(Listener(node, ip, 443, places, self.base - 3_600))
        return batch

    def bodies(self, records: int, stretch: int = 0) -> Iterator[bytes]:
        """NDJSON bodies over the same pairs and five minutes, however many records; `stretch`: that many times five minutes
        later."""
        base = self.base + 60 * _MINUTES * stretch
        lines = []
        for number in range(records):
            caller, callee, port = self._rng.choice(self._pairs)
            start = round(base + number * 60 * _MINUTES / records, 3)
            lines.append(
                f'{{"start":{start},"end":{start + 0.4:.3f},"src_ip":"{caller}","src_port":{self._rng.randrange(32_768, 60_000)}'
                f',"dst_ip":"{callee}","dst_port":{port},"proto":"tcp","bytes":{self._rng.randrange(100, 90_000)},'
                '"packets":9,"client":"src"}\n'
            )
            if len(lines) == BODY or number == records - 1:
                yield "".join(lines).encode()
                lines = []


def timed(calls: dict[str, Callable[[], None]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each call, measured in turn, round after round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def knowing(company: Company) -> NetworkLayer:
    """A layer that has been told who has which address, and has seen nobody yet."""
    layer = NetworkLayer()
    layer.learn(company.identities(), company.base + 60 * _MINUTES)
    return layer


def all_stages(company: Company, layer: NetworkLayer, bodies: Iterable[bytes], stretch: int = 0) -> None:
    """Bodies to edges, collected after each, as the bot does. To a layer that has seen nobody yet, every edge is news."""
    now = company.base + 60 * _MINUTES * (stretch + 1)
    for body in bodies:
        layer.add(layer.fold(body, now), now)
        layer.collect(now)


def resident_mib() -> float:
    """Resident memory of this process at its highest, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Print the figures beside the targets; 1 where one is missed."""
    gc.set_threshold(50_000, 20, 100)  # as the bot does
    company = Company(time.time() // 60 * 60 - 60 * _MINUTES * (ROUNDS + 1))
    bodies = list(company.bodies(RECORDS))
    fold, alone = FlowFold(), duckdb.connect(":memory:", config={"threads": 2})
    terms = Terms(company.base - 60, company.base + 3_600)

    def library() -> None:
        for body in bodies:
            with _as_file(body) as path:
                alone.execute(_ALONE.format(path=path)).fetchall()

    def ours() -> None:
        for body in bodies:
            fold.fold(body, terms)

    layers, steady = [knowing(company) for _ in range(ROUNDS)], knowing(company)
    all_stages(company, steady, bodies)
    later = iter([(stretch, list(company.bodies(RECORDS, stretch))) for stretch in range(1, ROUNDS + 1)])

    def go_on() -> None:
        stretch, those = next(later)
        all_stages(company, steady, those, stretch)

    found = timed(
        {
            "library": library,
            "ours": ours,
            "new": lambda: all_stages(company, layers.pop(), bodies),
            "all": go_on,
        }
    )
    ratio = found["library"] / found["ours"]
    rate = RECORDS / found["all"]
    groups = sum(len(fold.fold(body, terms).legs) for body in bodies)
    fold.close()
    before = resident_mib()
    layer = knowing(company)
    all_stages(company, layer, company.bodies(5 * RECORDS))
    after = resident_mib()
    print(f"flows: {RECORDS:,} records, {groups:,} groups")
    print(f"  DuckDB alone           {RECORDS / found['library']:>12,.0f} records/s")
    print(
        f"  stage 1                {RECORDS / found['ours']:>12,.0f} records/s   ratio {ratio:.2f} (target {TARGET_RATIO})"
    )
    print(f"  all three stages       {rate:>12,.0f} records/s   (target {TARGET_RATE:,})")
    print(f"  the same, all edges new  {RECORDS / found['new']:>10,.0f} records/s")
    print(
        f"  open groups {layer.open_groups:,}; resident {before:.0f} -> {after:.0f} MiB with more records over the same pairs"
    )
    print(json.dumps({"flow_stage1_ratio": round(ratio, 3), "flow_rate": round(rate)}))
    return 0 if ratio >= TARGET_RATIO and rate >= TARGET_RATE else 1


if __name__ == "__main__":
    os._exit(main())
