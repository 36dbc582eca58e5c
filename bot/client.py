"""The command line's way to ask a running bot: synchronous, over its JSON API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from bot.errors import BotError, ConfigError, NotFound

_TIMEOUT = (3.05, 30)


class Refused(BotError):
    """The bot answered with a problem; the text is its `detail`."""


class Client:
    """Asks one bot. Raises ConfigError where it cannot be reached, NotFound or Refused with the bot's own words."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON answer of one route."""
        return self._answer(path, params=params)

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """The JSON answer to a question that has a body."""
        return self._answer(path, body=body)

    def fetch(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """What one route answers where that is not JSON: a picture."""
        response = self._answered(path, params, None)
        if not response.ok:
            self._read(path, response)
        return response.content

    def _answer(
        self, path: str, *, params: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> dict[str, Any]:
        return self._read(path, self._answered(path, params, body))

    def _answered(self, path: str, params: Mapping[str, str] | None, body: bytes | None) -> requests.Response:
        try:
            return self._ask(path, params, body)
        except requests.RequestException as error:
            raise ConfigError(f"no bot answers at {self._url} ({type(error).__name__}); is it running?") from None

    def _read(self, path: str, response: requests.Response) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = response.json()
        except requests.JSONDecodeError:
            raise Refused(
                f"{self._url}{path} answered {response.status_code} and not in JSON: is it a topology-bot?"
            ) from None
        if response.status_code in (404, 409) and "suggestions" in answer:
            raise NotFound(str(answer.get("detail", "")), tuple(answer["suggestions"]))
        if not response.ok:
            raise Refused(str(answer.get("detail") or answer))
        return answer

    # A bot that is just being restarted refuses connections for a moment.
    @retry(
        retry=retry_if_exception_type(requests.ConnectionError),
        stop=stop_after_attempt(3),
        wait=wait_fixed(0.3),
        reraise=True,
    )
    def _ask(self, path: str, params: Mapping[str, str] | None, body: bytes | None) -> requests.Response:
        if body is None:
            return self._session.get(self._url + path, params=params, timeout=_TIMEOUT)
        return self._session.post(self._url + path, data=body, timeout=_TIMEOUT)
