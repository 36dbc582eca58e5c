"""`rich_text` blocks -> HTML: the element tree comes in, `Markup` goes out. An element this page does not know is drawn
as a grey box with its type, so nothing is lost in silence.

Rich text is not escaped for Slack: its strings mean what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup, escape

from bot.web import mrkdwn_html

Element = Mapping[str, object]

_STYLES = (
    ("code", Markup("<code>{}</code>")),
    ("bold", Markup("<strong>{}</strong>")),
    ("italic", Markup("<em>{}</em>")),
    ("strike", Markup("<s>{}</s>")),
)
_LISTS = {
    "ordered": Markup('<ol class="indent-{}">{}</ol>'),
    "bullet": Markup('<ul class="indent-{}">{}</ul>'),
}


def rich_text(block: Element) -> Markup:
    """A whole `rich_text` block."""
    return Markup("").join(_part(part) for part in elements(block, "elements"))


def elements(parent: Element, key: str) -> Sequence[Element]:
    """The objects under `key`; none where it holds something else."""
    value = parent.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def string(parent: Element, key: str) -> str:
    """The text under `key`; empty where it holds something else."""
    value = parent.get(key)
    return value if isinstance(value, str) else ""


def unknown(kind: str, what: str) -> Markup:
    """The visible place of something this page cannot draw."""
    return Markup('<span class="unknown">{} {}</span>').format(mrkdwn_html.clean(kind) or "untyped", what)


def _part(part: Element) -> Markup:
    kind = string(part, "type")
    if kind == "rich_text_list":
        return _list(part)
    wrap = {
        "rich_text_section": Markup("<div>{}</div>"),
        "rich_text_preformatted": Markup("<pre>{}</pre>"),
        "rich_text_quote": Markup("<blockquote>{}</blockquote>"),
    }.get(kind)
    return wrap.format(_inline(part)) if wrap else unknown(kind, "element")


def _list(part: Element) -> Markup:
    indent = part.get("indent")
    level = min(indent, 8) if isinstance(indent, int) and indent > 0 else 0
    frame = _LISTS["ordered" if part.get("style") == "ordered" else "bullet"]
    items = Markup("").join(Markup("<li>{}</li>").format(_inline(item)) for item in elements(part, "elements"))
    return frame.format(level, items)


def _inline(part: Element) -> Markup:
    return Markup("").join(_styled(element) for element in elements(part, "elements"))


def _styled(element: Element) -> Markup:
    draw = _DRAW.get(string(element, "type"))
    shown = draw(element) if draw else unknown(string(element, "type"), "element")
    style = element.get("style")
    wanted = style if isinstance(style, Mapping) else {}
    for name, frame in _STYLES:
        if wanted.get(name):
            shown = frame.format(shown)
    return shown


def _text(element: Element) -> Markup:
    return Markup("<br>").join(mrkdwn_html.clean(string(element, "text")).split("\n"))


def _link(element: Element) -> Markup:
    url = mrkdwn_html.clean(string(element, "url"))
    return mrkdwn_html.link(url, escape(mrkdwn_html.clean(string(element, "text")) or url))


def _date(element: Element) -> Markup:
    clean = mrkdwn_html.clean
    fallback = clean(string(element, "fallback"))
    return mrkdwn_html.moment(str(element.get("timestamp")), clean(string(element, "format")), fallback)


def _named(sign: str, key: str) -> Callable[[Element], Markup]:
    return lambda element: mrkdwn_html.mention(sign + mrkdwn_html.clean(string(element, key)))


_DRAW: Mapping[str, Callable[[Element], Markup]] = {
    "text": _text,
    "link": _link,
    "date": _date,
    "user": _named("@", "user_id"),
    "usergroup": _named("@", "usergroup_id"),
    "channel": _named("#", "channel_id"),
    "broadcast": _named("@", "range"),
    "emoji": lambda element: mrkdwn_html.emoji(mrkdwn_html.clean(string(element, "name"))),
}
