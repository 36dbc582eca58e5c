"""The catalogue files at some paths: found, recognised and read.

Comes in: paths of files and directories. Goes out: per file what it says (`FileRead`). What is lost: in a directory, files of
other names; everything beyond the caps; links that lead out of it. Each loss is a problem; what can be read is used.

Directories are searched all the way down for the names in `KNOWN_NAMES`. A format is known by what a document says of itself,
and else by the file's name; a file that is named in the settings may have any name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG

import yaml

from bot import names
from bot.catalog import backstage, codeowners, cortex, datadog, opslevel, plain_yaml, services_file
from bot.catalog.codeowners import Rules
from bot.catalog.facts import Format, Notes, Reading
from bot.catalog.plain_yaml import Document

MAX_BYTES = 10 * 1024 * 1024
MAX_TOTAL_BYTES = 200 * 1024 * 1024
MAX_FILES = 10_000
MAX_LOOKED_AT = 500_000

_CODEOWNERS = "CODEOWNERS"
KNOWN_NAMES: dict[str, Format] = {
    **dict.fromkeys(("services.yaml", "services.yml"), Format.SERVICES),
    **dict.fromkeys(("catalog-info.yaml", "catalog-info.yml"), Format.BACKSTAGE),
    **{f"{one}.datadog.{end}": Format.DATADOG for one in ("service", "entity") for end in ("yaml", "yml", "json")},
    **dict.fromkeys(("cortex.yaml", "cortex.yml"), Format.CORTEX),
    **dict.fromkeys(("opslevel.yaml", "opslevel.yml"), Format.OPSLEVEL),
    _CODEOWNERS: Format.CODEOWNERS,
}
_RECOGNISED: tuple[tuple[Callable[[object], bool], Format], ...] = (
    (backstage.is_ours, Format.BACKSTAGE), (datadog.is_ours, Format.DATADOG), (cortex.is_ours, Format.CORTEX),
    (opslevel.is_ours, Format.OPSLEVEL),
)  # fmt: skip
_READERS: dict[Format, Callable[[Sequence[Document], Notes], None]] = {
    Format.SERVICES: services_file.read, Format.BACKSTAGE: backstage.read, Format.DATADOG: datadog.read,
    Format.CORTEX: cortex.read, Format.OPSLEVEL: opslevel.read,
}  # fmt: skip
_NEVER_ENTERED = frozenset((".git", "node_modules"))


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read. `source` is what people are told: its path below the directory it was found in."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class FileRead:
    """What one file gave. `rules` are CODEOWNERS', which say nothing until the other files are known."""

    path: Path
    format: Format
    reading: Reading
    rules: Rules | None = None
    size: int = 0


def find(paths: Sequence[Path]) -> tuple[list[Found], list[str]]:
    """The files at some paths, and what could not be looked at."""
    found: dict[Path, Found] = {}
    problems: list[str] = []
    for path in paths:
        for one in _below(path, problems) if _is_folder(path) else [Found(path, path.name)]:
            if len(found) >= MAX_FILES:
                problems.append(f"{one.path}: not read, nor what comes after it: there are more than {MAX_FILES} files")
                return list(found.values()), problems
            found.setdefault(_real(one.path), one)
    return list(found.values()), problems


def read(one: Found) -> FileRead:
    """Read one file. Never raises: what is wrong with it is among its problems."""
    by_name = KNOWN_NAMES.get(one.path.name, Format.SERVICES)
    try:
        data = _bytes(one.path)
    except OSError as error:
        return _unreadable(one, by_name, f"cannot be read: {error.strerror or error}")
    if len(data) > MAX_BYTES:
        return _unreadable(one, by_name, f"larger than {MAX_BYTES} bytes; split it")
    if by_name is Format.CODEOWNERS:
        notes = Notes(by_name, one.source, str(one.path))
        rules = codeowners.read(data, notes, gitlab=one.path.parent.name == ".gitlab")
        return FileRead(one.path, by_name, notes.reading(), rules, len(data))
    return _documents(one, by_name, data)


def codeowned(files: Sequence[FileRead]) -> Iterator[Reading]:
    """What the CODEOWNERS among some files say of the services that the others describe."""
    for owning in files:
        if owning.rules is None:
            continue
        root = Path(codeowners.root(PurePosixPath(owning.path)))
        placed = [
            (fact.id, other.path.relative_to(root).as_posix())
            for other in files
            # A services.yaml is about everybody's services: its own path says nothing of theirs.
            if other.format not in (Format.SERVICES, Format.CODEOWNERS) and other.path.is_relative_to(root)
            for fact in other.reading.facts
        ]
        yield Reading(tuple(codeowners.facts(owning.rules, placed)))


def _documents(one: Found, by_name: Format, data: bytes) -> FileRead:
    documents: list[Document] = []
    broken = ""
    line = 0
    try:
        for document in plain_yaml.documents(data):
            documents.append(document)  # one by one: those before a fault are kept
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 0
        broken = f"not YAML: {names.printable(' '.join(str(error).split()))[:300]}"
    if broken and not documents:
        return _unreadable(one, by_name, broken, line)
    said = next(
        (format for ours, format in _RECOGNISED if any(ours(document.value) for document in documents)), by_name
    )
    notes = Notes(said, one.source, str(one.path))
    if broken:
        notes.problem(line, f"{broken}; the {len(documents)} documents before that are used")
    _READERS[said](documents, notes)
    return FileRead(
        one.path, said, notes.reading(whole=not broken and bool(notes.facts or not notes.problems)), None, len(data)
    )


def _unreadable(one: Found, format: Format, why: str, line: int = 0) -> FileRead:
    notes = Notes(format, one.source, str(one.path))
    notes.problem(line, why)
    return FileRead(one.path, format, notes.reading(whole=False))


def _bytes(path: Path) -> bytes:
    # A pipe or a device may never end, or never begin.
    if not S_ISREG(path.stat().st_mode):
        raise OSError(0, "not a regular file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _below(folder: Path, problems: list[str]) -> Iterator[Found]:
    """Catalogue files below a folder, the nearer first. Links are followed where they stay inside: so are ConfigMaps mounted."""
    inside, looked_at = _real(folder), 0

    def unreadable(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be looked into: {error.strerror}")

    for place, folders, files in os.walk(folder, onerror=unreadable):
        for name in sorted(folders):
            if _is_link(Path(place) / name) and not _real(Path(place) / name).is_relative_to(inside):
                problems.append(
                    f"{place}/{name}: a link that leads out of {folder}; name its target in the setting to read it"
                )
        folders[:] = sorted(set(folders) - _NEVER_ENTERED)
        looked_at += len(files) + len(folders)
        if looked_at > MAX_LOOKED_AT:
            problems.append(f"{folder}: holds more than {MAX_LOOKED_AT} files; name the directories that matter")
            return
        for name in sorted(set(files) & KNOWN_NAMES.keys()):
            path = Path(place) / name
            if _real(path).is_relative_to(inside):
                yield Found(path, path.relative_to(folder).as_posix())
            else:
                problems.append(f"{path}: a link that leads out of {folder}; name its target in the setting to read it")


# `Path` has these, too, but raises where it may not look.
def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _is_link(path: Path) -> bool:
    return os.path.islink(path)  # noqa: PTH114


def _real(path: Path) -> Path:
    """The path without links. (`Path.resolve` raises RuntimeError on a circle of links; this leaves it as it is.)"""
    return Path(os.path.realpath(path))
