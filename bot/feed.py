"""Feeds files or standard input to a running bot's ingest doors, in pieces, at the pace the bot can take.

Comes in: flow or identity records as they lie in files (gzip allowed). Goes out: the bot's own count of what it took and
why it did not take the rest. What is lost: nothing silently; a piece that the bot is too busy for is sent again.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import requests
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from bot.errors import ConfigError, Overloaded

IDENTITIES = "identities"
PIECE = 8 * 1024 * 1024
_LARGEST = 64 * 1024 * 1024
_WHOLE = frozenset(("azure",))  # one JSON document, not lines
_TIMEOUT = (3.05, 120)
_TOLD = 100


@dataclass(slots=True)
class Fed:
    """What the bot made of it all. `errors` has line numbers of the whole input."""

    accepted: int = 0
    rejected: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)


class Feeder:
    """Sends to one bot. Raises ConfigError where it cannot be reached or refuses altogether."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Content-Type"] = "application/x-ndjson"
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def feed(self, source: str, record_format: str) -> Fed:
        """Send a file (`-`: standard input) of one format. Raises ConfigError where it cannot be read."""
        fed = Fed()
        try:
            with _opened(source) as file:
                for first_line, piece in pieces(file, record_format):
                    self._add(fed, self._send(record_format, piece), first_line)
        except (OSError, EOFError) as error:
            raise ConfigError(f"cannot read {source}: {getattr(error, 'strerror', None) or error}") from None
        return fed

    @staticmethod
    def _add(fed: Fed, answer: dict[str, Any], first_line: int) -> None:
        fed.accepted += answer["accepted"]
        fed.rejected += answer["rejected"]
        for reason, count in answer["ignored"].items():
            fed.ignored[reason] = fed.ignored.get(reason, 0) + count
        for error in answer["errors"][: _TOLD - len(fed.errors)]:
            line = error["line"]
            fed.errors.append(error | {"line": None if line is None else line + first_line - 1})

    def _send(self, record_format: str, piece: bytes) -> dict[str, Any]:
        path = "/ingest/identities" if record_format == IDENTITIES else f"/ingest/flows?format={record_format}"
        try:
            response = self._post(path, piece)
        except requests.RequestException as error:
            raise ConfigError(f"no bot answers at {self._url} ({type(error).__name__}); is it running?") from None
        try:
            body: dict[str, Any] = response.json()
        except requests.JSONDecodeError:
            raise ConfigError(
                f"{self._url} answered {response.status_code} and not in JSON: is it a topology-bot?"
            ) from None
        if not response.ok:
            raise ConfigError(str(body.get("detail") or body))
        return body

    @retry(
        retry=retry_if_exception_type((requests.ConnectionError, Overloaded)),
        stop=stop_after_attempt(8),
        wait=lambda state: _pause(state),
        reraise=True,
    )
    def _post(self, path: str, piece: bytes) -> requests.Response:
        response = self._session.post(self._url + path, data=piece, timeout=_TIMEOUT)
        if response.status_code in (429, 503):
            after = response.headers.get("Retry-After", "5")
            raise Overloaded("the bot is busy", int(after) if after.isdigit() else 5)
        return response


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, Overloaded):
        return float(error.retry_after)
    return float(wait_exponential(multiplier=0.3, max=5)(state))


def _opened(source: str) -> IO[bytes]:
    if source == "-":
        return cast(IO[bytes], sys.stdin.buffer)
    return cast(IO[bytes], gzip.open(source)) if source.endswith(".gz") else Path(source).open("rb")


def pieces(file: IO[bytes], record_format: str) -> Iterator[tuple[int, bytes]]:
    """(number of its first line, piece) of at most `PIECE` bytes or so, cut at line ends.

    A header line (VPC flow logs written to S3) says how to read what follows, so every piece begins with it; the numbers
    are those of the first piece's, and one less after it.
    """
    if record_format in _WHOLE:
        whole = file.read(_LARGEST + 1)
        if whole.strip():
            yield 1, whole
        return
    header, line, rest = b"", 1, b""
    while block := file.read(PIECE):
        block = rest + block
        cut = block.rfind(b"\n") + 1
        if not cut:
            if len(block) > _LARGEST:
                raise ConfigError(f"line {line} is longer than {_LARGEST} bytes: is this the format {record_format!r}?")
            rest = block
            continue
        piece, rest = block[:cut], block[cut:]
        yield line - header.count(b"\n"), header + piece
        if line == 1 and record_format == "vpc" and piece.startswith(b"version"):
            header = piece[: piece.index(b"\n") + 1]
        line += piece.count(b"\n")
    if rest.strip():
        yield line - header.count(b"\n"), header + rest
