"""How bad an alert says it is: the words that senders use, in one order. Pure."""

from __future__ import annotations

CRITICAL = 0
MAJOR = 1
UNKNOWN = 9

_RANKS = {
    "page": CRITICAL, "critical": CRITICAL, "p1": CRITICAL, "sev1": CRITICAL, "fatal": CRITICAL, "emergency": CRITICAL,
    "error": MAJOR, "high": MAJOR, "p2": MAJOR, "sev2": MAJOR, "major": MAJOR,
    "warning": 2, "p3": 2, "sev3": 2, "warn": 2, "minor": 2,
    "low": 3, "p4": 3, "sev4": 3,
    "info": 4, "p5": 4, "sev5": 4, "none": 4,
}  # fmt: skip


def rank(severity: str) -> int:
    """0 for what is critical, and more the less it is; `UNKNOWN` for words that nobody has agreed on, and for none."""
    return _RANKS.get(severity.strip().lower(), UNKNOWN)


def words(severity: str) -> tuple[str, ...]:
    """The word that was said, and `critical` where it means as much: what a condition may ask for."""
    said = severity.strip().lower()
    return (severity, "critical") if rank(said) == CRITICAL and said != "critical" else (severity,)
