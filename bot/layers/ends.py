"""Who stands at the two ends of a group of flow records, at the time of its records.

Comes in: a group's key and its first and last start. Goes out: the two ends, each with the intermediary the record itself
names, if any. What is lost: an address that changed hands between a group's records belongs to nobody (unattributed
rather than guessed).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from bot import names
from bot.layers.flow_minute import Group, GroupKey
from bot.layers.ownership import Ownership
from bot.model import Kind, Node
from bot.telemetry.identities import Claim, canonical


@dataclass(frozen=True, slots=True)
class End:
    """One end. `node` is None where nobody vouches for the address; `between` where an intermediary holds it; `past` is the
    intermediary the record names besides the end itself; `seen` its id, with its workload where that is known
    (`names.on_workload`), "" for nobody."""

    node: Node | None
    between: bool = False
    kind: str = ""
    past: str = ""
    seen: str = ""


NOBODY = End(None)
MIXED = End(None, kind="several in one minute")
"""In a minute's owners: the address changed hands, so each group has to be asked about."""


class Ends:
    """Looks owners up, remembering those that held an address through a whole minute."""

    def __init__(self, ownership: Ownership, stays: Callable[[str], bool]) -> None:
        self._ownership = ownership
        self._stays = stays

    def through(self, start: int, owners: dict[str, End], address: str) -> End:
        """The one owner of an address in the minute: `NOBODY` where there is none, `MIXED` where there are several."""
        found = owners.get(address)
        if found is None:
            steady = self._ownership.steady_minute(address, start)
            found = owners[address] = self._end(self._ownership.owner(address, start)) if steady else MIXED
        return found

    def _owner(self, start: int, owners: dict[str, End], address: str, group: Group) -> End:
        found = self.through(start, owners, address)
        if found is not MIXED:
            return found
        steady = self._ownership.steady(address, group.first, group.last)
        return self._end(self._ownership.owner(address, group.first)) if steady else NOBODY

    def _end(self, claim: Claim | None) -> End:
        """What a claim makes of an address. An intermediary that is to stay visible is an end like any other."""
        if claim is None:
            return NOBODY
        if claim.between and self._stays(claim.node.id):
            return End(replace(claim.node, kind=Kind.GATEWAY), seen=claim.node.id)
        return End(claim.node, claim.between, claim.kind, seen=names.on_workload(claim.node.id, claim.workload))

    def of(self, start: int, owners: dict[str, End], key: GroupKey, group: Group) -> tuple[End, End]:
        """(client, server)."""
        client = self._owner(start, owners, key[1], group)
        server = self._owner(start, owners, key[2], group)
        if key[4] is None:
            return client, server
        marks = key[4].split("|")
        if len(marks) != 4:  # a service id with a bar in it, which none of ours has
            return client, server
        dialler, dialled = (
            self._owner(start, owners, canonical(mark), group) if mark else NOBODY for mark in marks[:2]
        )
        if dialled.node is None and server.between:  # what a NAT gateway was asked for may be a host that nobody claims
            dialled = _external(marks[1])
        return (
            _named(marks[2], client) or _better(client, dialler),
            _named(marks[3], server) or _better(server, dialled),
        )


def _named(service: str, known: End) -> End | None:
    """An end the record names itself; an address that is an intermediary's is passed on the way to it."""
    if not service:
        return None
    identifier, workload = names.off_workload(service)
    node = names.from_id(identifier)
    if node is None:
        return None
    past = known.node.id if known.node is not None and known.between else ""
    if known.node is not None and known.node.id == node.id:
        return End(known.node, past=past, seen=names.on_workload(node.id, workload) if workload else known.seen)
    return End(node, past=past, seen=names.on_workload(node.id, workload))


def _better(wire: End, other: End) -> End:
    """Of the address on the wire and the one before or after translation, the end; the intermediary is what it passed."""
    if other.node is None:
        return wire
    if wire.node is None:
        return other
    if wire.between and not other.between:
        return replace(other, past=wire.node.id)
    if other.between and not wire.between:
        return replace(wire, past=other.node.id)
    return wire


def _external(address: str) -> End:
    node = outside(address)
    return End(node, seen=node.id if node is not None else "")


@lru_cache(maxsize=65_536)
def outside(address: str) -> Node | None:
    """The external host behind a public address nobody claims; None for a private one, or for no address at all."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    return names.from_host(address)
