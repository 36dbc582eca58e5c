"""Commands that run something: the bot, the demo, a feed of files, an evaluation, the database's upgrade."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bot import __version__, app, config, demo, evaluate, logs
from bot.cli.terminal import AsJson, Token, Url, cli, out, say
from bot.enrich.causes.metric_kinds import MetricTable
from bot.errors import ConfigError
from bot.feed import Feeder
from bot.grading.cases import BadCase
from bot.storage.database import Database

database_commands = typer.Typer(no_args_is_help=True, help="Look after the database.")
cli.add_typer(database_commands, name="db")


@cli.command()
def serve(as_json: AsJson = False) -> None:
    """Run the bot until it is told to stop (SIGTERM or Ctrl-C). With --json, say what it listens on as JSON."""
    settings = config.load()
    logs.configure(settings.log_format, settings.log_level)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with app.running(settings, lambda text: out.print(escape(text))) as bot:
            say({"url": bot.url, "version": __version__}, as_json, f"topology-bot {__version__} listens on {bot.url}")
            await stop.wait()

    asyncio.run(run())


@cli.command(name="demo")
def run_demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the message was posted: exit 0 if it was, 1 if not.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Play a small shop through the real doors, break one dependency, and show the message an alert becomes."""

    def echo(text: str) -> None:
        if not as_json:
            out.print(escape(text))

    posted = asyncio.run(demo.run(once=once, echo=echo))
    if as_json:
        print(json.dumps(posted))
    raise typer.Exit(0 if posted["posted"] else 1)


@cli.command()
def ingest(
    files: Annotated[list[str], typer.Argument(help="Files to send, gzip allowed; `-` is standard input.")],
    record_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="`identities`, or a format of flow records: `flows`, `hubble`, `vpc`, `goflow2`, `gcp`, `azure`.",
        ),
    ] = "flows",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Send flow or identity records from files to the running bot. Exit 1 where some were refused."""
    feeder = Feeder(url or f"http://{config.load().listen}", token)
    refused = 0
    for file in files:
        fed = feeder.feed(file, record_format)
        refused += fed.rejected
        ignored = "".join(f", {count} ignored ({reason})" for reason, count in sorted(fed.ignored.items()))
        lines = [f"{file}: {fed.accepted} accepted, {fed.rejected} refused{ignored}"]
        lines += [f"  line {error['line']}: {error['why']}" for error in fed.errors[:10]]
        say({"file": file} | dataclasses.asdict(fed), as_json, "\n".join(lines))
    raise typer.Exit(1 if refused else 0)


@cli.command(name="evaluate")
def run_evaluation(
    files: Annotated[list[Path], typer.Argument(help="Labelled cases: JSON lines, gzip allowed.")],
    predictions: Annotated[Path | None, typer.Option(help="Write every case's ranking to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Rank labelled root-cause cases; print how often the ranking is right, beside plain methods."""
    try:
        found = evaluate.evaluate(files, predictions, MetricTable(config.load().metric_kinds))
    except BadCase as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from None
    if as_json:
        print(json.dumps(found.stored()))
    elif found.grades:
        ours, plain = evaluate.tables(found)
        out.print(ours)
        out.print()
        out.print(plain)
    else:
        out.print(f"{found.ranked} cases ranked, none of them labelled")


@database_commands.command()
def upgrade(as_json: AsJson = False) -> None:
    """Bring the database's tables to this version. `serve` does it by itself."""

    async def run() -> str:
        database = Database(config.load().database_url.get_secret_value())
        try:
            return await database.upgrade()
        finally:
            await database.close()

    version = asyncio.run(run())
    say({"version": version}, as_json, f"the database is at version {version}")
