"""Azure's flow logs, virtual network (version 4) and network security group (versions 1 and 2) -> flow records.

Comes in: one JSON document, `{"records":[…]}`, as Azure writes it to storage hour by hour. Goes out: a record per flow tuple;
both directions' bytes are added, since one tuple tells of both. What is lost: denied flows, protocols without ports, the rule
that let a flow pass.

A tuple (learn.microsoft.com, Network Watcher, "Virtual network flow logs" and "NSG flow logs", log format):
- virtual network: `ms,source,destination,port,port,protocol number,I|O,B|C|E|D,encryption,packets→,bytes→,packets←,bytes←`
- security group 2: `s,source,destination,port,port,T|U,I|O,A|D,B|C|E,packets→,bytes→,packets←,bytes←`; version 1 ends after A|D.

The source is who began the flow. B (begin) has no counts and a C (continuing) or E (end) follows, whose counts are those since
the tuple before: only C and E are taken, so that a flow counts in each of its minutes and no byte twice. I was seen at the
destination's interface, O at the source's.

In `errors`, `line` is a tuple's number in the document, from 1; None where a whole record is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from bot.errors import BadRequest
from bot.telemetry.flow_records import (
    BROKEN,
    DENIED,
    PORTLESS,
    TRANSPORTS,
    Addresses,
    FlowBatch,
    FlowOptions,
    FlowRecord,
    Side,
)

BEGUN = "flow begun"
"""A flow that has no counts yet; another tuple follows."""

_REPORTERS: dict[str, Side] = {"I": "dst", "O": "src"}
_TRANSPORTS = {"T": "tcp", "U": "udp"}
_COUNTED = frozenset("CE")
_VIRTUAL_NETWORK = 4
_SECURITY_GROUP = (1, 2)


class _Group(msgspec.Struct, gc=False):
    flowTuples: list[object] | None = None  # noqa: N815 - the names are Azure's


class _Flow(msgspec.Struct, gc=False):
    flowGroups: list[_Group] | None = None  # noqa: N815
    flows: list[_Group] | None = None


class _Flows(msgspec.Struct, gc=False):
    Version: int = 0
    flows: list[_Flow] | None = None


class _Record(msgspec.Struct, gc=False):
    flowLogVersion: int = _VIRTUAL_NETWORK  # noqa: N815
    flowRecords: _Flows | None = None  # noqa: N815
    properties: _Flows | None = None


class _Document(msgspec.Struct, gc=False):
    records: list[msgspec.Raw]


_decode_document = msgspec.json.Decoder(_Document).decode
_decode_record = msgspec.json.Decoder(_Record, strict=False).decode


def decode(body: bytes, options: FlowOptions) -> FlowBatch:
    """The flows of a document. Raises BadRequest where it is not one of Azure's."""
    batch = FlowBatch()
    if not body or body.isspace():
        return batch
    try:
        records = _decode_document(body).records
    except BROKEN as error:
        raise BadRequest(f"not an Azure flow log document: {error}") from None
    reader = _Reader(batch)
    for position, sent in enumerate(records, start=1):
        try:
            reader.read(position, _decode_record(sent))
        except BROKEN as error:
            batch.unreadable(None, f"record {position}: {error}")
    return batch.settled("Azure flow logs")


_Fields = tuple[float, list[str], str, list[str]]
"""(start in epoch s, the tuple's fields, state, counts)"""


def _virtual_network(fields: list[str]) -> _Fields:
    if len(fields) < 13:
        raise ValueError(f"{len(fields)} fields, and a virtual network's tuple has 13")
    return int(fields[0]) / 1e3, fields, fields[7], fields[9:13]


def _security_group(fields: list[str]) -> _Fields:
    if len(fields) not in (8, 13):
        raise ValueError(f"{len(fields)} fields, and a security group's tuple has 8 or 13")
    state = "D" if fields[7] == "D" else fields[8] if len(fields) == 13 else "E"
    return float(int(fields[0])), fields, state, fields[9:13]


class _Reader:
    """Reads records one after another, numbering their tuples through."""

    def __init__(self, batch: FlowBatch) -> None:
        self._batch = batch
        self._addresses = Addresses()
        self._line = 0

    def read(self, position: int, record: _Record) -> None:
        """One record: what one interface saw in a minute, or one group's rules in an hour."""
        network, group = record.flowRecords, record.properties
        if network is not None and network.flows is not None:
            if record.flowLogVersion != _VIRTUAL_NETWORK:
                self._batch.reject(
                    None, f"record {position}: flowLogVersion {record.flowLogVersion}, and only 4 is known"
                )
                return
            self._tuples((one for flow in network.flows for one in flow.flowGroups or ()), _virtual_network)
        elif group is not None and group.flows is not None:
            if group.Version not in _SECURITY_GROUP:
                self._batch.reject(None, f"record {position}: Version {group.Version}, and only 1 and 2 are known")
                return
            self._tuples((one for flow in group.flows for one in flow.flows or ()), _security_group)
        else:
            self._batch.unreadable(None, f"record {position}: no flows in it")

    def _tuples(self, groups: Iterable[_Group], fields_of: Callable[[list[str]], _Fields]) -> None:
        for group in groups:
            for sent in group.flowTuples or ():
                self._line += 1
                try:
                    self._read(*fields_of(str(sent).split(",")))
                except BROKEN as error:
                    self._batch.reject(self._line, str(error))

    def _read(self, start: float, fields: list[str], state: str, counts: list[str]) -> None:
        _, source, destination, source_port, destination_port, protocol, direction, *_ = fields
        proto = _TRANSPORTS.get(protocol) or TRANSPORTS[protocol]
        if state == "D":
            self._batch.ignored[DENIED] += 1
        elif state == "B":
            self._batch.ignored[BEGUN] += 1
        elif state not in _COUNTED:
            raise ValueError(f"flow state {state[:20]!r}: want B, C, E or D")
        elif not proto:
            self._batch.ignored[PORTLESS] += 1
        else:
            packets, size, packets_back, size_back = [int(count or 0) for count in counts] or (0, 0, 0, 0)
            record = FlowRecord(
                start,
                start,
                self._addresses[source],
                int(source_port),
                self._addresses[destination],
                int(destination_port),
                proto,
                size + size_back,
                packets + packets_back,
                "src",
                reporter=_REPORTERS.get(direction),
            )
            self._batch.add(self._line, record)
