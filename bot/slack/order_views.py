"""What is shown to whoever gives an order (acknowledge, silence), and to those who read along. Pure.

Values in, `Message`s and modals out. Label values and comments are other people's text: escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.actions import Matcher, SilenceScope
from bot.model import Message
from bot.slack.modal_views import View, modal, plain
from bot.slack.mrkdwn import code, date, escape, truncate
from bot.slack.views import END_SILENCE, SILENCE_FORM, Block, button, context, section

MAX_KEPT = 3_000  # Slack's limit of a view's private_metadata
DURATIONS = {
    "1 hour": 3_600.0, "2 hours": 7_200.0, "4 hours": 14_400.0, "8 hours": 28_800.0, "24 hours": 86_400.0,
}  # fmt: skip
DURATION, COMMENT = "duration", "comment"
MAX_COMMENT = 300

_MATCHERS_SHOWN = 20
_WORDS = {
    "pd_refused": "it refuses; perhaps the incident is over",
    "pd_requester_not_found": "it does not know the user that the bot acts as (`PAGERDUTY_FROM`)",
    "pd_unauthorized": "it does not take the bot's key",
    "pd_forbidden": "the bot's key may not do that",
    "pd_not_found": "it does not know the incident",
    "pd_rate_limited": "it asks for a pause; try again in a minute",
    "pd_unreachable": "it cannot be reached",
    "pd_no_answer": "it did not answer in time",
    "am_unreachable": "it cannot be reached",
    "am_no_answer": "it did not answer in time",
    "am_not_found": "it does not know the silence",
    "am_http_401": "it does not take the bot's token",
    "am_http_403": "the bot's token may not do that",
    "am_rate_limited": "it asks for a pause; try again in a minute",
}

SILENCE_TITLE = "Silence"


def why(word: str) -> str:
    """A sender's error word in words."""
    return _WORDS.get(word, f"it answered {code(truncate(word, 60))}")


def said(text: str) -> Message:
    """An answer of one paragraph; `text` is mrkdwn."""
    return Message(text, (section(text),))


def acknowledged(number: str, in_whose_name: str, own: bool) -> str:
    """One line of the answer to [Acknowledge]; `number` is mrkdwn."""
    name = (
        "your name"
        if own
        else f"the name of {escape(truncate(in_whose_name, 100))}, since it knows no user by your address"
    )
    return f"PagerDuty {number} is acknowledged, in {name}."


def form(scope: SilenceScope, kept: str) -> View:
    """The modal in which a silence is made: its matchers, what they cover now, for how long. `kept` comes back with it."""
    covers = f"Of what fires now, that is {covered(scope)}."
    options = [_option(name) for name in DURATIONS]
    blocks: list[Block] = [
        section(f"Alertmanager will keep quiet about every alert that has all of these labels:\n{_listed(scope.matchers)}"),
        section(covers),
        {"type": "input", "block_id": DURATION, "label": plain("For how long"), "element": {
            "type": "static_select", "action_id": DURATION, "options": options, "initial_option": options[0]}},
        {"type": "input", "block_id": COMMENT, "optional": True, "label": plain("Why"), "element": {
            "type": "plain_text_input", "action_id": COMMENT, "max_length": MAX_COMMENT}},
        context("It is shown in the incident's thread, with your name, and can be ended there."),
    ]  # fmt: skip
    return modal(SILENCE_TITLE, blocks) | {
        "callback_id": SILENCE_FORM,
        "submit": plain("Silence"),
        "private_metadata": kept,
    }


def kept(incident: int, matchers: Sequence[Matcher], channel: str, ts: str) -> str:
    """What a form has to know when it comes back; "" where that is too much for Slack to keep."""
    text = json.dumps([incident, [[one.name, one.value] for one in matchers], channel, ts], ensure_ascii=False)
    return text if len(text) <= MAX_KEPT else ""


def unkept(text: str) -> tuple[int, tuple[Matcher, ...], str, str]:
    """The same, read back. Raises ValueError, also where that was never ours."""
    try:
        incident, matchers, channel, ts = json.loads(text)
        return int(incident), tuple(Matcher(str(name), str(value)) for name, value in matchers), str(channel), str(ts)
    except TypeError:
        raise ValueError("not what a form keeps") from None


def chosen(view: Mapping[str, Any]) -> tuple[float, str]:
    """Seconds and comment, as they were filled in. Raises ValueError where the form came back without a known duration."""
    state = view.get("state")
    values: Mapping[str, Any] = state.get("values", {}) if isinstance(state, Mapping) else {}
    name = str((_element(values, DURATION).get("selected_option") or {}).get("value"))
    if name not in DURATIONS:
        raise ValueError("no duration was chosen")
    return DURATIONS[name], str(_element(values, COMMENT).get("value") or "")[:MAX_COMMENT].strip()


def silenced(matchers: Sequence[Matcher], end: float, who: str, comment: str, made: str) -> Message:
    """For the incident's thread: who silenced what, until when, and a way to end it; `made` comes back with that."""
    reason = f"\n> {escape(comment)}" if comment else ""
    text = f"🔕 Silenced until {date(end)} by {escape(who)}:\n{_listed(matchers)}{reason}"
    end_it = {"type": "actions", "elements": [button("End the silence", END_SILENCE, made)]}
    return Message(text, (section(text), end_it))


def ended(who: str, at: float) -> Message:
    """In place of that: who ended it."""
    return said(f"🔔 The silence was ended by {escape(who)}, {date(at)}.")


def covered(scope: SilenceScope) -> str:
    """`3 alerts: HighErrorRate, Slow`."""
    if not scope.alerts:
        return "none"
    names = ", ".join(escape(truncate(name, 80)) for name in scope.examples)
    return f"*{scope.alerts} {'alert' if scope.alerts == 1 else 'alerts'}*" + (f": {names}" if names else "")


def _listed(matchers: Sequence[Matcher]) -> str:
    lines = [code(truncate(f"{one.name} = {one.value}", 120)) for one in matchers[:_MATCHERS_SHOWN]]
    more = len(matchers) - len(lines)
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _option(name: str) -> Block:
    return {"text": plain(name), "value": name}


def _element(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    block = values.get(name)
    found = block.get(name) if isinstance(block, Mapping) else None
    return found if isinstance(found, Mapping) else {}
