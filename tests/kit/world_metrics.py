"""The metrics of the made-up company, as its Prometheus would write them on: remote write 1.0, one sample a minute.

Comes in: every connection of a true edge, and how it went. Goes out: bodies with the mesh's counters (of both ends' proxies), a span
processor's service graph and the clients' own histograms; and, by `note`, which edges their increases show. What is lost,
as in a real company: edges with an end outside the mesh and without instrumentation; counts at a restart, when counters
begin anew; whatever a series counted before its first sample.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

import cramjam

from tests.kit.remote_write import HEADERS
from tests.kit.world_company import Call, Kind, Route, Service

__all__ = ["HEADERS", "Metrics", "Went", "as_usual"]

Labels = Mapping[str, str]
_BOUNDS = (5, 25, 100, 500, 2_000, float("inf"))
_USUAL_MS = 30.0
_USUALLY_FAIL = 0.02
_SCRAPED_AT = 45.0
_RESTART = 0.02
_MESHED_ROUTES = frozenset((Route.DIRECT, Route.TRANSLATED, Route.VIP))


@dataclass(frozen=True, slots=True)
class Went:
    """How the requests of one connection went, as the caller saw it: how many failed, and how long they took in ms on average;
    and how many of them, and of their failures, the callee had a hand in."""

    requests: float
    failed: float
    mean_ms: float
    arrived: float
    failed_there: float


def as_usual(requests: float) -> Went:
    """Requests on a day when nothing is wrong."""
    failed = _USUALLY_FAIL * requests
    return Went(requests, failed, _USUAL_MS, requests, failed)


Part = Callable[[Went], float]
"""What a series counts of requests."""


def _all(went: Went) -> float:
    return went.requests


def _ok(went: Went) -> float:
    return went.requests - went.failed


def _failed(went: Went) -> float:
    return went.failed


def _ok_there(went: Went) -> float:
    return went.arrived - went.failed_there


def _failed_there(went: Went) -> float:
    return went.failed_there


def _within(bound: float, part: Part) -> Part:
    """As many as took no longer than `bound` ms, where times are exponentially distributed."""
    return lambda went: part(went) * (1.0 - math.exp(-bound / max(went.mean_ms, 0.001)))


class _Series:
    """One counter: `value` now, and what it said last, None before its first sample."""

    __slots__ = ("call", "packed", "part", "said", "value")

    def __init__(self, name: str, labels: Labels, call: Call | None, part: Part) -> None:
        self.packed = b"".join(
            _field(1, _field(1, key.encode()) + _field(2, text.encode()))
            for key, text in sorted({"__name__": name, **labels}.items())
        )
        self.call = call  # whose edge an increase shows; None where nobody could tell the caller
        self.part = part
        self.value = 0.0
        self.said: float | None = None


class Metrics:
    """Counts connections, and writes the counters once a minute."""

    def __init__(self, random: Random, start: float, note: Callable[[Call], None], *, numbers: bool = False) -> None:
        """`numbers`: every source counts failures and times latency, not only the mesh some of them."""
        self._numbers = numbers
        self._random = random
        self._start = start
        self._note = note
        self._series: dict[Call, list[_Series]] = {}
        self._by_labels: dict[bytes, _Series] = {}

    def count(self, call: Call, went: Went) -> None:
        """Take in the requests of one connection."""
        series = self._series.get(call)
        if series is None:
            # Callers nobody can tell apart count in one series.
            series = [self._by_labels.setdefault(one.packed, one) for one in self._made(call)]
            self._series[call] = series
        for one in series:
            one.value += one.part(went)

    def written(self, minute: int) -> bytes:
        """The body of a minute's scrape, snappy-packed; b"" where there is nothing to say."""
        at = int((self._start + minute * 60 + _SCRAPED_AT) * 1_000)
        packed: dict[bytes, bytes] = {}
        for call, found in self._series.items():
            if not call.caller.exists(minute) or not call.callee.exists(minute):
                continue
            restarted = self._random.random() < _RESTART
            for one in found:
                if one.packed in packed:
                    continue
                if restarted:
                    one.value = 0.0
                if one.said is not None and one.value > one.said and one.call is not None:
                    self._note(one.call)
                one.said = one.value
                sample = b"\x09" + struct.pack("<d", round(one.value)) + b"\x10" + _varint(at)
                packed[one.packed] = _field(1, one.packed + _field(2, sample))
        return bytes(cramjam.snappy.compress_raw(b"".join(packed.values()))) if packed else b""

    # -- which series an edge has -----------------------------------------------------------------------------------------

    def _made(self, call: Call) -> list[_Series]:
        caller, callee = call.caller, call.callee
        if callee.kind is Kind.SERVICE and call.route in _MESHED_ROUTES and (caller.meshed or callee.meshed):
            return self._of_mesh(call)
        if not caller.instrumented or callee.kind in (Kind.TOPIC, Kind.BROKER):
            return []
        if callee.kind is Kind.SERVICE and callee.instrumented:
            labels = {
                "client": caller.reported[0], "client_service_namespace": caller.reported[1],
                "server": callee.reported[0], "server_service_namespace": callee.reported[1],
            }  # fmt: skip
            return self._of_span_processor(call, labels)
        return self._of_client(call)

    def _of_mesh(self, call: Call) -> list[_Series]:
        caller, callee = call.caller, call.callee
        made = []
        for reporter, end in (("source", caller), ("destination", callee)):
            if not end.meshed:
                continue
            labels = {
                "reporter": reporter,
                "request_protocol": "http",
                **_workload("source", caller),
                **_destination(callee),
            }
            ok, failed = (_ok, _failed) if reporter == "source" else (_ok_there, _failed_there)
            shows = call if caller.meshed else None
            made.append(_Series("istio_requests_total", labels | {"response_code": "200"}, shows, ok))
            made.append(_Series("istio_requests_total", labels | {"response_code": "503"}, None, failed))
            if self._numbers or (reporter == "destination" and hash_of(call) % 5 == 0):
                made += _buckets("istio_request_duration_milliseconds", labels, ok, 1.0)
        return made

    def _of_span_processor(self, call: Call, labels: Labels) -> list[_Series]:
        name = "traces_service_graph_request"
        made = [_Series(f"{name}_total", labels, call, _all)]
        if self._numbers:
            made.append(_Series(f"{name}_failed_total", labels, None, _failed))
            made += _buckets(f"{name}_server_seconds", labels, _all, 1_000.0)
        return made

    def _of_client(self, call: Call) -> list[_Series]:
        name, namespace = call.caller.reported
        labels: dict[str, str] = {
            "job": f"{namespace}/{name}" if namespace else name,
            "server_address": call.callee.hosts[hash_of(call) % len(call.callee.hosts)],
            "server_port": str(call.callee.port),
        }
        if call.callee.kind is Kind.DATABASE:
            metric, labels["db_system_name"] = "db_client_operation_duration_seconds", "postgresql"
        else:
            metric, labels["http_request_method"] = "http_client_request_duration_seconds", "GET"
        if not self._numbers:
            return [_Series(f"{metric}_count", labels, call, _all)]
        return [
            _Series(f"{metric}_count", labels, call, _ok),
            _Series(f"{metric}_count", labels | {"error_type": "timeout"}, None, _failed),
            *_buckets(metric, labels, _ok, 1_000.0),
        ]


def _buckets(metric: str, labels: Labels, part: Part, unit_ms: float) -> list[_Series]:
    """A histogram's series, with bounds in units of `unit_ms`."""
    return [
        _Series(
            f"{metric}_bucket",
            {**labels, "le": f"{bound / unit_ms:g}".replace("inf", "+Inf")},
            None,
            _within(bound, part),
        )
        for bound in _BOUNDS
    ]


def hash_of(call: Call) -> int:
    """A number that depends on nothing but the edge's name."""
    return sum(map(ord, "".join(call.key)))


def _workload(end: str, service: Service) -> dict[str, str]:
    """What proxies know of an end; of one without a proxy only the service it was called by."""
    name, namespace = (service.name, service.namespace) if service.meshed else ("unknown", "unknown")
    return {f"{end}_canonical_service": name, f"{end}_workload": name, f"{end}_workload_namespace": namespace}


def _destination(service: Service) -> dict[str, str]:
    return _workload("destination", service) | {
        "destination_service": f"{service.name}.{service.namespace}.svc.cluster.local",
        "destination_service_name": service.name,
        "destination_service_namespace": service.namespace,
    }


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field (protobuf.dev, "Encoding")."""
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    packed = bytearray()
    while value > 127:
        packed.append(value & 127 | 128)
        value >>= 7
    packed.append(value)
    return bytes(packed)
