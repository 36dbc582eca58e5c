"""What the network sees of the shop: every connection, whoever made it, and nothing of what was said on it.

Comes in: requests. Goes out: bodies for the identity and the flow door (our own NDJSON). What is missing: requests, errors,
latencies; the users, whose connections end at a content network outside the shop.

Everybody reaches payments through a load balancer: the records show a leg to it and a leg from it, and the listener record
says where it leads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import cycle
from typing import Any

from bot.demo.shop import CONSUMERS, SERVICES, Call, How, every

BALANCER, BALANCED = "payments-lb", "payments"
_BALANCER_IP = "10.20.0.10"
_CARD_PORT = 8583  # what the tills speak is older than HTTP: ISO 8583
_EXTERNAL = {"mail.example.com": "198.51.100.25"}
_BROKER = "kafka"

_ADDRESSES = {
    name: [_EXTERNAL[name]] if name in _EXTERNAL else [f"10.20.{number}.{pod + 1}" for pod in range(service.pods)]
    for number, (name, service) in enumerate(SERVICES.items(), start=1)
}

_REQUESTS_A_CONNECTION = 10
_REQUEST_BYTES = 2_400
_UNANSWERED_BYTES = 180  # a handshake tried again and again

Record = dict[str, Any]


def identities(since: float) -> bytes:
    """Who has had which address from `since` (epoch s) on, and where the load balancer leads."""
    records: list[Record] = [
        {"ip": ip, "service": name, "start": since, "end": None, "kind": "external" if name in _EXTERNAL else "service"}
        for name, owned in _ADDRESSES.items()
        for ip in owned
    ]
    records.append({"ip": _BALANCER_IP, "service": BALANCER, "start": since, "end": None, "kind": "load_balancer"})
    for port in (SERVICES[BALANCED].port, _CARD_PORT):
        targets = [{"ip": ip, "port": port} for ip in _ADDRESSES[BALANCED]]
        records.append(
            {
                "intermediary": BALANCER,
                "ip": _BALANCER_IP,
                "port": port,
                "targets": targets,
                "start": since,
                "end": None,
            }
        )
    return ndjson(records)


class FlowLog:
    """The flow log of the shop's network."""

    def __init__(self) -> None:
        self._ports = cycle(range(32_768, 61_000))

    def records(self, requests: Iterable[Call]) -> list[Record]:
        """One record for each leg of each connection."""
        edges: dict[tuple[str, str, int], list[Call]] = {}
        for call in every(requests):
            for edge in _dialled(call):
                edges.setdefault(edge, []).append(call)
        return [
            record
            for edge, calls in sorted(edges.items())
            for connection in _connections(calls)
            for record in self._legs(edge, connection)
        ]

    def _legs(self, edge: tuple[str, str, int], calls: list[Call]) -> list[Record]:
        caller, callee, port = edge
        source = next(self._ports)
        client, server = (_ADDRESSES[name][source % len(_ADDRESSES[name])] for name in (caller, callee))
        if callee != BALANCED:
            return [_record(calls, client, source, server, port)]
        onward = next(self._ports)
        return [
            _record(calls, client, source, _BALANCER_IP, port),
            _record(calls, _BALANCER_IP, onward, server, port),
        ]


def ndjson(records: Iterable[Record]) -> bytes:
    """One record a line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _dialled(call: Call) -> list[tuple[str, str, int]]:
    """Who connected to whom, at which port. Both ends of a topic connect to its broker."""
    if not call.caller:
        return []
    if call.how is How.QUEUE:
        return [(end, _BROKER, SERVICES[_BROKER].port) for end in (call.caller, CONSUMERS[call.callee])]
    return [(call.caller, call.callee, _CARD_PORT if call.how is How.RAW else SERVICES[call.callee].port)]


def _connections(calls: list[Call]) -> list[list[Call]]:
    """A connection serves several requests; one on which a database did not answer is given up, and the next one is new."""
    kept: list[Call] = []
    alone: list[Call] = []
    for call in sorted(calls, key=lambda one: one.start):
        (alone if call.failed and call.how is How.DATABASE else kept).append(call)
    pooled = [kept[at : at + _REQUESTS_A_CONNECTION] for at in range(0, len(kept), _REQUESTS_A_CONNECTION)]
    return [*pooled, *([call] for call in alone)]


def _record(calls: list[Call], client: str, source: int, server: str, port: int) -> Record:
    sizes = (_UNANSWERED_BYTES if one.failed and one.how is How.DATABASE else _REQUEST_BYTES for one in calls)
    return {
        "start": calls[0].start, "end": max(one.end for one in calls), "src_ip": client, "src_port": source, "dst_ip": server,
        "dst_port": port, "proto": "tcp", "bytes": sum(sizes), "packets": 4 * len(calls), "client": "src",
    }  # fmt: skip
