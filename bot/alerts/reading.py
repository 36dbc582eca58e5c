"""Reads what vendors send, shared by all alert doors.

Comes in: bytes, and the values JSON makes of them. Goes out: texts without control characters and of bounded length, epoch
seconds, web addresses that can be put behind a button. What is lost: the tail of a text over its limit; anything that must
be there and is not is BadRequest, naming the field.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from bot.errors import BadRequest
from bot.names import printable

MAX_TEXT = 2_000
MAX_FIELDS = 200

_NOWHERE = "0001-01-01T00:00:00"
_LATEST = 2**33
_UNFIT_FOR_LINKS = re.compile(r'[\s<>|"]')


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises BadRequest.

    The standard library's reader, because it takes half a surrogate pair (a title cut in the middle of an emoji).
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error)[:200]}") from None
    return mapping(value, "the body")


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def mapping(value: object, where: str) -> dict[str, Any]:
    """A JSON object that must be one. Raises BadRequest naming `where`."""
    if not isinstance(value, dict):
        raise BadRequest(f"{where} is missing or not an object")
    return value


def optional(value: object) -> dict[str, Any]:
    """A JSON object that may be missing or null."""
    return value if isinstance(value, dict) else {}


def text(value: object, limit: int = MAX_TEXT) -> str:
    """A field as text, without control characters and at most `limit` long; '' where there is none."""
    if value is None or isinstance(value, dict | list):
        return ""
    return printable(str(value)[: limit * 2]).strip()[:limit]


def identity(value: object, limit: int = MAX_TEXT) -> str:
    """A field that tells things apart: one over the limit keeps its start and gets a hash, so that two stay two."""
    whole = printable(value).strip() if isinstance(value, str) else text(value)
    if len(whole) <= limit:
        return whole
    digest = hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()
    return f"{whole[: limit - len(digest) - 1]}~{digest}"


def texts(value: object) -> dict[str, str]:
    """A flat object of texts (labels, annotations): the first `MAX_FIELDS` of them."""
    if not isinstance(value, Mapping):
        return {}
    return {text(key, 200): text(item) for key, item in list(value.items())[:MAX_FIELDS]}


def first(found: Mapping[str, str], *keys: str) -> str:
    """The first of several fields that says something, else ''."""
    return next((found[key] for key in keys if found.get(key)), "")


def moment(value: object, where: str) -> float | None:
    """An RFC 3339 time as epoch seconds; None where there is none, or Go's zero time. Raises BadRequest naming `where`.

    A time without offset is taken for UTC; before 1970 or after 2242 is taken for a mistake.
    """
    if value is None or value == "" or (isinstance(value, str) and value.startswith(_NOWHERE)):
        return None
    try:
        parsed = datetime.fromisoformat(value[:64].upper()) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise BadRequest(f"{where} is not an RFC 3339 time")
    at = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if not 0 <= at < _LATEST:
        raise BadRequest(f"{where} is not a time an alert can have")
    return at


def web_address(value: object) -> str:
    """An http(s) address that can stand behind a button, else ''. One at the limit may have been cut, and leads elsewhere."""
    found = text(value)
    fit = found.startswith(("http://", "https://")) and len(found) < MAX_TEXT and not _UNFIT_FOR_LINKS.search(found)
    return found if fit else ""
