"""Numbers as a message says them: short, and beside what is usual. Pure."""

from __future__ import annotations


def percent(rate: float | None) -> str:
    """`14%`, `0.2%`; "" where it is not known."""
    if rate is None:
        return ""
    hundredths = rate * 100
    return f"{hundredths:.0f}%" if hundredths >= 10 or hundredths == 0 else f"{hundredths:.1f}%"


def milliseconds(value: float | None) -> str:
    """`40 ms`, `1.5 s`; "" where it is not known."""
    if value is None:
        return ""
    return f"{value / 1000:.1f} s" if value >= 1_000 else f"{value:.0f} ms"


def was(now: str, usual: str) -> str:
    """`14% (was 0.2%)`, or that it is as usual; nothing of what is usual where that is not known."""
    if now and now == usual:
        return f"{now}, as usual"
    return now + (f" (was {usual})" if usual else "")
