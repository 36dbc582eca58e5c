"""Hubble's flows, one JSON object a line (`hubble observe -o json`, Cilium's flow export) -> flow records.

Comes in: a flow, bare or in its `flow` wrapper (cilium/cilium, api/v1/flow/flow.proto and observer.proto). Goes out: one
record per connection, direction, observing side and minute of a body: an event is one packet or one request, and several
points of the datapath see the same one, so an event says that a connection is there and not how much passes. What is lost:
bytes (events carry none), everything of layer 7 but who asked, and what was not forwarded.

Who called: `is_reply` is conntrack's word; null says that conntrack was not asked, and then TCP's flags may still tell.
`traffic_direction` is the connection's and not the packet's (cilium, threefour parser, `decodeTrafficDirection`): INGRESS was
seen at the server's end whichever way the packet went.

Who it is: a pod's workload, which also goes with the id (`names.on_workload`): an alias may fold several into one service. Health
checks and the API server have identities of their own. Nodes (`host`, `remote-node`) and Cilium's `ingress` are left to their
addresses: an address can be claimed as an intermediary's, a name cannot be seen through. So is a Service that was dialled: its pod
is in the event that follows. An end outside the cluster has the DNS name it was looked up by, unless several names share the
address and nobody knows which one was meant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bot import names
from bot.model import WINDOW_SECONDS
from bot.telemetry.flow_records import (
    BROKEN,
    DENIED,
    PORTLESS,
    Addresses,
    FlowBatch,
    FlowOptions,
    FlowRecord,
    Side,
    lines,
)

SAME_CONNECTION = "same connection"
"""A further event of a connection that already has its record."""
NOT_FORWARDED = "verdict says nothing of forwarding"
NO_ENDS = "l7 without ends"
NO_IP = "not IP"
NO_FLOW = "not a flow"

_FORWARDED = frozenset(("FORWARDED", "REDIRECTED", "TRACED"))
_REFUSED = frozenset(("DROPPED", "ERROR"))
_RESERVED = {"reserved:kube-apiserver": "kube-apiserver", "reserved:health": "cilium-health"}
_SYSTEM = "kube-system"
_OTHER: dict[Side | None, Side | None] = {"src": "dst", "dst": "src", None: None}


class _Flags(msgspec.Struct, gc=False):
    SYN: bool = False
    ACK: bool = False


class _Ports(msgspec.Struct, gc=False):
    source_port: int = -1
    destination_port: int = -1
    flags: _Flags | None = None


class _Transport(msgspec.Struct, gc=False):
    TCP: _Ports | None = None
    UDP: _Ports | None = None
    SCTP: _Ports | None = None


class _Addressed(msgspec.Struct, gc=False):
    source: str = ""
    destination: str = ""
    source_xlated: str = ""


class _Layer7(msgspec.Struct, gc=False):
    type: str | None = None


class _Flow(msgspec.Struct, gc=False):
    time: Annotated[datetime, Meta(tz=True)] | None = None
    verdict: str | None = None
    IP: _Addressed | None = None
    l4: _Transport | None = None
    # An end has twenty labels and comes again and again: each is read once, see `_Ends`.
    source: msgspec.Raw | UnsetType = UNSET
    destination: msgspec.Raw | UnsetType = UNSET
    source_names: list[str] | None = None
    destination_names: list[str] | None = None
    l7: _Layer7 | None = None
    is_reply: bool | UnsetType | None = UNSET
    reply: bool | None = None
    traffic_direction: str | None = None


class _Line(_Flow, gc=False):
    flow: _Flow | None = None
    lost_events: msgspec.Raw | UnsetType = UNSET
    node_status: msgspec.Raw | UnsetType = UNSET
    agent_event: msgspec.Raw | UnsetType = UNSET
    debug_event: msgspec.Raw | UnsetType = UNSET


class _Workload(msgspec.Struct, gc=False):
    name: str = ""


class _End(msgspec.Struct, gc=False):
    namespace: str = ""
    pod_name: str = ""
    cluster_name: str = ""
    labels: list[str] | None = None
    workloads: list[_Workload] | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_end = msgspec.json.Decoder(_End | None).decode


class _Ends(dict[bytes, tuple[str | None, bool]]):
    """End as sent -> (service id, whether it is outside the cluster), remembered for one body."""

    def __init__(self, environment: str) -> None:
        super().__init__()
        self._environment = environment

    def __missing__(self, sent: bytes) -> tuple[str | None, bool]:
        found = self[sent] = self._read(_decode_end(sent) or _End())
        return found

    def _read(self, end: _End) -> tuple[str | None, bool]:
        workload = next((one.name for one in end.workloads or () if one.name), "")
        name = workload or names.workload_of_pod(end.pod_name)
        if name:
            found = self._id(name, end.namespace)
            on = names.workload(workload, end.namespace, end.cluster_name) if workload else ""
            return names.on_workload(found, on) if found is not None else None, False
        labels = end.labels or []
        for label, reserved in _RESERVED.items():
            if label in labels:
                return self._id(reserved, _SYSTEM), False
        return None, any(label.startswith("reserved:world") for label in labels)

    def _id(self, name: str, namespace: str) -> str | None:
        node = names.service(name, namespace, self._environment)
        return node.id if node is not None else None

    def of(self, sent: msgspec.Raw | UnsetType, known_as: list[str] | None) -> str | None:
        """The service id of an end, with its workload; None where only its address can tell."""
        if isinstance(sent, UnsetType):
            return None
        service, outside = self[bytes(sent)]
        if outside and known_as and len(known_as) == 1:
            node = names.from_host(known_as[0])
            return node.id if node is not None else None
        return service


def decode(body: bytes, options: FlowOptions) -> FlowBatch:
    """The connections of a body. Raises BadRequest where no line is one of Hubble's."""
    batch = FlowBatch()
    connections = _Connections(batch)
    addresses, ends = Addresses(), _Ends(options.environment)
    for number, line in lines(body):
        try:
            told = _decode_line(line)
            flow = told.flow or told
            reason = _unusable(told, flow)
            if reason:
                batch.ignored[reason] += 1
            elif reason is None:
                batch.unreadable(number, "no flow in it")
            else:
                connections.add(number, _record(flow, addresses, ends))
        except BROKEN as error:
            batch.unreadable(number, error)
    connections.settle()
    return batch.settled("Hubble's flows as JSON lines")


def _unusable(told: _Line, flow: _Flow) -> str | None:
    """Why an event is no connection: a reason to ignore it, None where it is not Hubble's, "" where it is one."""
    if flow is told and flow.verdict is None and flow.IP is None:
        others = (told.lost_events, told.node_status, told.agent_event, told.debug_event)
        return NO_FLOW if any(one is not UNSET for one in others) else None
    if flow.verdict not in _FORWARDED:
        return DENIED if flow.verdict in _REFUSED else NOT_FORWARDED
    if flow.IP is None:
        return NO_ENDS if flow.l7 is not None else NO_IP
    transport = flow.l4
    if transport is None or (transport.TCP or transport.UDP or transport.SCTP) is None:
        return NO_ENDS if flow.l7 is not None else PORTLESS
    return ""


def _record(flow: _Flow, addresses: Addresses, ends: _Ends) -> FlowRecord:
    transport, ip = flow.l4 or _Transport(), flow.IP or _Addressed()
    ports = transport.TCP or transport.UDP or transport.SCTP or _Ports()
    proto = "tcp" if transport.TCP is not None else "udp" if transport.UDP is not None else "sctp"
    at = flow.time.timestamp() if flow.time is not None else 0.0
    client = _client(flow, ports.flags)
    reporter: Side | None = None
    if flow.traffic_direction == "EGRESS":
        reporter = client
    elif flow.traffic_direction == "INGRESS":
        reporter = _OTHER[client]
    source = addresses[ip.source]
    translated = addresses[ip.source_xlated] if ip.source_xlated else ""
    return FlowRecord(
        at,
        at,
        translated or source,
        ports.source_port,
        addresses[ip.destination],
        ports.destination_port,
        proto,
        client=client,
        orig_src_ip=source if translated and translated != source else None,
        src_service=ends.of(flow.source, flow.source_names),
        dst_service=ends.of(flow.destination, flow.destination_names),
        reporter=reporter,
    )


def _client(flow: _Flow, flags: _Flags | None) -> Side | None:
    if flow.l7 is not None and flow.l7.type in ("REQUEST", "RESPONSE"):
        return "src" if flow.l7.type == "REQUEST" else "dst"
    if flow.is_reply is True or flow.reply:
        return "dst"
    if flow.is_reply is False:
        return "src"
    if flags is not None and flags.SYN:
        return "dst" if flags.ACK else "src"
    # Before Cilium 1.9 there was only `reply`, left out where false; a direction is only known where conntrack was asked.
    if flow.is_reply is UNSET and flow.traffic_direction in ("EGRESS", "INGRESS"):
        return "src"
    return None


class _Connections:
    """Makes one record of all events of a connection, direction, side and minute."""

    def __init__(self, batch: FlowBatch) -> None:
        self._batch = batch
        self._seen: dict[tuple[float, str, int, str, int, str, str | None], FlowRecord] = {}
        self._unsure: list[FlowRecord] = []

    def add(self, number: int, record: FlowRecord) -> None:
        """Take in one event."""
        key = (
            record.start // WINDOW_SECONDS,
            record.src_ip,
            record.src_port,
            record.dst_ip,
            record.dst_port,
            record.proto,
            record.reporter,
        )
        known = self._seen.get(key)
        if known is None:
            if self._batch.add(number, record):
                self._seen[key] = record
                if record.client is None:
                    self._unsure.append(record)
            return
        self._batch.ignored[SAME_CONNECTION] += 1
        known.start, known.end = min(known.start, record.start), max(known.end, record.end)
        known.client = known.client or record.client
        known.src_service = known.src_service or record.src_service
        known.dst_service = known.dst_service or record.dst_service

    def settle(self) -> None:
        """What one point of the datapath could not tell, another one may have: who opened a connection."""
        if not self._unsure:
            return
        clients: dict[tuple[str, int, str, int, str], Side] = {}
        for one in self._batch.records:
            if one.client is not None:
                clients[one.src_ip, one.src_port, one.dst_ip, one.dst_port, one.proto] = one.client
        for one in self._unsure:
            there = clients.get((one.src_ip, one.src_port, one.dst_ip, one.dst_port, one.proto))
            back = clients.get((one.dst_ip, one.dst_port, one.src_ip, one.src_port, one.proto))
            one.client = one.client or there or _OTHER[back]
