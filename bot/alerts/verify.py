"""Verification shared by all alert doors: constant-time, several live secrets, never a secret in an error."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from bot.errors import Unauthorized

Secrets = tuple[str, ...]


def any_equal(given: str, secrets: Iterable[str]) -> bool:
    """Whether `given` is one of `secrets`; each is compared, so that the time taken tells nothing."""
    equal = False
    for secret in secrets:
        equal |= hmac.compare_digest(given.encode(), secret.encode())
    return equal


def bearer_or_basic(headers: Mapping[str, str], secrets: Secrets) -> None:
    """`Authorization: Bearer SECRET`, or Basic whose password, or whole `user:password`, is a secret. Raises Unauthorized."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer" and given and any_equal(given, secrets):
        return
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorized("the Authorization header is not valid basic auth") from None
        if any_equal(pair, secrets) or any_equal(pair.partition(":")[2], secrets):
            return
    if not scheme:
        raise Unauthorized("the Authorization header is missing: send a bearer token or basic auth")
    raise Unauthorized("the Authorization header does not hold one of this source's secrets")


def hmac_sha256(header: str, body: bytes, secrets: Secrets, prefix: str) -> None:
    """A header of comma-separated signatures, of which those starting with `prefix` are hex HMAC-SHA256 of the raw body.

    Any of them made with any secret will do (rotation). Raises Unauthorized.
    """
    if not header:
        raise Unauthorized("the signature header is missing")
    given = [item.strip().removeprefix(prefix) for item in header.split(",") if item.strip().startswith(prefix)]
    wanted = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    if not any(any_equal(signature.lower(), wanted) for signature in given[:10]):
        raise Unauthorized("the signature does not match this source's secrets")
