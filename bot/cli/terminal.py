"""What every command shares: options, how an answer is asked for, and how it is printed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from bot import config, offline
from bot.client import Client
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
    if url:
        return Client(url, token).get(path, given)

    async def from_database() -> T:
        async with offline.reading(config.load(), ask_hosts=ask_hosts) as parts:
            return await read(parts)

    return asyncio.run(from_database())


def say(answer: Answer, as_json: bool, text: str) -> None:
    """Print an answer for a program or for a person."""
    if as_json:
        print(json.dumps(answer))
    else:
        out.print(escape(text))
