"""How settings that several values or a secret make up are written: comma-separated names, secrets and tokens.

Comes in: what the environment or the TOML file has. Goes out: tuples. What cannot be read is a ValueError without a word of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

SCOPES = frozenset(("read", "ingest", "admin"))


def _comma_separated(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


# An empty secret is one that everybody knows.
Secret = Annotated[SecretStr, Field(min_length=1)]
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_comma_separated)]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Names = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One bearer token of the API: who it belongs to and what it may do."""

    name: str
    scopes: frozenset[str]
    secret: SecretStr

    @classmethod
    def parse(cls, text: str) -> ApiToken:
        """Read `name:scope+scope:token`. Raises ValueError without a word of the text: any part of it may be the secret."""
        name, _, rest = text.partition(":")
        scopes_text, _, secret = rest.partition(":")
        scopes = frozenset(scopes_text.split("+")) if scopes_text else frozenset()
        if not name or not secret or not scopes or not scopes <= SCOPES:
            raise ValueError(f"want name:scope+scope:token with scopes {', '.join(sorted(SCOPES))}")
        return cls(name, scopes, SecretStr(secret))


def _parse_tokens(value: object) -> object:
    texts = _comma_separated(value)
    return tuple(map(_token, range(1, len(texts) + 1), texts)) if isinstance(texts, tuple | list) else value


def _token(position: int, given: object) -> object:
    try:
        return ApiToken.parse(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ValueError(f"token {position}: {error}") from None


ApiTokens = Annotated[tuple[ApiToken, ...], BeforeValidator(_parse_tokens)]
