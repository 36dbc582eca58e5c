"""The value types everybody speaks. No I/O, no clocks: whoever needs `now` is given it.

Times are epoch seconds as float (UTC) unless a name says otherwise; durations are seconds, latencies microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.edge_detail import EdgeDetail

WINDOW_SECONDS = 60
"""Every stored aggregate belongs to one half-open minute `[start, start + 60)`."""

ENTRY = "(entry)"
"""Pseudo-caller: a request that came in from outside every known service (a root server span)."""

UNATTRIBUTED = "(unattributed)"
"""Pseudo-caller: somebody called, and nobody can say who. Counted and shown, never guessed."""

PSEUDO = frozenset((ENTRY, UNATTRIBUTED))

LATENCY_BUCKETS = 16
"""Latency histogram size: bucket i counts calls in `[250 µs * 2**i, 250 µs * 2**(i+1))`; the ends take what lies beyond
(bucket 0 everything under 500 µs, bucket 15 everything from 8.2 s up)."""


class Layer(StrEnum):
    """One source's graph. Never fused at write time."""

    NETWORK = "network"
    IPC = "ipc"
    TRACE = "trace"


class Kind(StrEnum):
    """What sort of thing a node is. Order matters to `Node.merged`: earlier wins over later."""

    DATABASE = "database"
    QUEUE = "queue"
    CACHE = "cache"
    GATEWAY = "gateway"
    SERVICE = "service"
    EXTERNAL = "external"


_KIND_RANK = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Node:
    """A service as one sighting knows it. `id` is `name[.namespace][@environment]`, lower case (see `bot.names`)."""

    id: str
    kind: Kind = Kind.SERVICE
    name: str = ""
    namespace: str = ""
    environment: str = ""

    def merged(self, other: Node) -> Node:
        """The more telling of two descriptions of one id: whoever says `database` knows more than who says `service`."""
        return other if _KIND_RANK[other.kind] < _KIND_RANK[self.kind] else self


EdgeKey = tuple[str, str]
"""(caller id or a pseudo-caller, callee id)"""


class Tally:
    """Counts of one edge in one window. Adding is commutative and associative, so order of arrival never matters.

    `calls` and `errors` are scaled by the sampling probability where the record carries it; `sampled` is the raw number
    of sightings. A tally may be negative: a late span can show that an earlier link was to somebody else, and the
    correction takes the earlier count back.

    What a call is depends on the layer: a request for `ipc` and `trace`, a connection for `network`, which alone knows
    `bytes` (both directions).
    """

    __slots__ = ("bytes", "calls", "errors", "histogram", "latency_us", "sampled")

    def __init__(self) -> None:
        self.calls = 0.0
        self.errors = 0.0
        self.sampled = 0
        self.latency_us = 0.0
        self.bytes = 0.0
        self.histogram = [0.0] * LATENCY_BUCKETS

    def add(self, other: Tally) -> None:
        """Take another tally of the same edge and window into this one."""
        self.calls += other.calls
        self.errors += other.errors
        self.sampled += other.sampled
        self.latency_us += other.latency_us
        self.bytes += other.bytes
        mine = self.histogram
        for index, count in enumerate(other.histogram):
            if count:
                mine[index] += count

    def quantile_ms(self, q: float) -> float | None:
        """The q-quantile in milliseconds, interpolated inside its power-of-two bucket; None without timed calls."""
        total = sum(self.histogram)
        if total <= 0:
            return None
        rank = q * total
        for index, count in enumerate(self.histogram):
            if count and rank <= count:
                low = 0.25 * 2**index if index else 0.0
                high = 0.25 * 2 ** (index + 1)
                return float(round(low + (high - low) * rank / count, 3))
            rank -= count
        return float(0.25 * 2**LATENCY_BUCKETS)

    @property
    def error_rate(self) -> float:
        """Share of calls that failed, 0..1; 0 where there were none."""
        return min(1.0, max(0.0, self.errors / self.calls)) if self.calls > 0 else 0.0


Report = tuple[str, str, str]
"""(service id, what is said of it, its name) as telemetry reports it: a `version`, `image` or `revision` that runs, or one of
`PLACES` where it does."""

PLACES = ("node", "zone")
"""What many services may share: a machine that runs them, and the part of a region it stands in."""

MAX_REPORTS = 60_000
"""Most reports of one body, or of one layer between two collects."""


@dataclass(slots=True)
class LayerDelta:
    """What one layer learnt since it was last asked: window start (epoch s, multiple of 60) -> edge -> counts to add.

    `reports` says when each was last heard (epoch s).
    """

    layer: Layer
    nodes: dict[str, Node] = field(default_factory=dict)
    windows: dict[int, dict[EdgeKey, Tally]] = field(default_factory=dict)
    details: dict[EdgeKey, EdgeDetail] = field(default_factory=dict)
    reports: dict[Report, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.windows or self.nodes or self.details or self.reports)

    def report(self, reports: Mapping[Report, float]) -> int:
        """Take in when each was heard; says how many there was no room for."""
        known, left_out = self.reports, 0
        for report, at in reports.items():
            if report in known or len(known) < MAX_REPORTS:
                known[report] = max(at, known.get(report, at))
            else:
                left_out += 1
        return left_out


class AlertStatus(StrEnum):
    """What the monitoring system says of the alert now."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


ASSIGNED_TO = "assigned to"
"""The label of an alert under which it says who has been given it; ours, so with a space, which no sender's label has."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one delivery, in our words.

    `fingerprint` + `starts_at` identify it (the same alert firing again later is another one); `group_key` is the
    sender's own idea of what belongs together. `service_hints` are candidate names in falling order of trust; the first
    that names a known service wins (see `bot.incidents.steps`).
    """

    source: str
    fingerprint: str
    status: AlertStatus
    starts_at: float
    title: str
    group_key: str
    service_hints: tuple[ServiceHint, ...] = ()
    ends_at: float | None = None
    summary: str = ""
    severity: str = ""
    environment: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    runbook: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class ServiceHint:
    """One place in the payload that may name the failing service. `origin` says which, e.g. `label service`.

    `opaque`: a vendor's own identifier, which finds a service by alias but says nothing to a reader.
    """

    name: str
    origin: str
    namespace: str = ""
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a door made of one webhook body. `key` identifies the delivery, so that the sender's retries are recognised."""

    key: str
    alerts: tuple[Alert, ...]
    ignored: str = ""


class ChangeKind(StrEnum):
    """What sort of thing was changed."""

    DEPLOY = "deploy"
    CONFIG = "config"
    FLAG = "flag"
    SCALE = "scale"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody or something changed a service at one moment (`at`, epoch s).

    `id` tells changes of one `source` apart: told of twice, it is one change. `service` is a service id; one without an
    environment concerns the service in all of them.
    """

    at: float
    service: str
    kind: ChangeKind
    title: str
    source: str
    id: str
    link: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A Slack message: Block Kit plus `text` that carries the same facts for lock screens and screen readers."""

    text: str
    blocks: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a service. `source` names the catalogue fact it came from; `slack` is a user group or a channel, and
    `on_call` the name of who is woken now. `mention` is the Slack id of the user group or person a message may call."""

    team: str
    slack: str = ""
    source: str = ""
    on_call: str = ""
    email: str = ""
    mention: str = ""


PAGERDUTY_SCHEME = "pagerduty:"
"""What the channel of a PagerDuty note begins with, before the incident's id; its key, too. Other channels are Slack's."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message as we want it: the latest content, and how far Slack (or PagerDuty) has it.

    `revision` counts what was wanted, `sent_revision` what is there (0: never posted). `parent_ts` is the root's `ts`
    where this is a thread line and the root is out, `parent_channel_id` where it stands. States: `pending`, `sending`, `sent`, `failed`.
    """

    key: str
    channel: str
    message: Message
    revision: int = 1
    sent_revision: int = 0
    channel_id: str | None = None
    ts: str | None = None
    parent_key: str | None = None
    parent_ts: str | None = None
    parent_channel_id: str | None = None
    state: str = "pending"
    attempts: int = 0
    attempted_at: float | None = None
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """One channel's or person's daily digest: of what, and when.

    `channel` is a Slack channel or user id. A service has to pass every filter that is not empty.
    `minute` counts from midnight in the IANA time zone `zone`. `always`: also say so when nothing changed. `told_until` is
    the end of the last period that was told of, `last_date` the last local date (ISO) that was settled, sent or not.
    """

    id: int
    channel: str
    created_by: str
    created_at: float
    minute: int
    zone: str
    team: str = ""
    domain: str = ""
    tier: str = ""
    service: str = ""
    always: bool = False
    told_until: float | None = None
    last_date: str = ""
