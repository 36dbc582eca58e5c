"""Commands about the bot itself: what to mend, how right it was, and who says so."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from bot.cli.lines import accuracy_lines
from bot.cli.terminal import Answer, AsJson, Token, Url, ask, cli, out, say
from bot.client import Client
from bot.errors import ConfigError
from bot.storage.grade_store import GradeStore
from bot.web.grades import DEFAULT_WEEKS, accuracy_since
from bot.web.parameters import MAX_WEEKS
from bot.web.status import Parts, examine


@cli.command()
def doctor(
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="How right blast radius and likely causes were instead.")
    ] = False,
    weeks: Annotated[
        int, typer.Option(help="With --accuracy: how many weeks back.", min=1, max=MAX_WEEKS)
    ] = DEFAULT_WEEKS,
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Per source the last event, count and lag; whether Slack and the database are reachable; what to mend."""
    if accuracy:
        _say_accuracy(weeks, url, token, as_json)
        return

    async def read(parts: Parts) -> Answer:
        return await examine(parts, time.time())

    found = ask(url, token, "/api/v1/doctor", read, ask_hosts=True)
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
    for name, one in found["changes"].items():
        lag = "" if one["lag_seconds"] is None else f"{one['lag_seconds']:.0f} s"
        table.add_row(f"changes {name}", one["last_event"] or "never", lag, str(one["count"]), "")
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


def _say_accuracy(weeks: int, url: str, token: str, as_json: bool) -> None:
    async def read(parts: Parts) -> Answer:
        return await accuracy_since(GradeStore(parts.database), weeks, time.time())

    answer = ask(url, token, "/api/v1/accuracy", read, {"weeks": str(weeks)})
    say(answer, as_json, "\n".join(accuracy_lines(answer)))


@cli.command()
def confirm(
    incident: Annotated[int, typer.Argument(help="The incident's number; it has to be over.", min=1)],
    service: Annotated[str, typer.Argument(help="Who was at fault; `none`: none of those named.")],
    by: Annotated[str, typer.Option(help="Who says so.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Say who was at fault in an incident that is over: the bot's causes are graded by it. Asks a running bot."""
    if not url:
        raise ConfigError("say --url (or TOPOLOGY_BOT_URL): only a running bot can note it")
    body = json.dumps({"service": "" if service == "none" else service, "by": by}).encode()
    answer = Client(url, token).post(f"/api/v1/incidents/{incident}/cause", body)
    say(answer, as_json, f"incident {answer['incident']}: {answer['cause']} was at fault")
