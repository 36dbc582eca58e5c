"""The command that says what a daily digest would tell."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.lines import digest_lines
from bot.cli.terminal import AsJson, Token, Url, ask_question, cli, say
from bot.digest.wish import FILTERS
from bot.errors import ConfigError


@cli.command()
def digest(
    filters: Annotated[
        list[str] | None,
        typer.Argument(help="Only of some services: team=T, domain=D, tier=1, service=S; all must fit."),
    ] = None,
    team: Annotated[str, typer.Option(help="The same as team=T.")] = "",
    since: Annotated[str, typer.Option("--from", help="ISO 8601, `-1d`, or `02:50` (UTC).")] = "-1d",
    until: Annotated[str, typer.Option("--to", help="The same; now unless it is given.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Which dependencies became new, gone or changed, as the daily digest tells it. Exit 1 where none did."""
    said = {"team": team, "from": since, "to": until, "limit": "1000"} | dict(map(_filter, filters or ()))
    given = {name: text for name, text in said.items() if text}
    answer = ask_question(url, token, "digest", given)
    say(answer, as_json, "\n".join(digest_lines(answer)))
    raise typer.Exit(0 if answer["total"] else 1)


def _filter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if name not in FILTERS or not value:
        raise ConfigError(f"{text[:80]!r} is no filter; want {', '.join(f'{one}=…' for one in FILTERS)}")
    return name, value
