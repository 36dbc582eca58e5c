"""What the bot would push to PagerDuty's service graph, said without doing it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import aiohttp
import typer

from bot import config, offline
from bot.cli.terminal import Answer, AsJson, cli, say
from bot.errors import ConfigError
from bot.moments import iso
from bot.pager import dependencies as pusher
from bot.pagerduty.dependencies import Look
from bot.pushed import Pair

pagerduty_commands = typer.Typer(no_args_is_help=True, help="What the bot does in PagerDuty.")
cli.add_typer(pagerduty_commands, name="pagerduty")


@pagerduty_commands.command()
def dependencies(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Said for clearness: this command never changes anything.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """What a bot with these settings would push to PagerDuty's service graph now. Reads the database and PagerDuty, changes neither."""
    answer = asyncio.run(_ask())
    say(answer, as_json, "\n".join(_lines(answer)))


async def _ask() -> Answer:
    settings = config.load()
    if settings.pagerduty_api_token is None:
        raise ConfigError("PAGERDUTY_API_TOKEN is not set: without it PagerDuty cannot be asked what stands there")
    async with offline.reading(settings, ask_hosts=True) as parts, aiohttp.ClientSession() as session:
        look = await pusher(session, settings, parts.database, parts.view).look()
    return _answer(look, settings.pagerduty_dependencies)


def _answer(look: Look, enabled: bool) -> Answer:
    found, plan = look.found, look.plan
    left = [_edge(look, one.pair) | {"why": one.why} for one in plan.left]
    return {
        "enabled": enabled,
        "services": len(found.services),
        "push": [_edge(look, pair) for pair in plan.push],
        "there": [_edge(look, pair) for pair in plan.there],
        "ours": look.ours,
        "left_out": left,
        "not_fit": {why: count for why, count in sorted(found.left_out.items()) if count},
        "gone": [
            {**asdict(row), "fate": row.fate.value, "silent_days": round(row.silence / 86_400.0, 1)}
            for row in plan.gone
        ],
    }  # fmt: skip


def _edge(look: Look, pair: Pair) -> dict[str, Any]:
    sight = look.found.seen[pair]
    return {
        "dependent": pair[0],
        "supporting": pair[1],
        "caller": sight.caller,
        "callee": sight.callee,
        "confidence": round(sight.confidence, 3),
        "layers": sight.layers.split(","),
        "first_seen": iso(sight.first_seen),
        "last_seen": iso(sight.last_seen),
    }


def _lines(answer: Answer) -> list[str]:
    state = "" if answer["enabled"] else " (TOPOLOGY_BOT_PAGERDUTY_DEPENDENCIES is not set: nothing is pushed)"
    lines = [
        f"{answer['services']} services known in PagerDuty; {len(answer['there'])} dependencies there, "
        f"{answer['ours']} of them the bot's; {len(answer['push'])} to push{state}"
    ]
    lines += [
        f"+ {one['caller']} → {one['callee']} ({one['dependent']} needs {one['supporting']}), "
        f"{100 * one['confidence']:.0f}% sure, seen by {', '.join(one['layers'])} since {one['first_seen']}"
        for one in answer["push"]
    ]
    lines += [f"  {one['caller']} → {one['callee']}: not pushed: {one['why']}" for one in answer["left_out"]]
    lines += [
        f"- {one['caller']} → {one['callee']}: the bot's, and not seen for {one['silent_days']} days"
        for one in answer["gone"]
    ]
    return [*lines, *(f"  {count} × not pushed: {why}" for why, count in answer["not_fit"].items())]
