"""Conditions as settings have them: `owner=payments severity=critical`. Pure: a text in, conditions out; whether they hold.

Every condition has to hold for one of the values that are known; patterns have `*` and `?`, quotes stand around blanks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

ASKED = ("owner", "service", "environment", "severity", "source", "tier", "domain")
"""What a condition may ask for."""

CONDITION = re.compile(r'([a-z]+)=("[^"]*"|\S+)')

Conditions = tuple[tuple[str, str], ...]
"""(what, pattern) each."""

Known = Mapping[str, Sequence[str]]
"""What is known of an incident, by what a condition may ask for."""

_SAME = {"team": "owner"}


def parse_conditions(text: str) -> Conditions:
    """The conditions that a text is made of. Raises ValueError, in words."""
    if CONDITION.sub("", text).strip():
        raise ValueError("conditions are written NAME=PATTERN, with quotes around blanks")
    found = tuple((_SAME.get(what, what), pattern.strip('"').lower()) for what, pattern in CONDITION.findall(text))
    for what, _ in found:
        if what not in ASKED:
            raise ValueError(f"{what!r} is not one of {', '.join(ASKED)}")
    return found


def fits(conditions: Conditions, known: Known) -> bool:
    """Whether every condition holds for one of the values that are known."""
    return all(
        any(fnmatchcase(value.lower(), pattern) for value in known.get(what, ())) for what, pattern in conditions
    )


def written(conditions: Conditions) -> str:
    """The conditions as one would write them."""
    return " ".join(f'{what}="{pattern}"' if " " in pattern else f"{what}={pattern}" for what, pattern in conditions)
