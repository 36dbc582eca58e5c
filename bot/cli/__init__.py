"""The terminal's door. Exit 0: fine; 1: the answer is "no" or unhealthy; 2: wrong use or wrong settings."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from bot import __version__
from bot.cli import asking, digests, doctor, mcp, pagerduty, running
from bot.cli.terminal import cli, err
from bot.errors import BotError, ConfigError

__all__ = ["asking", "cli", "digests", "doctor", "main", "mcp", "pagerduty", "running"]


@cli.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """A live map of which service calls which, read against every alert."""
    if version:
        print(__version__)
        raise typer.Exit


def main() -> NoReturn:
    """The `topology-bot` command."""
    try:
        cli()
    except ConfigError as error:
        err.print(f"[bold red]✗[/] {escape(str(error))}")
        sys.exit(2)
    except BotError as error:
        err.print(f"[bold red]✗[/] {escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
