"""Slack's limits on the blocks of a message, as strict as the real thing. Pure: blocks in, every objection out.

Limits from slack_sdk's models and docs.slack.dev/reference/block-kit; the cap on all text together is undocumented
(slackapi/bolt-js#2509: 12,000 characters). Not checked: video, the newer data blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_ALL_TEXT = 12_000
MAX_TEXT = 40_000
MAX_TEXT_OBJECT = 3_000

Objections = Iterator[str]
Json = Mapping[str, object]

_MENTION = re.compile(r"<(?:!(?:channel|here|everyone|subteam\^[^<>|]*)|@[^<>|]+)(?:\|[^<>]*)?>")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why Slack would not take a message: its error word, and what is wrong where (`/blocks/0/text: …`)."""

    code: str
    details: tuple[str, ...] = ()


def refusal(text: object, blocks: object) -> Refusal | None:
    """What `chat.postMessage` says to this text and these blocks; None where it takes them."""
    if text is not None and not isinstance(text, str):
        return Refusal("invalid_arguments", ("/text: not a string",))
    if isinstance(text, str) and len(text) > MAX_TEXT:
        return Refusal("msg_too_long")
    if not blocks:
        return Refusal("no_text") if not text or not text.strip() else None
    if not isinstance(blocks, list):
        return Refusal("invalid_blocks_format")
    details = tuple(objections(blocks))
    if details:
        return Refusal("invalid_blocks", details)
    return Refusal("msg_blocks_too_long") if characters(blocks) > MAX_ALL_TEXT else None


def objections(blocks: Sequence[object], most: int = MAX_BLOCKS, *, inputs: bool = False) -> Objections:
    """Every way in which these blocks break a limit, with its place; a view takes `MAX_VIEW_BLOCKS`, a modal `inputs`."""
    if len(blocks) > most:
        yield f"/blocks: {len(blocks)}, at most {most}"
    seen: set[object] = set()
    for index, block in enumerate(blocks):
        at = f"/blocks/{index}"
        if not isinstance(block, Mapping):
            yield f"{at}: not an object"
            continue
        check = _input if inputs and block.get("type") == "input" else _BLOCKS.get(str(block.get("type")))
        if check is None:
            yield f"{at}/type: {block.get('type')!r} is not a block of messages"
            continue
        yield from _identifier(block, "block_id", at, seen)
        yield from check(block, at)


def characters(value: object) -> int:
    """All text of blocks together, as the cap on the whole message counts it."""
    if isinstance(value, Mapping):
        own = value.get("text")
        rest = sum(characters(part) for key, part in value.items() if not (key == "text" and isinstance(part, str)))
        return rest + (len(own) if isinstance(own, str) else 0)
    return sum(characters(part) for part in value) if isinstance(value, list | tuple) else 0


def mentions(value: object) -> list[str]:
    """Every mention of a person, a group or a whole channel that would ring, in the text of a message or its blocks."""
    if isinstance(value, str):
        return _MENTION.findall(value)
    if isinstance(value, Mapping):
        if value.get("type") == "plain_text":  # shown as it is
            return []
        return [found for key, part in value.items() if key not in ("value", "url") for found in mentions(part)]
    return [found for part in value for found in mentions(part)] if isinstance(value, list | tuple) else []


# -- parts ---------------------------------------------------------------------------------------------------------


def _text(value: object, at: str, limit: int, *, plain: bool = False) -> Objections:
    if not isinstance(value, Mapping):
        yield f"{at}: missing or not a text object"
        return
    kind, text = value.get("type"), value.get("text")
    allowed = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
    if kind not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
        yield f"{at}/type: {kind!r}"
    elif extra := set(value) - allowed[str(kind)]:
        yield f"{at}: {kind} has no {', '.join(sorted(extra))}"
    yield from _string(text, f"{at}/text", limit)


def _string(value: object, at: str, limit: int, *, optional: bool = False) -> Objections:
    if value is None and optional:
        return
    if not isinstance(value, str):
        yield f"{at}: missing or not a string"
    elif not value.strip():
        yield f"{at}: empty"
    elif len(value) > limit:
        yield f"{at}: {len(value)} characters, at most {limit}"


def _items(value: object, at: str, limit: int) -> Objections:
    if not isinstance(value, list | tuple) or not value:
        yield f"{at}: missing or empty"
    elif len(value) > limit:
        yield f"{at}: {len(value)}, at most {limit}"


def _each(value: object, at: str) -> Iterator[tuple[Json, str]]:
    if isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield (part if isinstance(part, Mapping) else {}), f"{at}/{index}"


def _identifier(owner: Json, name: str, at: str, seen: set[object]) -> Objections:
    value = owner.get(name)
    if value is None:
        return
    yield from _string(value, f"{at}/{name}", 255)
    if value in seen:
        yield f"{at}/{name}: {value!r} twice"
    seen.add(value)


def _option(option: Json, at: str) -> Objections:
    yield from _text(option.get("text"), f"{at}/text", 75)
    yield from _string(option.get("value"), f"{at}/value", 150)
    if "description" in option:
        yield from _text(option["description"], f"{at}/description", 75, plain=True)
    yield from _string(option.get("url"), f"{at}/url", 3_000, optional=True)


def _confirm(element: Json, at: str) -> Objections:
    confirm = element.get("confirm")
    if confirm is None:
        return
    for name, limit in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        part = confirm.get(name) if isinstance(confirm, Mapping) else None
        yield from _text(part, f"{at}/confirm/{name}", limit, plain=name != "text")


def _button(element: Json, at: str) -> Objections:
    known = {"type", "text", "action_id", "value", "url", "style", "confirm", "accessibility_label"}
    if extra := set(element) - known:
        yield f"{at}: a button has no {', '.join(sorted(extra))}"
    yield from _text(element.get("text"), f"{at}/text", 75, plain=True)
    yield from _string(element.get("value"), f"{at}/value", 2_000, optional=True)
    yield from _string(element.get("url"), f"{at}/url", 3_000, optional=True)
    if element.get("style", "primary") not in ("primary", "danger"):
        yield f"{at}/style: {element['style']!r}"


def _choice(limit: int, *, placeholder: bool = False) -> Callable[[Json, str], Objections]:
    def check(element: Json, at: str) -> Objections:
        if placeholder and "placeholder" in element:
            yield from _text(element["placeholder"], f"{at}/placeholder", 150, plain=True)
        groups = list(_each(element.get("option_groups"), f"{at}/option_groups"))
        for group, where in groups:
            yield from _text(group.get("label"), f"{where}/label", 75, plain=True)
        for holder, where in groups or [(element, at)]:
            yield from _items(holder.get("options"), f"{where}/options", limit)
            for option, place in _each(holder.get("options"), f"{where}/options"):
                yield from _option(option, place)
        offered = [option for holder, _ in groups or [(element, at)] for option, _ in _each(holder.get("options"), at)]
        if "initial_option" in element and element["initial_option"] not in offered:
            yield f"{at}/initial_option: not one of the options"

    return check


def _plain_text_input(element: Json, at: str) -> Objections:
    length = element.get("max_length", 3_000)
    if not isinstance(length, int) or not 1 <= length <= 3_000:
        yield f"{at}/max_length: {length!r}"
    yield from _picker(element, at)


def _picker(element: Json, at: str) -> Objections:
    if "placeholder" in element:
        yield from _text(element["placeholder"], f"{at}/placeholder", 150, plain=True)
    wanted = element.get("filter")
    for name in wanted.get("include", ()) if isinstance(wanted, Mapping) else ():
        if name not in ("im", "mpim", "private", "public"):
            yield f"{at}/filter/include: {name!r}"


_ELEMENTS: dict[str, Callable[[Json, str], Objections]] = {
    "button": _button,
    "static_select": _choice(100, placeholder=True),
    "multi_static_select": _choice(100, placeholder=True),
    "overflow": _choice(5),
    "plain_text_input": _plain_text_input,
    "checkboxes": _choice(10),
    "radio_buttons": _choice(10),
    **dict.fromkeys(
        ("users_select", "conversations_select", "channels_select", "external_select", "datepicker", "timepicker"),
        _picker,
    ),
}


def _element(element: Json, at: str, seen: set[object]) -> Objections:
    check = _ELEMENTS.get(str(element.get("type")))
    if check is None:
        yield f"{at}/type: {element.get('type')!r}"
        return
    yield from _identifier(element, "action_id", at, seen)
    yield from check(element, at)
    yield from _confirm(element, at)


def _image(image: Json, at: str) -> Objections:
    if "slack_file" not in image:
        yield from _string(image.get("image_url"), f"{at}/image_url", 3_000)
    yield from _string(image.get("alt_text"), f"{at}/alt_text", 2_000)
    if "title" in image:
        yield from _text(image["title"], f"{at}/title", 2_000, plain=True)


# -- blocks --------------------------------------------------------------------------------------------------------


def _section(block: Json, at: str) -> Objections:
    if "text" not in block and "fields" not in block:
        yield f"{at}: neither text nor fields"
    if "text" in block:
        yield from _text(block["text"], f"{at}/text", MAX_TEXT_OBJECT)
    if "fields" in block:
        yield from _items(block["fields"], f"{at}/fields", 10)
        for field, where in _each(block["fields"], f"{at}/fields"):
            yield from _text(field, where, 2_000)
    accessory = block.get("accessory")
    if isinstance(accessory, Mapping):
        where = f"{at}/accessory"
        yield from _image(accessory, where) if accessory.get("type") == "image" else _element(accessory, where, set())


def _header(block: Json, at: str) -> Objections:
    yield from _text(block.get("text"), f"{at}/text", 150, plain=True)


def _context(block: Json, at: str) -> Objections:
    yield from _items(block.get("elements"), f"{at}/elements", 10)
    for element, where in _each(block.get("elements"), f"{at}/elements"):
        yield from _image(element, where) if element.get("type") == "image" else _text(element, where, MAX_TEXT_OBJECT)


def _actions(block: Json, at: str) -> Objections:
    yield from _items(block.get("elements"), f"{at}/elements", 25)
    seen: set[object] = set()
    for element, where in _each(block.get("elements"), f"{at}/elements"):
        yield from _element(element, where, seen)


def _markdown(block: Json, at: str) -> Objections:
    yield from _string(block.get("text"), f"{at}/text", MAX_ALL_TEXT)


def _rich_text(block: Json, at: str) -> Objections:
    yield from _items(block.get("elements"), f"{at}/elements", 1_000)


def _table(block: Json, at: str) -> Objections:
    yield from _items(block.get("rows"), f"{at}/rows", 100)
    rows = block.get("rows")
    widths = {len(row) for row in rows if isinstance(row, list | tuple)} if isinstance(rows, list | tuple) else set()
    if len(widths) != 1 or max(widths) > 20:
        yield f"{at}/rows: want rows of one length, at most 20 cells"


def _input(block: Json, at: str) -> Objections:
    yield from _text(block.get("label"), f"{at}/label", 2_000, plain=True)
    element = block.get("element")
    if isinstance(element, Mapping):
        yield from _element(element, f"{at}/element", set())
    else:
        yield f"{at}/element: missing"


_BLOCKS: dict[str, Callable[[Json, str], Objections]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "divider": lambda _block, _at: iter(()),
    "image": _image,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "table": _table,
}
