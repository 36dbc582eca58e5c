"""Answers what is typed after `/topology`, whichever way it came: command, click, mention or direct message.

Comes in: the text, `now`, the asker's time zone. Goes out: a `Reply`. Nothing is kept. What is asked of the past, of the store
or of the bot's health goes through `Stored`; a view of the past is read in a thread, the live map only on the event loop.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any

from bot import moments
from bot.alias_book import AliasBook
from bot.courtesy_book import CourtesyBook
from bot.enrich import answers
from bot.enrich.about import known_as
from bot.enrich.answers import Query
from bot.enrich.view import MapView
from bot.errors import BadRequest, NotFound
from bot.grading.accuracy import NONE_OF_THEM
from bot.model import Message
from bot.slack import answers as service_views
from bot.slack import command_views as views
from bot.slack import enclosed_views, stored_views
from bot.slack.asker import NOBODY, Asker
from bot.slack.commands import AROUND, BY_WORD, HELP, SERVICE, Asked, moment_text, parse, written
from bot.slack.digest_talk import DigestTalk
from bot.slack.kept import Stored, Taker
from bot.slack.mrkdwn import date, escape, truncate
from bot.slack.views import run_button

MAX_HOPS = 6
SLOWEST = 25.0
"""Seconds after which an answer from the past is given up."""

_AROUND = Query(limit=400)
_BLAST = Query(limit=300)
_DAY = "-1d"
_OFFSET = re.compile(r"(?:[zZ]|:\d\d[+-]\d\d(?::?\d\d)?)$")
_UNSHARED = frozenset((HELP, "ack", "confirm", "reject", "alias", "unalias", "unlike", "digest", "mute", "unmute"))
"""A button that shares asks again, and these are not for asking twice."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and what kind of question it was (for the count of questions)."""

    message: Message
    what: str
    question: str = ""
    """The question as it was understood, to be asked again by a button; "" where nothing was answered."""


@dataclass(slots=True)
class _Case:
    """One question while it is worked: the map it is read from, the moment, and what to tell above the answer."""

    asked: Asked
    view: MapView
    now: float
    asker: Asker
    live: bool = True
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    deeper: str = ""
    map: str = ""


class _Unclear(NotFound):
    """A name that nobody has, or several have: which of the question's names it was."""

    def __init__(self, number: int, error: NotFound) -> None:
        super().__init__(str(error), error.suggestions)
        self.number = number


class Desk:
    """One per program."""

    def __init__(
        self,
        view: MapView,
        stored: Stored,
        book: AliasBook,
        digests: DigestTalk,
        taker: Taker,
        courtesies: CourtesyBook,
    ) -> None:
        self._courtesies = courtesies
        self.digests = digests
        self._taker = taker
        self._view = view
        self._stored = stored
        self._book = book
        self._makers: dict[str, Callable[[_Case], Awaitable[Message]]] = {
            SERVICE: self._service, AROUND: self._around, "map": self._map, "path": self._path, "blast": self._blast,
            "causes": self._causes, "diff": self._diff, "owner": self._owner, "why": self._why, "health": self._health,
            "alias": self._alias, "ack": self._ack, "confirm": self._confirm, "reject": self._reject, "mute": self._mute,
            "unalias": self._unalias, "unlike": self._unlike, "digest": self._digest, "unmute": self._unmute, HELP: self._help,
        }  # fmt: skip

    def timed(self, text: str) -> bool:
        """Whether a text has a time in it that means something else in every zone."""
        try:
            asked = parse(text)
            return asked.command.word == "digest" or any(_zoned(typed) for typed in _times(asked))
        except BadRequest:
            return False

    def slow(self, text: str) -> bool:
        """Whether the answer to a text may take longer than Slack waits."""
        try:
            return parse(text).slow
        except BadRequest:
            return False

    async def answer(
        self, text: str, now: float, asker: Asker = NOBODY, *, deeper: bool = True, share: bool = True
    ) -> Reply:
        """What `/topology TEXT` says, with buttons that widen the answer and share it. Never raises for what a person may type."""
        try:
            asked = parse(text)
        except BadRequest as error:
            return Reply(views.refused(str(error)), "not understood")
        case = _Case(asked, self._view, now, asker)
        try:
            async with asyncio.timeout(SLOWEST):
                await self._open(case)
                message = await self._makers[asked.command.word](case)
        except _Unclear as error:
            unclear = views.unclear(case.asked, error.number, error.suggestions, str(error))
            return Reply(views.dressed(unclear, case.notes), "unknown service")
        except (BadRequest, NotFound) as error:
            return Reply(views.dressed(views.refused(str(error)), case.notes), "refused")
        except TimeoutError:
            return Reply(views.refused(f"That took longer than {SLOWEST:.0f} s. Please try again."), "too slow")
        shared = asked.command.word not in _UNSHARED
        question = written(asked.command, case.names or asked.names, case.asked.at) if shared else ""
        below = [
            *(run_button("Deeper", case.deeper) if case.deeper and deeper else ()),
            *(run_button("Map", case.map, 1) if case.map and deeper else ()),
            *(views.share_button(question) if question and share else ()),
        ]
        return Reply(views.dressed(message, case.notes, below), asked.command.word, question)

    # -- what a question is about ----------------------------------------------------------------------------------------

    async def _open(self, case: _Case) -> None:
        """Where a moment is named, read the map of it. Buttons name it in full: `02:50` and `1h ago` mean something else to whoever
        clicks, and when."""
        if not case.asked.at:
            return
        case.now, case.live = _moment(case.asked.at, case.now, case.asker.zone), False
        case.notes.append(f"as of {date(case.now)}{_read_in(case.asked.at, case.asker.zone)}")
        case.asked = replace(case.asked, at=moments.iso(case.now))
        if case.asked.command.word not in ("causes", "map"):  # which find the map of their moment by themselves
            case.view = await self._stored.at(case.now)

    def _named(self, case: _Case, number: int, find: Callable[[MapView, str], str] | None = None) -> str:
        """The id of the service that the question's name `number` means. Raises _Unclear."""
        text = case.asked.names[number]
        names = case.view.graph.names
        try:
            found = find(case.view, text) if find is not None else names.resolve(text)
        except NotFound as error:
            meant = names.misspelt(text)
            if meant is None:
                raise _Unclear(number, error) from None
            found = meant
            case.notes.append(f"showing *{escape(meant)}* (you wrote {escape(truncate(text, 80))})")
        case.names.append(found)
        return found

    async def _read(self, case: _Case, make: Callable[[], Json]) -> Json:
        """The live map belongs to the event loop; one of the past to nobody, and reading it takes long."""
        return make() if case.live else await asyncio.to_thread(make)

    # -- the questions ---------------------------------------------------------------------------------------------------

    async def _help(self, case: _Case) -> Message:
        word = case.asked.names[0].lower() if case.asked.names else ""
        return views.usage(BY_WORD.get(word))

    async def _service(self, case: _Case) -> Message:
        found = self._named(case, 0)
        answer = await self._read(case, lambda: answers.service(case.view, found, case.now, Query()))
        case.deeper = written(BY_WORD[AROUND], [found, "2"], case.asked.at)
        case.map = written(BY_WORD["map"], [found], case.asked.at)
        return service_views.service(answer)

    async def _around(self, case: _Case) -> Message:
        found = self._named(case, 0)
        hops = _hops(case.asked.names[1]) if len(case.asked.names) > 1 else 1
        case.names.append(str(hops))
        query = Query(depth=hops, limit=_AROUND.limit)

        def both() -> Json:
            return {
                "dependents": answers.dependents(case.view, found, case.now, query),
                "dependencies": answers.dependencies_of(case.view, found, case.now, query),
            }

        made = await self._read(case, both)
        if hops < MAX_HOPS:
            case.deeper = written(BY_WORD[AROUND], [found, str(hops + 1)], case.asked.at)
        return views.around(found, hops, made["dependents"], made["dependencies"])

    async def _map(self, case: _Case) -> Message:
        found = self._named(case, 0)
        return enclosed_views.picture(await self._stored.focus(found, None if case.live else case.now))

    async def _path(self, case: _Case) -> Message:
        caller, callee = self._named(case, 0), self._named(case, 1)
        return views.path(await self._read(case, lambda: answers.path(case.view, caller, callee, case.now, Query())))

    async def _blast(self, case: _Case) -> Message:
        found = list(dict.fromkeys(self._named(case, number) for number in range(len(case.asked.names))))
        case.names = found
        made = await self._read(case, lambda: answers.dependents(case.view, found[0], case.now, _BLAST, found[1:]))
        return views.blast(made)

    async def _owner(self, case: _Case) -> Message:
        found = self._named(case, 0, known_as)
        return views.owner(await self._read(case, lambda: answers.owner(case.view, found, case.now)))

    async def _causes(self, case: _Case) -> Message:
        found = self._named(case, 0)
        return stored_views.causes(await self._stored.causes(found, None if case.live else case.now))

    async def _diff(self, case: _Case) -> Message:
        found = self._named(case, 0)
        given = next(iter(_times(case.asked)), _DAY)
        since = _moment(given, case.now, case.asker.zone)
        case.notes += [f"since {date(since)}{how}" for how in (_read_in(given, case.asker.zone),) if how]
        case.names.append(moments.iso(since))
        return stored_views.diff(found, since, await self._stored.diff(found, since))

    async def _why(self, case: _Case) -> Message:
        wanted = case.asked.names[0]
        names = case.view.graph.names
        return stored_views.why(await self._stored.incident(names.find(wanted) or wanted))

    async def _confirm(self, case: _Case) -> Message:
        incident, service = case.asked.names
        said = await self._stored.confirm(incident, service, str(case.asker))
        return views.told(
            f"Noted: it was {said}. Likely causes are graded by it."
            if said != NONE_OF_THEM
            else "Noted: it was none of them."
        )

    async def _reject(self, case: _Case) -> Message:
        incident, service = case.asked.names
        said = await self._stored.reject(incident, service, str(case.asker))
        return views.told(f"Noted: it is not {said}. The incident is thought about again.")

    async def _ack(self, case: _Case) -> Message:
        found = await self._stored.incident(case.asked.names[0])
        return await self._taker.take(found["id"], case.asker.id)

    async def _alias(self, case: _Case) -> Message:
        if not case.asked.names:
            return views.aliases(self._book.listed())
        alias = case.asked.names[0]
        try:
            service = case.view.graph.names.resolve(case.asked.names[1])
        except NotFound as error:  # a slip of the finger is not seen through where it would be written down
            raise _Unclear(1, error) from None
        said = await self._book.same(alias, service, str(case.asker), case.now)
        return views.told(said, "Undo", written(BY_WORD["unalias"], [alias]))

    async def _unlike(self, case: _Case) -> Message:
        alias, service = case.asked.names
        said = await self._book.apart(alias, service, str(case.asker), case.now)
        return views.told(said, "Undo", written(BY_WORD["unalias"], [alias]))

    async def _unalias(self, case: _Case) -> Message:
        return views.told(await self._book.forget(case.asked.names[0], str(case.asker), case.now))

    async def _digest(self, case: _Case) -> Message:
        return await self.digests.answer("".join(case.asked.names), case.asker, case.now)

    async def _mute(self, case: _Case) -> Message:
        if case.asked.names:
            if case.asked.names[0].lower() != "list":
                raise BadRequest(f"Say it like this: /topology {case.asked.command.usage}")
            return views.mutes(self._courtesies.listed())
        asker = case.asker
        said = await self._courtesies.mute(asker.channel, asker.channel_name, str(asker), case.now)
        return views.told(said, "Undo", written(BY_WORD["unmute"], []))

    async def _unmute(self, case: _Case) -> Message:
        said = await self._courtesies.unmute(case.asker.channel, str(case.asker), case.now)
        return views.told(said, "Undo", written(BY_WORD["mute"], []))

    async def _health(self, case: _Case) -> Message:
        return stored_views.health(await self._stored.health())


def _times(asked: Asked) -> tuple[str, ...]:
    """The times in a question, as `bot.moments.parse` reads them."""
    since = asked.names[1:] if asked.command.word == "diff" else ()
    return tuple(moment_text(one) for one in (asked.at, *since) if one)


def _zoned(text: str) -> bool:
    return not text.startswith("-") and _OFFSET.search(text) is None


def _read_in(text: str, zone: tzinfo) -> str:
    return f" ({escape(text)} read in {zone})" if _zoned(text) else ""


def _moment(text: str, now: float, zone: tzinfo) -> float:
    moment = moments.parse(text, now, zone)
    if moment > now:
        raise BadRequest(f"{text!r} lies in the future; the map only knows what was.")
    return moment


def _hops(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= MAX_HOPS):
        raise BadRequest(f"{text[:20]!r} is no number of hops: want 1 to {MAX_HOPS}.")
    return int(text)
