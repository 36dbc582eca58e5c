"""Asks an HTTP API for JSON, within bounds: time, size and tries all have an end, and no error carries a secret.

Blocks: to be run in a thread. A redirect is refused, because what follows one takes the token elsewhere.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_when_event_set
from tenacity.nap import sleep_using_event

from bot.errors import BotError

MAX_BYTES = 64 * 1024 * 1024
TRIES = 3
TOTAL_SECONDS = 120.0
_TIMEOUT = (3.05, 10.0)
_CHUNK = 64 * 1024
_LONGEST_PAUSE = 30.0
_TRY_AGAIN = frozenset((429, 500, 502, 503, 504))

Params = Mapping[str, str | list[str]]


class SourceError(BotError):
    """A source could not be read; the text says why and what to do, without the source's name and without secrets."""


class _PassingError(SourceError):
    """The same question may be answered soon; not before `pause` seconds where the source said so."""

    def __init__(self, text: str, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause


class _Headers(requests.auth.AuthBase):
    """Puts headers on a request."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


class Fetcher:
    """Asks one API, at `url`. `headers` hold the token; `advice` says what to do when it is refused."""

    def __init__(self, url: str, headers: Mapping[str, str], advice: str) -> None:
        self._url = url.rstrip("/")
        self._advice = advice
        self._session = requests.Session()
        # As `auth` and not as the session's headers: where there is none, a ~/.netrc would put its own in the token's place.
        self._session.auth = _Headers(headers)
        self._closed = threading.Event()

    @property
    def host(self) -> str:
        """The host asked, without user, password or port."""
        return urlsplit(self._url).hostname or "?"

    def close(self) -> None:
        """Wait for nothing any more: what is under way raises SourceError at its next step."""
        self._closed.set()

    def deadline(self) -> float:
        """Until when (monotonic s) all pages of one reading have to be there."""
        return time.monotonic() + TOTAL_SECONDS

    def get(self, path: str, params: Params, deadline: float) -> dict[str, Any]:
        """The JSON object at `path`. Raises SourceError."""
        attempts = Retrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(TRIES) | stop_when_event_set(self._closed),
            wait=_pause,
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )
        return attempts(self._once, path, params, deadline)

    def _once(self, path: str, params: Params, deadline: float) -> dict[str, Any]:
        if self._closed.is_set():
            raise SourceError("not read: the bot is stopping")
        if time.monotonic() > deadline:
            raise SourceError(
                f"has not answered in full within {TOTAL_SECONDS:.0f} s; is it overloaded, or very large?"
            )
        try:
            with self._session.get(
                self._url + path, params=params, timeout=_TIMEOUT, stream=True, allow_redirects=False
            ) as response:
                self._check(response)
                body = self._body(response, deadline)
        # An error's own text can have the whole address in it, with what somebody wrote as its user.
        except (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise _PassingError(
                f"cannot be reached ({type(error).__name__}); is its address right, and reachable?"
            ) from None
        except requests.RequestException as error:
            raise SourceError(f"cannot be asked ({type(error).__name__}); is its address right?") from None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise SourceError("answered something that is not JSON; does its address lead to the API?") from None
        if not isinstance(answer, dict):
            raise SourceError("answered JSON of another shape than documented; does its address lead to the API?")
        return answer

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (401, 403):
            raise SourceError(f"refuses the token ({status}); {self._advice}")
        if status in _TRY_AGAIN:
            given = response.headers.get("Retry-After", "")
            pause = float(given) if given.isascii() and given.isdigit() and len(given) < 5 else 0.0
            raise _PassingError(f"answered {status}", pause)
        if response.is_redirect:
            raise SourceError(f"answered {status}, to go elsewhere; set the address it is really at")
        if status != 200:
            raise SourceError(f"answered {status}; does its address lead to the API?")

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        found = bytearray()
        for chunk in response.iter_content(_CHUNK):
            found += chunk
            if len(found) > MAX_BYTES:
                raise SourceError(f"answered more than {MAX_BYTES} bytes at once")
            if time.monotonic() > deadline or self._closed.is_set():
                raise SourceError(f"has not answered in full within {TOTAL_SECONDS:.0f} s")
        return bytes(found)


def _pause(state: RetryCallState) -> float:
    """What the source asked for, within reason; else a second, and twice that."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause if isinstance(error, _PassingError) else 0.0
    return min(max(asked, 2.0 ** (state.attempt_number - 1)), _LONGEST_PAUSE)


def require_web_address(name: str, url: str) -> None:
    """Raise ValueError, without a word of the address, where it is none: it may hold a password."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{name}: want an http(s) address without a query")
