"""A digest's lines -> Block Kit. Pure: what `bot.digest.contents` found and what was answered to it in, `Message` out.

What is lost: lines beyond the first ten, which are counted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.digest.contents import Line
from bot.model import Message
from bot.slack.budget import fit
from bot.slack.mrkdwn import date, escape, truncate
from bot.slack.views import MAX_VALUE, Block, button, context, freshness, section
from bot.storage.alert_records import Held

EXPECTED, LOOK, OPEN = "digest_expected", "digest_look", "digest_open"
"""Action ids of [Expected], [Look into it] and [Undo], each followed by `_` and a number; the value is the line's key."""

_KINDS = ("new", "gone", "changed")
_VERBS = {"new": "now calls", "gone": "no longer calls", "changed": "calls"}
_SHOWN = 10
_OPEN_SHOWN = 5
_HELD_SHOWN = 10
_NAMES_SHOWN = 3
_BECAME = {"over": "over by itself", "posted": "posted since", "held": "still waiting"}
_BECAME_ALL = _BECAME | {"over": "over by themselves"}
_NAME_LENGTH = 120
_SAID = {"expected": "✅ expected", "look": "🔎 looked into"}


@dataclass(frozen=True, slots=True)
class Digest:
    """All of one digest. `looking`: keys of earlier lines that somebody looks into -> who (a Slack user id). `notes` are plain
    sentences for the foot. `unattributed`: which share of connections has an end that is nobody's, None where none was seen;
    `heard`: layer -> the age of its newest data (s). `held`: incidents that quiet hours held back."""

    headline: str
    lines: Sequence[Line]
    looking: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unattributed: float | None = None
    heard: Mapping[str, float] = field(default_factory=dict)
    held: Sequence[Held] = ()


def digest(found: Digest) -> Message:
    """What is new, gone and changed, line by line with two buttons each."""
    counts = [(kind, sum(line.kind == kind for line in found.lines)) for kind in _KINDS]
    said = ", ".join(f"{count} {kind}" for kind, count in counts if count) or "nothing changed"
    top = f"*{escape(truncate(found.headline, 150))}*: {said}"
    blocks, texts = [section(top)], [top]
    if found.held:
        texts.append(held_text(found.held))
        blocks.append(section(texts[-1]))
    for number, line in enumerate(found.lines[:_SHOWN]):
        texts.append(line_text(line))
        blocks += [section(texts[-1]), *_buttons(line, number)]
    if len(found.lines) > _SHOWN:
        texts.append(f"and {len(found.lines) - _SHOWN} more: `topology-bot digest` or `/api/v1/digest` lists them all")
        blocks.append(section(texts[-1]))
    foot = [*_open(found.looking), " · ".join([*_plain(found.notes), *_coverage(found)])]
    foot = [one for one in foot if one]
    if foot:
        blocks.append(context("\n".join(foot)))
    return fit(Message("\n".join([*texts, *foot]), tuple(blocks)))


def held_text(held: Sequence[Held]) -> str:
    """What quiet hours held back: how many incidents, what became of them, and which they were."""
    states = Counter(one.hold.state for one in held)
    said = ((states[one], _BECAME_ALL[one] if states[one] > 1 else _BECAME[one]) for one in _BECAME)
    counts = ", ".join(f"{count} {what}" for count, what in said if count)
    number = "1 incident" if len(held) == 1 else f"{len(held)} incidents"
    lines = [f"*Held in quiet hours*: {number}, {counts}"]
    for one in held[:_HELD_SHOWN]:
        who = ", ".join(_name(each) for each in one.hold.services[:_NAMES_SHOWN]) or "no service"
        title = truncate(escape(one.hold.title), _NAME_LENGTH)
        lines.append(f"• {one.incident}: *{who}*: {title}, {date(one.hold.since)}, {_BECAME.get(one.hold.state, '')}")
    more = len(held) - _HELD_SHOWN
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def held_message(held: Sequence[Held]) -> Message:
    """The same as a message of its own, where no digest tells of it."""
    text = held_text(held)
    return fit(Message(text, (section(text),)))


def line_text(line: Line) -> str:
    """One line: who calls whom, what is remarkable about it, who saw it, whose it is."""
    marks = ["other team's"] * line.cross_team + ["external"] * line.external
    marks += [f"tier {line.inversion}"] * bool(line.inversion)
    counts = ", ".join(f"{layer.value} {calls:,.0f}" if calls else layer.value for layer, calls in line.calls)
    owner = f"owner {_name(line.owner)}" if line.owner else "no owner known"
    facts = [*(escape(one) for one in line.what), *marks, counts, owner]
    ends = f"*{_name(line.caller)}* {_VERBS[line.kind]} *{_name(line.callee)}*"
    return f"{ends} · " + " · ".join(fact for fact in facts if fact)


def answered(shown: Message, key: str, answer: str, who: str) -> Message:
    """A digest on which somebody clicked: the line's buttons give way to what he said, and come back with "open"."""
    blocks: list[Block] = []
    ids = {_block_id(key, number): number for number in range(_SHOWN)}
    for block in shown.blocks:
        number = ids.get(str(block.get("block_id", "")))
        if number is None:
            blocks.append(dict(block))
        else:
            blocks.append(_actions(key, number) if answer == "open" else _said(key, number, answer, who))
    return fit(Message(shown.text, tuple(blocks)))


def undo_button(key: str) -> list[Block]:
    """[Undo]: nothing is said of the line any more."""
    return [button("Undo", f"{OPEN}_0", key)] if len(key) <= MAX_VALUE else []


def _buttons(line: Line, number: int) -> list[Block]:
    # Cut, a key would be another line's.
    return [_actions(line.key, number)] if len(line.key) <= MAX_VALUE else []


def _actions(key: str, number: int) -> Block:
    elements = [button("Expected", f"{EXPECTED}_{number}", key), button("Look into it", f"{LOOK}_{number}", key)]
    return {"type": "actions", "block_id": _block_id(key, number), "elements": elements}


def _said(key: str, number: int, answer: str, who: str) -> Block:
    return {**context(f"{_SAID[answer]} ({_name(who)})"), "block_id": _block_id(key, number)}


def _block_id(key: str, number: int) -> str:
    """The same before and after an answer; a key itself may be longer than Slack allows."""
    return f"digest_{number}_{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:24]}"


def _plain(notes: Sequence[str]) -> list[str]:
    return [escape(truncate(note, 300)) for note in notes]


def _coverage(found: Digest) -> list[str]:
    said = [freshness(found.heard)] if found.heard else []
    if found.unattributed is not None:
        said.append(f"{100 * found.unattributed:.0f}% of connections have an end that nobody could attribute")
    return said


def _open(looking: Mapping[str, str]) -> list[str]:
    said = []
    for key, who in list(looking.items())[:_OPEN_SHOWN]:
        kind, caller, callee = [*key.split("\n"), "", "", ""][:3]
        said.append(f"open: {_name(kind)} {_name(caller)} → {_name(callee)}, looked into by {_name(who)}")
    more = len(looking) - len(said)
    return [*said, f"and {more} more open"] if more > 0 else said


def _name(text: str) -> str:
    return truncate(escape(text), _NAME_LENGTH)
