"""Slack's markup, said once: any text comes in, text that Slack shows as it is goes out.

What is lost: control characters and bidirectional marks (they hide or reorder what a reader sees), the end of a text
over its limit (marked `…`), and a link whose target is not a web page (its label stays). Formatting rules:
https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from bot.slack_ids import mention_id

ELLIPSIS = "…"

_MAX_URL = 3_000
_FENCE = "```"
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_KEPT = frozenset("\n\t")
# Line and paragraph separators become plain line breaks, so that one line of a vendor's text stays recognisable as one.
_CLEANED: dict[int, str | None] = {
    **{code: None for code in (*range(0x20), *range(0x7F, 0xA0), *_BIDI) if chr(code) not in _KEPT},
    **dict.fromkeys(range(0xD800, 0xE000)),  # lone surrogates: JSON can carry them, UTF-8 cannot
    0x2028: "\n",
    0x2029: "\n",
    0xFEFF: None,
}
_ESCAPED: dict[int, str | None] = {**_CLEANED, ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
# What a cut must not fall into: an entity, or a link, mention or date token.
_TOKEN = re.compile(r"&(?:amp|lt|gt);|<(?:[!@#]|mailto:|https?:)[^<>]*>")
_CALLING = re.compile(r"<(?:!subteam\^|@|!)(?P<who>[SUWB][A-Z0-9]+|here|channel|everyone)(?:\|(?P<name>[^<>]*))?>")
_URL_UNSAFE = str.maketrans({"|": "%7C", "<": "%3C", ">": "%3E", " ": "%20", '"': "%22", "`": "%60"})


def escape(text: str) -> str:
    """Somebody else's text as text: no mention, link or formatting token of Slack's can come out of it."""
    return text.translate(_ESCAPED)


def truncate(text: str, limit: int) -> str:
    """At most `limit` characters (1 or more) of a text that is already escaped, ending in `…` where something was cut.

    Never cuts inside `&amp;` or `<…|…>`, and closes a code fence it cuts in two.
    """
    if len(text) <= limit:
        return text
    cut = _cut(text, limit - len(ELLIPSIS))
    if cut.count(_FENCE) % 2:
        closed = _cut(text, limit - len(ELLIPSIS) - len(_FENCE)).rstrip("`")
        cut = closed + _FENCE if closed.count(_FENCE) % 2 else closed
    return cut + ELLIPSIS


def _cut(text: str, limit: int) -> str:
    cut = text[: max(0, limit)]
    for opening in "&<":
        start = cut.rfind(opening)
        token = _TOKEN.match(text, start) if start >= 0 else None
        if token and token.end() > len(cut):
            cut = cut[:start]
    return cut


def code(text: str) -> str:
    """Somebody else's text as one code span; empty for an empty text. Backticks, which would end it, become `'`."""
    flat = " ".join(escape(text).replace("`", "'").split())
    return f"`{flat}`" if flat else ""


def link(url: str, label: str) -> str:
    """A link, where `url` is a web page (http or https); the escaped label alone where it is anything else."""
    shown = " ".join(escape(label).split())
    cleaned = url.strip()
    target = cleaned.translate(_URL_UNSAFE).replace("&", "&amp;")
    if not _is_web_page(cleaned) or len(target) > _MAX_URL:
        return shown
    return f"<{target}|{shown or target}>"


def _is_web_page(url: str) -> bool:
    if any(not char.isprintable() for char in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def mention(identifier: str, name: str) -> str:
    """A token by which Slack calls a user group or a person (an id as `bot.slack_ids.mention_id` gives it); the name alone for
    anything else. `name` is what `unmentioned` leaves of it."""
    shown = " ".join(escape(name).replace("|", "/").split()) or identifier
    if mention_id(identifier) != identifier or not identifier:
        return shown
    return f"<!subteam^{identifier}|{shown}>" if identifier.startswith("S") else f"<@{identifier}|{shown}>"


def unmentioned(text: str) -> str:
    """A text that calls nobody: its mentions are names, its broadcasts words."""
    return _CALLING.sub(lambda found: found["name"] or f"@{found['who']}", text)


def date(at: float, fallback: str = "", shape: str = "{date_short_pretty} {time}") -> str:
    """A moment (epoch s) that Slack shows in each reader's own time zone; `fallback` (default: UTC) is for the rest."""
    moment = datetime.fromtimestamp(int(at), UTC)
    shown = " ".join(escape(fallback).split()) or f"{moment:%Y-%m-%d %H:%M} UTC"
    return f"<!date^{int(at)}^{shape}|{shown}>"
