"""Names what is wrong with the lines of a body of flow records that stage 1 did not take.

Stage 1 says how many records it refused and why; a sender has to be told which. So a body with faults, and only such a
one, is read a second time here, line by line. The rules are stage 1's own (`bot.layers.flow_fold`), in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.names import MAX_SEEN

MAX_ERRORS = 100
MAX_ADDRESS = 64
"""Longest address, in characters: IPv4 inside IPv6 takes 45, and the rest is for the name of a link."""
MOST = 2.0**63
"""Bytes or packets of one record stay below this: so sums of them stay numbers, however many there are."""

NOT_A_RECORD = "not a flow record: want a JSON object with start, src_ip, dst_ip"
BAD_START = "start is zero, not a number, in the future, or too old"
NO_ADDRESS = "src_ip or dst_ip is missing"
BAD_PORT = "src_port or dst_port is missing or not 0..65535"
PORTLESS = "proto is not tcp, udp or sctp"
NEGATIVE = "bytes or packets is negative or beyond all measure"
BAD_CLIENT = "client is not src, dst or null"
BACKWARDS = "end is before start"
TOO_LONG = f"an address of more than {MAX_ADDRESS} characters, or a service id of more than {MAX_SEEN}"

_ADDRESSES = ("src_ip", "dst_ip", "orig_src_ip", "orig_dst_ip")
_SERVICES = ("src_service", "dst_service")


def faults(body: bytes, oldest: float, newest: float) -> list[dict[str, object]]:
    """The first hundred refused lines as `{"line": number from 1, "why": text}`; accepted starts are `[oldest, newest]`."""
    found: list[dict[str, object]] = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if not line or line.isspace():
            continue
        why = _fault(line, oldest, newest)
        if why:
            found.append({"line": number, "why": why})
            if len(found) >= MAX_ERRORS:
                break
    return found


def _fault(line: bytes, oldest: float, newest: float) -> str:
    try:
        record = json.loads(line.decode())  # a byte order mark, UTF-16 and the like are nothing stage 1 reads
        if b"\\u" in line:
            json.dumps(record, ensure_ascii=False).encode()  # nor is half of a surrogate pair
    except (ValueError, RecursionError):
        return NOT_A_RECORD
    if not isinstance(record, dict):
        return NOT_A_RECORD
    start = _number(record, "start")
    addresses = [record.get(key) for key in ("src_ip", "dst_ip")]
    if start is None and addresses == [None, None]:
        return NOT_A_RECORD
    if start is None or not oldest <= start <= newest:
        return BAD_START
    if not all(addresses):
        return NO_ADDRESS
    if _too_long(record):
        return TOO_LONG
    if str(record.get("proto")).lower() not in ("tcp", "udp", "sctp"):
        return ""  # fine, and no use to a map of calls: counted as ignored
    return _later_fault(record, start)


def _later_fault(record: Mapping[str, Any], start: float) -> str:
    ports = [_number(record, key) for key in ("src_port", "dst_port")]
    if any(port is None or not 0 <= port <= 65_535 for port in ports):
        return BAD_PORT
    amounts = [_number(record, key) or 0.0 for key in ("bytes", "packets")]
    if not all(0 <= amount < MOST for amount in amounts):
        return NEGATIVE
    if record.get("client") not in (None, "src", "dst"):
        return BAD_CLIENT
    end = _number(record, "end")
    return BACKWARDS if end is not None and end < start else ""


def _too_long(record: Mapping[str, Any]) -> bool:
    texts = {key: record.get(key) for key in (*_ADDRESSES, *_SERVICES)}
    longest = {key: MAX_SEEN if key in _SERVICES else MAX_ADDRESS for key in texts}
    return any(isinstance(text, str) and len(text) > longest[key] for key, text in texts.items())


def _number(record: Mapping[str, Any], key: str) -> float | None:
    try:
        return float(record[key])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
