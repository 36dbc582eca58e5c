"""How many calls one sampled span stands for, from the `tracestate` its sampler left on it."""

from __future__ import annotations

import re

MAX_WEIGHT = 1e6
"""One sighting never stands for more calls than this, whatever its tracestate says."""

_ALL = 1 << 56
_DIGITS = 14
# The `ot` member of the list and its `th` field (W3C trace-context: tracestate; OpenTelemetry: TraceState handling).
_THRESHOLD = re.compile(rb"(?:^|,)[ \t]*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})[ \t]*(?:[;,]|$)")


def weight(tracestate: bytes) -> float:
    """The adjusted count of consistent probability sampling; 1 where the tracestate carries none, or a broken one.

    `th` is the rejection threshold: up to 14 hex digits of a 56-bit number T, trailing zeros left off. A span is kept
    with probability (2^56 - T) / 2^56 (opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling).
    """
    match = _THRESHOLD.search(tracestate)
    if match is None:
        return 1.0
    rejected = int(match[1].ljust(_DIGITS, b"0"), 16)
    return min(_ALL / (_ALL - rejected), MAX_WEIGHT)
