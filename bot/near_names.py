"""Which known names look like one that nobody has. Comes in: a cleaned text and the names there are. Goes out: suggestions,
best first, or what it can only be a slip of the finger for. Nothing here merges two services: a person is told what he got."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

SUGGESTED = 5
_LONG, _SHORT = 7, 4
"""From how many letters on a name may have two slips, and one."""


def close_matches(wanted: str, known: Iterable[str], limit: int = SUGGESTED) -> tuple[str, ...]:
    """The known ids that look most like `wanted`, best first; ties by name, so the answer is the same every time."""
    found = process.extract(wanted, list(known), scorer=fuzz.WRatio, limit=limit * 4, score_cutoff=50)
    ranked = sorted(found, key=lambda hit: (-hit[1], abs(len(hit[0]) - len(wanted)), hit[0]))
    return tuple(hit[0] for hit in ranked[:limit])


def misspelt(wanted: str, known: Iterable[str]) -> tuple[str, ...]:
    """All known names that `wanted` may be a misspelling of: a letter or two wrong, missing, added or swapped, never a digit,
    since `cache-1` and `cache-2` are two services and neither is a slip of the other."""
    slips = 2 if len(wanted) >= _LONG else 1 if len(wanted) >= _SHORT else 0
    if not slips:
        return ()
    found = process.extract(wanted, list(known), scorer=OSA.distance, limit=None, score_cutoff=slips)
    digits = _digits(wanted)
    return tuple(sorted(hit[0] for hit in found if _digits(hit[0]) == digits))


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdigit())
