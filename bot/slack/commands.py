"""What people type after `/topology` -> what they ask. Pure: text in, `Asked` out; one table says which questions there are.

To add one: a row in `COMMANDS`, a method of `bot.slack.desk.Desk` in its table, a view. Raises BadRequest, in words a person
can act on. Names with blanks in them go in quotes; a service called like a question is asked for as `service NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.errors import BadRequest

MAX_TEXT = 2_000
MAX_NAMES = 20

SERVICE, AROUND, HELP = "service", "around", "help"
_HELP = frozenset(("", "?", "-h", "--help"))
_TOKEN = re.compile(r'"([^"]*)"|“([^”]*)”|([^\s,"“”]+)')
_EQUATIONS = frozenset(("alias", "unlike"))
_ARROWS = frozenset(("->", "→", "=>", "&gt;", "to"))
_AGO = re.compile(r"^-?(\d{1,6}(?:\.\d{1,3})?)\s?(s|m|min|h|d|w)(?:\s+ago)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """One question: its word, how it is typed, what it says, how many names it takes; `slow` where it needs the store.

    `past`: it can be asked of a moment, too, with `at TIME` behind it.
    """

    word: str
    usage: str
    says: str
    least: int = 1
    most: int = 1
    slow: bool = False
    past: bool = False


COMMANDS = (
    Command(SERVICE, "SERVICE", "who calls it, whom it calls, who owns it, how it does, what changed", past=True),
    Command(AROUND, "around SERVICE [HOPS]", "who needs it and what it needs, hop by hop", 1, 2, past=True),
    Command("map", "map SERVICE", "the same as a picture: who is failing, hit and suspected", slow=True, past=True),
    Command("path", "path A B", "by which calls A reaches B, the shortest first", 2, 2, past=True),
    Command("blast", "blast A B…", "who is hit when these go down together, and whom to tell", 1, MAX_NAMES, past=True),
    Command("causes", "causes SERVICE", "where its trouble likely comes from, with evidence", slow=True, past=True),
    Command("diff", "diff SERVICE 1h", "which of its calls are new, gone or different since then", 1, 2, slow=True),
    Command("owner", "owner SERVICE", "who owns it and is on call, and who says so", past=True),
    Command(
        "why", "why INCIDENT", "every decision the bot took for it; also of an alert's or a service's name", slow=True
    ),
    Command(
        "confirm",
        "confirm INCIDENT SERVICE",
        "who was at fault in an incident that is over, or `none`",
        2,
        2,
        slow=True,
    ),
    Command(
        "reject",
        "reject INCIDENT SERVICE",
        "SERVICE is not the cause of an open incident: think again",
        2,
        2,
        slow=True,
    ),
    Command("ack", "ack INCIDENT", "you have it: PagerDuty is told, and the message says so", slow=True),
    Command("alias", "alias [A = B]", "A is another name of B; alone: all that people said", 0, 2, slow=True),
    Command("unalias", "unalias A", "take back what people said of A", slow=True),
    Command("unlike", "unlike A = B", "A is not B: do not suggest it again", 2, 2, slow=True),
    Command(
        "digest",
        "digest [subscribe team=T at 09:00]",
        "every day: which dependencies are new, gone or changed, by `team=`, `domain=`, `tier=` or `service=`, `in Europe/Berlin`; "
        "also `preview`, `unsubscribe N`; alone: those there are",
        0,
        1,
        slow=True,
    ),
    Command(
        "mute",
        "mute [list]",
        "tell this channel no more of other teams' trouble; `list`: who muted which",
        0,
        1,
        slow=True,
    ),
    Command("unmute", "unmute", "tell this channel again", 0, 0, slow=True),
    Command("health", "health", "whether the bot itself is well, and what to mend", 0, 0, slow=True),
    Command(HELP, "help [COMMAND]", "this text", 0, 1),
)
"""Every question, in the order in which help lists them."""

BY_WORD = {one.word: one for one in COMMANDS}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: its command, its names in order, the moment it is about as it was typed ("" for now), and all of it."""

    command: Command
    names: tuple[str, ...] = ()
    at: str = ""
    text: str = ""

    @property
    def slow(self) -> bool:
        """Whether the answer may take longer than Slack waits."""
        return self.command.slow or bool(self.at)

    def naming(self, name: str, number: int) -> str:
        """The text of the same question with its name number `number` replaced: what a button asks."""
        return written(self.command, [*self.names[:number], name, *self.names[number + 1 :]], self.at)


def parse(text: str) -> Asked:
    """What is asked. A text that begins with no command's word is a service's name, blanks and all."""
    text = " ".join(text[:MAX_TEXT].split())
    if text.lower() in _HELP:
        return Asked(BY_WORD[HELP], text=text)
    first, _, rest = text.partition(" ")
    command = BY_WORD.get(first.lower())
    if command is None or (not rest and command.least):
        command, rest = BY_WORD[SERVICE], text  # no name follows, so a service may be called so
    rest, at = _moment(rest) if command.past else (rest, "")
    names = (rest.strip('"“” '),) if command.word == SERVICE else _names(command, rest)
    if not command.least <= len(names) <= command.most or not all(names):
        raise BadRequest(f"Say it like this: /topology {command.usage}")
    return Asked(command, names, at, text)


def written(command: Command, names: Sequence[str], at: str = "") -> str:
    """A question as one would type it, so that `parse` reads it back."""
    if command.word in _EQUATIONS and len(names) == 2:
        return f"{command.word} {names[0]} = {names[1]}"
    quoted = [f'"{name}"' if " " in name or "," in name else name for name in (one.replace('"', "") for one in names)]
    return " ".join([command.word, *quoted, *(("at", at) if at else ())])


def moment_text(text: str) -> str:
    """A time as `bot.moments.parse` reads it: `1h`, `1 h ago` and `30min` are `-1h` and `-30m`."""
    if found := _AGO.match(text.strip()):
        unit = found[2].lower()
        return f"-{found[1]}{'m' if unit == 'min' else unit}"
    return text.strip()


def _names(command: Command, rest: str) -> tuple[str, ...]:
    found = ["".join(groups).strip() for groups in _TOKEN.findall(rest)]
    if command.word == "diff" and len(found) > 1:
        since = found[2:] if found[1].lower() == "since" else found[1:]
        found = [found[0], " ".join(since)]
    if command.word == "path":
        found = [one for number, one in enumerate(found) if number != 1 or len(found) < 3 or one.lower() not in _ARROWS]
    if command.word in _EQUATIONS and "=" in rest:
        found = [one.strip(' "“”') for one in rest.split("=", 1)]
    elif command.word in _EQUATIONS and found:
        found = [""]  # two names without a sign between them could mean either
    if command.word == "digest":
        found = [rest] if rest else []  # which has a little language of its own
    if command.word == "why":
        found = [" ".join(found)] if found else []
    return tuple(found)


def _moment(rest: str) -> tuple[str, str]:
    """(what stands before the last ` at `, the moment behind it); ("SERVICE", "") where there is none."""
    before, mark, after = rest.rpartition(" at ")
    if not mark or not any(char.isdigit() for char in after):
        return rest, ""
    return before.strip(), moment_text(after)
