"""Durations as people read them. Moments are epoch seconds everywhere else."""

from __future__ import annotations


def age(seconds: float) -> str:
    """`40 s`, `3 min`, `2 h`, `5 d`: whole units, rounded down."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(0.0, seconds))} s"
