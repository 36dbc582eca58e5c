"""The network layer: flow records and identities in any order -> connections per edge and minute.

Comes in: bodies of NDJSON flow records; claims on addresses; listeners. Goes out: `LayerDelta`s. Each minute stays open
for a grace; until it closes, whatever is learnt late changes what was said, and only the difference goes out, so that the
sum of all deltas is what knowing everything at once would have given. What is lost, and counted: ends that nobody vouches
for (the caller becomes `(unattributed)`; without a callee there is no edge), corrections to minutes that have closed.

No clock inside and no lock: one thread at a time, and `now` (epoch s) comes in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from bot.edge_detail import EdgeDetail
from bot.layers import identity_memory
from bot.layers.crossings import Crossings, unknown_caller
from bot.layers.ends import MIXED, End, Ends, outside
from bot.layers.flow_fold import SLOT, FlowFold, Folded, Leg, Terms
from bot.layers.flow_minute import Group, GroupKey, Minute
from bot.layers.listeners import Listeners
from bot.layers.ownership import Ownership
from bot.layers.windows import minute_of
from bot.layers.workloads import tell_apart
from bot.model import ENTRY, UNATTRIBUTED, WINDOW_SECONDS, EdgeKey, Layer, LayerDelta, Node, Tally
from bot.names import Background
from bot.telemetry.identities import Claim, IdentityBatch

_MAX_DESCRIBED = 1_000_000
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: how long a minute stays open after its last news (`grace`), how long an unknown end may still be claimed
    (`patience`), how old and how far ahead a record may be. `max_groups` over all open minutes."""

    grace: float = 600.0
    patience: float = 60.0
    max_age: float = 86_400.0
    ahead: float = 300.0
    max_groups: int = 1_000_000


class NetworkLayer:
    """Holds who owns which address, the open minutes, and the evidence for what intermediaries hide."""

    layer = Layer.NETWORK

    def __init__(self, limits: Limits | None = None, visible: Background | None = None, threads: int = 2) -> None:
        self.dropped: Counter[str] = Counter()
        self.ownership = Ownership(self.dropped)
        self.listeners = Listeners(self.dropped)
        self._limits = limits or Limits()
        self._fold = FlowFold(threads)
        self._ends = Ends(self.ownership, (visible or Background(())).hides)
        self._crossings = Crossings(self._ends, self.listeners, self.dropped)
        self._minutes: dict[int, Minute] = {}
        self._owners: dict[int, dict[str, End]] = {}  # by minute, see `Ends.through`
        self._groups = 0
        self._expired = 0.0
        self._seen = (-1, -1)
        self._places: list[tuple[str, int]] = []
        self._opaque: list[str] = []
        self._described: dict[EdgeKey, EdgeDetail] = {}
        self._delta = LayerDelta(Layer.NETWORK)

    @property
    def open_groups(self) -> int:
        """Groups in memory, for gauges."""
        return self._groups

    # -- taking in ---------------------------------------------------------------------------------------------------

    def learn(self, batch: IdentityBatch, now: float) -> None:
        """Take in who owns which address and where listeners lead. A repeated record is a heartbeat."""
        for claim in batch.claims:
            self.ownership.add(claim, now)
            if claim.runs_on and claim.end is None:
                self._delta.report(dict.fromkeys(claim.runs_on, now))
        for listener in batch.listeners:
            # A listener's address is its intermediary's, unless somebody says otherwise.
            if self.ownership.owner(listener.ip, listener.start) is None:
                self.ownership.add(
                    Claim(listener.ip, listener.intermediary, "load_balancer", listener.start, listener.end), now
                )
            self.listeners.add(listener, now)

    def memory(self) -> bytes:
        """Who owned which address and where listeners lead, to be given to `remember` after a restart."""
        return identity_memory.dump(self.ownership, self.listeners)

    def remember(self, memory: bytes) -> None:
        """Take in what `memory` gave. Raises `identity_memory.Unreadable`."""
        identity_memory.restore(memory, self.ownership, self.listeners)

    def fold(self, body: bytes, now: float) -> Folded:
        """Stage 1 on one body of records. Raises BadRequest or Overloaded."""
        self._look_at_listeners()
        oldest, newest = self.accepted_starts(now)
        return self._fold.fold(body, Terms(oldest, newest, self._places, self.ownership.restless(), self._opaque))

    def accepted_starts(self, now: float) -> tuple[float, float]:
        """(oldest, newest) start a record may have."""
        return now - self._limits.max_age, now + self._limits.ahead

    def add(self, folded: Folded, now: float) -> None:
        """Keep what stage 1 made of a body."""
        by_minute: dict[int, list[Leg]] = {}
        for leg in folded.legs:
            by_minute.setdefault(minute_of(leg[SLOT]), []).append(leg)
        for start, legs in sorted(by_minute.items()):
            minute = self._minutes.setdefault(start, Minute())
            self._groups += minute.add(legs, now)
        for single in folded.singles:
            if not self._minutes.setdefault(minute_of(single.start), Minute()).keep(single):
                self.dropped["record not compared with others: too many in a minute"] += 1
        while self._groups > self._limits.max_groups and len(self._minutes) > 1:
            self._close(min(self._minutes, key=lambda start: (self._minutes[start].heard, start)), now)
            self.dropped["minute closed early: too many open groups"] += 1

    def _look_at_listeners(self) -> None:
        """Take notice of listeners and intermediaries that are new since the last time."""
        seen = (self.listeners.version, len(self.ownership.between()))
        if seen == self._seen:
            return
        self._seen = seen
        self._places = list(self.listeners.places())
        listening = {ip for ip, _ in self._places}
        # What passes an intermediary that has no listener at all is compared record by record.
        self._opaque = sorted(ip for ip in self.ownership.between() if ip not in listening)
        for minute in self._minutes.values():
            minute.rejoin = minute.rejoin or bool(minute.crossing)

    # -- handing out -------------------------------------------------------------------------------------------------

    def collect(self, now: float) -> LayerDelta:
        """Attribute what is new, let minutes go whose grace is over, hand over everything learnt since the last call."""
        self._look_at_listeners()
        self._follow_owners()
        for start, minute in sorted(self._minutes.items()):
            self._work(start, minute, now)
            if now - max(start + WINDOW_SECONDS, minute.heard) > self._limits.grace:
                self._close(start, now)
        if now - self._expired >= WINDOW_SECONDS:
            for known in (self.ownership, self.listeners):
                known.expire(now - self._limits.max_age - self._limits.grace)
            self._expired = now
        delta, self._delta = self._delta, LayerDelta(Layer.NETWORK)
        tell_apart(delta, self._described)
        delta.windows = {start: edges for start, edges in delta.windows.items() if edges}
        return delta

    def flush(self, now: float) -> LayerDelta:
        """Hand over everything (shutdown): who is not known by now stays unattributed."""
        self._look_at_listeners()
        self._follow_owners()
        for start in sorted(self._minutes):
            self._close(start, now)
        return self.collect(now)

    def close(self) -> None:
        """Let the memory of stage 1 go."""
        self._fold.close()

    def _follow_owners(self) -> None:
        """Look again at what belongs to addresses whose owners changed."""
        changed = self.ownership.take_changed()
        first = min(changed.values(), default=inf)
        for start, minute in self._minutes.items():
            until = start + WINDOW_SECONDS
            if first >= until:
                continue
            # By what the minute has, not by what changed: a thousand minutes times all addresses there are would take minutes.
            known = self._owners.get(start, {})
            for ip in [ip for ip in known if changed.get(ip, inf) < until]:
                del known[ip]
            minute.touch(changed, until)
            minute.rejoin = minute.rejoin or bool(minute.crossing)

    def _close(self, start: int, now: float) -> None:
        minute = self._minutes[start]
        self._work(start, minute, now, closing=True)
        self._crossings.evidence.close(start)
        self.dropped.update(minute.leftover)
        self._groups -= len(minute.groups)
        del self._minutes[start]
        self._owners.pop(start, None)

    def _work(self, start: int, minute: Minute, now: float, *, closing: bool = False) -> None:
        patient = now - self._limits.patience
        minute.dirty.update(key for key in minute.waiting if closing or minute.groups[key].heard < patient)
        dirty, minute.dirty = minute.dirty, set()
        minute.waiting -= dirty
        self._settle(start, minute, dirty, inf if closing else patient)
        if minute.rejoin:
            minute.rejoin = False
            self._join(start, minute)

    # -- one group ---------------------------------------------------------------------------------------------------

    def _settle(self, start: int, minute: Minute, keys: Iterable[GroupKey], patient: float) -> None:
        """Attribute groups. In those first heard before `patient`, who is not known by now counts as unattributed."""
        edges = self._delta.windows.setdefault(start, {})
        owners = self._owners.setdefault(start, {})
        groups, ends_of, known = minute.groups, self._ends.of, owners.get
        for key in keys:
            group = groups[key]
            client, server = known(key[1], MIXED), known(key[2], MIXED)
            if client is MIXED or server is MIXED or key[4] is not None:
                client, server = ends_of(start, owners, key, group)
            if client.between or server.between:
                minute.crossing.add(key)
                minute.rejoin = True
                if group.said is not None:
                    _say(edges, group, None)
                continue
            if key in minute.crossing:
                minute.crossing.discard(key)
                minute.rejoin = True
            caller = client.seen or unknown_caller(key[1])
            callee = server.node if server.node is not None else outside(key[2])
            if (caller == UNATTRIBUTED or callee is None) and group.heard >= patient:
                minute.waiting.add(key)
                callee = None
            elif callee is None:
                self.dropped["callee unattributed"] += group.records
            if callee is None:
                _say(edges, group, None)
                continue
            edge = (caller, server.seen or callee.id)
            if group.said is None or group.said[0] != edge:
                self._note_direct(key, group, client, server, callee)
            _say(edges, group, edge)

    def _note_direct(self, key: GroupKey, group: Group, client: End, server: End, callee: Node) -> None:
        edge = (client.node.id if client.node is not None else unknown_caller(key[1]), callee.id)
        known = self._described.get(edge)
        past = tuple([one for one in (client.past, server.past) if one]) if key[4] is not None else ()
        protocol = _protocol(group.side // 10, key[3])
        if (
            known is not None
            and known.certainty == 1.0
            and protocol in known.protocols
            and (not past or past in known.via)
        ):
            return
        self._name(client.node, callee)
        self._describe(edge, EdgeDetail({protocol}, via={past} if past else set(), how="exact" if past else ""))

    def _name(self, *nodes: Node | None) -> None:
        for node in nodes:
            if node is not None:
                self._delta.nodes[node.id] = node

    def _describe(self, edge: EdgeKey, detail: EdgeDetail) -> None:
        """Pass on what is new about an edge. What was once seen directly is no estimate any more; of two estimates the
        surer stands, but one made from the margins alone is only as good as its worst minute."""
        known = self._described.get(edge)
        if known is None:
            if len(self._described) >= _MAX_DESCRIBED:
                self._described.clear()  # everything is described anew when next seen
            known = self._described[edge] = detail
        elif known.certainty == 1.0:
            detail.certainty, detail.how = 1.0, known.how
        elif "estimated" in detail.how:
            weaker = min(known.certainty, detail.certainty) if "estimated" in known.how else known.certainty
            detail.certainty, detail.how = weaker, known.how
        elif "estimated" not in known.how and known.certainty > detail.certainty:
            detail.certainty, detail.how = known.certainty, known.how
        if known is not detail:
            known.add(detail)
        self._delta.details[edge] = EdgeDetail(set(known.protocols), {}, set(known.via), known.certainty, known.how)

    # -- what crosses intermediaries -----------------------------------------------------------------------------------

    def _join(self, start: int, minute: Minute) -> None:
        """Join the minute's crossing groups anew, and say the difference to the last time."""
        pairs = self._crossings.join(start, minute, self._owners.setdefault(start, {}), self._delta)
        edges = self._delta.windows.setdefault(start, {})
        said = minute.said
        for edge in said.keys() | pairs.keys():
            pair = pairs.get(edge)
            calls, size = (pair.calls, pair.bytes) if pair is not None else (0.0, 0.0)
            before = said.get(edge, (0.0, 0.0))
            if abs(calls - before[0]) > _NOTHING or abs(size - before[1]) > _NOTHING:
                _count(edges, edge, calls - before[0], size - before[1])
            if pair is not None and edge[0] not in (ENTRY, UNATTRIBUTED):
                known = self._described.get(edge)
                if known is None or known.certainty < 1.0 or not pair.via <= known.via:
                    self._describe(edge, EdgeDetail(set(), {}, set(pair.via) - {()}, pair.certainty, pair.how))
        minute.said = {edge: (pair.calls, pair.bytes) for edge, pair in pairs.items()}


@lru_cache(maxsize=65_536)
def _protocol(number: int, port: int) -> str:
    return f"{('tcp', 'udp', 'sctp')[number]}/{port}"


def _say(edges: dict[EdgeKey, Tally], group: Group, edge: EdgeKey | None) -> None:
    """Bring what the map has of a group up to date: take back what was said of other ends, add what is new."""
    said = group.said
    if said is not None and (edge is None or said[0] != edge):
        _count(edges, said[0], -said[1], -said[2])
        group.said = said = None
    if edge is None:
        return
    calls, size = group.amount()
    tally = edges.get(edge)  # `_count` in line: this is done for every group
    if tally is None:
        tally = edges[edge] = Tally()
    more, larger = (calls, size) if said is None else (calls - said[1], size - said[2])
    tally.calls += more
    tally.sampled += round(more)
    tally.bytes += larger
    group.said = (edge, calls, size)


def _count(edges: dict[EdgeKey, Tally], edge: EdgeKey, calls: float, size: float) -> None:
    tally = edges.get(edge)
    if tally is None:
        tally = edges[edge] = Tally()
    tally.calls += calls
    tally.sampled += round(calls)
    tally.bytes += size
