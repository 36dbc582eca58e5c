"""An incident's thread in words. Pure: lines and facts in, `Message` out. All vendor text is escaped on its way in.

The first post lays the evidence open; each later one tells what has changed since; the last says what was predicted, what came of
it, and asks whether the cause was right.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bot.enrich.facts import IncidentFacts
from bot.enrich.thread_evidence import Evidence, PathCall
from bot.enrich.told import Line
from bot.grading.accuracy import NONE_OF_THEM
from bot.graph.places import spoken
from bot.model import Message
from bot.moments import age
from bot.picture.focus import Focus
from bot.slack import enclosed_views, views
from bot.slack.budget import fit
from bot.slack.commands import BY_WORD, written
from bot.slack.mrkdwn import escape, truncate
from bot.slack.views import Block, clock, run_button, section
from bot.storage.alert_records import StoredAlert

_NAMES_SHOWN = 5
_TEXT_LENGTH = 200
_OTHERS_ASKED = 2
_ALERTS_TOLD = 4


class IncidentWords:
    """How an incident is written in Slack (the Protocols in `bot.incidents.steps` and `bot.incidents.illustrating`).

    `offered`: the orders that can be carried out."""

    def __init__(self, offered: Collection[str] = ()) -> None:
        self._offered = offered

    def incident(self, facts: IncidentFacts) -> Message:
        """The root message."""
        return views.incident(facts, self._offered)

    def evidence(self, evidence: Evidence, facts: IncidentFacts) -> Message:
        """The first post of the thread."""
        return evidence_post(evidence, facts)

    def folded(self, services: Sequence[str], title: str, into: int, about: str, why: str) -> Message:
        """What is left of the message of an incident that turned out to be another."""
        who = _names(services) if services else f"*{escape(truncate(title, _TEXT_LENGTH))}*"
        lines = [
            f"🔗 {who}: part of incident {into}, _{escape(truncate(about, _TEXT_LENGTH))}_",
            escape(truncate(why, _TEXT_LENGTH)),
        ]
        return fit(Message("\n".join(lines), (section(lines[0]), views.context(lines[1]))))

    def picture(self, focus: Focus) -> Message:
        """What is around the failing service, for its thread."""
        return enclosed_views.picture(focus)

    def listing(self, incident: int, members: Sequence[StoredAlert], now: float) -> Message:
        """All alerts of an incident, as a file for its thread."""
        return enclosed_views.listing(incident, members, now)

    def thread(self, lines: Sequence[Line], facts: IncidentFacts, incident: int) -> Message:
        """What has happened since the last post."""
        return news(lines, facts, incident)


def evidence_post(evidence: Evidence, facts: IncidentFacts) -> Message:
    """The calls from the failing service to its likely cause, who saw them and how long ago; then what changed there."""
    parts = []
    if evidence.path:
        first = f"*From {escape(evidence.path[0].caller)} to {escape(evidence.path[-1].callee)}*"
        parts.append("\n".join([first, *(_call(call, depth) for depth, call in enumerate(evidence.path))]))
    if evidence.changes:
        lines = [f"• {escape(truncate(line, _TEXT_LENGTH))}" for _, line in evidence.changes]
        parts.append("\n".join(["*Changed on the path*", *lines]))
    read = f"as of {clock(facts.updated_at, facts)}"
    blocks = [section(part) for part in parts] + [views.context(read)]
    return fit(Message("\n".join([*parts, read]), tuple(blocks)))


def _call(call: PathCall, depth: int) -> str:
    seen = " · ".join(f"{'traces' if layer == 'trace' else layer} {age(seconds)}" for layer, seconds in call.layers)
    rate = f" · {100 * call.error_rate:.0f}% of {call.calls:,.0f} calls fail" if call.error_rate is not None else ""
    guess = " · estimated" if call.estimated else ""
    return f"{'   ' * depth}↳ {escape(call.caller)} → {escape(call.callee)}{rate} · {seen}{guess}"


def news(lines: Sequence[Line], facts: IncidentFacts, incident: int) -> Message:
    """What has changed, a line each. Where the incident is over, with a question whose answer the grades rest on."""
    said = [_WORDS[line[0]](facts, *line[1:]) for line in _gathered(lines)]
    text = "\n".join(said)
    blocks: list[Block] = [section(text)]
    over = any(line[0] == "over" for line in lines)
    buttons = _question(facts, incident) if over else []
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return fit(Message(text, tuple(blocks)))


def _gathered(lines: Sequence[Line]) -> list[Line]:
    """The same lines, but of many alerts that join at once only one for each title: in a storm nobody reads twenty."""
    joining = [line for line in lines if line[0] == "alert" and line[1]]
    if len(joining) <= _ALERTS_TOLD:
        return list(lines)
    titles: dict[str, list[str]] = {}
    for line in joining:
        titles.setdefault(line[2], []).append(line[1])
    told: list[Line] = [("alerts", services, title) for title, services in titles.items()]
    return [*told, *(line for line in lines if line not in joining)]


def _question(facts: IncidentFacts, incident: int) -> list[Block]:
    outcome = facts.outcome
    if outcome is None or not outcome.causes or not incident:
        return []
    ranked = [service for service, _, _ in outcome.causes]
    first = outcome.named or ranked[0]
    others = [service for service in ranked if service != first][:_OTHERS_ASKED]
    command = BY_WORD["confirm"]
    asked = [
        ("Yes" if outcome.named else f"It was {spoken(first)}", first),
        *((f"It was {spoken(one)}", one) for one in others),
    ]
    asked.append(("Something else", NONE_OF_THEM))
    return [
        block
        for number, (label, service) in enumerate(asked)
        for block in run_button(label, written(command, [str(incident), service]), number)
    ]


def _names(services: Sequence[str]) -> str:
    shown = ", ".join(f"*{escape(one)}*" for one in services[:_NAMES_SHOWN])
    more = len(services) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _alert(facts: IncidentFacts, service: str, title: str, why: str) -> str:
    who = f"*{escape(service)}* alerts, too" if service else "An alert that names no service"
    return f"🔔 {who}: {escape(truncate(title, _TEXT_LENGTH))}" + (f" ({escape(why)})" if why else "")


def _alerts(facts: IncidentFacts, services: Sequence[str], title: str) -> str:
    verb = "alerts" if len(services) == 1 else "alert"
    return f"🔔 {_names(services)} {verb}, too: {escape(truncate(title, _TEXT_LENGTH))}"


def _hit(facts: IncidentFacts, services: Sequence[str], hit: int, predicted: int) -> str:
    verb = "fails" if len(services) == 1 else "fail"
    return f"📈 {_names(services)} now {verb}, as predicted ({hit} of {predicted})"


def _missed(facts: IncidentFacts, services: Sequence[str]) -> str:
    verb = "fails" if len(services) == 1 else "fail"
    return f"❗ {_names(services)} {verb}, which nobody predicted"


def _cause(facts: IncidentFacts, service: str, was: str, p: float, evidence: str) -> str:
    before = f", no longer {escape(spoken(was))}" if was else ""
    why = f": {escape(truncate(evidence, _TEXT_LENGTH))}" if evidence else ""
    deeper = ", which alerts itself" if service in facts.services and "alerts itself" not in evidence else ""
    return f"🔎 Likely cause is now *{escape(spoken(service))}* ({100 * p:.0f}%){deeper}{before}{why}"


def _no_cause(facts: IncidentFacts, was: str, why: str, ruled_out: bool) -> str:
    out = "is ruled out" if ruled_out else "is no longer the likely cause"
    return f"🔎 *{escape(spoken(was))}* {out}" + (f": {escape(truncate(why, _TEXT_LENGTH))}" if why else "")


def _recovered(facts: IncidentFacts, service: str, left: int) -> str:
    return f"✅ *{escape(service)}* recovered; {left} {'service still alerts' if left == 1 else 'services still alert'}"


def _over(facts: IncidentFacts) -> str:
    end = facts.resolved_at if facts.resolved_at is not None else facts.updated_at
    minutes = max(0, round((end - facts.opened_at) / 60))
    text = f"🏁 Resolved {clock(end, facts)} ({minutes} min)."
    outcome = facts.outcome
    if outcome is None:
        return text
    text += f" Predicted {len(outcome.predicted)}, hit {len(outcome.hit)}, missed {len(outcome.missed)}."
    if outcome.named:
        return f"{text} Was it *{escape(spoken(outcome.named))}*?"
    return f"{text} What was the cause?" if outcome.causes else text


_WORDS: Mapping[str, Callable[..., Any]] = {
    "alert": _alert,
    "alerts": _alerts,
    "hit": _hit,
    "missed": _missed,
    "cause": _cause,
    "no cause": _no_cause,
    "recovered": _recovered,
    "over": _over,
    "folded": lambda facts, service, why: (
        f"🔗 The incident about *{escape(service)}* is part of this one: {escape(why)}"
    ),
    "change": lambda facts, line: f"🛠 {escape(truncate(line, _TEXT_LENGTH))}",
    "again": lambda facts: "🔴 Fires again",
    "acknowledged": lambda facts: "👀 Acknowledged",
    "flapping": lambda facts, service: (
        f"〰️ *{escape(service)}* comes and goes; from here on only the message above says how it is"
    ),
    "more": lambda facts, count: f"… and {count} more {'change' if count == 1 else 'changes'}",
}
"""The kinds of lines that `bot.enrich.thread_lines` makes, and what many of them are told together as."""
