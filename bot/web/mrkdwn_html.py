"""Slack's two text languages -> HTML, as Slack would show them: mrkdwn (text objects) and Markdown (`markdown` blocks).

The text comes in as it would be sent, escaped for Slack; what goes out is `Markup` in which every character of the text
is inert: only web and mail addresses become links, and control characters and bidirectional overrides are lost.
Syntax: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from markupsafe import Markup, escape

EMOJI = {
    "red_circle": "🔴", "large_orange_circle": "🟠", "large_yellow_circle": "🟡", "large_green_circle": "🟢",
    "large_blue_circle": "🔵", "white_circle": "⚪", "black_circle": "⚫", "white_check_mark": "✅",
    "heavy_check_mark": "✔️", "x": "❌", "no_entry": "⛔", "warning": "⚠️", "rotating_light": "🚨", "question": "❓",
    "grey_question": "❔", "exclamation": "❗", "information_source": "ℹ️", "fire": "🔥", "boom": "💥", "zap": "⚡",
    "bell": "🔔", "no_bell": "🔕", "mute": "🔇", "mag": "🔍", "eyes": "👀", "hourglass": "⌛",
    "hourglass_flowing_sand": "⏳", "bust_in_silhouette": "👤", "busts_in_silhouette": "👥", "book": "📖",
    "memo": "📝", "link": "🔗", "pushpin": "📌", "world_map": "🗺️", "chart_with_upwards_trend": "📈",
    "chart_with_downwards_trend": "📉", "arrow_up": "⬆️", "arrow_down": "⬇️", "arrow_right": "➡️", "repeat": "🔁",
    "point_right": "👉", "rocket": "🚀", "wrench": "🔧", "construction": "🚧", "robot_face": "🤖",
    "speech_balloon": "💬", "tada": "🎉", "new": "🆕", "+1": "👍", "thumbsup": "👍", "-1": "👎", "thumbsdown": "👎",
}  # fmt: skip
"""Shortcodes drawn as pictures; any other stays the text it is."""

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional marks: they make text read as something else
    "\ud800-\udfff]"  # lone surrogates: no encoding has them
)
_ADDRESS = re.compile(r"(?:https?://|mailto:)[^\s<>]+", re.IGNORECASE)

# Every alternative stops at its own delimiter or the line's end, so a scan is linear and nesting ends by itself.
_EMOJI = f":(?P<emoji>{'|'.join(map(re.escape, EMOJI))}):"
_MRKDWN = re.compile(
    r"`(?P<code>[^`\n]+)`|<(?P<angle>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^*\s](?:[^*\n]*[^*\s])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<italic>[^_\s](?:[^_\n]*[^_\s])?)_(?!\w)"
    r"|(?<![\w~])~(?P<strike>[^~\s](?:[^~\n]*[^~\s])?)~(?![\w~])|" + _EMOJI
)
_MARKDOWN = re.compile(
    r"`(?P<code>[^`\n]+)`|\[(?P<label>[^\[\]\n]+)\]\((?P<address>[^()\s]+)\)"
    r"|\*\*(?P<bold>[^*\s](?:[^*\n]*[^*\s])?)\*\*"
    r"|(?<![\w*])\*(?P<italic>[^*\s](?:[^*\n]*[^*\s])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<slanted>[^_\s](?:[^_\n]*[^_\s])?)_(?!\w)"
    r"|~~(?P<strike>[^~\s](?:[^~\n]*[^~\s])?)~~|" + _EMOJI
)
_MRKDWN_FENCE = re.compile(r"\n?```\n?(.+?)\n?```\n?", re.DOTALL)
_MARKDOWN_FENCE = re.compile(r"\n?```(?:\w*\n)?(.+?)\n?```\n?", re.DOTALL)  # may name a language
_QUOTE = re.compile(r"(?:>|&gt;) ?")
_HEADING = re.compile(r"#{1,6}\s+(.*)")
_BULLET = re.compile(r"(\s*)[-*+]\s+(.*)")
_DATE_TOKEN = re.compile(r"\{(\w+)\}")
_DATE_FORMATS = {
    "date_num": "{0:%Y-%m-%d}",
    "date_slash": "{0:%d/%m/%Y}",
    "date_short": "{0:%b} {0.day}, {0.year}",
    "date": "{0:%B} {0.day}, {0.year}",
    "date_long": "{0:%A}, {0:%B} {0.day}, {0.year}",
    "time": "{0:%H:%M}",
    "time_secs": "{0:%H:%M:%S}",
}
_STYLES = {
    "bold": Markup("<strong>{}</strong>"),
    "italic": Markup("<em>{}</em>"),
    "slanted": Markup("<em>{}</em>"),
    "strike": Markup("<s>{}</s>"),
}
_BROADCASTS = frozenset(("here", "channel", "everyone"))


def mrkdwn(text: str) -> Markup:
    """A `mrkdwn` text object: `*bold*`, `<url|label>`, mentions, dates, quotes, code."""
    return _blocks(clean(text), _MRKDWN_FENCE, _mrkdwn_line)


def markdown(text: str) -> Markup:
    """A `markdown` block: the common part of standard Markdown. Tables stay text."""
    return _blocks(clean(text), _MARKDOWN_FENCE, _markdown_line)


def plain(text: str) -> Markup:
    """A `plain_text` object: only emoji shortcodes mean anything. Entities are decoded, as Slack does."""
    parts = re.split(_EMOJI, clean(text))
    return _joined(emoji(part) if index % 2 else _leaf(part) for index, part in enumerate(parts))


def clean(text: str) -> str:
    """Text without what a page cannot carry or an attacker could reorder it with."""
    return _UNSAFE.sub("", text.replace("\r\n", "\n"))


def emoji(name: str) -> Markup:
    """The picture for a shortcode, named for screen readers; the shortcode itself where there is none."""
    if name not in EMOJI:
        return Markup(":{}:").format(name)
    return Markup('<span role="img" aria-label="{}" title=":{}:">{}</span>').format(
        name.replace("_", " "), name, EMOJI[name]
    )


def is_address(url: str) -> bool:
    """Whether Slack would make a link of it, and a page may: nothing that runs (`javascript:`, `data:`)."""
    return _ADDRESS.fullmatch(url) is not None


def link(url: str, label: Markup) -> Markup:
    """A link, or where `url` is no web or mail address the bare source, visible and inert."""
    if not is_address(url):
        return Markup("&lt;{}|{}&gt;").format(url, label)
    return Markup('<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>').format(url, label)


def mention(name: str) -> Markup:
    """A user, user group or channel, or everybody at once: `@here` and its kin are set off, as they wake people up."""
    kind = "mention broadcast" if name.lstrip("@") in _BROADCASTS else "mention"
    return Markup('<span class="{}">{}</span>').format(kind, name)


def moment(epoch: str, pattern: str, fallback: str) -> Markup:
    """A Slack date in UTC. `fallback` where the time or a token is unknown, and for `{ago}`: a page has no clock."""
    wanted = {token: token.removesuffix("_pretty") for token in _DATE_TOKEN.findall(pattern)}
    try:
        at = datetime.fromtimestamp(int(epoch), UTC)
        known = {token: _DATE_FORMATS[name].format(at) for token, name in wanted.items()}
    except (ValueError, OverflowError, OSError, KeyError):
        return escape(fallback)
    shown = _DATE_TOKEN.sub(lambda token: known[token[1]], pattern)
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>').format(at.isoformat(), at, shown)


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _decoded(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _leaf(text: str) -> Markup:
    return escape(_decoded(text))


def _blocks(text: str, fence: re.Pattern[str], line: Callable[[str], Markup]) -> Markup:
    pieces = fence.split(text)
    return _joined(
        Markup("<pre>{}</pre>").format(_decoded(piece)) if index % 2 else _lines(piece, line)
        for index, piece in enumerate(pieces)
    )


def _lines(text: str, draw: Callable[[str], Markup]) -> Markup:
    """Lines with breaks between them; a run of quoted lines becomes one quotation."""
    if not text:
        return Markup("")
    runs: list[tuple[bool, list[Markup]]] = []
    for line in text.split("\n"):
        quoted = _QUOTE.match(line)
        drawn = draw(line[quoted.end() :] if quoted else line)
        if runs and runs[-1][0] == bool(quoted):
            runs[-1][1].append(drawn)
        else:
            runs.append((bool(quoted), [drawn]))
    return _joined(
        (Markup("<blockquote>{}</blockquote>") if quoted else Markup("{}")).format(Markup("<br>").join(lines))
        for quoted, lines in runs
    )


def _mrkdwn_line(text: str) -> Markup:
    return _inline(text, _MRKDWN)


def _markdown_line(text: str) -> Markup:
    if heading := _HEADING.fullmatch(text):
        return Markup('<strong class="heading">{}</strong>').format(_inline(heading[1], _MARKDOWN))
    if bullet := _BULLET.fullmatch(text):
        return Markup("{}• {}").format(bullet[1], _inline(bullet[2], _MARKDOWN))
    return _inline(text, _MARKDOWN)


def _inline(text: str, language: re.Pattern[str]) -> Markup:
    parts: list[Markup] = []
    end = 0
    for match in language.finditer(text):
        parts += (_leaf(text[end : match.start()]), _span(match, language))
        end = match.end()
    return _joined((*parts, _leaf(text[end:])))


def _span(match: re.Match[str], language: re.Pattern[str]) -> Markup:
    kind = match.lastgroup or ""
    inner = match[kind]
    if kind in _STYLES:
        return _STYLES[kind].format(_inline(inner, language))
    if kind == "code":
        return Markup("<code>{}</code>").format(_decoded(inner))
    if kind == "address":
        return link(_decoded(inner), _leaf(match["label"]))
    return emoji(inner) if kind == "emoji" else _angle(inner)


def _angle(inner: str) -> Markup:
    """What stands between `<` and `>`: a mention, a date, a link, or text that somebody forgot to escape."""
    target, _, label = inner.partition("|")
    if target.startswith(("@", "#")):
        return mention(target[0] + _decoded(label or target[1:]).removeprefix(target[0]))
    if target.startswith("!"):
        return _special(target[1:], _decoded(label))
    url = _decoded(target)
    if label:
        return link(url, _inline(label, _MRKDWN))
    return link(url, escape(url.removeprefix("mailto:"))) if is_address(url) else escape(f"<{url}>")


def _special(command: str, label: str) -> Markup:
    name, *arguments = command.split("^")
    if name == "date" and len(arguments) >= 2:
        shown = moment(arguments[0], arguments[1], label)
        return link(_decoded(arguments[2]), shown) if len(arguments) > 2 else shown
    if name == "subteam" and arguments:
        return mention("@" + (label or arguments[0]).removeprefix("@"))
    return mention(f"@{name}") if name in _BROADCASTS else escape(label or f"<!{command}>")
