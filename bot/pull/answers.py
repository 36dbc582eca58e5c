"""Reads the JSON answers of the Prometheus HTTP API.

Comes in: an HTTP status and a body, whatever they are. Goes out: the answer's data and warnings, or a `PullError` that says
whether asking again can help. What is lost: all we do not read.

Source: prometheus.io/docs/prometheus/latest/querying/api; `isPartial` is VictoriaMetrics' own.
"""

from __future__ import annotations

import math
from typing import TypeVar

import msgspec

from bot import names
from bot.errors import BotError

_OK = 200
_BUSY = frozenset((429, 502, 503, 504))
_POINTLESS = frozenset((400, 405, 413, 422))  # the same question gets the same answer
_TOO_SLOW = frozenset(("timeout", "canceled"))
_WORDS = 300
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_T = TypeVar("_T")


class PullError(BotError):
    """A question was not answered. `again`: whether it may be answered later; `busy`: whether in a moment."""

    def __init__(self, text: str, reason: str, *, again: bool, busy: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.again = again
        self.busy = busy


class Envelope(msgspec.Struct, rename="camel"):
    """What every answer comes in."""

    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = ""
    error: str = ""
    warnings: list[str] | None = None
    is_partial: bool = False


class Data(msgspec.Struct, rename="camel"):
    """The data of a query's answer."""

    result_type: str
    result: msgspec.Raw


class Series(msgspec.Struct):
    """One series of a vector; `value` is (epoch s, number as text), and missing where it is a native histogram."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None


def envelope(status: int, body: bytes) -> Envelope:
    """The answer of the API. Raises PullError where it is an error, or none of the API's answers at all."""
    answer = None
    try:
        answer = msgspec.json.decode(body, type=Envelope)
    except _UNREADABLE:
        if status == _OK:
            raise PullError("what came is not an answer of the Prometheus API", "not the API", again=True) from None
    if answer is not None and status == _OK and answer.status == "success":
        return answer
    said = shown(f"{answer.error_type}: {answer.error}") if answer is not None else ""
    too_slow = answer is not None and answer.error_type in _TOO_SLOW
    raise PullError(
        f"HTTP {status}" + (f" ({said})" if said else ""),
        f"HTTP {status}",
        again=status not in _POINTLESS or too_slow,
        busy=status in _BUSY and not too_slow,
    )


def decoded(data: msgspec.Raw, form: type[_T], what: str) -> _T:
    """A part of an answer in a given form. Raises PullError where it does not hold `what`."""
    try:
        return msgspec.json.decode(data, type=form)
    except _UNREADABLE:
        raise PullError(f"the answer does not hold {what}", "not the API", again=True) from None


def number(value: tuple[float, str] | None) -> float | None:
    """A sample's value; None for a native histogram, `NaN` and the infinities."""
    try:
        read = float(value[1]) if value is not None else math.nan
    except ValueError:
        return None
    return read if math.isfinite(read) else None


def shown(text: str) -> str:
    """The server's own words, fit for a log line."""
    return names.printable(text)[:_WORDS]
