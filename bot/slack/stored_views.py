"""What the store, the past and the doctor answer to `/topology …` -> Block Kit. Pure: JSON-able answers in, `Message` out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bot.enrich.recent_changes import change_line
from bot.model import Message
from bot.moments import age
from bot.slack.command_views import footer, laid_out
from bot.slack.mrkdwn import date, escape, truncate

_LISTED, _CHANGES_SHOWN, _DECISIONS_SHOWN = 10, 12, 25
_LONG = 300

Json = dict[str, Any]


def causes(answer: Json) -> Message:
    """Likely causes with their evidence, what is ruled out, what nobody knows, and what was changed."""
    who = f"*{escape(answer['id'])}*"
    headline = (
        f"Likely cause of trouble at {who}: *{escape(answer['named'])}*"
        if answer["named"]
        else f"No likely cause of trouble at {who} stands out: {escape(truncate(answer['why_none'], _LONG))}"
    )
    parts = []
    for item in answer["items"][:3]:
        evidence = "\n".join(f"• {escape(truncate(one, _LONG))}" for one in item["evidence"][:6])
        parts.append(f"*{escape(item['id'])}* {100 * item['p']:.0f}%\n{evidence}")
    judged = (("Ruled out", answer["ruled_out"]), ("Unknown", answer["unknown"]))
    named = [f"*{what}*: {_some(names)}" for what, names in judged if names]
    changes = [f"• {escape(change_line(item))}" for item in answer["changes"][:5]]
    parts += ["\n".join(named), "\n".join(["*Changes*", *changes]) if changes else ""]
    return laid_out(headline, parts, footer(answer))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(escape(name) for name in names[:_LISTED]) + (f", +{more}" if more > 0 else "")


def diff(identifier: str, since: float, answer: Json) -> Message:
    """What is new, gone or different among a service's calls since a moment."""
    headline = f"*{escape(identifier)}* since {date(since)}"
    if not answer["total"]:
        return laid_out(f"{headline}: every call as it was", (), footer(answer))
    parts = []
    for kind, sign in (("new", "🟢"), ("gone", "⚪"), ("changed", "🟠")):
        found = [one for one in answer["items"] if one["kind"] == kind]
        lines = [f"{sign} {_difference(one)}" for one in found[:_CHANGES_SHOWN]]
        more = len(found) - len(lines)
        more_line = [f"+{more} more"] if more > 0 else []
        parts.append("\n".join([f"*{kind.capitalize()}* {len(found)}", *lines, *more_line]) if found else "")
    return laid_out(headline, parts, footer(answer))


def _difference(change: Json) -> str:
    arrow = f"{escape(change['caller'])} → {escape(change['callee'])}"
    sides = change["before"], change["after"]
    if change["kind"] != "changed":
        side = sides[0] or sides[1]
        return f"{arrow} ({side['calls_per_minute']:.1f} calls/min)" if side["calls"] else arrow
    shown = {
        "calls": lambda side: f"{side['calls_per_minute']:.1f} calls/min",
        "error rate": lambda side: f"{100 * (side['error_rate'] or 0.0):.1f}% errors",
        "p95": lambda side: "no p95" if side["p95_ms"] is None else f"p95 {side['p95_ms']:.0f} ms",
    }
    return f"{arrow}: " + ", ".join(f"{shown[what](sides[1])} (was {shown[what](sides[0])})" for what in change["what"])


def why(incident: Json) -> Message:
    """Every decision taken for an incident, in order, each with its reason."""
    headline = f"*Incident {incident['id']}* · {escape(incident['state'])} · opened {date(incident['opened_at'])}"
    decisions = incident["decisions"]
    lines = [_decision(one) for one in decisions[-_DECISIONS_SHOWN:]]
    earlier = len(decisions) - len(lines)
    title = f"_{escape(truncate(incident['title'], _LONG))}_"
    if earlier > 0:
        title += f"\n{earlier} earlier ones are in `/api/v1/incidents/{incident['id']}`"
    # A few to a block, so that one long reason does not cut the ones behind it.
    packed = ["\n".join(lines[start : start + 5]) for start in range(0, len(lines), 5)]
    return laid_out(headline, [title, *(packed or ["No decision is stored for it."])])


def _decision(one: Json) -> str:
    said = f"*{escape(one['step'])}*: {escape(truncate(one['verdict'], _LONG))}"
    reason = f" ({escape(truncate(one['reason'], _LONG))})" if one["reason"] else ""
    return f"{date(one['at'], _clock(one['at']), '{date_short_pretty} {time_secs}')} {said}{reason}"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def health(found: Json) -> Message:
    """The doctor's findings in short: what to mend first, then what arrives and how old it is."""
    problems = found["problems"]
    headline = "🟢 The bot is well" if not problems else f"🟠 {len(problems)} thing{'s' * (len(problems) > 1)} to mend"
    told = [f"• {escape(truncate(one, _LONG))}" for one in problems[:_LISTED]]
    if len(problems) > len(told):
        told.append(f"+{len(problems) - len(told)} more, see `topology-bot doctor`")
    layers = " · ".join(f"{escape(name)} {age(one['age_seconds'])}" for name, one in found["layers"].items())
    facts = [
        f"*Map*: {found['map']['services']} services, {found['map']['edges']} calls between them",
        f"*Last heard*: {layers or 'nothing yet'}",
        f"*Messages waiting*: {found['outbox']['waiting']}",
    ]
    return laid_out(headline, ("\n".join(told), "\n".join(facts)), f"up {age(found['uptime_seconds'])}")
