"""Flow records in our own words, whoever observed them: what every vendor's format is translated to before stage 1.

Comes in: what a vendor's door read off one line. Goes out: a `FlowBatch`, which is canonical NDJSON and the reasons for what
is not in it. What is lost: lines that contradict themselves or that no map of calls can use, each counted with its reason.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from bot.errors import BadRequest
from bot.names import printable
from bot.telemetry.flow_faults import BACKWARDS, BAD_PORT, BAD_START, MAX_ERRORS, MOST, NEGATIVE

Side = Literal["src", "dst"]

NO_ADDRESS = "source or destination is not an IP address"
"""Why a line is refused; the other reasons are stage 1's."""

DENIED = "denied"
NO_DATA = "nodata"
SKIPPED_DATA = "skipdata"
PORTLESS = "proto without ports"
HEADER = "header"
"""Why a line is no record though nothing is wrong with it. `PORTLESS` is in stage 1's words, which counts the same."""

BROKEN = (ValueError, RecursionError, OverflowError)
"""What reading one line may raise: msgspec's and UTF-8's errors are ValueErrors; OverflowError comes of a whole number that no
float can hold."""


class _Transports(dict[str, str]):
    def __missing__(self, protocol: str) -> str:
        known = 0 <= int(protocol) < 256 if protocol.lstrip("-").isdigit() else protocol[:1].isalpha()
        if not known:
            raise ValueError(f"protocol {protocol[:20]!r} is neither a number of 8 bits nor a name")
        return ""


TRANSPORTS: Final[Mapping[str, str]] = _Transports(
    {
        "6": "tcp",
        "17": "udp",
        "132": "sctp",
        "tcp": "tcp",
        "udp": "udp",
        "sctp": "sctp",
        "TCP": "tcp",
        "UDP": "udp",
        "SCTP": "sctp",
    }
)
"""Protocol, by IANA number (iana.org/assignments/protocol-numbers) or name -> ours; "" for one without ports, which is to be
counted as `PORTLESS`; ValueError for what is no protocol."""

VPC_DEFAULT_FIELDS = (
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start",
    "end", "action", "log-status",
)  # fmt: skip
"""AWS's default format, version 2 (docs.aws.amazon.com, VPC user guide, Flow log records)."""

_LATEST = 253_402_300_800.0  # the year 10000: a time in milliseconds that was taken for seconds


class FlowRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """One flow as one observer saw it, in one direction. Times in epoch seconds; `bytes` and `packets` scaled by sampling.

    `src` and `dst` are the ends as the observer saw them; `client` says which of them opened the connection. `orig_*` is who
    dialled or what was dialled before translation, where it differs. The services are full ids made by `bot.names`, with their
    workloads where they are known (`names.on_workload`). `reporter` says at which end the observer stood: both ends may report
    one flow, which must not count twice.
    """

    start: float
    end: float
    src_ip: str
    src_port: int
    dst_ip: str
    dst_port: int
    proto: str
    bytes: float = 0
    packets: float = 0
    client: Side | None = None
    orig_dst_ip: str | None = None
    orig_dst_port: int | None = None
    orig_src_ip: str | None = None
    src_service: str | None = None
    dst_service: str | None = None
    reporter: Side | None = None


_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What a vendor's bytes do not say: the order of fields in AWS records that come without a header, and the environment
    that workload names belong to ("" for none)."""

    vpc_fields: tuple[str, ...] = VPC_DEFAULT_FIELDS
    environment: str = ""


@dataclass(slots=True)
class FlowBatch:
    """What became of one body. `errors` are the first hundred refused lines as `{"line": number from 1, "why": text}`, the
    line None where the fault is not one line's; `ignored` counts by reason what says nothing about calls."""

    records: list[FlowRecord] = field(default_factory=list)
    rejected: int = 0
    errors: list[dict[str, object]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    _unreadable: int = 0

    @property
    def accepted(self) -> int:
        """Records in `ndjson`."""
        return len(self.records)

    def add(self, line: int, record: FlowRecord) -> bool:
        """Take a record in, or refuse its line and say why."""
        why = _fault(record)
        if why:
            self.reject(line, why)
            return False
        self.records.append(record)
        return True

    def reject(self, line: int | None, why: str) -> None:
        """Refuse a line that is of the format."""
        self.rejected += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"line": line, "why": printable(why[:200])})

    def unreadable(self, line: int | None, why: object) -> None:
        """Refuse a line that is not of the format."""
        self._unreadable += 1
        self.reject(line, str(why))

    def settled(self, wanted: str) -> FlowBatch:
        """The batch, once its body is read. Raises BadRequest where no line of it was what the format wants."""
        if self._unreadable and self._unreadable == self.rejected and not self.records and not self.ignored:
            first = self.errors[0]
            where = f"line {first['line']}: " if first["line"] is not None else ""
            raise BadRequest(f"not {wanted}: {where}{first['why']}")
        return self

    def ndjson(self) -> bytes:
        """The records as our own NDJSON."""
        return _encode_lines(self.records)


def _fault(record: FlowRecord) -> str:
    if not 0 < record.start < _LATEST:
        return BAD_START
    if not record.src_ip or not record.dst_ip:
        return NO_ADDRESS
    if not (0 <= record.src_port <= 65_535 and 0 <= record.dst_port <= 65_535):
        return BAD_PORT
    if not (0 <= record.bytes < MOST and 0 <= record.packets < MOST):
        return NEGATIVE
    return BACKWARDS if not record.start <= record.end < _LATEST else ""


class Addresses(dict[str, str]):
    """Address as sent -> its one spelling, remembered for one body; "" for what is none, and for `0.0.0.0` and `::`."""

    def __missing__(self, text: str) -> str:
        found = self[text] = self.spelled(text)
        return found

    def spelled(self, text: str) -> str:
        """One spelling per address: IPv6 compressed and lower case, IPv4 inside IPv6 as IPv4."""
        try:
            parsed = ipaddress.ip_address(text)
        except ValueError:
            return ""
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return "" if parsed.is_unspecified else str(parsed)


def lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line) of all lines that are not empty."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line and not line.isspace():
            yield number, line
