"""What every command shares: options, how an answer is asked for, and how it is printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape

from bot import config, offline
from bot.client import Client
from bot.history import History
from bot.storage.history_store import HistoryStore
from bot.storage.incident_reader import IncidentReader
from bot.web import openapi
from bot.web.questions import Questions
from bot.web.status import Parts

Answer = dict[str, Any]
T = TypeVar("T")

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A live map of which service calls which, read against every alert.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Url = Annotated[
    str,
    typer.Option(envvar="TOPOLOGY_BOT_URL", help="Ask the running bot at this URL; without it the database is read."),
]
Token = Annotated[str, typer.Option(envvar="TOPOLOGY_BOT_TOKEN", help="Bearer token for the running bot.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def ask(
    url: str,
    token: str,
    path: str,
    read: Callable[[Parts], Awaitable[T]],
    given: Mapping[str, str] | None = None,
    *,
    ask_hosts: bool = False,
) -> Any:
    """An answer from the running bot at `url`, or else from the database, opened read-only; `ask_hosts` as there."""
    return Client(url, token).get(path, given) if url else ask_database(read, ask_hosts=ask_hosts)


def ask_database(read: Callable[[Parts], Awaitable[T]], *, ask_hosts: bool = False) -> T:
    """An answer from the database, opened read-only; `ask_hosts` as there."""

    async def from_database() -> T:
        async with offline.reading(config.load(), ask_hosts=ask_hosts) as parts:
            return await read(parts)

    return asyncio.run(from_database())


def ask_question(
    url: str, token: str, name: str, given: Mapping[str, str], about: str = "", *, ask_hosts: bool = False
) -> Answer:
    """The answer to one of the API's questions (`bot.web.questions`), wherever it comes from; `ask_hosts` as in `ask`."""

    async def read(parts: Parts) -> Answer:
        return await questions_of(parts).answer(name, given, about)

    return dict(ask(url, token, api_path(name, about), read, given, ask_hosts=ask_hosts))


def api_path(name: str, about: str = "") -> str:
    """Where the API answers a question."""
    return openapi.path_of(name).format(id=quote(about, safe=""))


def questions_of(parts: Parts) -> Questions:
    """Who answers from what the database has."""
    return Questions(parts.view, history_of(parts), IncidentReader(parts.database), parts.changes)


def history_of(parts: Parts) -> History:
    """The past, from what the database has of it."""
    fired = IncidentReader(parts.database).fired
    return History(parts.view, HistoryStore(parts.database), changes=parts.changes, fired=fired)


def say(answer: Answer, as_json: bool, text: str) -> None:
    """Print an answer for a program or for a person."""
    if as_json:
        print(json.dumps(answer))
    else:
        out.print(escape(text))
