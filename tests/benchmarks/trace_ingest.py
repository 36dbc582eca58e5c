"""How fast spans become edges: `python -m tests.benchmarks.trace_ingest`.

OTLP is measured against protobuf itself: the official classes on upb only decode the same bytes, ours decode, pair and
fold into minute windows. Rounds alternate and medians are compared, so that a busy machine slows both. Zipkin is
measured in spans a second, on a generated trace and, where it lies beside the repository, on the 1,041 spans of a
published one. Times are of this process alone (CPU), so neighbours count little.
"""

from __future__ import annotations

import json
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bot.layers.trace import TraceLayer
from bot.telemetry import otlp, zipkin
from tests.benchmarks.shop_traces import Shop

NOW = 1_790_000_000.0
TARGET_RATIO = 0.10
TARGET_ZIPKIN = 290_000
ROUNDS = 15
ZIPKIN_ROUNDS = 150  # of a few milliseconds each: long enough to outlast a neighbour's burst
BATCHES = 12
TRACES = 100  # a batch: about 1,200 spans
PUBLISHED = Path(__file__).parents[3] / "shared/payloads/ingest/zipkin_v2/smartthings-mobile-web-install.json"


def decode_only(bodies: list[bytes]) -> None:
    """What protobuf's C core takes for the same bytes, made into nothing."""
    for body in bodies:
        ExportTraceServiceRequest.FromString(body)


def decode_ours(bodies: list[bytes]) -> None:
    """Our decoding alone."""
    for body in bodies:
        otlp.decode_protobuf(body, NOW)


def decode_link_fold(bodies: list[bytes]) -> None:
    """The whole way of a span: a batch a second, collected twice a second, as the bot does."""
    layer = TraceLayer(settle=0.4)
    for second, body in enumerate(bodies):
        layer.add(otlp.decode_protobuf(body, NOW), NOW + second)
        layer.collect(NOW + second + 0.5)
    layer.flush(NOW + len(bodies))


def decode_link_zipkin(body: bytes) -> None:
    """One Zipkin body decoded and linked."""
    layer = TraceLayer()
    layer.add(zipkin.decode(body, NOW, None), NOW)
    layer.flush(NOW)


def medians(calls: dict[str, Callable[[], None]], spans: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Spans a second of each call, measured in turn, round after round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            taken[name].append(time.process_time() - start)
    return {name: spans / statistics.median(times) for name, times in taken.items()}


def measure_otlp() -> float:
    """Prints both rates; gives their ratio."""
    shop = Shop(NOW)
    bodies = [shop.batch(TRACES) for _ in range(BATCHES)]
    spans = sum(otlp.decode_protobuf(body, NOW).accepted for body in bodies)
    rates = medians(
        {
            "protobuf (upb) decoding alone": lambda: decode_only(bodies),
            "ours, decoding alone": lambda: decode_ours(bodies),
            "ours, decoding, pairing and folding": lambda: decode_link_fold(bodies),
        },
        spans,
    )
    size = sum(map(len, bodies)) / spans
    print(
        f"OTLP: {spans} spans in {BATCHES} batches, {size:.0f} bytes a span, {spans / BATCHES / TRACES:.1f} spans a trace"
    )
    for name, rate in rates.items():
        print(f"  {name:<38}{rate:>12,.0f} spans/s {1e6 / rate:>7.2f} µs a span")
    alone, _, whole = rates.values()
    print(f"  ratio {whole / alone:.3f} (target at least {TARGET_RATIO:.2f})")
    return whole / alone


def measure_memory() -> None:
    """Prints what an open span costs, and that a flood of halves stays under the cap."""
    shop = Shop(NOW)
    bodies = [shop.batch(TRACES) for _ in range(BATCHES)]
    cap = 5_000
    tracemalloc.start()
    try:
        roomy, tight = TraceLayer(settle=1e9, settle_max=1e9, lifetime=1e9), TraceLayer(max_spans=cap)
        for layer in (tight, roomy):
            before = tracemalloc.get_traced_memory()[0]
            most = 0
            for body in bodies:
                layer.add(otlp.decode_protobuf(body, NOW), NOW)
                most = max(most, layer.open_spans)
            held = tracemalloc.get_traced_memory()[0] - before
            if layer is roomy:
                print(f"Memory: {held / layer.open_spans:.0f} bytes an open span, {layer.open_spans} open")
            else:
                print(f"Memory under a cap of {cap} open spans: at most {most} open, {held / 1e6:.1f} MB held")
    finally:
        tracemalloc.stop()


def zipkin_trace(spans: int) -> bytes:
    """One big trace: calls under one shared id, with local work and databases below them."""
    numbers = random.Random(11)
    micros = int(NOW * 1e6)
    made: list[dict[str, object]] = []
    servers = [("", "web")]
    while len(made) < spans:
        parent, caller = numbers.choice(servers)
        call, local, database = (f"{numbers.getrandbits(64):016x}" for _ in range(3))
        callee = f"service-{numbers.randrange(20)}"
        common = {
            "traceId": "463ac35c9f6413ad48485a3953bb6124", "timestamp": micros - numbers.randrange(1_000_000),
            "duration": numbers.randrange(100, 90_000), "tags": {"http.method": "GET", "http.path": "/api/v1/things"},
        }  # fmt: skip
        here = {"serviceName": caller, "ipv4": "10.0.0.1", "port": 8080}
        there = {"serviceName": callee, "ipv4": "10.0.0.2", "port": 8080}
        ids = {"id": call, **({"parentId": parent} if parent else {})}
        made += [
            {**common, **ids, "kind": "CLIENT", "name": "get", "localEndpoint": here},
            {**common, **ids, "kind": "SERVER", "name": "get", "localEndpoint": there, "shared": True},
            {**common, "id": local, "parentId": call, "name": "handle", "localEndpoint": there},
            {**common, "id": database, "parentId": local, "kind": "CLIENT", "name": "query", "localEndpoint": there,
             "remoteEndpoint": {"serviceName": f"{callee}-db", "ipv4": "10.0.0.3", "port": 5432}},
        ]  # fmt: skip
        servers.append((call, callee))
    return json.dumps(made).encode()


def measure_zipkin() -> float:
    """Prints the rates; gives that of the published trace, or of the generated one where there is none."""
    bodies = {"generated": zipkin_trace(1_000)}
    if PUBLISHED.is_file():
        bodies["published (SmartThings)"] = PUBLISHED.read_bytes()
    rate = 0.0
    for name, body in bodies.items():
        spans = zipkin.decode(body, NOW, None).accepted
        [rate] = medians({name: lambda body=body: decode_link_zipkin(body)}, spans, ZIPKIN_ROUNDS).values()  # type: ignore[misc]
        print(f"Zipkin, {name}: {spans} spans, {len(body) / spans:.0f} bytes a span")
        print(f"  {'decoding, linking and folding':<38}{rate:>12,.0f} spans/s {1e6 / rate:>7.2f} µs a span")
    print(f"  target {TARGET_ZIPKIN:,} spans/s, Zipkin's own decoder and linker on a warm JVM")
    return rate


def main() -> None:
    """Measure and print; the last line is for scripts."""
    ratio = measure_otlp()
    measure_memory()
    rate = measure_zipkin()
    print(f"trace_ingest: otlp_ratio={ratio:.3f} zipkin_spans_per_s={rate:.0f}")


if __name__ == "__main__":
    main()
