"""Verification shared by all alert doors.

Comes in: the headers, the raw body and the secrets a source may use (several while they are rotated). Goes out: nothing,
or Unauthorized naming the header that was missing or wrong, never a secret nor what was given. No secrets set means
nobody is let in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from bot.errors import Unauthorized

Secrets = tuple[str, ...]


def any_equal(given: str, secrets: Iterable[str]) -> bool:
    """Whether `given` is one of `secrets`; each is compared, so that the time taken tells nothing. '' equals nothing."""
    equal = False
    for secret in secrets:
        equal |= hmac.compare_digest(_octets(given), _octets(secret)) and secret != ""
    return equal


def bearer_or_basic(headers: Mapping[str, str], secrets: Secrets) -> None:
    """`Authorization: Bearer SECRET`, or Basic whose password, or whole `user:password`, is a secret (RFC 6750, RFC 7617).

    Raises Unauthorized.
    """
    scheme, _, given = headers.get("Authorization", "").strip().partition(" ")
    given = given.strip()
    if not scheme:
        raise Unauthorized("the Authorization header is missing: send a bearer token or basic auth")
    match scheme.lower():
        case "bearer":
            passed = any_equal(given, secrets)
        case "basic":
            pair = _basic_pair(given)
            passed = any_equal(pair, secrets) | any_equal(pair.partition(":")[2], secrets)
        case _:
            raise Unauthorized("the Authorization header is neither Bearer nor Basic")
    if not passed:
        raise Unauthorized("the Authorization header does not hold one of this source's secrets")


def hmac_header(headers: Mapping[str, str], name: str, body: bytes, secrets: Secrets, prefix: str = "") -> None:
    """The header `name` holds comma-separated signatures; those that start with `prefix` are hex HMAC-SHA256 of `body`.

    One of them made with one of the secrets is enough: senders sign with the old and the new secret during a rotation.
    Other prefixes are other versions of the scheme and are passed over. Raises Unauthorized.
    """
    items = [item.strip() for item in headers.get(name, "").split(",")]
    signatures = [item.removeprefix(prefix).lower() for item in items if item and item.startswith(prefix)]
    if not signatures:
        raise Unauthorized(f"the {name} header is missing or holds no {prefix or 'hex'} signature")
    wanted = [hmac.new(_octets(secret), body, hashlib.sha256).hexdigest() for secret in secrets if secret]
    if not any([any_equal(signature, wanted) for signature in signatures]):  # noqa: C419 - all of them, in the same time
        raise Unauthorized(f"the {name} header holds no signature made with one of this source's secrets")


def standard_webhook(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`webhook-signature: v1,BASE64[ v1,BASE64…]` over `ID.TIMESTAMP.BODY` (standardwebhooks.com). Raises Unauthorized.

    A secret `whsec_…` is base64 of the key; any other is the key itself. How old the timestamp is, is not looked at: the id is
    signed too, and tells a repeat however late it comes.
    """
    told = [headers.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
    if not all(told):
        raise Unauthorized("of webhook-id, webhook-timestamp and webhook-signature, one is missing")
    content = _octets(f"{told[0]}.{told[1]}.") + body
    keys = [key for secret in secrets if (key := _webhook_key(secret))]
    wanted = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
    given = [item.removeprefix("v1,") for item in told[2].split() if item.startswith("v1,")]
    if not any([any_equal(signature, wanted) for signature in given]):  # noqa: C419 - all of them, in the same time
        raise Unauthorized("the webhook-signature header holds no signature made with one of this source's secrets")


def _webhook_key(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return _octets(secret)
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def _basic_pair(given: str) -> str:
    try:
        return base64.b64decode(given, validate=True).decode()
    except ValueError:  # not base64, not even ASCII, or not UTF-8 underneath
        raise Unauthorized("the Authorization header is not valid basic auth") from None


def _octets(text: str) -> bytes:
    """The bytes of a header's text; what was not UTF-8 on the wire arrives as surrogates."""
    return text.encode(errors="surrogatepass")
