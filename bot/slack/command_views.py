"""Answers to `/topology …` -> Block Kit. Pure: what `bot.enrich` says in, `Message` out.

A service by itself is in `bot.slack.answers`, what the store says in `bot.slack.stored_views`. Everything somebody else
named is escaped here, and every message is fitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bot import words
from bot.model import Message
from bot.moments import age
from bot.slack.answers import owner_words
from bot.slack.budget import fit
from bot.slack.commands import COMMANDS, Asked, Command
from bot.slack.mrkdwn import code, date, escape, link, truncate
from bot.slack.views import MAX_VALUE, SHARE, Block, button, context, coverage_words, freshness, run_button, section

_PATHS_SHOWN, _LISTED = 5, 10
_LONG = 300

Json = dict[str, Any]


# -- around an answer --------------------------------------------------------------------------------------------------


def dressed(message: Message, notes: Sequence[str] = (), buttons: Sequence[Block] = ()) -> Message:
    """An answer with notes above it (already escaped) and buttons below."""
    above = [context(" · ".join(notes))] if notes else []
    below: list[Block] = [{"type": "actions", "elements": list(buttons)}] if buttons else []
    return fit(Message("\n".join([*notes, message.text]), (*above, *message.blocks, *below)))


def share_button(question: str) -> list[Block]:
    """[Share]: the answer goes to everybody in the channel."""
    return [button("Share", SHARE, question)] if len(question) <= MAX_VALUE else []


def refused(why: str) -> Message:
    """What cannot be answered, in words."""
    line = escape(truncate(" ".join(why.split()), 500))
    return fit(Message(line, (section(f"🤔 {line}"),)))


def unclear(asked: Asked, number: int, suggestions: Sequence[str], why: str) -> Message:
    """Nobody, or several, by the name number `number`: the closest ones as buttons that ask the same again."""
    message = refused(why)
    buttons = [
        one for place, name in enumerate(suggestions[:5]) for one in run_button(name, asked.naming(name, number), place)
    ]
    return dressed(message, (), buttons)


def usage(command: Command | None = None) -> Message:
    """What can be asked; or how one thing is."""
    shown = COMMANDS if command is None else (command,)
    lines = [f"{code('/topology ' + one.usage)} {escape(one.says)}" for one in shown]
    text = words.render("slash_help.txt.j2", lines=lines, past=any(one.past for one in shown)).strip()
    return fit(Message(text, (section(text),)))


def footer(answer: Json) -> str:
    """How fresh and how complete what was read is."""
    found = answer["coverage"]
    silent = [(one["id"], one["age_seconds"]) for one in found["silent"]]
    complete = (
        coverage_words(found["reporting"], found["services"], silent)
        if found["services"]
        else "nobody here reports itself"
    )
    return f"{freshness({layer: part['age_seconds'] for layer, part in found['layers'].items()})} · {complete}"


def laid_out(headline: str, parts: Iterable[str], last: str = "") -> Message:
    """Headline, then each part as a block of its own, then a grey line. All of it is escaped already."""
    kept = [part for part in parts if part]
    blocks = [section(part) for part in ("\n".join([headline, *kept[:1]]), *kept[1:])]
    return fit(Message("\n".join(filter(None, [headline, *kept, last])), (*blocks, *([context(last)] if last else []))))


# -- answers from the map ----------------------------------------------------------------------------------------------


def path(answer: Json) -> Message:
    """Call paths, the shortest first, with what each call of the shortest one carries."""
    ends = f"*{escape(answer['from'])}* → *{escape(answer['to'])}*"
    if not answer["items"]:
        return laid_out(f"No calls lead from {ends.replace(' → ', ' to ')}.", (), footer(answer))
    ways = answer["items"]
    lines = [" → ".join(escape(one) for one in way["path"]) for way in ways[:_PATHS_SHOWN]]
    more = len(ways) - len(lines)
    calls = [f"• {escape(edge['caller'])} → {escape(edge['callee'])}: {_carries(edge)}" for edge in ways[0]["edges"]]
    shortest = "*The shortest, call by call* (last hour)\n" + "\n".join(calls)
    listed = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
    return laid_out(ends, (listed + (f"\n+{more} more" if more > 0 else ""), shortest), footer(answer))


def _carries(edge: Json) -> str:
    best: Json = max(edge["layers"].values(), key=lambda part: part.get("calls", 0.0), default={})
    parts = ["+".join(edge["layers"])]
    if calls := best.get("calls", 0.0):
        parts.append(f"{calls:.0f} calls, {100 * best['errors'] / calls:.1f}% failed")
        if (p95 := best["latency_ms"]["p95"]) is not None:
            parts.append(f"p95 {p95:.0f} ms")
    if edge["freshness"] != "fresh":
        parts.append(edge["freshness"])
    if edge["estimated"]:
        parts.append(f"estimated, {100 * edge['confidence']:.0f}% sure")
    return " · ".join(parts)


def blast(answer: Json) -> Message:
    """Who needs these services: where users come in first, then who is hit, who is at risk, whom to tell."""
    together = " and ".join(f"*{escape(one)}*" for one in (answer["id"], *answer["with"]))
    if not answer["total"]:
        return laid_out(f"Nobody is known to depend on {together}.", (), footer(answer))
    count = f"{answer['total']}{'+' if answer['truncated'] else ''} dependent{'s' * (answer['total'] > 1)}"
    headline = f"If {together} {'go' if answer['with'] else 'goes'} down: {count}, {answer['hit']} hit now"
    users = [one for one in answer["items"] if one["entry_point"]]
    rest = [one for one in answer["items"] if not one["entry_point"]]
    hit, risk = ([one for one in rest if one["state"] == state] for state in ("hit", "at_risk"))
    parts = (
        _dependents("Users come in at", users, len(users)),
        _dependents("Hit now", hit, len(hit)),
        _dependents("At risk", risk, answer["total"] - len(users) - len(hit)),
        _to_tell(answer["owners"]),
    )
    return laid_out(headline, parts, footer(answer))


def _dependents(title: str, found: Sequence[Json], count: int) -> str:
    lines = []
    for one in found[:_LISTED]:
        share = "share unknown" if one["share"] is None else f"{100 * one['share']:.0f}% of its requests"
        facts = [
            one["why"],
            f"{one['hops']} hop{'s' * (one['hops'] > 1)}",
            share,
            one["tier"] and f"tier {one['tier']}",
        ]
        facts.append("through a queue" if one["asynchronous"] else "")
        facts.append(one["owner"]["label"] if one["owner"] else "no owner known")
        lines.append(f"• {escape(one['id'])} ({escape(', '.join(filter(None, facts)))})")
    more = count - len(lines)
    return "\n".join([f"*{title}* {count}", *lines, *([f"+{more} more"] if more > 0 else [])]) if lines else ""


def _to_tell(owners: Sequence[Json]) -> str:
    if not owners:
        return "*Tell*: no owner of any of them is known"
    lines = [f"• {escape(one['owner']['label'])} ({one['services']})" for one in owners[: 2 * _LISTED]]
    more = len(owners) - len(lines)
    return "\n".join(["*Tell* (services each owns)", *lines, *([f"+{more} more"] if more > 0 else [])])


def around(identifier: str, hops: int, needed_by: Json, needs: Json) -> Message:
    """Who needs a service and what it needs, up to some hops away, by nearness."""
    return laid_out(
        f"*{escape(identifier)}* and what is {hops} hop{'s' * (hops > 1)} around it",
        (_by_hop("Needed by", needed_by), _by_hop("Needs", needs)),
        footer(needs),
    )


def _by_hop(title: str, answer: Json) -> str:
    if not answer["total"]:
        return f"*{title}*: nobody known"
    lines = [f"*{title}* {answer['total']}{'+' if answer['truncated'] else ''}"]
    for hop in sorted({one["hops"] for one in answer["items"]}):
        names = [_state(one) + escape(one["id"]) for one in answer["items"] if one["hops"] == hop]
        more = len(names) - 2 * _LISTED
        lines.append(f"{hop}: " + ", ".join(names[: 2 * _LISTED]) + (f", +{more}" if more > 0 else ""))
    return "\n".join(lines)


def _state(one: Json) -> str:
    return "🔴 " if one["state"] in ("hit", "failing") else ""


def told(said: str, label: str = "", question: str = "") -> Message:
    """What was done, with a button that takes it back."""
    line = escape(truncate(said, _LONG * 3))
    return dressed(Message(line, (section(line),)), (), run_button(label, question) if label else ())


def mutes(found: Sequence[Json]) -> Message:
    """Channels that want no courtesy lines, each with who said so and when."""
    if not found:
        return laid_out("No channel is muted. `/topology mute` in one says that it is to be left alone.", ())
    lines = [
        f"{code('#' + one['name']) if one['name'] else code(one['channel'])} ({escape(truncate(one['by'], 80))}, "
        f"{date(one['seconds'])})"
        for one in found[: 4 * _LISTED]
    ]
    more = len(found) - len(lines)
    return laid_out(f"*Muted channels* {len(found)}", ("\n".join([*lines, f"+{more} more"] if more > 0 else lines),))


def aliases(found: Sequence[Json]) -> Message:
    """Other names that people confirmed, each with who and when."""
    if not found:
        return laid_out("Nobody has confirmed another name of a service here. Say one: `/topology alias A = B`.", ())
    lines = [
        f"{code(one['alias'])} is *{escape(one['service'])}* ({escape(truncate(one['by'], 80))}, {date(one['seconds'])})"
        for one in found[: 4 * _LISTED]
    ]
    more = len(found) - len(lines)
    packed = ["\n".join(lines[start : start + 8]) for start in range(0, len(lines), 8)]
    return laid_out(f"*Other names of services* {len(found)}", packed, f"+{more} more" if more > 0 else "")


def owner(answer: Json) -> Message:
    """Who owns a service, each fact with who says so and how long ago that was read."""
    sources = answer["sources"]

    def told(fact: str) -> str:
        known = sources.get(fact)
        if known is None:
            return ""
        read = "" if known["age_seconds"] is None else f", read {age(known['age_seconds'])} ago"
        return f" ({escape(known['source'])}{read})"

    headline = f"*{escape(answer['id'])}*" + ("" if answer["on_map"] else " is only in the catalogue, not on the map")
    lines = [f"*Owner*: {owner_words(answer)}"]
    for title, fact in (("Slack", "slack"), ("E-mail", "email"), ("On call", "on_call")):
        if answer["owner"] and answer["owner"][fact] not in ("", answer["owner"]["label"]):
            lines.append(f"*{title}*: {escape(truncate(answer['owner'][fact], _LONG))}{told(fact)}")
    for title, fact in (("Tier", "tier"), ("Domain", "domain")):
        if answer[fact]:
            lines.append(f"*{title}*: {escape(truncate(answer[fact], _LONG))}{told(fact)}")
    links = [link(one["url"], one["name"]) for one in answer["links"][:_LISTED]]
    links += [link(answer[fact], fact.capitalize()) for fact in ("runbook", "repository") if answer[fact]]
    return laid_out(headline, ("\n".join(lines), " · ".join(links)))
