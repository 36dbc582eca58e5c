"""Messages -> the preview page, which looks like the Slack channel they are meant for.

Block Kit comes in as it would be sent, HTML goes out. What Slack would load or run is lost on purpose: pictures from
other hosts are links, buttons do not click. A block or element of an unknown type is drawn as a grey box with its type.
The page depends on its arguments alone (no clock), so the same messages give the same bytes and the same `ETag`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from bot import words
from bot.web import mrkdwn_html
from bot.web.rich_text_html import Element, elements, rich_text, string, unknown


@dataclass(frozen=True, slots=True)
class PreviewMessage:
    """One message as Slack has it, or would have it.

    `ts` is Slack's message id, epoch seconds as text (`1795402260.000100`); empty while there is none. `state` is
    `sent`, `waiting`, or `failed: <why>`. `replies` are its thread, oldest first; a reply's own replies are not drawn.
    """

    channel: str
    ts: str
    text: str
    blocks: Sequence[Mapping[str, object]] = ()
    edited: bool = False
    replies: Sequence[PreviewMessage] = ()
    state: str = "sent"

    @property
    def at(self) -> datetime | None:
        """When it was posted; None where `ts` is no time."""
        try:
            return datetime.fromtimestamp(float(self.ts), UTC)
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def failed(self) -> bool:
        """Whether it was given up."""
        return self.state.startswith("failed")

    @property
    def problem(self) -> str:
        """Why it was given up, where that is known."""
        return self.state.removeprefix("failed").lstrip(": ") if self.failed else ""


def page(messages: Sequence[PreviewMessage], *, bot_name: str, note: str) -> str:
    """The whole page for root messages, oldest first. `note` (mrkdwn) is shown where there are none: how to get one."""
    channels: dict[str, list[PreviewMessage]] = {}
    for message in messages:
        channels.setdefault(message.channel, []).append(message)
    latest = max(messages, key=lambda message: message.at.timestamp() if message.at else math.inf, default=None)
    return words.render(
        "preview.html.j2",
        bot_name=mrkdwn_html.clean(bot_name),
        note=mrkdwn_html.mrkdwn(note),
        channels=channels,
        latest=latest,
        message_html=message_html,
        lock_screen=mrkdwn_html.mrkdwn,
        clean=mrkdwn_html.clean,
    )


def message_html(message: PreviewMessage) -> Markup:
    """What stands under the author's name: the blocks, or `text` where there are none."""
    if not message.blocks:
        return _section_text(mrkdwn_html.mrkdwn(message.text))
    return Markup("\n").join(_block(block) for block in message.blocks)


def _block(block: Element) -> Markup:
    kind = string(block, "type")
    draw = _BLOCKS.get(kind)
    return draw(block) if draw else Markup('<div class="block">{}</div>').format(unknown(kind, "block"))


def _text(value: object) -> Markup:
    """A text object, by its own type; nothing where it is none."""
    if not isinstance(value, Mapping):
        return Markup("")
    return (mrkdwn_html.mrkdwn if value.get("type") == "mrkdwn" else mrkdwn_html.plain)(string(value, "text"))


def _section_text(text: Markup) -> Markup:
    return Markup('<div class="block section"><div class="text">{}</div></div>').format(text)


def _header(block: Element) -> Markup:
    return Markup('<h4 class="block header">{}</h4>').format(_text(block.get("text")))


def _section(block: Element) -> Markup:
    text, fields, accessory = _text(block.get("text")), elements(block, "fields"), block.get("accessory")
    parts = [Markup('<div class="text">{}</div>').format(text)] if text else []
    if fields:
        cells = Markup("").join(Markup("<div>{}</div>").format(_text(field)) for field in fields)
        parts.append(Markup('<div class="fields">{}</div>').format(cells))
    body = Markup('<div class="body">{}</div>').format(Markup("").join(parts))
    beside = (
        Markup('<div class="accessory">{}</div>').format(_element(accessory)) if isinstance(accessory, Mapping) else ""
    )
    return Markup('<div class="block section">{}{}</div>').format(body, beside)


def _context(block: Element) -> Markup:
    items = Markup("").join(
        Markup('<span class="item">{}</span>').format(
            _text(item) if string(item, "type") in ("mrkdwn", "plain_text") else _element(item)
        )
        for item in elements(block, "elements")
    )
    return Markup('<div class="block context">{}</div>').format(items)


def _actions(block: Element) -> Markup:
    items = Markup("\n").join(_element(element) for element in elements(block, "elements"))
    return Markup('<div class="block actions">{}</div>').format(items)


def _divider(_block: Element) -> Markup:
    return Markup('<hr class="block">')


def _image_block(block: Element) -> Markup:
    title = _text(block.get("title"))
    caption = Markup("<figcaption>{}</figcaption>").format(title) if title else ""
    return Markup('<figure class="block">{}{}</figure>').format(caption, _image(block))


def _rich_text_block(block: Element) -> Markup:
    return _section_text(rich_text(block))


def _markdown_block(block: Element) -> Markup:
    return _section_text(mrkdwn_html.markdown(string(block, "text")))


def _element(element: Element) -> Markup:
    kind = string(element, "type")
    draw = _ELEMENTS.get(kind)
    return draw(element) if draw else unknown(kind, "element")


def _button(element: Element) -> Markup:
    style = string(element, "style")
    kind = f"button {style}" if style in ("primary", "danger") else "button"
    label, name, url = (
        _text(element.get("text")),
        string(element, "accessibility_label"),
        mrkdwn_html.clean(string(element, "url")),
    )
    spoken = Markup(' aria-label="{}"').format(mrkdwn_html.clean(name)) if name else ""
    if mrkdwn_html.is_address(url):
        frame = Markup('<a class="{}"{} href="{}" target="_blank" rel="noopener noreferrer">{}</a>')
        return frame.format(kind, spoken, url, label)
    return Markup('<button type="button" class="{}"{} disabled title="Works in Slack">{}</button>').format(
        kind, spoken, label
    )


def _select(element: Element) -> Markup:
    """Opens, so that the choices can be read; none can be chosen."""
    groups = [elements(group, "options") for group in elements(element, "option_groups")]
    options = [*elements(element, "options"), *(option for group in groups for option in group)]
    placeholder = _text(element.get("placeholder")).striptags() or "Select an item"
    chosen = element.get("initial_option")
    first = _text(chosen.get("text")).striptags() if isinstance(chosen, Mapping) else placeholder
    choices = Markup("").join(
        Markup("<option disabled>{}</option>").format(_text(option.get("text")).striptags()) for option in options
    )
    return Markup('<span class="select"><select aria-label="{}"><option>{}</option>{}</select></span>').format(
        placeholder, first, choices
    )


def _overflow(element: Element) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(_option(option)) for option in elements(element, "options"))
    return Markup(
        '<details class="overflow"><summary class="button" aria-label="More actions">⋯</summary><ul>{}</ul></details>'
    ).format(items)


def _option(option: Element) -> Markup:
    url = mrkdwn_html.clean(string(option, "url"))
    return (
        mrkdwn_html.link(url, _text(option.get("text"))) if mrkdwn_html.is_address(url) else _text(option.get("text"))
    )


def _image(element: Element) -> Markup:
    """The picture where this host serves it. One from elsewhere is a link: the page loads nothing from other hosts."""
    url, alt = (mrkdwn_html.clean(string(element, key)) for key in ("image_url", "alt_text"))
    if url.startswith("/") and not url.startswith(("//", "/\\")):
        return Markup('<img src="{}" alt="{}" loading="lazy">').format(url, alt)
    label = Markup('<span aria-hidden="true">🖼 </span>{}').format(alt or "picture")
    return mrkdwn_html.link(url, label) if mrkdwn_html.is_address(url) else escape(label)


_BLOCKS: Mapping[str, Callable[[Element], Markup]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "divider": _divider,
    "image": _image_block,
    "rich_text": _rich_text_block,
    "markdown": _markdown_block,
}
_ELEMENTS: Mapping[str, Callable[[Element], Markup]] = {
    "button": _button,
    "static_select": _select,
    "overflow": _overflow,
    "image": _image,
}
