"""What people type after `/topology digest` -> what they wish. Pure: text in, `Wish` out; BadRequest in words a person can act on.

subscribe team=Payments tier=1 at 09:00 in Europe/Berlin always
preview service=checkout
list
unsubscribe 3
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bot.digest.due import minute_of, zone
from bot.errors import BadRequest
from bot.model import Subscription

SUBSCRIBE, PREVIEW, UNSUBSCRIBE, LIST = "subscribe", "preview", "unsubscribe", "list"
FILTERS = ("team", "domain", "tier", "service")
USAGE = "digest subscribe [me] [team=T] [domain=D] [tier=1] [service=S] [at 09:00] [in Europe/Berlin] [always]"

_LONGEST = 200
_WORD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|“([^”]*)”|([^\s"“”]+))|([^\s"“”=]+)')
_NUMBER = re.compile(r"#?(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Wish:
    """`number` is a subscription's, 0 for none; `minute` and `always` None and `zone` "" where nothing was said of them. `mine`:
    for the person, not for the channel."""

    action: str
    number: int = 0
    team: str = ""
    domain: str = ""
    tier: str = ""
    service: str = ""
    minute: int | None = None
    zone: str = ""
    always: bool | None = None
    mine: bool = False


def read(text: str) -> Wish:
    """What is wished; nothing at all is a wish to see the list. Raises BadRequest."""
    action, _, rest = text.strip().partition(" ")
    action = action.lower() or LIST
    if action not in (SUBSCRIBE, PREVIEW, UNSUBSCRIBE, LIST):
        raise BadRequest(
            f"{action[:40]!r} is nothing one can do with digests; say subscribe, preview, list or unsubscribe."
        )
    given = _given(rest)
    number = given.get("number", 0)
    if action == UNSUBSCRIBE and (not number or len(given) > 1):
        raise BadRequest("Say which: /topology digest unsubscribe NUMBER; `digest list` shows them.")
    if (action == LIST and given) or (action == SUBSCRIBE and number) or (number and len(given) > 1):
        raise BadRequest(f"Say it like this: /topology {USAGE}")
    return Wish(action, **given)


def _given(rest: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if _WORD.sub("", rest).strip():
        raise BadRequest(f"Say it like this: /topology {USAGE}")
    words = [_named(one) for one in _WORD.finditer(rest)]
    while words:
        name, value = words.pop(0)
        if name in ("at", "in") and not value and words:
            value = words.pop(0)[0]
        given.update(_one(name, value))
    return given


def _named(found: re.Match[str]) -> tuple[str, str]:
    """(name, value) of `name=value`; (word, "") of a word."""
    if found[5] is not None:
        return found[5], ""
    return found[1].lower(), (found[2] or found[3] or found[4] or "").strip()


def _one(name: str, value: str) -> dict[str, Any]:
    word = name.lower()
    if word in FILTERS and value:
        return {word: value[:_LONGEST]}
    if word == "at" and value:
        return {"minute": minute_of(value)}
    if word == "in" and value:
        zone(value)
        return {"zone": value}
    if value or (word not in ("always", "quiet", "me") and not _NUMBER.fullmatch(word)):
        raise BadRequest(f"{name[:40]!r} says nothing here. Say it like this: /topology {USAGE}")
    if word == "me":
        return {"mine": True}
    if (number := _NUMBER.fullmatch(word)) is not None:
        return {"number": int(number[1])}
    return {"always": word == "always"}


def of_what(asked: Subscription) -> str:
    """`team=Payments tier=1`, as one would type it; "" for everything."""
    given = [(name, getattr(asked, name).replace('"', "")) for name in FILTERS]
    return " ".join(f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in given if value)


def clock(minute: int) -> str:
    """Minutes after midnight as `09:00`."""
    return f"{minute // 60:02}:{minute % 60:02}"
