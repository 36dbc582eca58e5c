"""Change events in our own words (NDJSON): bytes -> changes.

Comes in: one JSON object a line, `{"at","service","kind":"deploy"|"config"|"flag"|"scale"|"other","title","link"?,"author"?}`;
`at` is epoch seconds or ISO 8601, `service` a name or an id, and `id`, where it is given, tells two changes apart that are
otherwise the same. Goes out: `Change`s. What is lost: a line that cannot be used costs only itself and is listed with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot import names
from bot.alerts.reading import identity, text, web_address
from bot.changes.report import AHEAD, MAX_ID, MAX_TITLE, Named, change, digest
from bot.model import Change, ChangeKind
from bot.telemetry.ndjson import Lines, Unusable

SOURCE = "ingest"
MAX_CHANGES = 10_000
"""Most changes in one body: they are stored in one transaction, a fifth of a second that alerts wait for."""

_MILLISECONDS = 1e11


@dataclass(slots=True)
class ChangeBatch(Lines):
    """One body of records."""

    changes: list[Change] = field(default_factory=list)


def decode(body: bytes, now: float, oldest: float) -> ChangeBatch:
    """Read a body line by line; a change before `oldest` (epoch s) is refused. Never raises: what cannot be used is in `errors`."""
    batch = ChangeBatch()

    def take(record: Mapping[str, Any]) -> None:
        if len(batch.changes) >= MAX_CHANGES:
            raise Unusable(f"more than {MAX_CHANGES} changes in one body: send the rest in another")
        batch.changes.append(_change(record, now, oldest))

    batch.read(body, take)
    return batch


def _change(record: Mapping[str, Any], now: float, oldest: float) -> Change:
    at = _at(record.get("at"), now, oldest)
    kind = record.get("kind", ChangeKind.OTHER)
    if not isinstance(kind, str) or kind not in set(ChangeKind):
        raise Unusable(f"kind {str(kind)[:40]!r}: want one of {', '.join(ChangeKind)}")
    service, title, author, link = (
        _text(record, name, required=name in ("service", "title")) for name in ("service", "title", "author", "link")
    )
    if names.from_id(service) is None:
        raise Unusable("service: want the name or id of a service")
    if link and not web_address(link):
        raise Unusable("link: want an http(s) address without spaces")
    given = identity(record.get("id"), MAX_ID)
    return change(
        SOURCE, at, Named(service), (ChangeKind(kind), title), given or digest(at, service, kind, title, author),
        link=link, author=author,
    )  # fmt: skip


def _text(record: Mapping[str, Any], key: str, *, required: bool) -> str:
    value = record.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not text(value, MAX_TITLE)):
        raise Unusable(f"{key}: want a text")
    return value


def _at(value: object, now: float, oldest: float) -> float:
    at = _moment(value)
    if at is None or at <= 0:
        raise Unusable("at: want epoch seconds, or ISO 8601 with a time zone")
    if at > _MILLISECONDS:
        raise Unusable("at: want seconds, not milliseconds")
    if at > now + AHEAD:
        raise Unusable("at is in the future: is the clock right?")
    if at < oldest:
        raise Unusable("at is longer ago than changes are kept")
    return at


def _moment(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if -_MILLISECONDS < value < 1e18 and math.isfinite(value) else None
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        return None
    return parsed.timestamp() if parsed is not None and parsed.tzinfo is not None else None
