"""What the map says against what is so. Pure.

Comes in: a `Truth` and the edges the bot answers with, each with its confidence. Goes out: a `Report` with one `Score` per
layer and merged, and what a naive join would have scored. What is lost: nothing; every edge said falls under exactly one
`verdict`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.model import Layer
from tests.kit.world import EdgeKey, Truth
from tests.kit.world_flows import Legs

RECALL, PRECISION, ESTIMATED_PRECISION, CALIBRATION_ERROR, REUSE_EDGES = 0.99, 0.99, 0.9, 0.05, 0
"""The targets: at least, at least, at least, at most, at most."""
UNATTRIBUTED = "unattributed"


@dataclass(frozen=True, slots=True)
class Said:
    """One edge as the bot tells it. `shown`: whether at its default threshold. `how`: by what the network layer joined it
    ("" where it did not have to)."""

    caller: str
    callee: str
    confidence: float
    layers: frozenset[Layer]
    shown: bool = True
    estimated: bool = False
    how: str = ""

    @property
    def key(self) -> EdgeKey:
        """(caller id, callee id)."""
        return (self.caller, self.callee)


@dataclass(frozen=True, slots=True)
class Score:
    """Edges said, right among them, to be found, found among them. A ratio of nothing is 1: nothing was done wrong."""

    said: int
    right: int
    visible: int
    found: int

    @property
    def precision(self) -> float:
        """Of the edges said, how many are so."""
        return self.right / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Of the edges that telemetry shows, how many are said."""
        return self.found / self.visible if self.visible else 1.0


@dataclass(frozen=True, slots=True)
class Bin:
    """Edges whose confidence lies in one tenth: how many, their mean confidence, and how many of them are real now."""

    count: int
    confidence: float
    real: int


@dataclass(slots=True)
class Report:
    """Everything the table shows. `shown` and `everything` hold a score per layer and one under "merged"."""

    shown: dict[str, Score] = field(default_factory=dict)
    everything: dict[str, Score] = field(default_factory=dict)
    estimated: Score = Score(0, 0, 0, 0)
    naive: Score = Score(0, 0, 0, 0)
    reuse: list[EdgeKey] = field(default_factory=list)
    how: Counter[str] = field(default_factory=Counter)
    bins: list[Bin] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the mean distance of confidence and share of real edges, over edges (0..1)."""
        total = sum(one.count for one in self.bins)
        return sum(abs(one.confidence * one.count - one.real) for one in self.bins) / total if total else 0.0

    def failures(self) -> list[str]:
        """The targets that are not reached, as sentences."""
        merged = self.shown["merged"]
        checks = (
            (merged.recall >= RECALL, f"merged recall {merged.recall:.4f} is below {RECALL}"),
            (merged.precision >= PRECISION, f"merged precision {merged.precision:.4f} is below {PRECISION}"),
            (len(self.reuse) <= REUSE_EDGES, f"{len(self.reuse)} edges come from reused addresses"),
            (
                self.estimated.precision >= ESTIMATED_PRECISION,
                f"precision of estimated edges {self.estimated.precision:.4f} is below {ESTIMATED_PRECISION}",
            ),
            (
                self.calibration_error <= CALIBRATION_ERROR,
                f"calibration error {self.calibration_error:.4f} is above {CALIBRATION_ERROR}",
            ),
        )
        return [text for reached, text in checks if not reached]


def score(truth: Truth, said: Iterable[Said], aliases: Mapping[str, Sequence[str]], unattributed: int = 0) -> Report:
    """Score a map. Edges of the company's background (scrapers, DNS, control planes) count neither way.

    Recall asks for edges some layer's telemetry shows and whose ends still run; a dead service's edges are no fault to
    show (they fade) and no fault to hide. Confidence is another matter: it is that an edge is real *now*.
    """
    edges = [one for one in said if one.caller not in truth.background and one.callee not in truth.background]
    shown = [one for one in edges if one.shown]
    report = Report()
    for scores, found in ((report.shown, shown), (report.everything, edges)):
        for layer in Layer:
            visible = {key for key, edge in truth.edges.items() if edge.lives and layer in edge.layers}
            scores[layer.value] = _score(truth, {one.key for one in found if layer in one.layers}, visible)
        scores["merged"] = _score(truth, {one.key for one in found}, _visible(truth))
    report.estimated = _score(truth, {one.key for one in shown if one.estimated}, ())
    crossed = cross_product(truth.legs)
    report.naive = _score(truth, crossed, _visible(truth))
    # What a join at an intermediary could have made is an estimate gone wrong, whoever held the address before.
    report.reuse = sorted(one.key for one in shown if _is_reuse(truth, one.key) and one.key not in crossed)
    report.how = Counter(_how(one) for one in shown) + Counter({UNATTRIBUTED: unattributed})
    report.bins = bins((one.confidence, _is_real(truth, one.key)) for one in edges)
    names = {alias for found_names in aliases.values() for alias in found_names}
    reused = set(report.reuse)
    report.verdicts = Counter(verdict(truth, one, names, reused) for one in shown)
    kept = {one.key for one in shown}
    report.missed = Counter(_kind_of(truth, key) for key in _visible(truth) - kept)
    return report


def _visible(truth: Truth) -> set[EdgeKey]:
    return {key for key, edge in truth.edges.items() if edge.lives and edge.layers}


def _score(truth: Truth, said: set[EdgeKey], visible: Collection[EdgeKey]) -> Score:
    wanted = set(visible)
    return Score(len(said), len(said & truth.edges.keys()), len(wanted), len(said & wanted))


def _is_real(truth: Truth, key: EdgeKey) -> bool:
    edge = truth.edges.get(key)
    return edge is not None and edge.lives


def _is_reuse(truth: Truth, key: EdgeKey) -> bool:
    return key in truth.reuse_fakes and key not in truth.edges


def _how(edge: Said) -> str:
    """Under which word an edge is counted: that of the surest layer."""
    if edge.layers - {Layer.NETWORK}:
        return "named"  # by the telemetry of one of its ends
    return edge.how or "exact"


def _kind_of(truth: Truth, key: EdgeKey) -> str:
    edge = truth.edges[key]
    seen = "+".join(sorted(layer.value for layer in edge.layers))
    return f"{'nightly ' if edge.nightly else ''}{edge.how}, shown by {seen}"


def verdict(truth: Truth, edge: Said, aliases: Collection[str], reused: Collection[EdgeKey]) -> str:
    """What one edge that is said is: `true`, `ended` (so once), or why it is wrong."""
    known = truth.edges.get(edge.key)
    if known is not None:
        return "true" if known.lives else "ended"
    if edge.caller in aliases or edge.callee in aliases:
        return "false: another name of a service, which the catalogue knows"
    if edge.key in reused:
        return "false: reused address"
    behind = {place for one in truth.edges.values() for place in one.via if one.callee != place}
    if edge.caller in behind or edge.callee in behind:
        return "false: an intermediary taken for an end"
    return f"false: {'estimated' if edge.estimated else 'for another reason'}"


def bins(edges: Iterable[tuple[float, bool]]) -> list[Bin]:
    """(confidence, whether real) by tenths of confidence, the lowest first."""
    sums = [[0.0, 0.0, 0.0] for _ in range(10)]
    for confidence, real in edges:
        found = sums[min(9, max(0, int(confidence * 10)))]
        found[0] += 1
        found[1] += confidence
        found[2] += real
    return [Bin(int(count), total / count if count else 0.0, int(real)) for count, total, real in sums]


def cross_product(legs: Legs) -> set[EdgeKey]:
    """What a join of every leg in with every leg out makes, minute by minute, through chains of intermediaries too."""
    between = {name for _, name in legs.ins} | {name for _, name in legs.outs}
    found = set(legs.direct)
    for (minute, name), callers in legs.ins.items():
        for callee in _reached(legs, between, minute, name, frozenset()):
            found |= {(caller, callee) for caller in callers if caller not in between}
    return found


def _reached(legs: Legs, between: set[str], minute: int, name: str, passed: frozenset[str]) -> set[str]:
    reached: set[str] = set()
    for callee in legs.outs.get((minute, name), ()):
        if callee not in between:
            reached.add(callee)
        elif callee not in passed:
            reached |= _reached(legs, between, minute, callee, passed | {name})
    return reached
