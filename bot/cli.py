"""The terminal's door. Exit 0: fine; 1: the answer is "no" or unhealthy; 2: wrong use or wrong settings."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot import __version__, app, config, demo, logs
from bot.client import Client
from bot.enrich import answers
from bot.enrich.answers import Query
from bot.enrich.overlay import overlay
from bot.errors import BotError, ConfigError, NotFound
from bot.feed import Feeder
from bot.history import History
from bot.slack import answers as views
from bot.slack.console import plain
from bot.storage.database import Database
from bot.storage.history_store import HistoryStore
from bot.telemetry import trace_file
from bot.web import parameters
from bot.web.api import changes
from bot.web.status import Parts, examine

Answer = dict[str, Any]
T = TypeVar("T")

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A live map of which service calls which, read against every alert.",
)
database_commands = typer.Typer(no_args_is_help=True, help="Look after the database.")
cli.add_typer(database_commands, name="db")

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Url = Annotated[
    str,
    typer.Option(envvar="TOPOLOGY_BOT_URL", help="Ask the running bot at this URL; without it the database is read."),
]
Token = Annotated[str, typer.Option(envvar="TOPOLOGY_BOT_TOKEN", help="Bearer token for the running bot.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


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
def show(
    service: Annotated[str, typer.Argument(help="A service by its name or id.")] = "",
    trace: Annotated[
        str, typer.Option(help="Lay the trace in this file (OTLP, Zipkin or Jaeger JSON) over the map instead.")
    ] = "",
    at: Annotated[str, typer.Option(help="As it was then: ISO 8601, `-1h`, or `02:50` (UTC).")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """One service: who calls it, whom it calls, who owns it, how it does. Or one trace, call by call."""
    if bool(service) == bool(trace):
        raise ConfigError("say a service, or --trace FILE")
    if trace:
        answer = _overlaid(trace, url, token)
        say(answer, as_json, "\n".join(_overlay_lines(answer)))
        return

    async def read(parts: Parts) -> Answer:
        now = time.time()
        moment = parameters.moment({"at": at}, "at", now)
        view = parts.view if moment is None else await _history(parts).at(moment)
        return answers.service(view, view.graph.names.resolve(service), moment or now, Query())

    try:
        answer = ask(url, token, f"/api/v1/services/{quote(service, safe='')}", read, {"at": at} if at else None)
    except NotFound as error:
        say({"error": str(error), "suggestions": list(error.suggestions)}, as_json, str(error))
        raise typer.Exit(1) from None
    say(answer, as_json, plain(views.service(answer).text))


def _history(parts: Parts) -> History:
    return History(parts.view, HistoryStore(parts.database))


@cli.command()
def diff(
    service: Annotated[str, typer.Argument(help="Only changes of this service's edges.")] = "",
    since: Annotated[str, typer.Option("--from", help="ISO 8601, `-1d`, or `02:50` (UTC).")] = "-1d",
    until: Annotated[str, typer.Option("--to", help="The same; now unless it is given.")] = "",
    layers: Annotated[str, typer.Option(help="Only what these layers saw: network, ipc, trace.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """What is new, gone or changed on the map between two moments. Exit 1 where nothing is."""
    given = {"from": since, "to": until, "service": service, "layers": layers, "limit": "1000"}
    given = {name: text for name, text in given.items() if text}

    async def read(parts: Parts) -> Answer:
        return await changes(parts.view, _history(parts), given, parameters.query(given))

    answer = ask(url, token, "/api/v1/diff", read, given)
    lines = [f"{answer['total']} changes from {answer['from']} to {answer['to']}"]
    for item in answer["items"]:
        what = f" ({', '.join(item['what'])})" if item["what"] else ""
        layer = f" [{item['layer']}]" if item["layer"] else ""
        lines.append(f"  {item['kind']:8}{item['caller']} → {item['callee']}{what}{layer}")
    say(answer, as_json, "\n".join(lines))
    raise typer.Exit(0 if answer["total"] else 1)


def _overlaid(path: str, url: str, token: str) -> Answer:
    try:
        body = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if url:
        return Client(url, token).post("/api/v1/overlay", body)

    async def offline() -> Answer:
        async with app.reading(config.load()) as parts:
            return overlay(parts.view, trace_file.decode(body, time.time()), time.time())

    return asyncio.run(offline())


def _overlay_lines(answer: Answer) -> list[str]:
    lines = [f"{answer['spans']} spans, {len(answer['items'])} calls, {answer['new']} of them new to the map"]
    for item in answer["items"]:
        took = "" if item["duration_ms"] is None else f" {item['duration_ms']:.0f} ms"
        usual = "" if item["usual_p95_ms"] is None else f" (usually up to {item['usual_p95_ms']:.0f} ms)"
        marks = [
            *(["failed"] if item["errors"] else []), *(["slower than usual"] if item["slower"] else []),
            *(["new to the map"] if item["edge"] is None else []),
        ]  # fmt: skip
        marked = f"  ← {', '.join(marks)}" if marks else ""
        lines.append(f"  {item['caller']} → {item['callee']}{took}{usual}{marked}")
    return lines


@cli.command()
def doctor(url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Per source the last event, count and lag; whether Slack and the database are reachable; what to mend."""

    async def read(parts: Parts) -> Answer:
        return await examine(parts, time.time())

    found = ask(url, token, "/api/v1/doctor", read)
    if as_json:
        print(json.dumps(found))
    else:
        _print_doctor(found)
    raise typer.Exit(0 if found["ok"] else 1)


def _print_doctor(found: Answer) -> None:
    table = Table("source", "last event", "lag", "count", "left out", box=None, pad_edge=False)
    for name, one in found["telemetry"].items():
        table.add_row(
            name,
            one["last_event"],
            f"{one['lag_seconds']:.0f} s",
            str(one["accepted"]),
            str(sum(one["dropped"].values())),
        )
    for name, one in found["layers"].items():
        table.add_row(f"layer {name}", one["last_seen"], f"{one['age_seconds']:.0f} s", "", "")
    for name, one in found["alerts"].items():
        table.add_row(name, one["last_event"], f"{one['lag_seconds']:.0f} s", str(one["count"]), str(one["failed"]))
    out.print(table if table.row_count else "nothing has arrived yet")
    for what, count in found["left_out"].items():
        out.print(escape(f"left out: {count} × {what}"))
    for name, state in found["feeds"].items():
        out.print(escape(f"{name}: " + ", ".join(f"{key} {value}" for key, value in state.items() if value != "")))
    database, slack = found["database"], found["slack"]
    out.print(f"map: {found['map']['services']} services, {found['map']['edges']} edges")
    out.print(f"database: {database['kind']}, version {database['version']}")
    out.print(escape(f"{slack['sink']}: {slack['says']}"))
    out.print(f"outbox: {found['outbox']['waiting']} waiting")
    for problem in found["problems"]:
        out.print(f"[bold red]✗[/] {escape(problem)}")
    if found["ok"]:
        out.print("[bold green]✓[/] nothing to mend")


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


@cli.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """A live map of which service calls which, read against every alert."""
    if version:
        print(__version__)
        raise typer.Exit


def ask(
    url: str,
    token: str,
    path: str,
    read: Callable[[Parts], Awaitable[T]],
    given: Mapping[str, str] | None = None,
) -> Any:
    """An answer from the running bot at `url`, or else from the database, opened read-only."""
    if url:
        return Client(url, token).get(path, given)

    async def offline() -> T:
        async with app.reading(config.load()) as parts:
            return await read(parts)

    return asyncio.run(offline())


def say(answer: Answer, as_json: bool, text: str) -> None:
    """Print an answer for a program or for a person."""
    if as_json:
        print(json.dumps(answer))
    else:
        out.print(escape(text))


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
