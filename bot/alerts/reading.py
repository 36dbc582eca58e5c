"""Reads what vendors send: JSON with sizes bounded, times of RFC 3339, fields that must be there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from bot.errors import BadRequest
from bot.names import printable

MAX_TEXT = 2_000

_FRACTION = re.compile(r"\.(\d{6})\d+")


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises BadRequest."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value


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


def texts(value: object) -> dict[str, str]:
    """A flat object of texts: labels, annotations."""
    if not isinstance(value, Mapping):
        return {}
    return {text(key, 200): text(item) for key, item in list(value.items())[:200]}


def moment(value: object) -> float | None:
    """An RFC 3339 time as epoch seconds; None where there is none or it is Go's zero time."""
    if not isinstance(value, str) or value.startswith("0001-"):
        return None
    try:
        parsed = datetime.fromisoformat(_FRACTION.sub(r".\1", value))
    except ValueError:
        return None
    at = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return at if math.isfinite(at) else None


def web_address(value: object) -> str:
    """An http(s) address, else ''."""
    found = text(value)
    return found if found.startswith(("http://", "https://")) and not re.search(r"[\s<>|\"]", found) else ""
