"""The few error types that cross room borders.

A door raises `BadRequest` or a kin of it; the web room turns it into an RFC 9457 problem document. A sender raises
`DeliveryError` with the one thing its caller must know: whether trying again can help.
"""

from __future__ import annotations


class BotError(Exception):
    """Base of every error this program raises on purpose."""


class ConfigError(BotError):
    """A setting is missing or wrong. The text names the setting and what to do."""


class BadRequest(BotError):
    """The sender's bytes cannot be used; sending the same bytes again will not help (HTTP 400)."""

    status = 400
    slug = "bad-request"


class Unauthorized(BadRequest):
    """The request is not signed, or wrongly (HTTP 401)."""

    status = 401
    slug = "unauthorized"


class TooLarge(BadRequest):
    """The body, packed or unpacked, is over the limit (HTTP 413)."""

    status = 413
    slug = "too-large"


class UnsupportedMediaType(BadRequest):
    """The content type or content encoding is not one this door reads (HTTP 415)."""

    status = 415
    slug = "unsupported-media-type"


class NotFound(BotError):
    """Nobody by that name. `suggestions` are the closest names that do exist, best first."""

    status = 404
    slug = "unknown-service"

    def __init__(self, text: str, suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.suggestions = suggestions


class Ambiguous(NotFound):
    """Several services share the bare name; `suggestions` are their full ids."""

    status = 409
    slug = "ambiguous-service"


class Overloaded(BotError):
    """A queue is full; the sender should try again after `retry_after` seconds (HTTP 503)."""

    def __init__(self, text: str, retry_after: int = 5) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class RateLimited(Overloaded):
    """One sender asks too often; it should wait `retry_after` seconds (HTTP 429)."""


class PictureError(BotError):
    """No picture, and everything else as it was (HTTP 503). `reason` is a word for the count of pictures: `absent` (nothing to lay
    out or write with), `crashed`, `timed out`, `refused` (by the layout program), `too big`, `busy`."""

    slug = "no-picture"

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class DeliveryError(BotError):
    """A message did not go out (or may have). See the three subclasses."""


class PermanentDeliveryError(DeliveryError):
    """Trying again will not help until a person changes something; `code` is the service's own error word."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(text or code)
        self.code = code


class RetryableDeliveryError(DeliveryError):
    """It surely did not go out and may succeed later; `retry_after` is in seconds where the service gave one."""

    def __init__(self, code: str, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after


class AmbiguousDeliveryError(DeliveryError):
    """It may have gone out: look before sending it again."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
