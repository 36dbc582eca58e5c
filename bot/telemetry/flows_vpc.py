"""AWS VPC flow logs: lines of text, as S3 keeps them or in an AWS envelope -> flow records.

Comes in: fields separated by spaces, in the order of a header line if the data has one, else of the configured list
(docs.aws.amazon.com, VPC user guide, Flow log records). Whatever version a field came with, it is known by its name. Goes
out: one record per line. What is lost: refused traffic, intervals without data, protocols without ports.

`srcaddr` and `dstaddr` are what passed at the interface, where at the interface's own end AWS writes the interface's primary
address instead of the packet's; `pkt-srcaddr` and `pkt-dstaddr` are the packet's. Where they differ, the record's end is the
former and `orig_*` the latter:
- NAT gateway, request from inside: the packet is for the internet, `dstaddr` is the gateway -> `dst_ip` gateway, `orig_dst_ip`
  what was dialled. The answer on its way in: `srcaddr` is the gateway -> `src_ip` gateway, `orig_src_ip` who answered. On the
  gateway's outer side the addresses agree and nobody can tell whose packet it is: the gateway is an end of that leg.
- Network Load Balancer that preserves client addresses, on its way to a target: `srcaddr` is the balancer, `pkt-srcaddr` the
  client. One that does not: both are the balancer, which is joined by its listener.
- A pod with a secondary address of its node's interface (EKS): `dstaddr` is the node, `orig_dst_ip` the pod.

Who called: `tcp-flags` holds SYN (2) for who opened, SYN and ACK (18) for who answered, ORed with FIN and RST; AWS leaves out
ACK alone. Who observed: `flow-direction` is the interface's. Without it, as in the default format, an interface's own address
is the one that all its records of a body have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from bot.telemetry.aws_envelopes import log_lines
from bot.telemetry.flow_faults import BAD_START
from bot.telemetry.flow_records import (
    BROKEN,
    DENIED,
    HEADER,
    NO_DATA,
    PORTLESS,
    SKIPPED_DATA,
    TRANSPORTS,
    Addresses,
    FlowBatch,
    FlowOptions,
    FlowRecord,
    Side,
    lines,
)

_SYN, _ACK = 2, 16
_ABSENT = "-"
_STATUS = {"NODATA": NO_DATA, "SKIPDATA": SKIPPED_DATA}
_REPORTERS: dict[str, Side] = {"ingress": "dst", "egress": "src"}
_USED: Final = (
    "version", "srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start",
    "end", "action", "log-status", "tcp-flags", "flow-direction", "interface-id",
)  # fmt: skip
_NAMES = frozenset((*_USED, "account-id", "vpc-id", "subnet-id", "instance-id", "type", "region", "az-id", "traffic-path",
                    "sublocation-type", "sublocation-id", "pkt-src-aws-service", "pkt-dst-aws-service"))  # fmt: skip


def lacking(fields: Sequence[str]) -> tuple[str, ...]:
    """The fields a list would need besides, so that its records can be used; none where it is fine."""
    known = frozenset(fields)
    needed = ["srcport", "dstport", "protocol", "start"]
    needed += [end for end in ("srcaddr", "dstaddr") if not known & {end, f"pkt-{end}"}]
    return tuple(name for name in needed if name not in known)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How to read a line: `width` fields, of which `pick` takes `_USED`; an absent one is the `-` put behind the last."""

    width: int
    version: str
    pick: Callable[[list[str]], tuple[str, ...]]


def _layout(fields: Sequence[str], version: str = "") -> _Layout:
    places = {name: place for place, name in enumerate(fields)}
    return _Layout(len(fields), version, itemgetter(*(places.get(name, len(fields)) for name in _USED)))


def decode(body: bytes, options: FlowOptions) -> FlowBatch:
    """The flows of a body. Raises BadRequest where nothing in it is a flow log line, TooLarge where it unpacks to too much."""
    batch = FlowBatch()
    reader = _Reader(batch, options.vpc_fields)
    given = log_lines(body, batch) if body.lstrip()[:1] == b"{" else _plain(body, batch)
    for number, text in given:
        reader.read(number, text.split())
    reader.interfaces.settle()
    return batch.settled("AWS VPC flow logs")


def _plain(body: bytes, batch: FlowBatch) -> Iterator[tuple[int, str]]:
    for number, line in lines(body):
        try:
            yield number, line.decode()
        except UnicodeDecodeError:
            batch.unreadable(number, "not UTF-8")


class _Reader:
    """Reads lines one after another; a header changes how the next ones are read."""

    def __init__(self, batch: FlowBatch, fields: Sequence[str]) -> None:
        self.interfaces = _Interfaces()
        self._batch = batch
        self._addresses = Addresses()
        self._lacks = lacking(fields)
        # In the default format every record says version 2: another version means that the list is not the one in use.
        self._layout = _layout(fields, "2" if tuple(fields) == FlowOptions().vpc_fields else "")

    def read(self, number: int, parts: list[str]) -> None:
        """One line, as its fields."""
        layout = self._layout
        if not parts:
            return
        if parts[0] in _NAMES:
            self._begin(number, parts)
        elif self._lacks:
            self._batch.reject(number, f"the field list lacks {', '.join(self._lacks)}")
        elif len(parts) != layout.width:
            self._batch.unreadable(number, f"{len(parts)} fields, and the field list has {layout.width}")
        else:
            parts.append(_ABSENT)
            try:
                self._read(number, layout.pick(parts))
            except BROKEN as error:
                self._batch.unreadable(number, f"{error}: is this the field list in use?")

    def _begin(self, number: int, fields: list[str]) -> None:
        self._lacks = lacking(fields)
        self._layout = _layout(fields)
        if self._lacks:
            self._batch.reject(number, f"the field list lacks {', '.join(self._lacks)}")
        else:
            self._batch.ignored[HEADER] += 1

    def _read(self, number: int, used: tuple[str, ...]) -> None:
        (
            version, src, dst, pkt_src, pkt_dst, src_port, dst_port, proto, packets, size, start, end, action, status, flags,
            direction, interface,
        ) = used  # fmt: skip
        if version != _ABSENT and not (
            version == self._layout.version if self._layout.version else 2 <= int(version) < 100
        ):
            self._batch.reject(number, f"version {version[:20]}: configure the field list in use, or send its header")
        elif status in _STATUS:
            self._batch.ignored[_STATUS[status]] += 1
        elif action == "REJECT":
            self._batch.ignored[DENIED] += 1
        elif not (transport := TRANSPORTS[proto]):
            self._batch.ignored[PORTLESS] += 1
        elif start == _ABSENT:
            self._batch.reject(number, BAD_START)
        else:
            addresses = self._addresses
            from_ip, from_packet = _end(addresses, src, pkt_src)
            to_ip, to_packet = _end(addresses, dst, pkt_dst)
            since = int(start)
            record = FlowRecord(
                since,
                int(end) if end != _ABSENT else since,
                from_ip,
                int(src_port),
                to_ip,
                int(dst_port),
                transport,
                int(size) if size != _ABSENT else 0,
                int(packets) if packets != _ABSENT else 0,
                _client(int(flags)) if flags != _ABSENT else None,
                orig_dst_ip=to_packet,
                orig_src_ip=from_packet,
                reporter=_REPORTERS.get(direction),
            )
            if self._batch.add(number, record) and direction == _ABSENT and interface != _ABSENT:
                self.interfaces.add(interface, record)


def _end(addresses: Addresses, address: str, packet: str) -> tuple[str, str | None]:
    """(address at the interface, address in the packet where that is another one)."""
    if address == _ABSENT:
        return addresses[packet], None
    found = addresses[address]
    if packet in (_ABSENT, address):
        return found, None
    other = addresses[packet]
    return found, other if other and other != found else None


def _client(flags: int) -> Side | None:
    if not flags & _SYN:
        return None
    return "dst" if flags & _ACK else "src"


class _Interfaces:
    """Finds at which end of its records each interface stands: at the address all of them have in common."""

    def __init__(self) -> None:
        self._records: dict[str, list[FlowRecord]] = {}

    def add(self, interface: str, record: FlowRecord) -> None:
        """Keep a record of an interface."""
        known = self._records.get(interface)
        if known is None:
            self._records[interface] = [record]
        else:
            known.append(record)

    def settle(self) -> None:
        """Write down who observed, where one address is in all records of an interface and another one is not."""
        for records in self._records.values():
            shared = {records[0].src_ip, records[0].dst_ip}
            for record in records:
                if record.src_ip not in shared or record.dst_ip not in shared:
                    shared &= {record.src_ip, record.dst_ip}
            if len(shared) == 1:
                own = shared.pop()
                for record in records:
                    record.reporter = "src" if record.src_ip == own else "dst"
