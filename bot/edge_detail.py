"""What a layer knows of an edge besides counts: protocols, endpoints, intermediaries, workloads. Bounded, and merged as it comes."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_ENDPOINTS = 20
"""Endpoints, protocols and routes kept per edge and layer; further endpoints fold into `other`."""
OTHER = "other"

WorkloadPair = tuple[str, str]
"""(caller's workload, callee's workload), each `name[.namespace][@cluster]`; "" where the source does not know that end's."""

MAX_WORKLOAD_PAIRS = 32
"""Pairs of workloads kept per edge and layer; the longest unseen fold into `OTHER_PAIR`."""
OTHER_PAIR = (OTHER, OTHER)
_WORKLOADS_TOLD = 3_600


@dataclass(slots=True)
class EdgeDetail:
    """What a layer knows of an edge besides counts.

    `endpoints` counts calls by endpoint. `via` holds the chains of intermediaries between the two ends, caller's side
    first. `certainty`, 0..1, says how sure the layer is that it joined the right two ends: 1 unless it had to estimate;
    `how` it joined them: "" where both were in the record, else see `bot.layers.crossing`. `workloads` counts calls by pair
    of workloads, each with the start of the last window it was seen in (epoch s).
    """

    protocols: set[str] = field(default_factory=set)
    endpoints: dict[str, float] = field(default_factory=dict)
    via: set[tuple[str, ...]] = field(default_factory=set)
    certainty: float = 1.0
    how: str = ""
    workloads: dict[WorkloadPair, tuple[float, int]] = field(default_factory=dict)

    def add(self, other: EdgeDetail) -> bool:
        """Take in what was learnt later; of two certainties the later one stands, since it was made from more.

        Says whether there is news in it: more calls between the same workloads are, once an hour.
        """
        news = bool(other.protocols or other.endpoints or other.via)
        news = news or (self.certainty, self.how) != (other.certainty, other.how)
        self.certainty, self.how = other.certainty, other.how
        if not other.protocols <= self.protocols:
            self.protocols.update(sorted(other.protocols - self.protocols)[: MAX_ENDPOINTS - len(self.protocols)])
        if not other.via <= self.via:
            self.via.update(sorted(other.via - self.via)[: MAX_ENDPOINTS - len(self.via)])
        for endpoint, calls in other.endpoints.items():
            known = endpoint in self.endpoints or len(self.endpoints) < MAX_ENDPOINTS
            name = endpoint if known else OTHER
            self.endpoints[name] = self.endpoints.get(name, 0.0) + calls
        for pair, (calls, last) in other.workloads.items():
            news = self.count_workloads(pair, calls, last) or news
        return news

    def count_workloads(self, pair: WorkloadPair, calls: float, last: int) -> bool:
        """Count calls between two workloads, less than 0 to take some back; says whether that is news. Sums never depend on
        the order; which pairs are kept by name does, and only beyond `MAX_WORKLOAD_PAIRS`."""
        known = self.workloads
        if pair not in known and pair != OTHER_PAIR and len(known) - (OTHER_PAIR in known) >= MAX_WORKLOAD_PAIRS:
            longest = min((known[one][0] > 0, known[one][1], one) for one in known if one != OTHER_PAIR)
            if (calls > 0, last, pair) <= longest:
                pair = OTHER_PAIR
            else:
                self.count_workloads(OTHER_PAIR, *known.pop(longest[2]))
        before, seen = known.get(pair, (0.0, 0))
        known[pair] = (before + calls, max(seen, last))
        return last // _WORKLOADS_TOLD > seen // _WORKLOADS_TOLD or calls < 0
