"""Zipkin's traces -> spans with one key each and a parent that is the right one.

Comes in: spans by key, as a door made them. Goes out: the same kind of dict, in which no key is a pair any more, every
PARENT is a key of the dict where there is such a span, and spans sent in parts are whole. What is lost: nothing.

In Zipkin a server may share its client's span id, several servers may answer one client, a span may come in several
parts, and a span whose parent nobody reported belongs under the trace's root. The rules are those Zipkin publishes
(openzipkin/zipkin, `Trace.merge` and `SpanNode.Builder`). OTLP spans in the same trace are never adopted by the root:
OpenTelemetry promises no such thing, and a guessed caller is worse than none.
"""

from __future__ import annotations

from typing import Any

from bot.telemetry.spans import (
    ADOPTED,
    BY_SHARED_ID,
    CLIENT,
    DURATION,
    ENDPOINT,
    FAILED,
    JOINED,
    KIND,
    NO_SPAN,
    PARENT,
    PEER,
    SERVER,
    SERVICE,
    START,
    WEIGHT,
    Endpoint,
    SpanKey,
    SpanTuple,
    TraceSpans,
)

_NO_PARENT = (b"", NO_SPAN)


def untangle(spans: TraceSpans) -> TraceSpans:
    """One span per key, each under its parent's key. Servers that share their client's id get `(id, endpoint)`."""
    nodes, rivals = _distinct(spans)
    homes: dict[SpanKey, dict[Endpoint, SpanKey]] = {}  # client id -> where its servers ran -> their keys
    for key in nodes:
        if isinstance(key, tuple):
            homes.setdefault(key[0], {})[key[1]] = key
    root = _root(nodes)
    for key, span in nodes.items():
        named, kind, service, peer, failed, start, duration, weight, endpoint, joined = span
        parent: SpanKey = named
        if isinstance(key, tuple):
            parent = key[0]
        elif key in rivals:
            # Of several spans with one id only the last is kept, but it stays where any of them belongs.
            for same in (*rivals[key], span):
                parent = homes.get(same[PARENT], {}).get(_endpoint(same), parent)
        elif named in homes:  # the server that runs where this span runs, rather than the client that shares its id
            parent = homes[named].get(endpoint or _endpoint(span), named)
        if parent not in nodes and root is not None and key != root and endpoint is not None:
            parent, joined = root, ADOPTED
        if parent is not named:
            nodes[key] = (parent, kind, service, peer, failed, start, duration, weight, endpoint, joined)
    return nodes


def _distinct(spans: TraceSpans) -> tuple[TraceSpans, dict[SpanKey, list[SpanTuple]]]:
    """Parts put together, and every span under a key of its own; and the spans another with the same key displaced."""
    nodes, rivals = spans.copy(), dict[SpanKey, list[SpanTuple]]()
    parts: dict[SpanKey, list[SpanTuple]] = {}
    for key, span in spans.items():
        if isinstance(key, tuple):
            parts.setdefault(key[0], [spans[key[0]]]).append(nodes.pop(key))
        elif span[JOINED]:
            parts.setdefault(key, [span])
    for span_id, found in parts.items():
        del nodes[span_id]
        for span in _whole(found):
            key = (span_id, _endpoint(span)) if span[JOINED] else span_id
            if key in nodes:
                rivals.setdefault(key, []).append(nodes[key])
            nodes[key] = span
    return nodes, rivals


def _root(nodes: TraceSpans) -> SpanKey | None:
    """The Zipkin span without a parent; of several the one with the lowest id, so that order of arrival is all one."""
    candidates = [key for key, span in nodes.items() if span[PARENT] in _NO_PARENT]
    return min((key for key in candidates if isinstance(key, bytes) and nodes[key][ENDPOINT] is not None), default=None)


def _whole(parts: list[SpanTuple]) -> list[SpanTuple]:
    """The spans behind several parts with one id: the client first, then its servers by endpoint."""
    if len(parts) == 1 or (len(parts) == 2 and parts[0][JOINED] != parts[1][JOINED]):
        return parts  # a client and its server, nearly always
    spans = _fused([part for part in parts if not part[JOINED]]) + _fused([part for part in parts if part[JOINED]])
    for index in range(1, len(spans)):  # some instrumentation forgets to say that the server shares its client's id
        if spans[index][KIND] == SERVER and spans[index - 1][KIND] == CLIENT:
            spans[index] = *spans[index][:JOINED], BY_SHARED_ID
    return spans


def _fused(parts: list[SpanTuple]) -> list[SpanTuple]:
    """Parts of one side with one id, those of one place made one."""
    if len(parts) < 2:
        return parts
    spans: list[SpanTuple] = []
    for part in sorted(parts, key=_order):
        if spans and _at_one_place(spans[-1], part):
            spans[-1] = _merged(spans[-1], part)
        else:
            spans.append(part)
    return spans


def _order(span: SpanTuple) -> tuple[object, ...]:
    """Clients before others, no place before some, and in a place something before nothing."""
    name, ipv4, ipv6, port = _endpoint(span)
    first = span[KIND] == CLIENT and not span[JOINED]
    return not first, bool(name or ipv4 or ipv6 or port), not name, name, not ipv4, ipv4, not ipv6, ipv6, not port, port


def _at_one_place(one: SpanTuple, other: SpanTuple) -> bool:
    """Whether nothing speaks against both having run at one place. OTLP spans never come in parts."""
    if one[ENDPOINT] is None and other[ENDPOINT] is None:
        return False
    name, ipv4, ipv6, port = _endpoint(one)
    its_name, its_ipv4, its_ipv6, its_port = _endpoint(other)
    return (
        (name == its_name or not name or not its_name)
        and (ipv4 == its_ipv4 or not ipv4 or not its_ipv4)
        and (ipv6 == its_ipv6 or not ipv6 or not its_ipv6)
        and (port == its_port or not port or not its_port)
    )


def _merged(one: SpanTuple, other: SpanTuple) -> SpanTuple:
    """What two parts say together. Where both say something else the choice is arbitrary, but never the order's."""
    here, there = _endpoint(one), _endpoint(other)
    return (
        _either(one[PARENT], other[PARENT]),
        one[KIND] if one[KIND] == CLIENT else max(one[KIND], other[KIND]),
        _either(one[SERVICE], other[SERVICE]),
        _either(one[PEER], other[PEER]),
        one[FAILED] or other[FAILED],
        min(one[START], other[START]),
        max(one[DURATION], other[DURATION]),
        max(one[WEIGHT], other[WEIGHT]),
        (here[0] or there[0], here[1] or there[1], here[2] or there[2], here[3] or there[3]),
        one[JOINED],
    )


def _either(one: Any, other: Any) -> Any:
    return min(one, other) if one and other else one or other


def _endpoint(span: SpanTuple) -> Endpoint:
    """Where a span ran. OTLP says no more than the service."""
    return span[ENDPOINT] or (span[SERVICE] or "", "", "", 0)
