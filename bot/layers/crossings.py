"""One minute's groups with an intermediary at an end -> the pairs they join, with the evidence the minute gives.

Comes in: an open minute and who owned what in it. Goes out: `Pair`s by edge. What is lost: see `bot.layers.crossing`.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from bot.layers.crossing import Amount, Joiner, Pair, Place, Through
from bot.layers.ends import MIXED, End, Ends, outside
from bot.layers.flow_minute import Minute
from bot.layers.likeness import Evidence, Key, gather
from bot.layers.listeners import Listeners
from bot.model import ENTRY, UNATTRIBUTED, WINDOW_SECONDS, EdgeKey, LayerDelta
from bot.telemetry.identities import Listener

_K = TypeVar("_K")
_UNBALANCED = 0.2
"""Where more than this share of the connections in has no connection out, somebody's legs are missing, and who is left alone
in a minute was not."""


def unknown_caller(address: str) -> str:
    """Who a caller is whose address nobody claims: somebody outside coming in, or somebody we do not know."""
    return ENTRY if outside(address) is not None else UNATTRIBUTED


class Crossings:
    """Joins minutes; keeps the evidence they give."""

    def __init__(self, ends: Ends, listeners: Listeners, dropped: Counter[str]) -> None:
        self.evidence = Evidence(dropped)
        self._ends = ends
        self._listeners = listeners

    def join(self, start: int, minute: Minute, owners: dict[str, End], delta: LayerDelta) -> dict[EdgeKey, Pair]:
        """All that the minute's crossing groups come to. Puts the services it meets into `delta`."""
        through, behind_nat = self._through(start, minute, owners, delta)
        self._weigh(start, minute, owners, through)

        def owner(address: str) -> tuple[str, bool] | None:
            end = self._ends.through(start, owners, address)
            node = end.node or (None if end is MIXED else outside(address))
            if node is None:
                return None
            if not end.between:
                delta.nodes[node.id] = node
            return (node.id, end.between)

        def listener(ip: str, port: int) -> Listener | None:
            return self._listeners.through(ip, port, start, start + WINDOW_SECONDS - 1)

        pairs = Joiner(through, owner, listener, self.evidence.certainty, minute.leftover).run()
        for edge, amount in behind_nat.items():
            pairs.setdefault(edge, Pair()).take(amount, 1.0, "exact", ())
        return pairs

    def _through(
        self, start: int, minute: Minute, owners: dict[str, End], delta: LayerDelta
    ) -> tuple[dict[str, Through], dict[EdgeKey, Amount]]:
        """The groups by intermediary; and calls from behind a NAT that nobody else accounts for."""
        through: dict[str, Through] = {}
        behind_nat: dict[EdgeKey, Amount] = {}
        dialled: set[Place] | None = None
        for key in sorted(minute.crossing, key=str):
            group = minute.groups[key]
            client, server = self._ends.of(start, owners, key, group)
            amount, place = group.amount(), (key[2], key[3])
            for end in (client, server):
                if end.node is not None and not end.between:
                    delta.nodes[end.node.id] = end.node
            if client.between and client.kind == "nat":
                # The translated leg of a call whose first leg already says who dialled this very place.
                if dialled is None:
                    dialled = {(one[2], one[3]) for one in minute.groups if one not in minute.crossing}
                callee = server.node or outside(key[2])
                if place not in dialled and callee is not None and not server.between:
                    delta.nodes[callee.id] = callee
                    _more(behind_nat, (UNATTRIBUTED, callee.id), amount)
            elif client.between and client.node is not None:
                _more(through.setdefault(client.node.id, Through()).outs, place, amount)
            elif server.node is not None:
                caller = client.node.id if client.node is not None else unknown_caller(key[1])
                _more(through.setdefault(server.node.id, Through()).ins.setdefault(place, {}), caller, amount)
        return through, behind_nat

    def _weigh(self, start: int, minute: Minute, owners: dict[str, End], through: dict[str, Through]) -> None:
        """Gather the minute's evidence on the intermediaries nothing else explains."""
        found: dict[Key, tuple[float, float, float]] = {}

        def named(address: str) -> str | None:
            end = self._ends.through(start, owners, address)
            return None if end.node is None or end.between else end.node.id

        for intermediary, passed in through.items():
            unexplained = [
                place for place in passed.ins if self._listeners.find(*place, start + WINDOW_SECONDS - 1) is None
            ]
            callees = {name for place in passed.outs if (name := named(place[0])) is not None}
            if callees:
                self.evidence.reached(intermediary, start, callees)
            if not unexplained or not callees:
                continue
            callers = {caller for place in unexplained for caller in passed.ins[place]}
            arrived = sum(amount[0] for place in unexplained for amount in passed.ins[place].values())
            left = sum(amount[0] for amount in passed.outs.values())
            balanced = abs(arrived - left) <= max(1.0, _UNBALANCED * arrived)
            addresses = {ip for ip, _ in unexplained}
            legs_in = [one for one in minute.singles if one.server in addresses]
            legs_out = [one for one in minute.singles if one.client in addresses]
            found.update(
                gather(
                    intermediary, callers if balanced else (), callees if balanced else (), (legs_in, legs_out), named
                )
            )
        self.evidence.replace(start, found)


def _more(amounts: dict[_K, Amount], key: _K, amount: Amount) -> None:
    known = amounts.get(key)
    amounts[key] = amount if known is None else (known[0] + amount[0], known[1] + amount[1])
