"""Commands that answer: one service, one trace, what changed, what to mend."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from bot import config, offline
from bot.cli.lines import change_lines, diff_lines, overlay_lines
from bot.cli.picture import write_picture
from bot.cli.terminal import Answer, AsJson, Token, Url, ask_question, cli, say
from bot.client import Client
from bot.enrich.about import about_lines
from bot.enrich.answers import WORKLOAD
from bot.enrich.overlay import linked, overlay
from bot.enrich.recent_changes import change_line
from bot.enrich.workload_answers import workload_lines
from bot.errors import ConfigError, NotFound
from bot.slack import answers as views
from bot.slack.console import plain
from bot.telemetry import trace_file
from bot.web import parameters


@cli.command()
def show(  # noqa: PLR0913  (each is an option)
    service: Annotated[str, typer.Argument(help="A service by its name or id.")] = "",
    trace: Annotated[
        str, typer.Option(help="Lay the trace in this file (OTLP, Zipkin or Jaeger JSON) over the map instead.")
    ] = "",
    at: Annotated[str, typer.Option(help="As it was then: ISO 8601, `-1h`, or `02:50` (UTC).")] = "",
    level: Annotated[
        str, typer.Option(help="`workload`: by the workloads it runs on, where a source knows them.")
    ] = "",
    picture: Annotated[
        str, typer.Option(help="Write a picture of it and what is around to this file: .svg, .png, .dot or .mmd.")
    ] = "",
    depth: Annotated[str, typer.Option(help="Of the picture: how many hops; 3 unless you say.")] = "",
    layers: Annotated[str, typer.Option(help="Of the picture: only what these layers saw: network, ipc, trace.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """One service: who calls it, whom it calls, who owns it, how it does. Or one trace, call by call."""
    given = {name: text for name, text in {"at": at, "level": level}.items() if text}
    parameters.check(given, ("at", "level"))
    if bool(service) == bool(trace):
        raise ConfigError("say a service, or --trace FILE")
    if (depth or layers) and not picture:
        raise ConfigError("--depth and --layers are of a picture: say --picture FILE")
    if trace:
        answer = _overlaid(trace, url, token)
        say(answer, as_json, "\n".join(overlay_lines(answer)))
        return

    try:
        if picture:
            shaped = {name: text for name, text in {"at": at, "depth": depth, "layers": layers}.items() if text}
            written, line = write_picture(service, picture, shaped, url, token)
            say(written, as_json, line)
            return
        answer = ask_question(url, token, "service", given, service)
    except NotFound as error:
        say({"error": str(error), "suggestions": list(error.suggestions)}, as_json, str(error))
        raise typer.Exit(1) from None
    by_workload = level == WORKLOAD
    say(answer, as_json, "\n".join(workload_lines(answer)) if by_workload else plain(views.service(answer).text))


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
    answer = ask_question(url, token, "diff", given)
    say(answer, as_json, "\n".join(diff_lines(answer)))
    raise typer.Exit(0 if answer["total"] else 1)


@cli.command()
def causes(
    service: Annotated[
        str, typer.Argument(help="The service in trouble; with --alert, its own unless you say one.")
    ] = "",
    at: Annotated[str, typer.Option(help="As it was then: ISO 8601, `-1h`, or `02:50` (UTC).")] = "",
    alert: Annotated[str, typer.Option(help="Of the alert with this number or fingerprint.")] = "",
    about: Annotated[str, typer.Option(help="What it is about, as an alert's title or a metric's name says it.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Where trouble at a service likely comes from, with evidence. Exit 1 where no cause is likely enough to be named."""
    if not service and not alert:
        raise ConfigError("say a service, or --alert ID")
    given = {name: text for name, text in {"at": at, "alert": alert, "about": about}.items() if text}
    if url and not service:
        service = _of_alert(url, token, alert)
    answer = ask_question(url, token, "causes", given, service)
    lines = [f"{answer['id']}: {answer['why_none'] or 'likely cause ' + answer['named']}"]
    for item in answer["items"][:5]:
        lines.append(f"  {100 * item['p']:3.0f}% {item['id']}")
        lines += [f"       {sentence}" for sentence in item["evidence"]]
    for name in ("ruled_out", "unknown"):
        if answer[name]:
            lines.append(f"{name.replace('_', ' ')}: {', '.join(answer[name][:10])}")
    lines += [f"changed: {change_line(item)}" for item in answer["changes"][:10]]
    say(answer, as_json, "\n".join(lines))
    raise typer.Exit(0 if answer["named"] else 1)


@cli.command()
def blast(
    services: Annotated[
        list[str], typer.Argument(help="The service that fails, or several that are taken down together.")
    ],
    at: Annotated[str, typer.Option(help="As it was then: ISO 8601, `-1h`, or `02:50` (UTC).")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Who needs these services: hit now, at risk, and whom to tell. Exit 1 where nobody does."""
    first, others = services[0], services[1:]
    given = {name: text for name, text in {"at": at, "service": ",".join(others)}.items() if text}
    answer = ask_question(url, token, "dependents", given, first)
    together = " and ".join([answer["id"], *answer["with"]])
    lines = [f"{together}: {answer['total']} dependents, {answer['hit']} hit now, {answer['at_risk']} at risk"]
    for item in answer["items"]:
        share = "unknown share" if item["share"] is None else f"{100 * item['share']:.0f}% of its requests"
        owner = f"  {item['owner']['label']}" if item["owner"] else ""
        marks = ", ".join(
            filter(None, [item["state"].replace("_", " "), item["why"], "entry point" * item["entry_point"]])
        )
        lines.append(f"  {item['id']}: {marks}, {item['hops']} hop{'s' * (item['hops'] > 1)}, {share}{owner}")
    if answer["owners"]:
        lines.append("tell: " + ", ".join(f"{one['owner']['label']} ({one['services']})" for one in answer["owners"]))
    say(answer, as_json, "\n".join(lines))
    raise typer.Exit(0 if answer["total"] else 1)


@cli.command()
def path(
    caller: Annotated[str, typer.Argument(help="The service that calls.")],
    callee: Annotated[str, typer.Argument(help="The service that is needed.")],
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """By which calls one service reaches another, the shortest first. Exit 1 where there is no way."""
    answer = ask_question(url, token, "path", {"from": caller, "to": callee})
    found = [" → ".join(item["path"]) for item in answer["items"]]
    say(answer, as_json, "\n".join(found) or f"no calls lead from {answer['from']} to {answer['to']}")
    raise typer.Exit(0 if found else 1)


def _of_alert(url: str, token: str, wanted: str) -> str:
    """The service of an alert, by asking the bot for its incidents."""
    client = Client(url, token)
    for incident in client.get("/api/v1/incidents", {"limit": "100"})["items"]:
        for alert in client.get(f"/api/v1/incidents/{incident['id']}")["alerts"]:
            if wanted in (alert["fingerprint"], str(alert["id"])):
                return str(alert["service"] or alert["named"])
    raise NotFound(f"no alert {wanted[:80]!r} in the last 100 incidents")


def _overlaid(file: str, url: str, token: str) -> Answer:
    try:
        body = Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    if url:
        return Client(url, token).post("/api/v1/overlay", body)

    async def from_database() -> Answer:
        async with offline.reading(config.load()) as parts:
            batch = trace_file.decode(body, time.time())
            return overlay(parts.view, batch, linked(batch), time.time())

    return asyncio.run(from_database())


@cli.command(name="changes")
def list_changes(
    service: Annotated[str, typer.Argument(help="Only changes of this service.")] = "",
    since: Annotated[str, typer.Option(help="ISO 8601, `-1d`, or `02:50` (UTC).")] = "-1d",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """What was deployed, configured, switched or scaled, newest first. Exit 1 where nothing was."""
    given = {"service": service, "from": since, "limit": "1000"}
    answer = ask_question(url, token, "changes", given)
    say(answer, as_json, "\n".join(change_lines(answer)))
    raise typer.Exit(0 if answer["items"] else 1)


@cli.command()
def owner(
    service: Annotated[str, typer.Argument(help="A service by its name or id; it need not be on the map.")],
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Who owns a service and is on call for it, with the source and age of each fact. Exit 1 where no owner is known."""

    try:
        answer = ask_question(url, token, "owner", {}, service, ask_hosts=True)
    except NotFound as error:
        say({"error": str(error), "suggestions": list(error.suggestions)}, as_json, str(error))
        raise typer.Exit(1) from None
    say(answer, as_json, "\n".join(about_lines(answer)))
    raise typer.Exit(0 if answer["owner"] else 1)
