"""Change events (our own NDJSON): bytes -> changes.

Comes in: one JSON object a line, `{"at","service","kind":"deploy"|"config"|"flag"|"scale"|"other","title","link"?,"author"?}`;
`at` in epoch seconds or ISO 8601. Goes out: `Change`s. What is lost: a line that cannot be used costs only itself and is
listed with its reason.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot import names
from bot.model import Change
from bot.telemetry.ndjson import Lines, Unusable

KINDS = frozenset(("deploy", "config", "flag", "scale", "other"))
MAX_TEXT = 300
_AHEAD = 300.0


@dataclass(slots=True)
class ChangeBatch(Lines):
    """One body of records."""

    changes: list[Change] = field(default_factory=list)


def decode(body: bytes, now: float) -> ChangeBatch:
    """Read a body line by line. Never raises: what cannot be used is in `errors`."""
    batch = ChangeBatch()
    batch.read(body, lambda record: batch.changes.append(_change(record, now)))
    return batch


def _change(record: Mapping[str, Any], now: float) -> Change:
    kind = record.get("kind", "other")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Unusable(f"kind {str(kind)[:40]!r}: want one of {', '.join(sorted(KINDS))}")
    at = _moment(record.get("at"))
    if at > now + _AHEAD:
        raise Unusable("at is in the future: is the clock right?")
    service = names.clean(_text(record, "service", required=True))
    if not service or len(service) > names.MAX_ID:
        raise Unusable(f"service: want a name of at most {names.MAX_ID} characters")
    title, author, link = (_text(record, one, required=one == "title") for one in ("title", "author", "link"))
    if link and not link.startswith(("http://", "https://")):
        raise Unusable("link: want an http(s) address")
    said = json.dumps([at, service, kind, title, author, link]).encode()
    return Change(hashlib.blake2b(said, digest_size=16).hexdigest(), at, service, kind, title, link, author)


def _text(record: Mapping[str, Any], key: str, *, required: bool) -> str:
    value = record.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise Unusable(f"{key}: want a text")
    return names.printable(value).strip()[:MAX_TEXT]


def _moment(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 < value < 1e11:
        return float(value)
    if isinstance(value, str) and len(value) <= 40:
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            parsed = None
        if parsed is not None and parsed.tzinfo is not None and parsed.timestamp() > 0:
            return parsed.timestamp()
    raise Unusable("at: want epoch seconds, or ISO 8601 with a time zone")
