"""What a pasted address of a page asks: the same question as one would type. Pure.

Comes in: an address, and the one under which people open the pages. Goes out: what to show of it; nothing for what is not one of our
pages, or one that has no short answer (lists, searches).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlsplit

from bot.slack.commands import BY_WORD, SERVICE, written

MAX_URL = 3_000
_PORTS = {"http": 80, "https": 443}
_MOST_FIELDS = 20
_ROW_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Pasted:
    """What to show: an incident by its number, or the answer to `question`; with the picture that `drawn` (the page's own
    parameters) asks for."""

    question: str = ""
    incident: int = 0
    drawn: Mapping[str, str] = field(default_factory=dict)


def read(url: str, public: str) -> Pasted | None:
    """What the page at `url` shows, where that is a page under `public`."""
    try:
        found, base = urlsplit(url[: MAX_URL + 1]), urlsplit(public)
        given = dict(parse_qsl(found.query, max_num_fields=_MOST_FIELDS))
        same = _origin(found) == _origin(base)
    except ValueError:
        return None
    prefix = base.path.rstrip("/")
    if len(url) > MAX_URL or not same or not f"{found.path}/".startswith(f"{prefix}/"):
        return None
    path = found.path[len(prefix) :].rstrip("/")
    if path in ("", "/coverage"):
        return Pasted(written(BY_WORD["health"], []))
    if path == "/map":
        return _map(given)
    if path == "/plan":
        return _asked("blast", [one.strip() for one in given.get("service", "").split(",") if one.strip()])
    if path == "/diff" and given.get("from") and "to" not in given:
        return _asked("diff", [given.get("service", ""), given["from"]])
    number = path.removeprefix("/incidents/")
    if number != path and number.isascii() and number.isdigit() and len(number) <= _ROW_DIGITS:
        return Pasted(incident=int(number))
    return None


def _map(given: Mapping[str, str]) -> Pasted | None:
    name, at = given.get("service", "").strip(), given.get("at", "")
    word = "blast" if given.get("supposed", "").lower() == "true" and not at else SERVICE
    asked = _asked(word, [name], at)
    return None if asked is None else Pasted(asked.question, drawn=dict(given))


def _asked(word: str, names: list[str], at: str = "") -> Pasted | None:
    return Pasted(written(BY_WORD[word], names, at)) if names and all(names) else None


def _origin(address: SplitResult) -> tuple[str, str, int | None, bool]:
    """Scheme, host and port; with a name or password in it, it is nobody's."""
    scheme = address.scheme.lower()
    named = address.username is not None or address.password is not None
    return scheme, (address.hostname or "").lower(), address.port or _PORTS.get(scheme), named
