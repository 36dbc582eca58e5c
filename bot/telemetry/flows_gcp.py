"""Google Cloud's VPC flow logs, as log entries -> flow records.

Comes in: log entries with the flow in `jsonPayload`, or flows alone; one a line (a sink to storage), an array of them
(`gcloud logging read --format=json`), or one in a Pub/Sub push (cloud.google.com, "About VPC Flow Logs records", "LogEntry",
"Push subscriptions"). Goes out: a record per entry, one direction each. What is lost: protocols without ports, round-trip
times, geography. Google samples packets and makes up for it in the counts; how much it sampled, an entry does not say.

Both ends report, SRC and DEST, or a gateway for an end outside the network. Entries know neither flags nor who called: stage 1
goes by listeners and ports. Numbers of 64 bits are text, as in all of Google's JSON.

A GKE pod is its workload. A VM is left to its address, since its name is a machine's; so is a GKE Service, which stands between
the ends. A Google API is known by its host.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from bot import names
from bot.errors import BadRequest
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

NO_FLOW = "not a VPC flow log entry: no connection in it"

_REPORTERS: dict[str | None, Side] = {"SRC": "src", "SRC_GATEWAY": "src", "DEST": "dst", "DEST_GATEWAY": "dst"}
_Time = Annotated[datetime, Meta(tz=True)]


class _Connection(msgspec.Struct, gc=False):
    src_ip: str = ""
    dest_ip: str = ""
    src_port: int = -1
    dest_port: int = -1
    protocol: int = -1


class _Workload(msgspec.Struct, frozen=True, gc=False):
    workload_name: str | None = None


class _Pod(msgspec.Struct, frozen=True, gc=False):
    pod_name: str | None = None
    pod_namespace: str | None = None
    pod_workload: _Workload | None = None


class _Gke(msgspec.Struct, frozen=True, gc=False):
    pod: _Pod | None = None


class _Google(msgspec.Struct, frozen=True, gc=False):
    service_name: str | None = None


class _Payload(msgspec.Struct, gc=False):
    connection: _Connection | None = None
    reporter: str | None = None
    bytes_sent: int = 0
    packets_sent: int = 0
    start_time: _Time | None = None
    end_time: _Time | None = None
    src_gke_details: _Gke | None = None
    dest_gke_details: _Gke | None = None
    src_google_service: _Google | None = None
    dest_google_service: _Google | None = None


class _Message(msgspec.Struct, gc=False):
    data: str = ""


class _Entry(_Payload, gc=False):
    jsonPayload: _Payload | None = None  # noqa: N815 - the name is Google's
    message: _Message | None = None


_decode_entry: Final[Callable[[bytes | msgspec.Raw], _Entry]] = msgspec.json.Decoder(_Entry, strict=False).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(body: bytes, options: FlowOptions) -> FlowBatch:
    """The flows of a body. Raises BadRequest where no entry is a flow."""
    batch = FlowBatch()
    addresses, services = Addresses(), _Services(options.environment)
    for number, sent in _entries(body):
        try:
            entry = _decode_entry(sent)
            if entry.message is not None:
                entry = _decode_entry(b64decode(entry.message.data, validate=True))
            flow = entry.jsonPayload or entry
            connection = flow.connection
            if connection is None:
                batch.unreadable(number, NO_FLOW)
            elif not (proto := TRANSPORTS[str(connection.protocol)]):
                batch.ignored[PORTLESS] += 1
            else:
                batch.add(number, _record(flow, connection, proto, addresses, services))
        except BROKEN as error:
            batch.unreadable(number, error)
    return batch.settled("VPC flow log entries of Google Cloud")


def _entries(body: bytes) -> Iterator[tuple[int, bytes | msgspec.Raw]]:
    if body.lstrip()[:1] != b"[":
        yield from lines(body)
        return
    try:
        found = _decode_array(body)
    except BROKEN as error:
        raise BadRequest(f"not an array of log entries: {error}") from None
    yield from enumerate(found, start=1)


def _record(
    flow: _Payload, connection: _Connection, proto: str, addresses: Addresses, services: _Services
) -> FlowRecord:
    start = flow.start_time.timestamp() if flow.start_time is not None else 0.0
    return FlowRecord(
        start,
        flow.end_time.timestamp() if flow.end_time is not None else start,
        addresses[connection.src_ip],
        connection.src_port,
        addresses[connection.dest_ip],
        connection.dest_port,
        proto,
        flow.bytes_sent,
        flow.packets_sent,
        src_service=services[flow.src_gke_details, flow.src_google_service],
        dst_service=services[flow.dest_gke_details, flow.dest_google_service],
        reporter=_REPORTERS.get(flow.reporter),
    )


class _Services(dict[tuple[_Gke | None, _Google | None], str | None]):
    """What an entry says of an end -> service id, remembered for one body; None where only the address can tell."""

    def __init__(self, environment: str) -> None:
        super().__init__()
        self._environment = environment

    def __missing__(self, sent: tuple[_Gke | None, _Google | None]) -> str | None:
        gke, google = sent
        node = None
        pod = gke.pod if gke is not None else None
        if pod is not None:
            workload = pod.pod_workload.workload_name if pod.pod_workload is not None else ""
            name = workload or names.workload_of_pod(pod.pod_name or "")
            node = names.service(name, pod.pod_namespace or "", self._environment)
        elif google is not None:
            node = names.from_host(google.service_name or "")
        found = self[sent] = node.id if node is not None else None
        return found
