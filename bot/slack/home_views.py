"""The App Home tab, section by section -> Block Kit. Pure: answers in, blocks out; `bot.slack.home` puts them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bot.catalog.entries import CatalogEntry
from bot.moments import age
from bot.slack.commands import BY_WORD, SERVICE, written
from bot.slack.mrkdwn import date, escape, truncate
from bot.slack.views import Block, context, run_button, section

CHOOSE_TEAM = "home_team"
MAX_TEAMS = 50
"""In the menu: those that own most services."""

INCIDENTS_SHOWN, SERVICES_SHOWN = 8, 12
_LABEL, _VALUE = 75, 150  # Slack's limits of an option
_SIGNS = {"open": "🔴", "acknowledged": "🟠"}

Json = Mapping[str, Any]


def incidents(found: Sequence[Json], more: bool) -> list[Block]:
    """What is open, the newest first; each with a button that tells why the bot did what it did."""
    if not found:
        return [section("*Open incidents*\n🟢 none")]
    blocks = [section("*Open incidents*")]
    for one in found[:INCIDENTS_SHOWN]:
        line = (
            f"{_SIGNS.get(one['state'], '🔴')} *{escape(truncate(one['title'], 150))}* · since {date(one['opened_at'])}"
        )
        place = f" · {escape(one['environment'])}" if one["environment"] else ""
        (why,) = run_button("Why", written(BY_WORD["why"], [str(one["id"])]), one["id"])
        blocks.append({**section(f"{line}{place} · #{one['id']}"), "accessory": why})
    return [*blocks, context("and more, see `/api/v1/incidents`")] if more or len(found) > INCIDENTS_SHOWN else blocks


def teams(entries: Iterable[CatalogEntry]) -> list[str]:
    """The teams to choose from, by name: those that own most services where there are too many for a menu."""
    owned = Counter(entry.owner.team for entry in entries if entry.owner is not None and entry.owner.team.strip())
    most = sorted((team for team in owned if len(team) <= _VALUE), key=lambda team: (-owned[team], team))
    return sorted(most[:MAX_TEAMS])


def team_services(choices: Sequence[str], chosen: str, answer: Json | None) -> list[Block]:
    """A menu of teams, and how the services of the chosen one do: the failing ones first."""
    if not choices:
        return [section("*Services of your team*\nThe catalogue names no owner yet.")]
    menu: Block = {
        "type": "static_select", "action_id": CHOOSE_TEAM, "placeholder": {"type": "plain_text", "text": "Your team"},
        "options": [_option(team) for team in choices],
    }  # fmt: skip
    if chosen in choices:
        menu["initial_option"] = _option(chosen)
    headline = f"*Services of {escape(truncate(chosen, _LABEL))}*" if chosen else "*Services of your team*"
    blocks: list[Block] = [{**section(headline), "accessory": menu}]
    if not chosen or answer is None:
        return [*blocks, context("Choose your team; it is remembered.")]
    ranked = sorted(answer["items"], key=lambda one: (one["state"] != "failing", one["id"]))
    lines = [_service(one) for one in ranked[:SERVICES_SHOWN]]
    more = answer["total"] - len(lines)
    blocks.append(
        section("\n".join([*lines, *([f"+{more} more"] if more > 0 else [])]) or "none of them is on the map")
    )
    buttons = [
        one
        for number, item in enumerate(ranked[:5])
        for one in run_button(item["id"], written(BY_WORD[SERVICE], [item["id"]]), number)
    ]
    return [*blocks, {"type": "actions", "elements": buttons}] if buttons else blocks


def map_health(found: Json) -> list[Block]:
    """Whether the map can be trusted: what is on it, how old it is, how much there is to mend."""
    problems = found["problems"]
    state = (
        "🟢 the bot is well" if not problems else f"🟠 {len(problems)} to mend: {escape(truncate(problems[0], 200))}"
    )
    layers = " · ".join(f"{escape(name)} {age(one['age_seconds'])}" for name, one in found["layers"].items())
    size = f"{found['map']['services']} services, {found['map']['edges']} calls between them"
    (health,) = run_button("Health", written(BY_WORD["health"], []))
    return [{**section(f"*Map*\n{state}\n{size} · last heard: {layers or 'nothing yet'}"), "accessory": health}]


def _service(one: Json) -> str:
    sign = "🔴" if one["state"] == "failing" else "🟢"
    why = f" ({escape(truncate(one['why'], 80))})" if one["why"] else ""
    tier = f" · tier {escape(truncate(one['tier'], 20))}" if one["tier"] else ""
    return f"{sign} {escape(one['id'])}{why}{tier}"


def _option(team: str) -> Block:
    return {"text": {"type": "plain_text", "text": truncate(team, _LABEL)}, "value": team}
