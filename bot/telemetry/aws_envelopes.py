"""What AWS wraps log lines in on their way: CloudWatch Logs subscriptions and Firehose deliveries -> the lines themselves.

Comes in: a body that begins with `{`. Goes out: one (position from 1, text) for each log event, in order. What is lost: the
envelope's own facts (group, stream, owner, the time of arrival). A part that cannot be opened costs only itself.

The forms (docs.aws.amazon.com): a subscription's `{"messageType","logEvents":[{"message"}…]}`; the same packed with gzip and
base64 as `{"awslogs":{"data"}}`; Firehose's HTTP delivery `{"requestId","records":[{"data"}…]}`, each part base64 of either the
above, packed or not, or of plain lines; and what Firehose writes to S3: subscriptions one after another with nothing between.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from collections.abc import Iterator

from bot.errors import BadRequest, TooLarge
from bot.telemetry.flow_records import FlowBatch
from bot.telemetry.packing import BODY_LIMIT, unpack

CONTROL = "control message"
"""CloudWatch sends one to see whether anybody listens."""

_GZIP = b"\x1f\x8b"
_decoder = json.JSONDecoder()


def log_lines(body: bytes, batch: FlowBatch) -> Iterator[tuple[int, str]]:
    """The log lines of a body, numbered through. Raises TooLarge where its parts unpack to more than a body may hold."""
    return enumerate(_Opener(batch).texts(body), start=1)


class _Opener:
    """Opens envelopes in envelopes, and keeps count of what they unpack to."""

    def __init__(self, batch: FlowBatch) -> None:
        self._batch = batch
        self._left = BODY_LIMIT

    def texts(self, body: bytes, inside: bool = False) -> Iterator[str]:
        """The log lines of an envelope, or of what was `inside` one."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            self._batch.unreadable(None, "an envelope that is not UTF-8")
            return
        if inside and not text.lstrip().startswith("{"):
            yield from (line for line in text.splitlines() if line and not line.isspace())
            return
        at, end = 0, len(text)
        while at < end:
            if text[at] in " \r\n\t":
                at += 1
                continue
            try:
                document, at = _decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                self._batch.unreadable(None, f"an envelope that is not JSON: {error}")
                return
            yield from self._opened(document, inside)

    def _opened(self, document: object, inside: bool) -> Iterator[str]:
        match document:
            case {"messageType": "CONTROL_MESSAGE"}:
                self._batch.ignored[CONTROL] += 1
            case {"logEvents": list(events)}:
                yield from self._events(events)
            case {"awslogs": {"data": str(data)}} if not inside:
                yield from self._packed(data)
            case {"records": list(records)} if not inside:
                for record in records:
                    match record:
                        case {"data": str(data)}:
                            yield from self._packed(data)
                        case _:
                            self._batch.unreadable(None, "a Firehose record without data")
            case _:
                self._batch.unreadable(None, "neither a CloudWatch Logs subscription nor a Firehose delivery")

    def _events(self, events: list[object]) -> Iterator[str]:
        for event in events:
            match event:
                case {"message": str(message)}:
                    yield message
                case _:
                    self._batch.unreadable(None, "a log event without a message")

    def _packed(self, data: str) -> Iterator[str]:
        try:
            content = b64decode(data, validate=True)
            if content.startswith(_GZIP):
                content = unpack(content, "gzip", self._left)
        except TooLarge:
            raise
        except (binascii.Error, ValueError, BadRequest) as error:
            self._batch.unreadable(None, f"a part that cannot be unpacked: {error}")
            return
        self._left -= len(content)
        yield from self.texts(content, inside=True)
