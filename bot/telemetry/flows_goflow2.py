"""NetFlow, IPFIX and sFlow as goflow2 writes them, and NetObserv's flows, one JSON object a line -> flow records.

Comes in: goflow2's first spelling (`SrcAddr`, Proto a number), its second (`src_addr`, proto a name; netsampler/goflow2,
cmd/goflow2 and pb/flow.proto) or NetObserv's enriched one (`SrcAddr` beside `SrcK8S_…`; OpenShift docs, "Network flows format
reference"). Goes out: a record per line, one direction each. What is lost: interfaces, routes, MAC addresses; of sampled flows
the connections that no sample hit.

Bytes and packets are multiplied by the sampling rate, which neither of them does (goflow2 issue 21; a rate of 0 is unknown).
Addresses are text, or base64 of their bytes, which is how protobuf's JSON writes them. A time's name says its unit. NetObserv's
`FlowDirection` is the node's: 0 came in, so that the observer stands at the destination; 1 went out; 2 stayed inside.

Who called: NetFlow ORs the flags of all packets of a flow, so both directions of a finished connection show SYN and ACK alike.
SYN without ACK is the client's; SYN with ACK is the server's only where the flow is a single packet. NetObserv has bits of its
own for packets that carry both (256: SYN-ACK), and there SYN alone is the client's whatever else came.

A workload's name counts for pods only: a Service's is an intermediary's, which the address can say and a name cannot.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

import msgspec

from bot import names
from bot.telemetry.flow_records import (
    BROKEN,
    PORTLESS,
    TRANSPORTS,
    Addresses,
    FlowBatch,
    FlowOptions,
    FlowRecord,
    Side,
    lines,
)

DUPLICATE = "duplicate"
"""NetObserv saw the same packets at another interface of the node, and says so."""
NO_FLOW = "not a flow: want goflow2's or NetObserv's addresses, ports and times"

_SYN, _ACK, _SYN_ACK = 2, 16, 256
_FLAG_NAMES = {"SYN": _SYN, "SYN_ACK": _SYN_ACK}
_REPORTERS: dict[int, Side] = {0: "dst", 1: "src"}


# Counts may be text: protobuf's JSON writes 64-bit numbers so.
class _Snake(msgspec.Struct, gc=False):
    """goflow2's second spelling."""

    src_addr: str | None = None
    dst_addr: str | None = None
    src_port: int = -1
    dst_port: int = -1
    proto: int | str = -1
    bytes: int = 0
    packets: int = 0
    time_flow_start_ns: int = 0
    time_flow_end_ns: int = 0
    sampling_rate: int = 0
    tcp_flags: int | None = None


class _Pascal(msgspec.Struct, gc=False, rename={
    "src_addr": "SrcAddr", "dst_addr": "DstAddr", "src_port": "SrcPort", "dst_port": "DstPort", "proto": "Proto",
    "bytes": "Bytes", "packets": "Packets", "time_flow_start_ns": "TimeFlowStartNs", "time_flow_end_ns": "TimeFlowEndNs",
    "sampling_rate": "SamplingRate", "tcp_flags": "TCPFlags",
    "start": "TimeFlowStart", "end": "TimeFlowEnd", "start_ms": "TimeFlowStartMs", "end_ms": "TimeFlowEndMs",
    "flags": "Flags", "sampling": "Sampling", "direction": "FlowDirection", "duplicate": "Duplicate",
    "src_owner": "SrcK8S_OwnerName", "src_name": "SrcK8S_Name", "src_type": "SrcK8S_Type", "src_namespace": "SrcK8S_Namespace",
    "dst_owner": "DstK8S_OwnerName", "dst_name": "DstK8S_Name", "dst_type": "DstK8S_Type", "dst_namespace": "DstK8S_Namespace",
    "src_workload": "SrcWorkload", "src_pod": "SrcPod", "src_place": "SrcNamespace",
    "dst_workload": "DstWorkload", "dst_pod": "DstPod", "dst_place": "DstNamespace",
    "src_translated": "XlatSrcAddr", "dst_translated": "XlatDstAddr", "dst_translated_port": "XlatDstPort",
}):  # fmt: skip
    """goflow2's first spelling, and NetObserv's."""

    src_addr: str | None = None
    dst_addr: str | None = None
    src_port: int = -1
    dst_port: int = -1
    proto: int | str = -1
    bytes: int = 0
    packets: int = 0
    time_flow_start_ns: int = 0
    time_flow_end_ns: int = 0
    sampling_rate: int = 0
    tcp_flags: int | None = None
    start: int = 0
    end: int = 0
    start_ms: int = 0
    end_ms: int = 0
    flags: int | list[str] | None = None
    sampling: int = 0
    direction: int | None = None
    duplicate: bool = False
    src_owner: str = ""
    src_name: str = ""
    src_type: str = ""
    src_namespace: str = ""
    dst_owner: str = ""
    dst_name: str = ""
    dst_type: str = ""
    dst_namespace: str = ""
    src_workload: str = ""
    src_pod: str = ""
    src_place: str = ""
    dst_workload: str = ""
    dst_pod: str = ""
    dst_place: str = ""
    src_translated: str = ""
    dst_translated: str = ""
    dst_translated_port: int = 0


_decode_snake: Final[Callable[[bytes], _Snake]] = msgspec.json.Decoder(_Snake, strict=False).decode
_decode_pascal: Final[Callable[[bytes], _Pascal]] = msgspec.json.Decoder(_Pascal, strict=False).decode


def decode(body: bytes, options: FlowOptions) -> FlowBatch:
    """The flows of a body. Raises BadRequest where no line is a flow."""
    batch = FlowBatch()
    addresses, workloads = _Addresses(), _Workloads(options.environment)
    for number, line in lines(body):
        try:
            flow = _decode_snake(line) if b'"src_addr"' in line else _decode_pascal(line)
            if flow.src_addr is None or flow.dst_addr is None:
                batch.unreadable(number, NO_FLOW)
            elif isinstance(flow, _Pascal) and flow.duplicate:
                batch.ignored[DUPLICATE] += 1
            elif not (proto := TRANSPORTS[str(flow.proto)]):
                batch.ignored[PORTLESS] += 1
            else:
                record = _record(flow, proto, addresses)
                if isinstance(flow, _Pascal):
                    _enrich(record, flow, addresses, workloads)
                batch.add(number, record)
        except BROKEN as error:
            batch.unreadable(number, error)
    return batch.settled("flows of goflow2 or NetObserv as JSON lines")


def _record(flow: _Snake | _Pascal, proto: str, addresses: Addresses) -> FlowRecord:
    start, end = flow.time_flow_start_ns / 1e9, flow.time_flow_end_ns / 1e9
    rate = flow.sampling_rate
    client = _client(flow.tcp_flags, flow.packets) if flow.tcp_flags else None
    if isinstance(flow, _Pascal):
        start = start or flow.start_ms / 1e3 or float(flow.start)
        end = end or flow.end_ms / 1e3 or float(flow.end)
        rate = rate or flow.sampling
        client = client or (_client_of_all(flow.flags) if flow.flags else None)
    return FlowRecord(
        start,
        end or start,
        addresses[flow.src_addr or ""],
        flow.src_port,
        addresses[flow.dst_addr or ""],
        flow.dst_port,
        proto,
        flow.bytes * max(1, rate),
        flow.packets * max(1, rate),
        client if proto == "tcp" else None,
    )


def _enrich(record: FlowRecord, flow: _Pascal, addresses: Addresses, workloads: _Workloads) -> None:
    """What NetObserv knows besides."""
    if flow.direction is not None:
        record.reporter = _REPORTERS.get(flow.direction)
    record.src_service = workloads.of(flow.src_owner, flow.src_name, flow.src_type, flow.src_namespace)
    record.dst_service = workloads.of(flow.dst_owner, flow.dst_name, flow.dst_type, flow.dst_namespace)
    if flow.src_workload or flow.src_pod:
        record.src_service = workloads.of(flow.src_workload, flow.src_pod, "Pod", flow.src_place)
    if flow.dst_workload or flow.dst_pod:
        record.dst_service = workloads.of(flow.dst_workload, flow.dst_pod, "Pod", flow.dst_place)
    source, destination = addresses[flow.src_translated], addresses[flow.dst_translated]
    if source and source != record.src_ip:
        record.orig_src_ip, record.src_ip = record.src_ip, source
    if destination and destination != record.dst_ip:
        record.orig_dst_ip, record.dst_ip = record.dst_ip, destination
        record.orig_dst_port, record.dst_port = record.dst_port, flow.dst_translated_port or record.dst_port


def _client(flags: int, packets: int) -> Side | None:
    """By NetFlow's flags."""
    if not flags & _SYN:
        return None
    if flags & _ACK:
        return "dst" if packets == 1 else None
    return "src"


def _client_of_all(flags: int | list[str]) -> Side | None:
    """By NetObserv's flags, bits or their names."""
    bits = sum({_FLAG_NAMES.get(name, 0) for name in flags}) if isinstance(flags, list) else flags
    if bits & _SYN_ACK:
        return "dst"
    return "src" if bits & _SYN else None


class _Addresses(Addresses):
    """Addresses as text, or base64 of their bytes."""

    def spelled(self, text: str) -> str:
        found = super().spelled(text)
        if found or not text:
            return found
        try:
            return super().spelled(str(ip_address(b64decode(text, validate=True))))
        except (binascii.Error, ValueError):
            return ""


class _Workloads(dict[tuple[str, str, str, str], str | None]):
    """(owner, name, type, namespace) -> service id, remembered for one body; None for what is no pod."""

    def __init__(self, environment: str) -> None:
        super().__init__()
        self._environment = environment

    def __missing__(self, sent: tuple[str, str, str, str]) -> str | None:
        owner, name, kind, namespace = sent
        node = None
        if kind in ("Pod", ""):
            node = names.service(owner or names.workload_of_pod(name), namespace, self._environment)
        found = self[sent] = node.id if node is not None else None
        return found

    def of(self, owner: str, name: str, kind: str, namespace: str) -> str | None:
        """The service id of an end."""
        return self[owner, name, kind, namespace] if owner or name else None
