"""Messages that enclose something: a picture of a service and what is around it, the list of an incident's alerts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from bot.model import AlertStatus, Message
from bot.picture import words
from bot.picture.dot import dot
from bot.picture.focus import Focus
from bot.picture.labels import plain
from bot.slack.enclosures import Enclosure
from bot.slack.mrkdwn import escape
from bot.storage.alert_records import StoredAlert

_MOST_LINES = 5_000
_TITLES = 5
_WIDTH = 120


def picture(focus: Focus) -> Message:
    """The picture, with the same in words for whoever does not see it."""
    name = "".join(char if char.isascii() and char.isalnum() else "-" for char in focus.root.name)[:60].strip("-")
    enclosed = Enclosure(f"{name or 'service'}.png", words.title(focus), words.alt(focus), dot=dot(focus))
    return Message(escape(enclosed.alt), (enclosed.block(),))


def listing(incident: int, members: Sequence[StoredAlert], now: float) -> Message:
    """Every service of an incident with what alerts there, as a text file: the message above names only the first."""
    lines = list(_lines(members))
    named = len({stored.service or stored.named for stored in members})
    title = f"All {len(members):,} alerts of incident {incident}: {named:,} services"
    head = f"{title}, as of {_time(now)}\n\n"
    more = f"… and {len(lines) - _MOST_LINES:,} more lines\n" if len(lines) > _MOST_LINES else ""
    content = head + "".join(f"{line}\n" for line in lines[:_MOST_LINES]) + more
    enclosed = Enclosure(
        f"incident-{incident}.txt", title, f"{title} (the file could not be uploaded)", content=content
    )
    return Message(escape(title), (enclosed.block(),))


def _lines(members: Sequence[StoredAlert]) -> Iterator[str]:
    services: dict[str, list[StoredAlert]] = {}
    for stored in members:
        services.setdefault(stored.service or stored.named or "(no service named)", []).append(stored)
    for service, those in sorted(services.items(), key=lambda one: (-len(one[1]), one[0])):
        firing = [stored for stored in those if stored.alert.status is not AlertStatus.RESOLVED]
        titles = list(dict.fromkeys(plain(stored.alert.title, _WIDTH) for stored in firing or those))
        more = f", and {len(titles) - _TITLES} more" if len(titles) > _TITLES else ""
        since = _time(min(stored.alert.starts_at for stored in those))
        yield f"{plain(service, _WIDTH)}\t{len(firing)} of {len(those)} firing\tsince {since}\t{', '.join(titles[:_TITLES])}{more}"


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
