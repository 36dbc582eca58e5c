"""Makes any message one that Slack takes: a `Message` comes in, one within every limit of Block Kit goes out.

What is lost: text beyond its limit (marked `…`), parts that cannot be shortened without lying (a button's value, a
link's address), and blocks from the end where there are too many or too much text, counted in a visible "…and N more".
Buttons are the last to go: what a reader can do matters more than the last detail.

Limits: docs.slack.dev/reference/block-kit. The cap on all text together is undocumented; refusals were seen from 11,341
characters on (slackapi/bolt-js#2509, #2867), so this stops at 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bot.model import Message
from bot.slack.mrkdwn import ELLIPSIS, truncate

MAX_BLOCKS = 50
MAX_ALL_TEXT = 10_000
MAX_TEXT = 4_000
"""Slack splits a longer `text` into several messages, of which it names only one."""

_MAX_TEXT_OBJECT, _MAX_HEADER, _MAX_FIELD, _MAX_FIELDS = 3_000, 150, 2_000, 10
_MAX_CONTEXT, _MAX_ACTIONS, _MAX_OPTIONS, _MAX_OVERFLOW = 10, 25, 100, 5
_MAX_ID, _MAX_URL, _MAX_VALUE, _MAX_ALT = 255, 3_000, 2_000, 2_000
_MAX_LABEL, _MAX_OPTION_VALUE, _MAX_PLACEHOLDER = 75, 150, 150
_WORTH_KEEPING = 100  # a shortened text of fewer characters than this says nothing
_ROOM_FOR_MARKER = 40
_NO_TEXT = "(no text)"

Block = dict[str, Any]
Part = Mapping[str, object]


def fit(message: Message) -> Message:
    """The same message within Slack's limits; `text` is never empty. Fitting twice changes nothing more."""
    blocks = _unique_ids([fitted for block in message.blocks if (fitted := _block(block)) is not None])
    blocks = _within_budget(blocks)
    text = message.text.strip() or " ".join(_first_texts(blocks)).strip() or _NO_TEXT
    return Message(truncate(text, MAX_TEXT), tuple(blocks))


def size(value: object) -> int:
    """Characters of text in a block or a part of one, as the cap on the whole message counts them."""
    if isinstance(value, Mapping):
        return sum(len(part) if key == "text" and isinstance(part, str) else size(part) for key, part in value.items())
    return sum(size(part) for part in value) if isinstance(value, list | tuple) else 0


def _first_texts(blocks: Iterable[Block]) -> list[str]:
    texts = (block.get("text") for block in blocks)
    return [str(text["text"]) for text in texts if isinstance(text, dict)][:3]


# -- all blocks together -----------------------------------------------------------------------------------------------


def _unique_ids(blocks: list[Block]) -> list[Block]:
    """Block ids once each; Slack makes one up where there is none."""
    seen: set[object] = set()
    for block in blocks:
        name = block.get("block_id")
        if name in seen or not isinstance(name, str) or not 0 < len(name.strip()) <= len(name) <= _MAX_ID:
            block.pop("block_id", None)
        seen.add(name)
    return blocks


def _within_budget(blocks: list[Block]) -> list[Block]:
    """Shorten, else drop, from the end until all fits; the marker stands where the first dropped block stood."""
    sizes = [size(block) for block in blocks]
    total = sum(sizes)
    kept = list(range(len(blocks)))
    dropped: list[int] = []
    while kept:
        marker = 1 if dropped else 0
        over = total + marker * _ROOM_FOR_MARKER - MAX_ALL_TEXT
        too_many = len(kept) + marker > MAX_BLOCKS
        if over <= 0 and not too_many:
            break
        index = next((index for index in reversed(kept) if blocks[index].get("type") != "actions"), kept[-1])
        shorter = None if too_many else _shortened(blocks[index], sizes[index] - over)
        if shorter is None:
            kept.remove(index)
            dropped.append(index)
            total -= sizes[index]
        else:
            total += size(shorter) - sizes[index]
            blocks[index], sizes[index] = shorter, size(shorter)
    if not dropped:
        return blocks
    cut = min(dropped)
    before, after = [index for index in kept if index < cut], [index for index in kept if index > cut]
    return [*(blocks[index] for index in before), _marker(len(dropped)), *(blocks[index] for index in after)]


def _marker(count: int) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": f"…and {count} more"}]}


def _shortened(block: Block, room: int) -> Block | None:
    """The block with at most `room` characters of text; None where what would be left is not worth a block."""
    text = block.get("text")
    if not isinstance(text, dict) or block.get("type") != "section":
        return None
    rest = room - size({key: part for key, part in block.items() if key not in ("text", "fields")})
    if rest < _WORTH_KEEPING or size(block) <= room:
        return None
    shorter = {**block, "text": {**text, "text": truncate(text["text"], rest)}}
    fields = []
    rest -= size(shorter["text"])
    for field in block.get("fields", ()):
        rest -= size(field)
        if rest < 0:
            break
        fields.append(field)
    shorter.pop("fields", None)
    return {**shorter, "fields": fields} if fields else shorter


# -- one block ---------------------------------------------------------------------------------------------------------


def _block(block: Part) -> Block | None:
    """The block within its own limits; None where nothing is left of it. Types not listed here pass as they are."""
    fitter = _BLOCKS.get(str(block.get("type")))
    return fitter(block) if fitter else dict(block)


def _section(block: Part) -> Block | None:
    fitted = dict(block)
    text = _text(block.get("text"), _MAX_TEXT_OBJECT)
    fields = _limited(
        (_text(field, _MAX_FIELD) for field in _parts(block.get("fields"))),
        _MAX_FIELDS,
        {"type": "mrkdwn", "text": ELLIPSIS},
    )
    accessory = _accessory(block.get("accessory"))
    for name, part in (("text", text), ("fields", fields), ("accessory", accessory)):
        fitted.pop(name, None)
        if part:
            fitted[name] = part
    return fitted if text or fields else None


def _header(block: Part) -> Block | None:
    text = _text(block.get("text"), _MAX_HEADER)
    return {**block, "text": text} if text else None


def _context(block: Part) -> Block | None:
    parts = _parts(block.get("elements"))
    fitted = (_image(part) if part.get("type") == "image" else _text(part, _MAX_TEXT_OBJECT) for part in parts)
    elements = _limited(fitted, _MAX_CONTEXT, {"type": "mrkdwn", "text": ELLIPSIS})
    return {**block, "elements": elements} if elements else None


def _actions(block: Part) -> Block | None:
    elements: list[Block] = []
    names: set[object] = set()
    room = MAX_ALL_TEXT // 2  # menus are long; half the message must remain for what it says
    for element in map(_element, _parts(block.get("elements"))):
        if element is None or size(element) > room or element.get("action_id") in names:
            continue
        room -= size(element)
        if "action_id" in element:
            names.add(element["action_id"])
        elements.append(element)
    return {**block, "elements": elements[:_MAX_ACTIONS]} if elements else None


def _image(block: Part) -> Block | None:
    fitted = dict(block)
    url = fitted.get("image_url")
    if not (isinstance(url, str) and 0 < len(url.strip()) <= len(url) <= _MAX_URL) and "slack_file" not in fitted:
        return None
    alt = fitted.get("alt_text")
    fitted["alt_text"] = truncate(alt, _MAX_ALT) if isinstance(alt, str) and alt.strip() else "image"
    title = _text(fitted.pop("title", None), _MAX_ALT)
    return {**fitted, "title": title} if title else fitted


_BLOCKS: dict[str, Callable[[Part], Block | None]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "image": _image,
}


# -- parts of blocks ---------------------------------------------------------------------------------------------------


def _parts(value: object) -> list[Part]:
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, list | tuple) else []


def _text(value: object, limit: int) -> Block | None:
    """The text object within its limit; None where it is empty."""
    text = value.get("text") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(text, str) or not text.strip():
        return None
    return {**value, "text": truncate(text, limit)}


def _limited(parts: Iterable[Block | None], limit: int, marker: Block) -> list[Block]:
    kept = [part for part in parts if part is not None]
    return kept if len(kept) <= limit else [*kept[: limit - 1], marker]


def _accessory(value: object) -> Block | None:
    if not isinstance(value, Mapping):
        return None
    return _image(value) if value.get("type") == "image" else _element(value)


def _element(part: Part) -> Block | None:
    """A button or menu with shortened labels; None where what it sends or opens does not fit: cut, it would lie."""
    if any(not _sendable(part.get(name), limit) for name, limit in _SENT):
        return None
    fitted = dict(part)
    if part.get("type") == "button":
        label = _text(part.get("text"), _MAX_LABEL)
        return {**fitted, "text": label} if label else None
    if "options" in part:
        most = _MAX_OVERFLOW if part.get("type") == "overflow" else _MAX_OPTIONS
        options = [option for one in _parts(part["options"]) if (option := _option(one)) is not None][:most]
        if not options:
            return None
        fitted["options"] = options
    placeholder = _text(fitted.pop("placeholder", None), _MAX_PLACEHOLDER)
    return {**fitted, "placeholder": placeholder} if placeholder else fitted


_SENT = (("action_id", _MAX_ID), ("value", _MAX_VALUE), ("url", _MAX_URL))


def _sendable(value: object, limit: int) -> bool:
    return value is None or (isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= limit)


def _option(option: Part) -> Block | None:
    label = _text(option.get("text"), _MAX_LABEL)
    value = option.get("value")
    if label is None or value is None or not _sendable(value, _MAX_OPTION_VALUE):
        return None
    fitted: Block = {**option, "text": label}
    description = _text(fitted.pop("description", None), _MAX_LABEL)
    return {**fitted, "description": description} if description else fitted
