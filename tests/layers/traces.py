"""Builds traces span by span, in few words: ids are letters, times are small."""

from __future__ import annotations

from collections.abc import Iterable

from bot.layers.linker import Link, link
from bot.model import PSEUDO
from bot.telemetry.spans import (
    BY_ID,
    BY_SHARED_ID,
    CLIENT,
    CONSUMER,
    LOCAL,
    PRODUCER,
    SERVER,
    Endpoint,
    SpanBatch,
    SpanTuple,
    TraceSpans,
    put_beside,
)

C, S, P, M, L = CLIENT, SERVER, PRODUCER, CONSUMER, LOCAL
"""Client, server, producer, consumer (of messages), local."""

Made = tuple[bytes, SpanTuple]
Counted = dict[tuple[str, str], tuple[int, int]]
SECOND = 1_000_000_000
START = 1_700_000_040 * SECOND
MINUTE = 1_700_000_040


def name(letter: str) -> bytes:
    """A span id: 8 bytes."""
    return letter.encode().rjust(8, b"\0") if letter else b""


def zipkin(
    span: str,
    parent: str,
    kind: int,
    service: str | None,
    peer: str | None = None,
    *,
    failed: bool = False,
    shared: bool = False,
    start: int = START,
    duration: int = 1_000_000,
    at: tuple[str, str, int] = ("", "", 0),
) -> Made:
    """A span as the Zipkin door makes it. `at` is the IPv4, IPv6 and port of its localEndpoint."""
    endpoint: Endpoint = (service or "", *at)
    joined = BY_SHARED_ID if shared else BY_ID
    return name(span), (name(parent), kind, service, peer, failed, start, duration, 1.0, endpoint, joined)


def otlp(
    span: str,
    parent: str,
    kind: int,
    service: str | None,
    peer: str | None = None,
    *,
    failed: bool = False,
    start: int = START,
    duration: int = 1_000_000,
    weight: float = 1.0,
) -> Made:
    """A span as the OTLP doors make it."""
    return name(span), (name(parent), kind, service, peer, failed, start, duration, weight, None, BY_ID)


def trace(*made: Made) -> TraceSpans:
    """The spans of one trace by key."""
    spans: TraceSpans = {}
    for span_id, span in made:
        if span_id in spans:
            put_beside(spans, span_id, span)
        else:
            spans[span_id] = span
    return spans


def batch(*made: Made, trace_id: str = "t", nodes: Iterable[str] = ()) -> SpanBatch:
    """A batch with one trace, as a door would hand it over."""
    found = SpanBatch()
    key = trace_id.encode().rjust(16, b"\0")
    found.traces[key] = {}
    for span_id, span in made:
        if found.traces[key].setdefault(span_id, span) is not span:
            found.collide(key, span_id, span)
        if span[8] is not None:
            found.tangled.add(key)
    return found.counted()


def counted(links: Iterable[Link], *, pseudo: bool = False) -> Counted:
    """(caller, callee) -> (calls, failed calls). Pseudo-callers are left out unless asked for."""
    found: Counted = {}
    for caller, callee, _, failed, _, _ in links:
        if pseudo or caller not in PSEUDO:
            calls, errors = found.get((caller, callee), (0, 0))
            found[caller, callee] = (calls + 1, errors + failed)
    return found


def linked(*made: Made, pseudo: bool = False) -> Counted:
    """Who called whom in one trace, whatever order the spans came in."""
    forwards = counted(link(trace(*made)), pseudo=pseudo)
    backwards = counted(link(trace(*reversed(made))), pseudo=pseudo)
    assert forwards == backwards
    return forwards
