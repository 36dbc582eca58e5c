"""Whom the first post of an incident calls: nobody, or the owner of its first service. Pure; decided once, with a named reason."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incidents.conditions import Conditions, Known, fits, parse_conditions, written
from bot.model import Owner

MAX_RULES = 50
NEVER = "none"


def parse_mention(text: str) -> Conditions:
    """The conditions under which an owner is mentioned. Raises ValueError, in words."""
    try:
        return parse_conditions(text)
    except ValueError as error:
        raise ValueError(f"mentions {text[:80]!r}: {error}") from None


def whom(
    owner: Owner, wanted: Sequence[Conditions], known: Known, quiet: str = "", foretold: str = ""
) -> tuple[str, str, str]:
    """(Slack id, the owner's name, why); the id is "" where nobody is called. `quiet` says that the owner has quiet hours now,
    `foretold` that an incident which is open has told of this one already."""
    name = owner.slack if owner.slack.startswith("@") else owner.team
    rule = next((one for one in wanted if fits(one, known)), None)
    if rule is None:
        return "", name, "TOPOLOGY_BOT_MENTIONS wants nobody called for this"
    if not owner.mention:
        return "", name, f"the catalogue has no Slack id of {name}"
    if quiet:
        return "", name, quiet
    if foretold:
        return "", name, foretold
    return owner.mention, name, written(rule)
