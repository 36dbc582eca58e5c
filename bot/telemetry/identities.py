"""Identity and listener records (our own NDJSON): bytes -> who owned which address when, and where listeners lead.

Comes in: one JSON object a line, `{"ip","service","start","end"|null,"kind","namespace"?,"environment"?,"workload"?,"node"?,"zone"?}` or
`{"intermediary","ip","port","targets":[{"ip","port"}…],"start","end"|null,"namespace"?,"environment"?}`. Goes out:
`Claim`s and `Listener`s. What is lost: a line that cannot be used costs only itself and is listed with its reason.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bot import names
from bot.model import Kind, Node, Report
from bot.telemetry import places
from bot.telemetry.ndjson import Lines, Unusable

INTERMEDIARY_KINDS = frozenset(("load_balancer", "nat", "gateway", "proxy", "vip"))
"""Identity kinds that stand between a caller and a callee; `service` and `external` are ends."""
KINDS = INTERMEDIARY_KINDS | {"service", "external"}
_NODE_KINDS = {"external": Kind.EXTERNAL, "gateway": Kind.GATEWAY}
MAX_TARGETS = 10_000
_AHEAD = 300.0


@dataclass(frozen=True, slots=True)
class Claim:
    """`node` owned `ip` from `start` until `end` (epoch s; None: still does); `workload`, `name[.namespace][@cluster]`, is the
    one of its workloads that did, "" where nobody said; `runs_on` is where it runs."""

    ip: str
    node: Node
    kind: str
    start: float
    end: float | None = None
    workload: str = ""
    runs_on: tuple[Report, ...] = ()

    @property
    def between(self) -> bool:
        """Whether the owner stands between callers and callees."""
        return self.kind in INTERMEDIARY_KINDS


@dataclass(frozen=True, slots=True)
class Listener:
    """What an intermediary's `ip`:`port` led to from `start` until `end`: its targets as (ip, port)."""

    intermediary: Node
    ip: str
    port: int
    targets: frozenset[tuple[str, int]]
    start: float
    end: float | None = None


@dataclass(slots=True)
class IdentityBatch(Lines):
    """One body of records."""

    claims: list[Claim] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    """None: an address that changed hands puts nobody on the map before somebody is called there."""


def decode(body: bytes, now: float) -> IdentityBatch:
    """Read a body line by line. Never raises: what cannot be used is in `errors`."""
    batch = IdentityBatch()

    def take(record: dict[str, Any]) -> None:
        if "intermediary" in record:
            batch.listeners.append(_listener(record, now))
        else:
            batch.claims.append(_claim(record, now))

    batch.read(body, take)
    return batch


def _claim(record: Mapping[str, Any], now: float) -> Claim:
    kind = record.get("kind", "service")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Unusable(f"kind {str(kind)[:40]!r}: want one of {', '.join(sorted(KINDS))}")
    node = _node(record, "service", _NODE_KINDS.get(kind, Kind.SERVICE))
    workload = record.get("workload") or ""
    if not isinstance(workload, str):
        raise Unusable("workload has to be a string")
    name, _, cluster = workload.partition("@")
    workload = names.workload(name, "", cluster)
    runs_on = () if kind in INTERMEDIARY_KINDS else places.of_record(node.id, record)
    return Claim(_address(record.get("ip")), node, kind, *_span(record, now), workload, runs_on)


def _listener(record: Mapping[str, Any], now: float) -> Listener:
    given = record.get("targets")
    if not isinstance(given, list) or not given or len(given) > MAX_TARGETS:
        raise Unusable(f'targets: want a list of 1 to {MAX_TARGETS} objects {{"ip","port"}}')
    targets = frozenset(
        (_address(one.get("ip")), _port(one.get("port"))) if isinstance(one, dict) else _refuse_target()
        for one in given
    )
    node = _node(record, "intermediary", Kind.GATEWAY)
    return Listener(node, _address(record.get("ip")), _port(record.get("port")), targets, *_span(record, now))


def _refuse_target() -> tuple[str, int]:
    raise Unusable('targets: want objects {"ip","port"}')


def _node(record: Mapping[str, Any], key: str, kind: Kind) -> Node:
    name, namespace, environment = (record.get(one) or "" for one in (key, "namespace", "environment"))
    if not all(isinstance(one, str) for one in (name, namespace, environment)):
        raise Unusable(f"{key}, namespace and environment have to be strings")
    node = names.service(name, namespace, environment, kind)
    if node is None:
        raise Unusable(f"{key} is missing or empty")
    return node


def _address(value: object) -> str:
    try:
        if isinstance(value, str):
            return _spelled(value)
    except ValueError:
        pass
    raise Unusable(f"ip {str(value)[:60]!r} is not an address")


@lru_cache(maxsize=65_536)
def canonical(address: str) -> str:
    """One spelling per address: IPv6 compressed and lower case, IPv4 inside IPv6 as IPv4; other text as it is."""
    if ":" not in address:
        return address
    try:
        return _spelled(address)
    except ValueError:
        return address


def _spelled(address: str) -> str:
    parsed = ipaddress.ip_address(address)
    if getattr(parsed, "scope_id", None):  # `fe80::1%eth0` is somebody else's address on every link
        raise ValueError("an address of one link only")
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _port(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65_535:
        raise Unusable(f"port {str(value)[:20]!r}: want 0 to 65535")
    return value


def _span(record: Mapping[str, Any], now: float) -> tuple[float, float | None]:
    start, end = _time(record, "start"), _time(record, "end")
    if start is None:
        raise Unusable("start: want epoch seconds")
    if start > now + _AHEAD:
        raise Unusable("start is in the future: is the clock right?")
    if end is None and record.get("end") is not None:
        raise Unusable("end: want epoch seconds or null")
    if end is not None and end < start:
        raise Unusable("it ends before it starts")
    return start, end


def _time(record: Mapping[str, Any], key: str) -> float | None:
    value = record.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < 1e11:
        return float(value)
    return None
