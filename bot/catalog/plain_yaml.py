"""YAML as plain texts, lists and mappings that remember their lines.

Comes in: the bytes of a file somebody wrote. Goes out: what it says, every scalar as the text it is (`no` stays `no`, `010`
stays `010`; an empty one is None). Anchors and merges (`<<`) are read, and shared, never copied out; depth and total size
have caps, so that a small file cannot become a huge one. What is lost: comments and tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

MAX_DEPTH = 20
MAX_VALUES = 1_000_000
MAX_DOCUMENTS = 10_000

# The C reader is several times faster. Only its events are used: its trees are built by recursion without a limit.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


class Items(list["Value"]):
    """A sequence. `lines[i]` is the line (from 1) on which item i starts."""

    lines: tuple[int, ...] = ()


class Fields(dict[str, "Value"]):
    """A mapping. `lines[key]` is the line (from 1) on which the key stands; merged keys keep the line they came from."""

    lines: dict[str, int]


Value = str | None | Items | Fields


class Document(NamedTuple):
    """One document of a stream, and the line (from 1) on which it starts."""

    line: int
    value: Value


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been reached. A mapping's keys and values stand here in turn."""

    anchor: str | None
    line: int
    values: list[Value] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read(data: bytes) -> Value:
    """The one document in `data`. Raises yaml.YAMLError where it is not YAML, has several documents, or is too big."""
    found: list[Document] = []
    for document in documents(data):
        found.append(document)
        if len(found) > 1:
            raise yaml.YAMLError(f"line {document.line}: a second document starts; want one")
    return found[0].value if found else None


def documents(data: bytes) -> Iterator[Document]:
    """The documents in `data`, one by one. Raises yaml.YAMLError where what follows is not YAML, or all of it is too big:
    the documents before that have been given by then."""
    reader = _Reader()
    for event in yaml.parse(data, _LOADER):
        reader.take(event)
        if isinstance(event, yaml.DocumentEndEvent):
            yield Document(reader.line, reader.root)


def of_json(value: object, depth: int = MAX_DEPTH) -> Value:
    """What a JSON reader made of a text, as if it had stood in YAML: scalars are texts, and every line is 0. The caller has
    bounded the text's size; what is nested more than `depth` deep is left out."""
    if isinstance(value, dict):
        fields = Fields({str(key): of_json(one, depth - 1) for key, one in value.items()} if depth else {})
        fields.lines = dict.fromkeys(fields, 0)
        return fields
    if isinstance(value, list):
        items = Items([of_json(one, depth - 1) for one in value] if depth else ())
        items.lines = (0,) * len(items)
        return items
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


class _Reader:
    """Builds values from events on a stack of its own, so that depth costs no recursion."""

    def __init__(self) -> None:
        self.root: Value = None
        self.line = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, Value] = {}
        self._documents = 0
        self._size = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > MAX_DOCUMENTS:
                    raise yaml.YAMLError(f"line {line}: more than {MAX_DOCUMENTS} documents")
                self.root, self.line = None, line
                self._anchors.clear()  # an anchor holds within its document (YAML 1.2, 9.2)
            case yaml.ScalarEvent():
                empty = event.implicit[0] and event.value in _NULLS
                self._add(None if empty else event.value, event.anchor, line)
            case yaml.AliasEvent():
                if event.anchor not in self._anchors:
                    raise yaml.YAMLError(f"line {line}: *{event.anchor} refers to nothing before it")
                self._add(self._anchors[event.anchor], None, line)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if len(self._open) >= MAX_DEPTH:
                    raise yaml.YAMLError(f"line {line}: nested more than {MAX_DEPTH} deep")
                self._open.append(_Open(event.anchor, line))
            case yaml.SequenceEndEvent():
                done = self._open.pop()
                items = Items(done.values)
                items.lines = tuple(done.lines)
                self._add(items, done.anchor, done.line)
            case yaml.MappingEndEvent():
                done = self._open.pop()
                self._add(self._fields(done), done.anchor, done.line)

    def _add(self, value: Value, anchor: str | None, line: int) -> None:
        self._grow(1)
        if anchor is not None:
            self._anchors[anchor] = value
        if self._open:
            self._open[-1].values.append(value)
            self._open[-1].lines.append(line)
        else:
            self.root = value

    def _grow(self, by: int) -> None:
        self._size += by
        if self._size > MAX_VALUES:
            raise yaml.YAMLError(f"holds more than {MAX_VALUES} values")

    def _fields(self, done: _Open) -> Fields:
        fields, merged = Fields(), []
        fields.lines = {}
        for key, value, line in zip(done.values[::2], done.values[1::2], done.lines[::2], strict=True):
            if not isinstance(key, str):
                raise yaml.YAMLError(f"line {line}: a key is not a text")
            if key == "<<":
                merged += list(_merged(value, line))
            else:
                fields[key], fields.lines[key] = value, line
        for other in merged:
            self._grow(len(other))
            for key, value in other.items():
                if key not in fields:
                    fields[key], fields.lines[key] = value, other.lines[key]
        return fields


def _merged(value: Value, line: int) -> Iterator[Fields]:
    for one in value if isinstance(value, Items) else [value]:
        if not isinstance(one, Fields):
            raise yaml.YAMLError(f"line {line}: `<<` merges something that is not a mapping")
        yield one
