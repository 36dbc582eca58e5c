"""All sources of the catalogue, read again and again: files, and what answers over HTTP.

Comes in: paths and remotes. Goes out: a `Catalog` each time. What is lost: nothing that was known; a source that cannot be
read now keeps what it said last, which is a problem that says so, and how old it is. Blocks: to be run in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from bot import metrics
from bot.catalog import files
from bot.catalog.entries import Catalog
from bot.catalog.facts import Reading
from bot.catalog.fetch import SourceError
from bot.catalog.files import FileRead
from bot.catalog.merge import merge
from bot.moments import age


class Remote(Protocol):
    """A source over HTTP. `source` is its host, which is what people are told."""

    @property
    def source(self) -> str:
        """Its host."""

    def read(self) -> Reading:
        """All it says now. Raises SourceError."""

    def close(self) -> None:
        """Give up what is under way, soon."""


class Sources:
    """Reads everything the settings name. One thread at a time does so; `state` may be asked from any."""

    def __init__(self, paths: Sequence[Path], remotes: Iterable[Remote] = ()) -> None:
        self._paths = tuple(paths)
        self._remotes = tuple(remotes)
        self._files: dict[Path, tuple[FileRead, float]] = {}
        # By the remote's place among them: two may have one host.
        self._said: dict[int, tuple[Reading, float]] = {}
        self._failing: dict[int, str] = {}
        self._read_at: float | None = None
        self._busy = threading.Lock()

    @property
    def configured(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._paths or self._remotes)

    def read(self, now: float, *, remote: bool = True, more: Iterable[Callable[[], Reading]] = ()) -> Catalog:
        """What all of them say, and what `more` gives, which others keep up to date. Without `remote`, hosts are not asked:
        what they said last is used."""
        with self._busy:
            return self._read(now, remote, [one() for one in more])

    def close(self) -> None:
        """Give up what is under way, soon."""
        for one in self._remotes:
            one.close()

    def state(self) -> dict[str, Any]:
        """For `doctor`: when it was read, how many files there are, and how each host fares."""
        hosts: dict[str, str] = {}
        for place, one in enumerate(self._remotes):
            if place in self._failing or place in self._said:
                hosts[one.source] = self._failing.get(place) or hosts.get(one.source, "fine")
        return {"files": len(self._files), "last_read": self._read_at} | hosts

    def _read(self, now: float, remote: bool, more: Sequence[Reading]) -> Catalog:
        readings, problems = self._read_files(now)
        if remote:
            for place, one in enumerate(self._remotes):
                self._ask(place, one, now)
        readings += [reading for reading, _ in self._said.values()]
        problems += [self._apology(place, why, now) for place, why in sorted(self._failing.items())]
        self._read_at = now
        catalog = merge([Reading(problems=tuple(problems)), *readings, *more], self._times(now, more))
        metrics.CATALOG_SERVICES.set(len(catalog.entries))
        metrics.CATALOG_PROBLEMS.set(len(catalog.problems))
        return catalog

    def _read_files(self, now: float) -> tuple[list[Reading], list[str]]:
        found, problems = files.find(self._paths)
        known, self._files, total = self._files, {}, 0
        for one in found:
            fresh = files.read(one)
            total += fresh.size
            if total > files.MAX_TOTAL_BYTES:
                problems.append(
                    f"{one.path}: not read, nor what comes after it: more than {files.MAX_TOTAL_BYTES} bytes in all"
                )
                break
            if not fresh.reading.whole:
                metrics.CATALOG_FAILURES.labels("files").inc()
            before = known.get(one.path)
            if fresh.reading.whole or before is None:
                self._files[one.path] = fresh, now
            else:
                last, at = before
                note = f"{one.path}: what it said {age(now - at)} ago is used"
                broken = Reading(problems=(*fresh.reading.problems, note))
                problems += broken.problems
                # `whole` all the same: what is kept is a reading that was.
                self._files[one.path] = replace(last, reading=replace(last.reading, problems=())), at
        read = [one for one, _ in self._files.values()]
        return [*(one.reading for one in read), *files.codeowned(read)], problems

    def _ask(self, place: int, one: Remote, now: float) -> None:
        try:
            self._said[place] = one.read(), now
        except SourceError as error:
            metrics.CATALOG_FAILURES.labels(one.source).inc()
            self._failing[place] = str(error)
        else:
            self._failing.pop(place, None)

    def _apology(self, place: int, why: str, now: float) -> str:
        said = self._said.get(place)
        kept = f"; what it said {age(now - said[1])} ago is used" if said else ""
        return f"{self._remotes[place].source}: {why}{kept}"

    def _times(self, now: float, more: Sequence[Reading]) -> dict[str, float]:
        times = {fact.source: now for reading in more for fact in reading.facts}
        for place, (_, at) in self._said.items():
            host = self._remotes[place].source
            times[host] = min(at, times.get(host, at))
        for one, at in self._files.values():
            said = {fact.source for fact in one.reading.facts} | ({one.rules.source} if one.rules else set())
            # Two directories may have files of one name: the older reading is the honest one.
            times |= {source: min(at, times.get(source, at)) for source in said}
        return times
