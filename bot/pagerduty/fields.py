"""What PagerDuty's custom fields can be given: the facts of an incident come in, short plain texts go out. Pure.

A field holds at most 200 characters of text; what is longer is cut. Nobody is paged by a field: `owners` only suggests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.enrich.facts import IncidentFacts
from bot.names import printable

MAX_FIELDS = 20
_MAX_VALUE = 200
_SHOWN = 5
_FIELD_NAME = re.compile(r"^[a-z0-9_]{1,50}$")


def short(line: str, most: int) -> str:
    """A line of plain text of at most `most` characters."""
    plain = " ".join(printable(line).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def listed(names: Sequence[str], count: int | None = None) -> str:
    """`a, b, +5`: the first names; `count` says how many there are where not all are named."""
    more = (len(names) if count is None else count) - len(names[:_SHOWN])
    return ", ".join(names[:_SHOWN]) + (f", +{more}" if more > 0 else "")


def cause_words(facts: IncidentFacts) -> str:
    """`payments-db (82%)`, or why nobody is named."""
    cause = facts.map.cause if facts.map else None
    if cause is None or not cause.service:
        return f"not named{f' ({cause.why_none})' if cause is not None and cause.why_none else ''}"
    return f"{'itself' if cause.service == facts.services[0] else cause.service} ({100 * cause.p:.0f}%)"


def _owners(facts: IncidentFacts) -> str:
    return ", ".join(dict.fromkeys(who for _, who, _ in facts.map.owners if who)) if facts.map else ""


FACTS: Mapping[str, Callable[[IncidentFacts], str]] = {
    "services": lambda facts: ", ".join(facts.services),
    "likely_cause": cause_words,
    "hit_now": lambda facts: listed(facts.map.hit, facts.map.hit_count) if facts.map else "",
    "at_risk": lambda facts: listed(facts.map.at_risk, facts.map.at_risk_count) if facts.map else "",
    "owners": _owners,
}
"""The facts, by the name a setting calls them."""


def values(facts: IncidentFacts, fields: Sequence[tuple[str, str]]) -> list[dict[str, str | None]]:
    """The fields as PagerDuty takes them; what has no fact now is emptied."""
    return [{"name": name, "value": short(FACTS[fact](facts), _MAX_VALUE) or None} for name, fact in fields]


def pairs(value: object) -> object:
    """A setting's `field=fact, …`, or a list of such texts, as pairs of field and fact. Raises ValueError."""
    texts = [one for one in value.split(",") if one.strip()] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or len(texts) > MAX_FIELDS:
        raise ValueError(f"want at most {MAX_FIELDS} field=fact")
    return tuple(_pair(one) for one in texts)


def _pair(given: Any) -> tuple[str, str]:
    field, _, fact = (part.strip() for part in str(given).partition("="))
    if not _FIELD_NAME.match(field) or fact not in FACTS:
        raise ValueError(f"want field=fact, with a field of a-z, 0-9 and _, and one of {', '.join(FACTS)}")
    return field, fact
