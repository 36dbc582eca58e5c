"""Numbers, shares, times and names as a page shows them: short, the same everywhere, and a dash for what nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.moments import age
from bot.picture.labels import plain

NOBODY_KNOWS = "–"
_NAME = 300

LAYERS = {"trace": "traces", "ipc": "metrics", "network": "network"}
"""What people call the layers, the most telling first."""

WHY = {"alert": "an alert fires", "errors": "more calls fail than usual", "latency": "slower than usual",
       "failing calls": "its calls on the way fail"}  # fmt: skip
"""What shows that a service fails."""


def count(number: float | None) -> str:
    """`7`, `1,576`, `45.3k`, `2.1M`."""
    if number is None:
        return NOBODY_KNOWS
    for size, unit in ((1_000_000, "M"), (10_000, "k")):
        if abs(number) >= size:
            return f"{number / (1_000_000 if unit == 'M' else 1_000):.1f}{unit}"
    return f"{number:,.0f}"


def share(part: float | None) -> str:
    """A part of one as per cent: `0%`, `0.4%`, `91%`."""
    if part is None:
        return NOBODY_KNOWS
    percent = 100 * part
    return f"{percent:.0f}%" if percent >= 10 or percent == 0 else f"{percent:.2g}%"


def ms(milliseconds: float | None) -> str:
    """`0.4 ms`, `34 ms`, `1.2 s`."""
    if milliseconds is None:
        return NOBODY_KNOWS
    if milliseconds >= 1_000:
        return f"{milliseconds / 1_000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"


def ago(iso: str, now: float) -> str:
    """How long ago an ISO 8601 moment was."""
    return f"{age(now - moment(iso))} ago"


def clock(at: float) -> str:
    """`2026-11-24 02:50 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def name(text: str) -> str:
    """A name in one visible line, whatever it holds. A template escapes it."""
    return plain(text, _NAME)


def many(number: int, one: str, more: str = "") -> str:
    """`1 service`, `7 services`."""
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def rates(found: Mapping[str, Any] | None) -> dict[str, str]:
    """A service's or a layer's numbers in words."""
    found = found or {}
    calls = found.get("calls")
    errors = found.get("errors")
    failed = found.get("error_rate")
    if failed is None and calls and errors is not None:
        failed = errors / calls
    latency = found.get("latency_ms") or {}
    return {"calls": count(calls), "failed": share(failed), "p95": ms(found.get("p95_ms", latency.get("p95")))}


def moment(iso: str) -> float:
    """Epoch seconds of an ISO 8601 moment."""
    return datetime.fromisoformat(iso).timestamp()


def page(url: str | None) -> str:
    """The address of a web page, as somebody gave it; '' where it is anything else, which a link must not lead to."""
    return url if url and url.startswith(("http://", "https://")) else ""
