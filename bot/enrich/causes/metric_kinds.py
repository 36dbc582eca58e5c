"""What a metric's name says it measures: which family, which direction is bad, and from whose side of a call it was taken.

Metric names differ everywhere, and an unreadable name costs more than any algorithm gains: the table is ordered, the
first pattern that is found in the name decides, and settings may put patterns of their own before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache


class Family(Enum):
    """What kind of symptom a metric shows."""

    LATENCY = "latency"
    ERRORS = "errors"
    TRAFFIC = "traffic"
    RESOURCE = "resource"
    NETWORK = "network"
    LOGS = "logs"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class MetricKind:
    """`sign`: +1 where high is bad, -1 where low is bad, 0 where either tells something. `outbound`: measured by a client
    about those it calls, so that it speaks of them and not of itself. `ratio`: a share of calls, 0..1 or 0..100."""

    family: Family
    sign: int = 1
    outbound: bool = False
    ratio: bool = False
    by_caller: bool = False


PLAIN = MetricKind(Family.OTHER, 0)

Rule = tuple[str, MetricKind]

_LATENCY = MetricKind(Family.LATENCY)
_RULES: tuple[Rule, ...] = (
    (r"availab|success|(^|_)slo_(?!lat)|uptime|healthy|ready", MetricKind(Family.ERRORS, -1, ratio=True)),
    (r"queue|backlog|lag(_|$)|pending|in_?flight|pool|wait|age_|saturat|throttl", MetricKind(Family.RESOURCE, 1)),
    (r"cancel", MetricKind(Family.OTHER, 0)),
    (r"4xx|_4\d\d|unauthori|forbidden|bad_request", MetricKind(Family.ERRORS, 1, ratio=True, by_caller=True)),
    (r"hit_(ratio|rate)|hits?(_|$)", MetricKind(Family.OTHER, -1)),
    (r"(error|fail|5xx|4xx|50\d|40\d|unauthori|exception|servfail).*(ratio|rate_pct|percent|pct)$|error_rate|5xx_rate$",
     MetricKind(Family.ERRORS, 1, ratio=True)),
    (r"error|fail|5xx|4xx|_50\d|_40\d|exception|timeout|timed_out|reject|refus|servfail|drop|retr(y|ies)|panic|crash",
     MetricKind(Family.ERRORS)),
    (r"latenc|duration|response_?time|elapsed|rtt|(^|_)p(50|75|90|95|99)(_|$)|_ms$|_seconds$|gap", _LATENCY),
    (r"cpu|mem|heap|oom|disk_full|evict|(^|_)gc(_|$)|disk|(^|_)fs(_|$)|io_?wait|iops|thread|goroutine|conns?(_|$)|connection|utili|usage|load(_|$)|capacity|restart|oom",
     MetricKind(Family.RESOURCE, 0)),
    (r"net_|network|bytes|packet|(^|_)[rt]x(_|$)|receive|transmit|trainsmit", MetricKind(Family.NETWORK, 0)),
    (r"request|rps|qps|(^|_)ops(_|$)|throughput|calls|count|per_(sec|min)|_rate$|_total$|traffic|volume", MetricKind(Family.TRAFFIC, 0)),
)  # fmt: skip
KINDS: Mapping[str, MetricKind] = {
    "latency": _LATENCY,
    "errors": MetricKind(Family.ERRORS),
    "error_ratio": MetricKind(Family.ERRORS, 1, ratio=True),
    "availability": MetricKind(Family.ERRORS, -1, ratio=True),
    "traffic": MetricKind(Family.TRAFFIC, 0),
    "resource": MetricKind(Family.RESOURCE, 0),
    "network": MetricKind(Family.NETWORK, 0),
    "other": PLAIN,
}
"""What a user's own rule may say of the names it matches. `errors` counts failures, `error_ratio` and `availability` are shares."""

MAX_RULES = 200


def parse_rule(text: str) -> Rule:
    """Read `PATTERN=KIND`: a regular expression for metrics' names in our spelling (`spelled`), and one of `KINDS`. Raises
    ValueError that says what is wrong."""
    pattern, _, name = text.rpartition("=")
    kind = KINDS.get(name.strip())
    if not pattern.strip() or kind is None:
        raise ValueError(f"{text[:80]!r}: want PATTERN=KIND with a kind of {', '.join(KINDS)}")
    try:
        re.compile(pattern.strip())
    except re.error as error:
        raise ValueError(f"{pattern[:80]!r} is no regular expression: {error}") from None
    return pattern.strip(), kind


_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OUTBOUND = re.compile(r"(^|_)(client|outbound|upstream|src|source|callee|rpc_client)(_|$)")


@lru_cache(maxsize=20_000)
def spelled(name: str) -> str:
    """A metric's name in one spelling: `http.server.requestDuration` -> `http_server_request_duration`."""
    return _WORD_ENDS.sub("_", name).replace(".", "_").replace("-", "_").lower()


class MetricTable:
    """The rules in force. `extra` are `(pattern, kind)`, tried first."""

    def __init__(self, extra: Iterable[Rule] = ()) -> None:
        self._rules = tuple((re.compile(pattern), kind) for pattern, kind in (*extra, *_RULES))
        self.kind = lru_cache(maxsize=20_000)(self._kind)

    def _kind(self, name: str) -> MetricKind:
        text = spelled(name)
        for pattern, kind in self._rules:
            if pattern.search(text):
                outbound = kind.outbound or _OUTBOUND.search(text) is not None
                return replace(kind, outbound=outbound)
        return PLAIN


TABLE = MetricTable()
"""The rules without any of the user's."""
