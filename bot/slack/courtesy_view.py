"""A line in another team's channel -> Block Kit. Pure."""

from __future__ import annotations

from bot.enrich.facts import IncidentFacts
from bot.enrich.manners import Courtesy
from bot.graph.places import spoken
from bot.model import Message
from bot.slack.budget import fit
from bot.slack.mrkdwn import escape, link, truncate
from bot.slack.views import context, run_button

_NAMES_SHOWN = 3
_NAME_LENGTH = 120


def courtesy(line: Courtesy, facts: IncidentFacts, address: str) -> Message:
    """One grey line: what fails, whom it concerns here, that there is nothing to do yet; with [Mute] while it lasts."""
    failing = f"*{_name(facts.services[0])}*"
    shown = ", ".join(f"*{_name(one)}*" for one in line.services[:_NAMES_SHOWN])
    more = len(line.services) - _NAMES_SHOWN
    ours = f"{shown} and {more} more" if more > 0 else shown
    depends = "depends" if len(line.services) == 1 else "depend"
    why = f" (likely cause: *{_name(spoken(line.cause))}*)" if line.cause else ""
    page = f" · {link(address, 'what is known')}" if address else ""
    if line.state == "over":
        end = facts.resolved_at if facts.resolved_at is not None else facts.updated_at
        minutes = max(0, round((end - facts.opened_at) / 60))
        text = f"✅ {failing}, on which {ours} {depends}, is well again ({minutes} min){page}"
    elif line.state == "hit":
        text = f"🟠 {ours} {depends} on {failing}, which is failing{why}, and is hit now{page}"
    else:
        text = f"ℹ️ {ours} {depends} on {failing}, which is failing{why}; nothing to do yet{page}"
    blocks = [context(text)]
    if line.state != "over":
        blocks.append({"type": "actions", "elements": run_button("Mute", "mute")})
    return fit(Message(text, tuple(blocks)))


def _name(text: str) -> str:
    return truncate(escape(text), _NAME_LENGTH)
