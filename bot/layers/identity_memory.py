"""What the network layer knows of addresses, as bytes and back: who owned them when, and where listeners lead.

A bot that starts anew has to know whose address it was before the first heartbeat comes, or everything it is told of in
between stays unattributed. Goes out: one MessagePack document, packed with zlib (a fleet of 20,000 addresses: 0.2 MB).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from bot.layers.listeners import Listeners
from bot.layers.ownership import Ownership
from bot.model import Kind, Node
from bot.telemetry.identities import Claim, Listener

_VERSION = 1
_NodeRow = tuple[str, str, str, str, str]
_ClaimRow = tuple[str, int, str, float, float | None, float]
_ListenerRow = tuple[int, str, int, Sequence[tuple[str, int]], float, float | None, float]


class _Document(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    nodes: list[_NodeRow]
    claims: list[_ClaimRow]
    listeners: list[_ListenerRow]
    workloads: dict[int, str] = {}  # by place in `claims`; not there in what older versions wrote


class Unreadable(ValueError):
    """The bytes are no memory of addresses that this version can read."""


def dump(ownership: Ownership, listeners: Listeners) -> bytes:
    """Everything known now. In the thread of whoever changes these."""
    places: dict[Node, int] = {}
    known = list(ownership.heard())
    claims: list[_ClaimRow] = [
        (claim.ip, places.setdefault(claim.node, len(places)), claim.kind, claim.start, claim.end, heard)
        for claim, heard in known
    ]
    workloads = {at: claim.workload for at, (claim, _) in enumerate(known) if claim.workload}
    leads: list[_ListenerRow] = [
        (
            places.setdefault(one.intermediary, len(places)),
            one.ip,
            one.port,
            sorted(one.targets),
            one.start,
            one.end,
            heard,
        )
        for one, heard in listeners.heard()
    ]
    nodes = [(node.id, node.kind.value, node.name, node.namespace, node.environment) for node in places]
    return zlib.compress(msgspec.msgpack.encode(_Document(_VERSION, nodes, claims, leads, workloads)), 1)


def restore(body: bytes, ownership: Ownership, listeners: Listeners) -> None:
    """Take in what `dump` gave, as of when each was last heard of. Raises Unreadable, and then nothing was taken in."""
    try:
        document = msgspec.msgpack.decode(zlib.decompress(body), type=_Document)
        nodes = [Node(one, Kind(kind), name, space, where) for one, kind, name, space, where in document.nodes]
        claims = [
            (Claim(ip, nodes[at], kind, start, end, document.workloads.get(place, "")), heard)
            for place, (ip, at, kind, start, end, heard) in enumerate(document.claims)
        ]
        leads = [
            (Listener(nodes[at], ip, port, frozenset(map(tuple, targets)), start, end), heard)  # type: ignore[arg-type]
            for at, ip, port, targets, start, end, heard in document.listeners
        ]
    except (zlib.error, msgspec.DecodeError, ValueError, IndexError) as error:
        raise Unreadable(str(error)) from None
    if document.version != _VERSION:
        raise Unreadable(f"version {document.version}")
    for claim, heard in claims:
        ownership.add(claim, heard)
    for listener, heard in leads:
        listeners.add(listener, heard)
