"""The spans of one trace -> links: who called whom, when, how well, how often.

Comes in: spans by key (see `bot.telemetry.spans`), complete or not, in any order. Goes out: a list of links. Pure.
What is lost: work inside one process; a client that names nobody and whose callee reports nothing; a message whose
broker has no name.

The rules are those Zipkin publishes for its dependency graph (openzipkin/zipkin, `DependencyLinker`):
- A server is authoritative: it links from its nearest ancestor that is not a local span, else from the caller it names.
- A client links to the peer it names, but only where nothing below it reports the call.
- A client whose nearest such ancestor belongs to another service shows a call that nobody reported: it is put in.
- A producer links to its broker and a broker to its consumer; a producer is never tied to a consumer directly.
- A span of no kind that names both ends counts as a client.
- A failed client fails the call where the server's span is its direct child.

Zipkin loses some edges that an OpenTelemetry trace does show. For OTLP spans:
- Only a server that knows its own name, or a client or producer that names its peer, reports the call of a client
  above it: local spans do not. So of clients nested in clients (gRPC over HTTP) the innermost counts, once.
- A server that nobody in the trace called links from `ENTRY` where it has no parent, else from `UNATTRIBUTED`.
"""

from __future__ import annotations

from bot.layers.tangle import untangle
from bot.model import ENTRY, UNATTRIBUTED, WINDOW_SECONDS
from bot.names import off_workload
from bot.telemetry.spans import (
    BY_ID,
    CLIENT,
    CONSUMER,
    ENDPOINT,
    FAILED,
    KIND,
    LOCAL,
    NO_SPAN,
    PARENT,
    PEER,
    PRODUCER,
    SERVER,
    SERVICE,
    SpanKey,
    SpanTuple,
    TraceSpans,
)

Link = tuple[str, str, int, bool, int, float]
"""(caller, callee, start of the reporting span's window in epoch s, failed, duration in ns (0: not known), weight). The two ends
are as spans report them: with their workloads where these are known (`names.on_workload`)."""

_WINDOW_NS = WINDOW_SECONDS * 1_000_000_000
_NO_PARENT = (b"", NO_SPAN)

_Client = tuple[SpanKey, SpanTuple, SpanKey, SpanTuple | None]
"""(key, span, key of its caller, its caller). A span's caller is its nearest ancestor that is not local."""


def link(spans: TraceSpans, tangled: bool = True) -> list[Link]:  # noqa: C901
    """The links of one trace. `tangled` may be False only where no span is from Zipkin and no two share an id.

    Long for the same reason as the OTLP door's loop: every span of every trace passes here. Servers and messages link
    at once; clients wait until it is known whose call somebody else reports.
    """
    if tangled:
        spans = untangle(spans)
    # Zipkin's own rule for clients: any child reports the call.
    reported = {span[PARENT] for span in spans.values() if span[ENDPOINT] is not None} if tangled else set()
    links: list[Link] = []
    clients: list[_Client] = []
    callers: dict[SpanKey, SpanKey] = {}
    nested = False
    find = spans.get
    for key, span in spans.items():
        parent, kind, service, peer, failed, start, duration, weight, _, joined = span
        if kind == LOCAL and (service is None or peer is None):
            continue
        caller_key, caller = parent, find(parent) if parent != key else None  # no span is its own parent
        if caller is not None and caller[KIND] == LOCAL:
            caller_key = callers[parent] if parent in callers else _climb(spans, parent, callers)
            caller = find(caller_key)
        below_client = caller is not None and caller[KIND] == CLIENT
        if kind in (CLIENT, LOCAL):
            clients.append((key, span, caller_key, caller))
            nested = nested or below_client
            continue
        if service is None:
            continue
        if kind == SERVER:
            if caller is not None:
                peer = caller[SERVICE] or peer
                failed = failed or (below_client and caller_key == parent and joined == BY_ID and caller[FAILED])
            if peer is None:
                peer = ENTRY if parent in _NO_PARENT and joined == BY_ID else UNATTRIBUTED
        elif peer is None:
            continue
        elif kind == PRODUCER:
            service, peer = peer, service
        if below_client and kind != CONSUMER:
            reported.add(caller_key)
        links.append((peer, service, start // _WINDOW_NS * WINDOW_SECONDS, failed, duration, weight))
    if nested:
        _report_outer(clients, reported)
    _link_clients(clients, reported, links)
    return links


def _link_clients(clients: list[_Client], reported: set[SpanKey], links: list[Link]) -> None:
    """Add the links of the clients whose call nobody else reports, and the calls that only they give away."""
    for key, span, caller_key, caller in clients:
        if key in reported and span[KIND] == CLIENT:
            continue
        parent, _, service, peer, failed, start, duration, weight, _, joined = span
        minute = start // _WINDOW_NS * WINDOW_SECONDS
        if caller is not None and (name := caller[SERVICE]) is not None:
            if service is None:
                service = name
            elif service != name and _elsewhere(
                service, name
            ):  # whether that call failed, and how long it took, nobody knows
                links.append((name, service, minute, False, 0, weight))
            if caller[KIND] == CLIENT and caller_key == parent and joined == BY_ID:
                failed = failed or caller[FAILED]
        if service is not None and peer is not None:
            links.append((service, peer, minute, failed, duration, weight))


def _report_outer(clients: list[_Client], reported: set[SpanKey]) -> None:
    """Of clients nested in clients let the innermost count that will make a link, or whose server does."""
    outer = {key: caller_key for key, _, caller_key, caller in clients if caller is not None and caller[KIND] == CLIENT}
    for key, span, above, caller in clients:
        if key not in outer or caller is None:
            continue
        if span[PEER] is not None or _elsewhere(span[SERVICE], caller[SERVICE]) or key in reported:
            while above is not None and above not in reported:
                reported.add(above)
                above = outer.get(above)


def _elsewhere(service: str | None, caller: str | None) -> bool:
    """Whether two reporters are two services; two workloads of one are not."""
    return service is not None and caller is not None and off_workload(service)[0] != off_workload(caller)[0]


def _climb(spans: TraceSpans, key: SpanKey, callers: dict[SpanKey, SpanKey]) -> SpanKey:
    """Key of the first span from `key` upwards that is not local; remembered for every local span on the way."""
    passed: list[SpanKey] = []
    while (span := spans.get(key)) is not None and span[KIND] == LOCAL:
        if key in callers:
            key = callers[key]
            break
        callers[key] = b""  # local spans that are each other's parents lead nowhere
        passed.append(key)
        key = span[PARENT]
    callers.update(dict.fromkeys(passed, key))
    return key
