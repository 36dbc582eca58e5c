"""How Slack's ids are written by people, in catalogues and settings: a text in, an id out, or nothing. Pure.

Ids are upper case: `S…` user groups, `U…` and `W…` people, `C…` and `G…` channels (docs.slack.dev/messaging/formatting-message-text).
A word in capitals is none: every id that Slack gives out has a digit in it.
"""

from __future__ import annotations

import re

_ID = r"(?=[A-Z0-9]*[0-9])[A-Z0-9]{7,20}"
_MENTIONED = re.compile(
    rf"(?P<plain>[SUW]{_ID})|<!subteam\^(?P<group>S{_ID})(?:\|[^<>]*)?>|<@(?P<person>[UW]{_ID})(?:\|[^<>]*)?>"
)
_CHANNEL = re.compile(rf"[CG]{_ID}")


def mention_id(text: str) -> str:
    """The id of the user group or person that a text names: `S0123ABCD`, `<!subteam^S0123ABCD>`, `<@U0123ABCD>`; "" for none."""
    found = _MENTIONED.fullmatch(text.strip())
    return next((one for one in found.groups() if one), "") if found is not None else ""


def channel(text: str) -> str:
    """The text where it names a channel, as `#name` or by its id; "" where it names anything else."""
    text = text.strip()
    return text if (text.startswith("#") and len(text) > 1) or _CHANNEL.fullmatch(text) else ""
